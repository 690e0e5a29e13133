"""The host's Extras, run as its button Generate runs them: its inputs, what they are now, and one run with them."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from ...errors import Cancelled, PictureReadError
from . import access, aside
from .batch import Uploads, name_of
from .progress import is_ending
from .temporary import own_folder
from .uploads import Parked, file_of

__all__ = ["MODES", "Asked", "Ran", "Turn", "inputs_of", "run"]

Turn = Callable[[], AbstractContextManager[Callable[[], bool]]]
"""Entered when a run's turn has come, and left when it is over; what entering raises ends the run before anything is
done. Gives a function that tells whether the run was interrupted.
"""

MODES = ("extras_single_tab", "extras_batch_process_tab", "extras_batch_directory_tab")
"""The tabs for one picture, for uploads and for a folder, by their ids; the host numbers them in this order."""

_INPUTS = (
    "extras_image",
    "extras_image_batch",
    "extras_batch_input_dir",
    "extras_batch_output_dir",
    "extras_show_extras_results",
)
_TASKS = itertools.count(1)
_SMALL = 48  # px


def inputs_of(find: Callable[[str], Any]) -> list[Any] | None:
    """The components that Generate reads, beside the tab; None where the host's are others.

    find: the component of an id, or None.
    """
    found = [find(elem_id) for elem_id in _INPUTS]
    scripts = _scripts()
    if any(component is None for component in found) or any(getattr(one, "controls", None) is None for one in scripts):
        return None
    return [*found, *(component for script in scripts for component in script.controls.values())]


@dataclass
class Asked:
    """What Generate would do now. picture: for the first mode, files: for the second, folder: for the third.

    values: by the names of the scripts, and of their inputs. name: of the input, as far as it is known; gradio 3 does
    not know that of one picture. small: a data address of that picture, a few px wide.
    """

    mode: int
    values: Mapping[str, Mapping[str, Any]]
    name: str
    picture: Parked | None = None
    files: Uploads | None = None
    folder: str = ""
    results: str = ""
    shows: bool = True
    small: str = ""
    _kept: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, mode: int, given: Sequence[Any]) -> Asked:
        """given: the values of ``inputs_of``. Raises PictureReadError where there is nothing to enlarge."""
        picture, files, folder, results, shows, *rest = given
        values, rest = {}, iter(rest)
        for script in _scripts():
            values[script.name] = dict(zip(script.controls, rest))
        common = {"mode": mode, "values": values, "results": str(results or ""), "shows": bool(shows)}
        if mode == 1:
            if not files:
                raise PictureReadError("there are no files", "", "drop some into Batch Process first")
            _check_uploads(files)
            return cls(**common, name=_name_of_files(files), files=files)
        if mode == 2:
            _check_folder(folder)
            return cls(**common, name=str(folder), folder=str(folder))
        if isinstance(picture, dict):  # gradio 4's, with layers
            picture = picture.get("composite")
        if not isinstance(picture, Image.Image):
            raise PictureReadError("there is no picture", "", "load one into Extras first")
        kept = own_folder()
        waiting = Parked(picture, Path(kept.name))
        return cls(**common, name=_name_of_picture(picture), picture=waiting, small=_small(picture), _kept=kept)

    @property
    def hides_results(self) -> bool:
        """Those of a folder may be asked not to be shown, and are not told then."""
        return self.mode == 2 and not self.shows

    def release(self) -> None:
        """It will not be run again: what waits on the disk goes."""
        if self._kept is not None:
            self.picture = None
            with suppress(OSError):
                self._kept.cleanup()

    def arguments(self) -> list[Any]:
        """Of ``run_postprocessing``; of scripts that have come since, the values that they begin with."""
        scripts = _scripts()
        values = [
            self.values.get(script.name, {}).get(name, component.value)
            for script in scripts
            for name, component in script.controls.items()
        ]
        picture = self.picture.image() if self.picture is not None else None
        files = self.files.again() if self.files is not None else None
        return [self.mode, picture, files, self.folder, self.results, self.shows, *values]


@dataclass
class Ran:
    """What became of a run. files: the pictures that were saved. error: in words, "" for none. notes: what was said.

    is_through: the host has gone through all of it.
    """

    files: list[str] = field(default_factory=list)
    error: str = ""
    is_stopped: bool = False
    notes: list[str] = field(default_factory=list)
    is_through: bool = False


def run(asked: Asked, turn: Turn) -> Ran:
    """One run, in the host's own turn: it waits for the job that is under way, as others then wait for it.

    Whatever fails, in it or in what the host does behind it, is told in what is given back.
    """
    ran = Ran()
    try:
        queue = access.module("call_queue")
        with aside.apart(ran.notes):
            job = queue.wrap_gradio_gpu_call(lambda _task: _go_through(asked, turn, ran), extra_outputs=[None, ""])
            job(f"task(truescale-queue-{next(_TASKS)})")
    except Exception as error:  # noqa: BLE001 - the host frees the device's memory where it guards nothing
        access.log.error("TrueScale: the WebUI has failed around a job of the queue", exc_info=error)
        if ran.is_through:
            ran.notes.append(f"The pictures are saved; the WebUI failed after it: {_words(error)}")
        else:
            ran.error = ran.error or _words(error)
    if ran.is_through and not (ran.files or ran.is_stopped or asked.hides_results):
        ran.error = _nothing_from(asked)
    return ran


def _go_through(asked: Asked, turn: Turn, ran: Ran) -> Any:
    """What the job of ``run`` does in its turn."""
    try:
        with turn() as is_interrupted, _never_forgotten(is_interrupted):
            pictures, info, log = access.module("postprocessing").run_postprocessing(*asked.arguments())
        ran.files = [path for path in map(_saved_as, pictures or ()) if path]
        ran.is_through = True
        return None, info, log  # the host keeps what is given back for a while
    except Exception as error:
        ran.error = _words(error)
        ran.is_stopped = isinstance(error, Cancelled)
        raise
    finally:
        ran.is_stopped |= is_ending()


@contextmanager
def _never_forgotten(is_interrupted: Callable[[], bool]) -> Iterator[None]:
    """The host takes an interrupt back when the Extras begin: one that has come before that is told once more."""
    state = access.state()
    plain, is_own = getattr(state, "begin", None), "begin" in vars(state)

    def begin(*given: Any, **named: Any) -> None:
        plain(*given, **named)
        if is_interrupted():
            state.interrupt()

    if plain is not None:
        state.begin = begin
    try:
        yield
    finally:
        if is_own:
            state.begin = plain
        elif plain is not None:
            del state.begin  # the class's, whoever has changed that meanwhile


def _nothing_from(asked: Asked) -> str:
    """Why a run that has not failed has saved nothing, as far as that is known here; the notes may tell more."""
    if asked.mode == 2:
        return f"no picture of '{asked.folder}' was saved: there is none in it that the WebUI can read"
    return "no picture was saved"


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _scripts() -> list[Any]:
    runner = getattr(access.module("scripts"), "scripts_postproc", None)
    return [] if runner is None else list(runner.scripts_in_preferred_order())


def _check_uploads(files: Uploads) -> None:
    """gradio 3 hands over an empty file where one is not on the server yet. Raises PictureReadError."""
    for file in list.__iter__(files):
        path = Path(file.name)
        if not path.is_file() or path.stat().st_size == 0:
            raise PictureReadError(f"'{name_of(file)}' is empty", "it was not uploaded to its end", "drop it once more")


def _check_folder(folder: Any) -> None:
    """Raises PictureReadError."""
    if access.command_option("hide_ui_dir_config"):
        raise PictureReadError("folders cannot be named", "the WebUI runs with --hide-ui-dir-config", "upload pictures")
    if not folder or not Path(folder).is_dir():
        raise PictureReadError(f"there is no folder '{folder or ''}'", "", "name one in Input directory first")


def _name_of_picture(picture: Image.Image) -> str:
    file = file_of(picture) or "data:"
    return f"{picture.width} x {picture.height}" if file.startswith("data:") else Path(file).name


def _name_of_files(files: Uploads) -> str:
    names = [name_of(file) for file in list.__iter__(files)]
    return names[0] if len(names) == 1 else f"{names[0]} + {len(names) - 1}"


def _small(picture: Image.Image) -> str:
    small, buffer = picture.copy(), io.BytesIO()
    small.thumbnail((_SMALL, _SMALL))
    small.convert("RGB").save(buffer, "JPEG", quality=60)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _saved_as(picture: Any) -> str | None:
    path = getattr(picture, "already_saved_as", None)
    return str(path) if path else None
