"""Files on this disk that stand for those at addresses, while a picture is in work."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
from pathlib import Path

import psutil

from .task import Task

__all__ = ["Scratch"]

_NAME = re.compile(r"truescale-(\d{1,10})-.+")


class Scratch:
    """A folder for each picture that needs one, gone when the picture is done. Safe to use from several threads."""

    def __init__(self) -> None:
        self._root: Path | None = None
        self._guard = threading.Lock()

    def folder_for(self, task: Task) -> Path:
        """Raises OSError."""
        with self._guard:
            if self._root is None:
                _remove_left()
                self._root = Path(tempfile.mkdtemp(prefix=f"truescale-{os.getpid()}-"))
        folder = self._root / str(task.number)
        folder.mkdir(exist_ok=True)
        return folder

    def done(self, task: Task) -> None:
        """Its files are not needed any more."""
        if self._root is not None:
            shutil.rmtree(self._root / str(task.number), ignore_errors=True)

    def close(self) -> None:
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None


def _remove_left() -> None:
    """What runs have left that were killed."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(tempfile.gettempdir()):
            match = _NAME.fullmatch(entry.name)
            if match and entry.is_dir(follow_symlinks=False) and not psutil.pid_exists(int(match.group(1))):
                shutil.rmtree(entry.path, ignore_errors=True)
