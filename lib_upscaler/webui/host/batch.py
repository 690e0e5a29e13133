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

__all__ = ["Uploads", "name_of", "problem_of", "watch_batch"]

_BATCH = "extras_image_batch"


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

    Raises PictureReadError then where there are none.
    """

    def __init__(self, files: Iterable[Any]) -> None:
        super().__init__(files)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._is_opened = False

    def __iter__(self) -> Iterator[Any]:
        if not self._is_opened:
            self._is_opened = True
            self[:] = self._pictures(list(super().__iter__()))
        return super().__iter__()

    def again(self) -> Uploads:
        """The same files, not gone through yet."""
        return Uploads(list.__iter__(self))

    def _pictures(self, files: list[Any]) -> list[Any]:
        if not files:
            raise PictureReadError("there are no files", "", "drop pictures, or a zip file of them, into Batch Process")
        from ...pictures.archive import is_archive  # a WebUI starts without what reads pictures

        found, taken = [], set[str]()
        for file in files:
            if isinstance(file, Image.Image):
                found.append(file)
            elif is_archive(_path(file)):
                found += self._unpacked(file, taken)
            elif (problem := problem_of(file.name)) is None:
                found.append(self._under_own_name(file, taken))
            else:
                warn(f"{name_of(file)} is left out: {problem}")
        if not found:
            raise PictureReadError("none of these files is a picture that the WebUI can read", "", "choose others")
        return found

    def _unpacked(self, file: Any, taken: set[str]) -> list[Any]:
        from ...pictures.archive import unpack

        folder = Path(tempfile.mkdtemp(dir=self._own_folder()))
        try:
            made = unpack(_path(file), folder, taken)
        except PictureError as error:
            warn(str(error))
            return []
        found = []
        for path, name in made.files:
            problem = problem_of(path)
            if problem is None:
                found.append(SimpleNamespace(name=str(path), orig_name=name))
            else:
                path.unlink()
                made.notes.append(f"{name} is left out: {problem}")
        for note in [*made.notes, *(["there are no pictures in it"] if not found else [])]:
            warn(f"{name_of(file)}: {note}")
        return found

    def _under_own_name(self, file: Any, taken: set[str]) -> Any:
        """A second file of a name gets a number: the result would take the place of the first one's."""
        from ...pictures.archive import free_name

        name = free_name(name_of(file), taken)
        if name == name_of(file):
            return file
        path = Path(tempfile.mkdtemp(dir=self._own_folder())) / name
        try:
            os.link(_path(file), path)
        except OSError:
            shutil.copyfile(_path(file), path)
        return SimpleNamespace(name=str(path), orig_name=name)

    def _own_folder(self) -> str:
        """Gone with this object, which the host keeps as long as the job runs."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="truescale-")
        return self._folder.name


def _path(file: Any) -> Path:
    return Path(os.path.abspath(file.name))


def name_of(file: Any) -> str:
    """Of a file of gradio's, without its folder."""
    return Path(str(getattr(file, "orig_name", None) or file.name)).name
