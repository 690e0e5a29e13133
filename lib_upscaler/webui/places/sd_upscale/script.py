"""The img2img script "TrueScale SD Upscale": enlarge with the core, redraw tile by tile with Stable Diffusion."""

from __future__ import annotations

import copy
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ....diffusion.grid import ORDERS
from ....diffusion.redraw import Redraw, Redrawn, RedrawSettings
from ....errors import RequestError, TrueScaleError
from ....geometry import Size
from ....pictures.resample import lanczos
from ....planning.sizing import ByDimensions, ByLongestSide, ByScale, SizeRequest, plan_size
from ... import host
from ...host.lives import SCRIPTS
from ...host.progress import shown_as_job, stop_kind
from ...host.settings import PRECISIONS, settings
from ...takeover import choices, results
from ...takeover.failing import as_error
from ...upscaling import jobs
from ...upscaling.jobs import Choice, Job
from ...upscaling.service import service
from .mask import canvas_mask
from .tiles import TileSampler, hoisted_overrides

if TYPE_CHECKING:
    from ....request import UpscaleReport

__all__ = ["SIZES", "TITLE", "SdValues", "run", "tile_for_checkpoint"]

TITLE = "TrueScale SD Upscale"
SIZES = ("Scale by", "Scale to", "Longest side", "img2img's size")
AUTOMATIC = 0
"""For a side of a tile: what suits the checkpoint."""

_KEPT = 2
"""Upscaled pictures that are kept, for when only the redraw changes."""

Find = Callable[[Any], "Choice | None"]
"""Gives the upscaler of a name."""


class UpscaledPictures:
    """The last ones, for when only the redraw changes."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[str, tuple[Image.Image, UpscaleReport | None]] = OrderedDict()

    def get(
        self, key: str, make: Callable[[], tuple[Image.Image, UpscaleReport | None]]
    ) -> tuple[Image.Image, UpscaleReport | None]:
        """The picture of this key and its report, by ``make`` where it is not there."""
        if key not in self._pictures:
            self._pictures[key] = make()
        self._pictures.move_to_end(key)
        while len(self._pictures) > _KEPT:
            self._pictures.popitem(last=False)
        return self._pictures[key]


@dataclass(frozen=True)
class SdValues:
    """The script's arguments, in the order of the API's ``script_args``. None stands for each one's default.

    upscaler_1, upscaler_2: names, "None" for plain resampling and for no second one. visibility: 0 to 1.
    size_by: one of SIZES; scale, width, height, longest_side (px) as it says. tile_width, tile_height: px, 0 for what
    suits the checkpoint. overlap: px. order: one of ORDERS. batch: tiles sampled at once. color_lock: 0 to 1.
    flatness: levels; tiles with less detail are left as they are. prompt: for the tiles, "" for the picture's own.
    precision: of the upscaler, anything else than a precision for that of the settings.
    """

    upscaler_1: str | None = None
    upscaler_2: str | None = None
    visibility: float = 0.5
    size_by: str = SIZES[0]
    scale: float = 2.0
    width: int = 1024
    height: int = 1024
    longest_side: int = 2048
    tile_width: int = AUTOMATIC
    tile_height: int = AUTOMATIC
    overlap: int = 64
    order: str = ORDERS[0]
    batch: int = 1
    color_lock: float = 0.5
    flatness: float = 0.0
    prompt: str = ""
    precision: str | None = None

    @classmethod
    def of(cls, arguments: Sequence[Any], find: Find = choices.find) -> SdValues:
        """Positional ones, or a dict of named ones in the first place; upscalers by ``find``, which may fetch them.

        Raises RequestError for what is wrong.
        """
        names = list(cls.__dataclass_fields__)
        if arguments and isinstance(arguments[0], dict):
            given = dict(arguments[0])
            unknown = sorted(set(given) - set(names))
            if unknown:
                raise RequestError(f"{TITLE} knows no argument '{unknown[0]}'", "", f"use some of {', '.join(names)}")
        else:
            given = dict(zip(names, arguments))
        checked = {name: _checked(name, value, cls, find) for name, value in given.items() if value is not None}
        return cls(**checked)

    def size(self, width: int, height: int) -> SizeRequest:
        """width, height: of img2img, for when its size is asked for. Raises RequestError."""
        if self.size_by == "Scale by":
            return ByScale(self.scale)
        if self.size_by == "Longest side":
            return ByLongestSide(self.longest_side)
        if self.size_by == "Scale to":
            width, height = self.width, self.height
        return ByDimensions(int(width), int(height), "stretch")

    def job(self, size: SizeRequest, find: Find = choices.find) -> Job:
        """What the upscalers do; without one the size is reached by resampling. Raises ModelNotFoundError."""
        current = settings()
        second = find(self.upscaler_2)
        return jobs.Job(
            find(self.upscaler_1 or choices.default_name()) or Choice(choices.NO_UPSCALER),
            second=second,
            visibility=self.visibility if second is not None else 0.0,
            size=size,
            precision=self.precision or current.precision,
            memory=current.memory,
            alpha="drop",
        )

    def tile(self) -> Size:
        side = tile_for_checkpoint()
        return Size(max(1, self.tile_width or side), max(1, self.tile_height or side))

    def redraw_settings(self) -> RedrawSettings:
        """Raises RequestError."""
        return RedrawSettings(self.tile(), self.overlap, self.order, self.batch, self.color_lock, self.flatness)


_CHOICES = {"size_by": SIZES, "order": ORDERS}
_RANGES = {"visibility": (0, 1), "color_lock": (0, 1), "overlap": (0, 4096), "batch": (1, 64), "flatness": (0, 255)}


def _checked(name: str, value: Any, values: type[SdValues], find: Find) -> Any:
    """``value`` in the type of the argument. Raises RequestError."""
    default = values.__dataclass_fields__[name].default
    if name in ("upscaler_1", "upscaler_2"):
        found = find(value)
        return found.name if found is not None else choices.NO_UPSCALER
    if name == "precision":
        return value if value in PRECISIONS else None
    if isinstance(default, str):
        known = _CHOICES.get(name)
        if known is not None and value not in known:
            raise RequestError(f"{TITLE}: '{value}' is no {name}", "", f"use one of {', '.join(known)}")
        return str(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RequestError(f"{TITLE}: {name} is {value!r}", "it is not a number", "give a number")
    low, high = _RANGES.get(name, (0, 65536))
    if not low <= value <= high:
        raise RequestError(f"{TITLE}: {name} is {value}", f"it must be from {low} to {high}", "")
    return round(value) if isinstance(default, int) else float(value)


def tile_for_checkpoint() -> int:
    """The side, px, that the loaded checkpoint was trained for."""
    model = getattr(getattr(host.module("sd_models"), "model_data", None), "sd_model", None)
    if any(getattr(model, name, False) for name in ("is_sdxl", "is_sd3")):
        return 1024
    return 768 if getattr(model, "is_sd2", False) else 512


# -- the run -----------------------------------------------------------------------------------------------------------


def run(p: Any, *arguments: Any) -> Any:
    """All pictures of the batch; the host's Processed. ``p`` is left as it was. Raises TrueScaleError."""
    try:
        return _run(p, SdValues.of(arguments))
    except TrueScaleError as error:
        raise as_error(error, TITLE) from error


