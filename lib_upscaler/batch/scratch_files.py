"""Files on this disk that stand for those at addresses, while a picture is in work."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import tempfile
import threading
from pathlib import Path

from ..errors import PictureReadError
from .leftovers import may_be_writing
from .task import Task

__all__ = ["Scratch", "prefix_of", "remove_left"]

_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
"""Temporary folders may be shared by machines."""

_NAME = re.compile(rf"truescale-{_HOST}-(\d{{1,10}})-.+")
_ODD = re.compile(r"[\\/:*?\"<>|\x00-\x1f]")


class Scratch:
    """A folder for each picture that needs one, gone when the picture is done. Safe to use from several threads."""

    def __init__(self) -> None:
        self._root: Path | None = None
        self._guard = threading.Lock()

    def file_for(self, task: Task, name: str) -> Path:
        """A place for a file; what a system cannot have in a name, it has not. Raises PictureReadError."""
        try:
            with self._guard:
                if self._root is None:
                    remove_left()
                    self._root = Path(tempfile.mkdtemp(prefix=prefix_of(os.getpid())))
            folder = self._root / str(task.number)
            folder.mkdir(exist_ok=True)
        except OSError as error:
            what, why = "there is no room for files that are on their way", error.strerror or str(error)
            raise PictureReadError(what, why, f"free some space in '{tempfile.gettempdir()}'") from error
        return folder / (_ODD.sub("_", name).rstrip(". ")[-200:] or "picture")

    def done(self, task: Task) -> None:
        """Its files are not needed any more."""
        if self._root is not None:
            shutil.rmtree(self._root / str(task.number), ignore_errors=True)

    def close(self) -> None:
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None


def prefix_of(process: int) -> str:
    """What the names of a process's temporary folders begin with, on this machine."""
    return f"truescale-{_HOST}-{process}-"


def remove_left() -> None:
    """The folders named by ``prefix_of`` that killed runs have left where temporary files go. Never fails."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(tempfile.gettempdir()):
            match = _NAME.fullmatch(entry.name)
            if match is None or not entry.is_dir(follow_symlinks=False):
                continue
            if not may_be_writing(int(match.group(1)), entry.stat(follow_symlinks=False).st_mtime):
                shutil.rmtree(entry.path, ignore_errors=True)
