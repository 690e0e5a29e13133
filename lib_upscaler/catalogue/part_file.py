"""The unfinished file of a download: hidden beside its place, checked as it grows, kept for going on later."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import filelock

from ..errors import DownloadError, StorageError

__all__ = ["PartFile", "locked", "stored"]

_BLOCK = 1 << 20


class PartFile:
    """``.NAME.part``, which no list of models shows; ``.NAME.part.json`` tells which file it is the beginning of.

    wanted: sha256 of the whole file, and its size in bytes. Raises StorageError, in any method.
    """

    def __init__(self, folder: Path, name: str, wanted: str, whole: int) -> None:
        self.path = folder / f".{name}.part"
        self._facts = folder / f".{name}.part.json"
        self._shown = folder / name  # what words call it
        self._wanted, self._whole = wanted, whole
        self.size = 0
        self._digest = hashlib.sha256()
        with stored(self._shown):
            self._file: BinaryIO = open(os.open(self.path, os.O_RDWR | os.O_CREAT | _BINARY, 0o666), "r+b")  # noqa: SIM115

    def recall(self, read: Callable[[int], None]) -> None:
        """Take up what an earlier download left. read: told how many bytes were read, may raise."""
        with stored(self._shown):
            there = os.fstat(self._file.fileno()).st_size
        if there > self._whole or self._known().get("sha256") != self._wanted:
            self.clear()
            return
        with stored(self._shown):
            for block in iter(lambda: self._file.read(_BLOCK), b""):
                self._digest.update(block)
                self.size += len(block)
                read(self.size)

    def validator(self, url: str) -> str:
        """The server's mark of the state that this is the beginning of, by the header ``ETag``; "" where unknown."""
        known = self._known()
        return known.get("etag", "") if known.get("url") == url else ""

    def comes_from(self, url: str, etag: str | None) -> None:
        """Remember it. A weak mark (``W/``) does not say that the bytes are the same."""
        etag = etag if etag and not etag.startswith("W/") else ""
        with stored(self._shown):
            self._facts.write_text(json.dumps({"sha256": self._wanted, "url": url, "etag": etag}), encoding="utf-8")

    def write(self, block: bytes) -> None:
        with stored(self._shown):
            self._file.write(block)
        self._digest.update(block)
        self.size += len(block)

    def clear(self) -> None:
        """Begin anew."""
        with stored(self._shown):
            self._file.seek(0)
            self._file.truncate()
        self.size, self._digest = 0, hashlib.sha256()

    @property
    def is_right(self) -> bool:
        """Whether the bytes so far are the whole file."""
        return self.size == self._whole and self._digest.hexdigest() == self._wanted

    def close(self) -> None:
        """On the disk, for going on later."""
        with stored(self._shown):
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
            finally:
                self._file.close()

    def become(self, target: Path) -> None:
        """After ``close``: the file itself, under its name. What has that name already is never replaced."""
        with stored(target):
            try:
                os.link(self.path, target)
            except FileExistsError:
                raise
            except OSError:  # a file system without links
                if target.exists():
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
                self.path.rename(target)
        self.remove()

    def remove(self) -> None:
        """Take away what is left of it."""
        with contextlib.suppress(OSError):
            self._file.close()
        for path in (self.path, self._facts):
            with contextlib.suppress(OSError):  # hidden, and of no harm
                path.unlink()

    def _known(self) -> dict[str, str]:
        try:
            known = json.loads(self._facts.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):  # never written, or damaged: then nothing is known
            return {}
        texts = known.items() if isinstance(known, dict) else ()
        return {key: value for key, value in texts if isinstance(value, str) and value.isprintable()}


_BINARY = getattr(os, "O_BINARY", 0)  # Windows


@contextlib.contextmanager
def stored(path: Path) -> Iterator[None]:
    """Inside, what goes wrong with the disk is raised as StorageError, in words."""
    try:
        yield
    except OSError as error:
        what = f"cannot store '{path.name}' in {path.parent}"
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
            raise StorageError(what, "the disk is full", "make room and start the download again") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            todo = "allow writing there, or choose another folder"
            raise StorageError(what, "the folder may not be written to", todo) from error
        if isinstance(error, FileExistsError):
            raise StorageError(what, "another file of this name has appeared", "look at both") from error
        raise StorageError(what, error.strerror or str(error), "check the folder") from error


# -- one at a time -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Inside, nobody else, in this process or another one, downloads the file of this name.

    The system drops the lock of a program that ended, however it ended. Raises DownloadError where it is taken.
    """
    lock = filelock.FileLock(folder / f".{name}.lock", timeout=0)
    if not _take(lock, folder / name):
        raise DownloadError(f"'{name}' is not downloaded twice", "its download is under way", "wait until it has ended")
    try:
        yield
    finally:
        if sys.platform == "win32":  # an open file cannot be removed there
            lock.release()
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


def _take(lock: filelock.BaseFileLock, shown: Path) -> bool:
    """False: it is somebody else's. File systems that know no locks take every one. shown: for what it is."""
    with stored(shown):
        try:
            lock.acquire()
        except filelock.Timeout:
            return False
        except NotImplementedError:
            return True
    return True