def _run(p: Any, values: SdValues) -> Any:
    processing = host.module("processing")
    base = copy.copy(p)
    base.extra_generation_params = {**p.extra_generation_params, **infotext(values)}
    base.comments = dict(getattr(p, "comments", None) or {})
    processing.fix_seed(base)
    flatten, background = host.module("images").flatten, host.option("img2img_background_color", "#ffffff")
    sources = [flatten(image, background) for image in base.init_images or () if image is not None]
    if not sources:
        raise RequestError("there is no picture to upscale", "", "put one into img2img")
    with hoisted_overrides(base):
        return _processed(base, _pictures(base, sources, values))


def _pictures(base: Any, sources: Sequence[Image.Image], values: SdValues) -> list[tuple[Image.Image, str, int]]:
    """(image, infotext, seed) of each. Where one fails, those before it are not lost. Raises TrueScaleError."""
    count = base.n_iter * base.batch_size
    done: list[tuple[Image.Image, str, int]] = []
    for number in range(count):
        if number and (stop_kind() == "interrupt" or getattr(host.state(), "stopping_generation", False)):
            break
        source = sources[min(number % base.batch_size, len(sources) - 1)]
        try:
            done.append(_picture(base, source, values, number, count))
        except Exception as error:
            known = as_error(error, TITLE)
            if not done:
                raise known from error
            host.warn(f"{len(done)} of {count} pictures were made: {known}")
            break
    return done


