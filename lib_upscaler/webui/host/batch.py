"""The files dropped into Batch Process of the Extras, as the host gets them.

It opens all of them before it begins, and the first that is no picture ends the whole: so what cannot be read is left
out before, in words, and a zip file is taken as the pictures in it. That is done when the host asks for the files, in
the job's own turn and thread, not when gradio hands them over.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PIL import Image, UnidentifiedImageError

from ...errors import PictureError, PictureReadError
from .access import warn
from .progress import is_ending
from .temporary import own_folder

__all__ = ["Uploads", "name_of", "problem_of", "watch_batch"]

_BATCH = "extras_image_batch"
_SHARE_OF_MEMORY = 0.7
_PIXEL_BYTES = {"1": 1, "L": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
"""In memory, by Pillow's modes; of all others 4."""


def watch_batch(component: Any, elem_id: str | None) -> None:
    """Called for each component of the host's UI as it is built."""
    if elem_id != _BATCH or not hasattr(component, "preprocess"):
        return
    plain = component.preprocess

    def preprocess(payload: Any) -> Any:
        given = plain(payload)
        return given if given is not None and not isinstance(given, list) else Uploads(given or ())

    component.preprocess = preprocess


def problem_of(picture: Any) -> str | None:
    """Why the host cannot read a picture, which is one already or the path of its file; None where it can."""
    if isinstance(picture, Image.Image):
        return None
    try:
        with Image.open(picture) as opened:
            opened.load()  # the host guards against its head alone, and stumbles over the rest
    except UnidentifiedImageError:
        return "the WebUI cannot read it (it is no picture of a known format)"  # Pillow tells its path
    except Exception as error:  # noqa: BLE001 - Pillow's plugins raise this or that
        return f"the WebUI cannot read it ({error or type(error).__name__})"
    return None


class Uploads(list):
    """gradio's files, which become the pictures in them when they are first gone through.

    Raises PictureReadError then where there are none. Interrupt ends it.
    """

    def __init__(self, files: Iterable[Any]) -> None:
        super().__init__(files)
        self._drop: _Drop | None = None

    def __iter__(self) -> Iterator[Any]:
        if self._drop is None:
            self._drop = _Drop()
            self[:] = self._drop.pictures(list(super().__iter__()))
        for picture in super().__iter__():
            if is_ending():
                return
            yield picture

    def again(self) -> Uploads:
        """The same files, not gone through yet."""
        return Uploads(list.__iter__(self))


class _Drop:
    """The way from files to the pictures in them; with this object goes what was unpacked."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._taken: set[str] = set()
        self._unpacked = (0, 0)
        self._memory = _Memory()

    def pictures(self, files: list[Any]) -> list[Any]:
        """Raises PictureReadError."""
        if not files:
            raise PictureReadError("there are no files", "", "drop pictures, or a zip file of them, into Batch Process")
        from ...pictures.archive import is_archive  # a WebUI starts without what reads pictures

        found: list[Any] = []
        for file in files:
            if isinstance(file, Image.Image):
                found.append(file)
            elif is_archive(_path(file)):
                found += self._of_archive(file)
            elif (problem := self._problem_of(_path(file))) is None:
                found.append(self._under_own_name(file))
            else:
                warn(f"{name_of(file)} is left out: {problem}")
            if is_ending():
                return []
        if not found:
            raise PictureReadError("none of these files is a picture that the WebUI can read", "", "choose others")
        return found

    def _of_archive(self, file: Any) -> list[Any]:
        from ...pictures.archive import unpack

        folder = Path(tempfile.mkdtemp(dir=self._own_folder()))
        try:
            made = unpack(_path(file), folder, self._taken, self._unpacked, is_ending)
        except PictureError as error:
            warn(str(error))
            return []
        pictures, size = self._unpacked
        self._unpacked = (pictures + len(made.files), size + made.size)
        found = []
        for path, name in made.files:
            if is_ending():
                return []
            problem = self._problem_of(path)
            if problem is None:
                found.append(SimpleNamespace(name=str(path), orig_name=name))
            else:
                path.unlink()
                made.notes.append(f"{name} is left out: {problem}")
        for note in [*made.notes, *(["there are no pictures in it"] if not found else [])]:
            warn(f"{name_of(file)}: {note}")
        return found

    def _problem_of(self, path: Path) -> str | None:
        """Raises PictureReadError where the host would have too many to hold."""
        size = _decoded_bytes(path)
        self._memory.check(size)
        problem = problem_of(path)
        if problem is None:
            self._memory.take(size)
        return problem

    def _under_own_name(self, file: Any) -> Any:
        """A second file of a name gets a number: the result would take the place of the first one's."""
        from ...pictures.archive import free_name

        name = free_name(name_of(file), self._taken)
        if name == name_of(file):
            return file
        path = Path(tempfile.mkdtemp(dir=self._own_folder())) / name
        try:
            os.link(_path(file), path)
        except OSError:
            shutil.copyfile(_path(file), path)
        return SimpleNamespace(name=str(path), orig_name=name)

    def _own_folder(self) -> str:
        """The host keeps this object as long as the job runs."""
        if self._folder is None:
            self._folder = own_folder()
        return self._folder.name


class _Memory:
    """What the pictures of a drop take when the host has opened them all, as it does before the first is upscaled."""

    def __init__(self) -> None:
        self._taken = 0
        self._free: int | None = None

    def take(self, size: int) -> None:
        self._taken += size

    def check(self, size: int) -> None:
        """Before a picture of so many bytes is opened. One alone is as it is. Raises PictureReadError."""
        if not self._taken:
            return
        if self._free is None:
            self._free = _free_memory()
        most = self._free * _SHARE_OF_MEMORY
        if self._taken + size > most:
            raise PictureReadError(
                "these are too many pictures at once",
                f"the WebUI opens all of them before it begins, which would take more than {most / 1e9:.1f} GB of the"
                f" {self._free / 1e9:.1f} GB of memory that are free",
                "use Batch from Directory, which opens one after the other, or choose fewer",
            )


def _decoded_bytes(path: Path) -> int:
    """As the host holds it, by what its first bytes say: a small file may be a large picture. 0 where they say nothing,
    and the picture will be left out."""
    try:
        with Image.open(path) as opened:
            return opened.width * opened.height * _PIXEL_BYTES.get(opened.mode, 4)
    except Exception:  # noqa: BLE001 - ``problem_of`` tells
        return 0


def _free_memory() -> int:
    import torch

    from ...running.limits import available_bytes

    return available_bytes(torch.device("cpu"))


def _path(file: Any) -> Path:
    return Path(os.path.abspath(file.name))


def name_of(file: Any) -> str:
    """Of a file of gradio's, without its folder."""
    return Path(str(getattr(file, "orig_name", None) or file.name)).name
