"""Upscales pictures of a gallery by a preset of the Extras: each result comes after its source, which stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ....errors import Cancelled, DeviceError, ModelError, PictureReadError, RequestError, TrueScaleError
from ....fields import Place, checked, size_of
from ... import host
from ...host import health
from ...host.callers import Caller
from ...host.gallery import given_back, save_result, shown_in
from ...host.generation import Said, generation_of, said_of, told_of
from ...host.infotexts import line_of
from ...host.markup import line, plain, problem, word
from ...host.progress import shown_as_job, stop_kind
from ...host.uploads import DEEP_MODES
from ...panels import presets
from ...takeover.failing import as_error
from ...takeover.requests import request_of
from ...upscaling.service import service
from ...upscaling.statement import statement_html

if TYPE_CHECKING:
    from ....request import UpscaleReport

__all__ = ["PLACE", "Result", "placed", "upscaled"]

PLACE: Place = "extras"
"""Whose presets are used, and whose words are written into the picture."""

_POSTPROCESSING = "postprocessing"
"""The text of a PNG in which the host says what the Extras have done."""

_FOR_ALL = (ModelError, DeviceError)
"""What would fail with the next picture as well."""


@dataclass(frozen=True)
class Result:
    """source: its file. picture: its own file; where none was saved, the picture. said: for the page.

    warnings: of reading the source.
    """

    source: Path
    picture: Path | Image.Image
    said: Said
    report: UpscaleReport
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its file, "" for none."""
        return self.picture.name if isinstance(self.picture, Path) else ""

    @property
    def held(self) -> int:
        """Bytes in memory."""
        if isinstance(self.picture, Path):
            return 0
        pixel = 4 if self.picture.mode in DEEP_MODES else len(self.picture.getbands())
        return self.picture.width * self.picture.height * pixel


@dataclass
class _Job:
    """problems: in words, one for each picture that failed."""

    results: list[Result] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_stopped: bool = False


def upscaled(tab: str, order: Mapping[str, Any], generation: str | None) -> tuple[list[Result], str]:
    """The results, and what is to be said of them; as a job of the host's.

    order: see ``bridge.ORDER``. generation: the host's text of the run that the gallery shows.
    """
    try:
        health.check()
        files = shown_in(order.get("files"))
        if not files:
            raise RequestError("the gallery has no picture", "", "generate one first")
        indexes = _chosen(order, len(files))
        values, notes = _values(order.get("preset"))
    except TrueScaleError as error:
        return [], problem(error)
    job = _run(tab, values, files, indexes, generation_of(generation))
    return job.results, notes + _note(job, len(indexes))


def placed(results: Sequence[Result], files: Any, generation: str | None) -> tuple[list[Image.Image], str, list[int]]:
    """The gallery with each result after its source, or at the end where that is not shown any more.

    files: what it shows now; another run may have ended since. Gives its pictures, the host's text with theirs in the
    same places, and where the results stand. Raises RequestError.
    """
    known, shown = generation_of(generation), shown_in(files)
    gallery: list[Image.Image] = []
    said: list[Said] = []
    added: list[int] = []

    def add(result: Result, is_grid: bool) -> None:
        if isinstance(result.picture, Path) and not result.picture.is_file():
            return
        added.append(len(gallery))
        gallery.append(given_back(result.picture) if isinstance(result.picture, Path) else result.picture)
        said.append(replace(result.said, is_grid=is_grid))

    for index, file in enumerate(shown):
        of_source = said_of(known, index)
        if file.is_file():  # the host would show a dot in place of one that is gone
            gallery.append(given_back(file))
            said.append(of_source)
        for result in results:
            if result.source == file:
                add(result, of_source.is_grid)
    for result in results:
        if result.source not in shown:
            add(result, is_grid=False)  # grids come first
    return gallery, told_of(known, said), added