def _picture(base: Any, source: Image.Image, values: SdValues, number: int, count: int) -> tuple[Image.Image, str, int]:
    """One picture: (image, infotext, seed); saved where the host saves."""
    seed = int(base.seed) + (number if base.subseed_strength == 0 else 0)
    subseed = int(base.subseed) + number
    enlarged = upscaled(source, values, base)
    job = Redraw(enlarged, values.redraw_settings(), canvas_mask(base, enlarged.size))
    sampler = TileSampler(base, job.grid, seed, subseed, values.prompt)
    state = host.state()
    batches = -(-len(job.todo()) // values.batch)
    state.job_count, state.job_no = max(1, batches * count), batches * number
    started = time.perf_counter()
    result = sampler.run(job)
    results.comment_redraw(base, len(job.todo()), time.perf_counter() - started)
    text = sampler.infotext(result.image.size)
    _save(base, result, seed, text)
    return result.image, text, seed


def upscaled(source: Image.Image, values: SdValues, p: Any) -> Image.Image:
    """The source at the size of the result, RGB; kept for the next run with the same picture and upscalers."""
    size = values.size(p.width, p.height)

    def make() -> tuple[Image.Image, UpscaleReport | None]:
        return _upscaled_now(source, values, size)

    image, report = SCRIPTS.of(UpscaledPictures).get(_key(source, values, size), make)
    if report is not None:
        results.comment(p, report)
    return image


def _upscaled_now(source: Image.Image, values: SdValues, size: SizeRequest) -> tuple[Image.Image, UpscaleReport | None]:
    """No report where no upscaler is chosen, and the size is reached by resampling."""
    if choices.find(values.upscaler_1 or choices.default_name()) is None:
        target = plan_size(Size(*source.size), size).resized
        return Image.fromarray(lanczos(np.asarray(source.convert("RGB")), target)), None
    job = values.job(size)
    with shown_as_job(job.first.name, bar=False) as progress:
        result = jobs.run(source.convert("RGB"), job, progress)
    service().give_back()
    for text in result.report.warnings if result.report.models else ():  # that no network ran is no surprise here
        host.warn(text)
    return result.image.convert("RGB"), result.report


def _key(source: Image.Image, values: SdValues, size: SizeRequest) -> str:
    picture = hashlib.sha256(source.tobytes()).hexdigest()
    what = (values.upscaler_1, values.upscaler_2, values.visibility, values.precision, size, service().fingerprint())
    return f"{picture} {source.size} {source.mode} {what}"


# -- the result --------------------------------------------------------------------------------------------------------

INFOTEXT = {
    "upscaler_1": "TrueScale upscaler",
    "upscaler_2": "TrueScale upscaler 2",
    "visibility": "TrueScale upscaler 2 visibility",
    "size_by": "TrueScale size by",
    "scale": "TrueScale scale",
    "width": "TrueScale width",
    "height": "TrueScale height",
    "longest_side": "TrueScale longest side",
    "tile_width": "TrueScale tile width",
    "tile_height": "TrueScale tile height",
    "overlap": "TrueScale tile overlap",
    "order": "TrueScale tile order",
    "batch": "TrueScale tile batch",
    "color_lock": "TrueScale color lock",
    "flatness": "TrueScale flatness",
    "prompt": "TrueScale tile prompt",
    "precision": "TrueScale precision",
}
"""Argument -> key in the infotext. Values as by default are left out."""


def infotext(values: SdValues) -> dict[str, Any]:
    """What a picture says of how it was made; "Script" makes the host choose the script when it is pasted."""
    given: dict[str, Any] = {"Script": TITLE, INFOTEXT["upscaler_1"]: values.upscaler_1 or choices.default_name()}
    for name, key in INFOTEXT.items():
        value = getattr(values, name)
        if name != "upscaler_1" and value not in (SdValues.__dataclass_fields__[name].default, choices.NO_UPSCALER):
            given[key] = value
    return given


def _save(p: Any, result: Redrawn, seed: int, text: str) -> None:
    if p.do_not_save_samples or not host.option("samples_save", True):
        return
    host.module("images").save_image(
        result.image, p.outpath_samples, "", seed, p.prompt, host.option("samples_format", "png"), info=text, p=p
    )


def _processed(base: Any, done: list[tuple[Image.Image, str, int]]) -> Any:
    pictures = [image for image, _, _ in done]
    texts = [text for _, text, _ in done]
    seeds = [seed for _, _, seed in done]
    if host.option("enable_pnginfo", True):
        for image, text, _ in done:
            image.info["parameters"] = text
    return host.module("processing").Processed(
        base, pictures, seed=seeds[0], info=texts[0], all_seeds=seeds, infotexts=texts
    )
