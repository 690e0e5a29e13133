"""A small store of facts (JSON) in the user's cache folder. It never fails: without a disk it lives in memory."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

__all__ = ["DiskCache", "cache_folder", "is_number", "is_text", "shared_cache"]

_LARGEST_FILE = 16_000_000  # bytes; 500 entries of all caches together have less than one
_LONG_AGO = 3600.0  # seconds


def cache_folder() -> Path | None:
    """Where caches lie: ``TRUESCALE_CACHE``, or ``truescale`` in the platform's cache folder; None without a home."""
    chosen = os.environ.get("TRUESCALE_CACHE")
    if chosen:
        return Path(chosen)
    try:
        home = Path.home()
    except RuntimeError:  # no such user
        return None
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(base) / "truescale"


def is_number(value: object, low: float, high: float, whole: bool = False) -> bool:
    """Whether a stored value is a number in this range; no NaN is. whole: and an int."""
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    return low <= value <= high


def is_text(value: object, longest: int = 1000) -> bool:
    """Whether a stored value is a text of at most so many characters."""
    return isinstance(value, str) and len(value) <= longest


def shared_cache(name: str) -> DiskCache:
    """The one cache of this name in this process, so that it also works where nothing can be written."""
    return _shared_cache(name, cache_folder())


@cache
def _shared_cache(name: str, folder: Path | None) -> DiskCache:
    return DiskCache(name, folder=folder)


class DiskCache:
    """``name``.json in the cache folder: texts to dicts of plain values; the oldest are dropped beyond ``limit``.

    Several threads and processes may use one file. Each write takes over what others have written; of two writes in the
    same instant the later one stays. A damaged file counts as empty. What cannot be written is kept in memory.
    What a value must be is the reader's to check: anybody can have written it.
    """

    def __init__(self, name: str, *, folder: Path | None = None, limit: int = 500) -> None:
        folder = folder if folder is not None else cache_folder()
        self._path = folder / f"{name}.json" if folder is not None else None
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: dict[str, str] = {}  # values as JSON: a caller cannot change what is stored
        self._unwritten: dict[str, str] = {}
        self._is_tidy = False
        self._puts = 0
        self._seen: tuple[int, int, int] | None = None  # state of the file when it was last read

    def get(self, key: str) -> dict | None:
        """A copy of what was put, or None."""
        with self._lock:
            self._read()
            text = self._entries.get(key)
        return None if text is None else json.loads(text)

    def state(self) -> tuple[object, ...]:
        """Differs as soon as something was put, here or by another process."""
        with self._lock:
            return self._puts, self._state()

    def put(self, key: str, value: dict) -> None:
        """Keep ``value`` (plain values only, else TypeError), as the newest entry."""
        text = json.dumps(value)
        with self._lock:
            self._puts += 1
            self._unwritten.pop(key, None)
            self._unwritten[key] = text
            self._read()
            self._merge()
            self._write()

    def _merge(self) -> None:
        """Put what is not on the disk behind what is, and drop the oldest."""
        for key, text in self._unwritten.items():
            self._entries.pop(key, None)
            self._entries[key] = text
        for key in list(self._entries)[: -self._limit]:
            del self._entries[key]
            self._unwritten.pop(key, None)

    def _read(self) -> None:
        """Take over the file if it has changed."""
        state = self._state()
        if self._path is None or state is None or state == self._seen:
            return
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            stored = {}
        self._seen = state
        self._entries = (
            {key: json.dumps(value) for key, value in stored.items() if isinstance(value, dict)}
            if isinstance(stored, dict)
            else {}
        )
        self._merge()

    def _state(self) -> tuple[int, int, int] | None:
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_FILE:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _remove_leftovers(self) -> None:
        """Once: the unfinished files of processes that were killed while they wrote, which takes milliseconds."""
        if self._path is None or self._is_tidy:
            return
        self._is_tidy = True
        for path in self._path.parent.glob(f".{self._path.stem}-????????"):
            with contextlib.suppress(OSError):
                if time.time() - path.lstat().st_mtime > _LONG_AGO:
                    path.unlink()

    def _write(self) -> None:
        """Write beside the file and rename, so that a reader never sees half of it."""
        if self._path is None:
            return
        temporary = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            descriptor, temporary = tempfile.mkstemp(prefix=f".{self._path.stem}-", dir=self._path.parent)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write("{" + ", ".join(f"{json.dumps(key)}: {text}" for key, text in self._entries.items()) + "}")
            os.replace(temporary, self._path)
        except OSError:  # read-only, full, or held open by another process: it stays in memory
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            return
        self._unwritten.clear()
        self._seen = self._state()
