"""A file that appears under its name when it is finished, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import PictureWriteError

__all__ = ["publishing"]


@contextlib.contextmanager
def publishing(path: Path, overwrite: bool, durable: bool = False) -> Iterator[BinaryIO]:
    """A new file beside ``path``, to be written and read, which is renamed when the block has ended.

    durable: whether it is on the disk, not only on its way there, when the name appears, and the name when this ends.

    On any error, Ctrl-C included, nothing is left behind. Raises PictureWriteError, also for an OSError of the block.
    """
    what = f"cannot write {path.name!r}"
    if not overwrite and os.path.lexists(path):
        raise _exists(what)
    # A short name of its own, hidden, so that neither a folder scan nor a limit on lengths trips over it.
    unfinished = path.with_name(f".truescale-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        with unfinished.open("x+b") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if overwrite:
            os.replace(unfinished, path)
        else:
            _publish_new(unfinished, path)
        if durable:
            _sync_folder(path.parent)
    except FileExistsError as error:
        raise _exists(what) from error
    except OSError as error:
        raise PictureWriteError(what, *_why_not_written(error, path)) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def _publish_new(unfinished: Path, path: Path) -> None:
    """Give the finished file its name; FileExistsError if somebody else has taken it meanwhile."""
    if os.name == "nt":
        os.rename(unfinished, path)  # refuses to overwrite, there
        return
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links (FAT, some network drives): take the name, then fill it.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.replace(unfinished, path)


def _sync_folder(folder: Path) -> None:
    """So that the name outlives a power cut; Windows has no such thing."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network drives have none either
            os.fsync(handle)
    finally:
        os.close(handle)


def _exists(what: str) -> PictureWriteError:
    return PictureWriteError(what, "there is a file of that name already", "choose another name, or allow overwriting")


def _why_not_written(error: OSError, path: Path) -> tuple[str, str]:
    """Reason and advice, in words."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return "the disk is full", "free some space, or choose another folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "writing there is not permitted", "choose another folder"
    if error.errno == errno.EISDIR:
        return "there is a folder of that name", "choose another name"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"there is no folder {str(path.parent)!r}", "create it first"
    if error.errno == errno.EFBIG:
        return "the file is larger than the disk allows", "choose another folder or a smaller size"
    if error.errno is None:  # an encoder of Pillow; it tells no reason
        return f"the file could not be finished ({error})", "check that the disk is not full"
    return error.strerror or str(error), ""