def _chosen(order: Mapping[str, Any], number: int) -> list[int]:
    """Raises RequestError."""
    pictures = order.get("pictures")
    indexes = [one for one in pictures if isinstance(one, int)] if isinstance(pictures, list) else []
    if not indexes:
        raise RequestError("no picture is chosen", "", "choose at least one")
    if not all(0 <= index < number for index in indexes):
        raise RequestError("the gallery has changed since", "a chosen picture is not there", "choose again")
    return sorted(set(indexes))


def _values(name: Any) -> tuple[dict[str, Any], str]:
    """The checked values of the preset, and what is to be said of them. Raises RequestError."""
    preset = presets.store().get(PLACE, name if isinstance(name, str) else None)
    if preset is None:
        raise RequestError("there is no such preset any more", "", "choose another one")
    values, missing = presets.resolved(preset)
    words = [word("Model not found, so that another one is used"), *map(plain, missing)]
    return checked(PLACE, values), line(words if missing else [])


# -- the job -----------------------------------------------------------------------------------------------------------


def _run(tab: str, values: dict[str, Any], files: list[Path], indexes: list[int], known: dict[str, Any]) -> _Job:
    job, state = _Job(), host.state()
    state.job_count = len(indexes)
    for number, index in enumerate(indexes, 1):
        if stop_kind() == "interrupt" or getattr(state, "stopping_generation", False):
            job.is_stopped = True
            break
        state.nextjob()
        state.skipped = False
        label = f"{number} / {len(indexes)}"
        try:
            job.results.append(_one(tab, values, files[index], said_of(known, index), known, label))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other pictures go on
            failed = as_error(error, str(values["recipe"] or values["upscaler_1"] or "TrueScale"))
            if isinstance(failed, Cancelled):
                continue  # skipped, or interrupted, which the next turn sees
            job.problems.append(f"{files[index].name}: {failed}")
            if isinstance(failed, _FOR_ALL):
                break
    job.is_stopped = job.is_stopped or stop_kind() == "interrupt"
    for words in dict.fromkeys(words for one in job.results for words in one.warnings):  # each once
        host.warn(words)
    return job


def _one(tab: str, values: dict[str, Any], file: Path, of_source: Said, known: dict[str, Any], label: str) -> Result:
    """One picture, from its file with all its bits, to the file of its result. Raises TrueScaleError, Cancelled."""
    from ....pictures.reading import as_srgb, read_picture
    from ...panels.extras_text import infotext
    from ...takeover.handed import give_back

    if not file.is_file():
        raise PictureReadError("its file is gone", "it was moved or deleted since", "make it again")
    source = as_srgb(read_picture(file))
    request = request_of(values, size_of(PLACE, values, values["size_by"]))
    with shown_as_job(label) as progress:
        result = service().upscale(source.image, request, progress)
    image = give_back(result, source.metadata, Caller(), result.image)
    said = line_of(infotext(values, result.report))
    parameters = source.metadata.text.get("parameters") or of_source.infotext
    told = ", ".join(filter(None, (parameters, said)))
    is_png = str(host.option("samples_format", "png")).lower() == "png"
    texts = {_POSTPROCESSING: said} if host.option("enable_pnginfo", True) else {}
    # Other formats have room for one text alone.
    saved = save_result(image, tab, parameters if is_png else told, texts, known)
    return Result(file, saved or image, replace(of_source, infotext=told), result.report, source.warnings)


# -- for the page ------------------------------------------------------------------------------------------------------


def _note(job: _Job, number: int) -> str:
    said = [word("Upscaled; each result comes after its source"), f"{len(job.results)} / {number}"]
    stopped = word("stopped; what was done until then is here") if job.is_stopped else ""
    head = line([*(said if job.results else [word("Nothing was upscaled")]), stopped])
    statements = "".join(f"<li>{plain(one.name)}{statement_html(one.report)}</li>" for one in job.results)
    listed = f"<ol class='truescale-statement'>{statements}</ol>" if statements else ""
    return "".join([*map(problem, job.problems), head, listed])
