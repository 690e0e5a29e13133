"""Planes that lie in a file on the disk instead of in memory, for pictures larger than that."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import shutil
import uuid
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import PictureWriteError

__all__ = ["free_bytes", "in_memory", "let_go", "planes"]

_ZEROS = bytes(1 << 20)


def planes(shape: Sequence[int], kind: np.dtype[Any], folder: Path | None) -> np.ndarray:
    """An empty array: in memory, or in a file in this folder that is gone with the array. Raises PictureWriteError."""
    if folder is None:
        return np.empty(shape, kind)
    name = folder / f".truescale-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"  # as all that is unfinished
    try:
        with name.open("w+b") as file:
            _reserve(file.fileno(), math.prod(shape) * kind.itemsize)
            array = np.memmap(file, kind, "r+", shape=tuple(shape))
    except OSError as error:
        _unlink(name)
        raise PictureWriteError(
            f"a picture of {shape[1]}x{shape[0]} px cannot be made",
            f"its file on the disk failed while it was made ({error.strerror or error})",
            "free some space, or choose another folder",
        ) from error
    if os.name == "nt":  # a file that is open cannot be deleted there
        weakref.finalize(_mapping(array), _unlink, name)  # it goes after the array, when the file is closed
    else:
        _unlink(name)
    return array


def _reserve(file: int, size: int) -> None:
    """Take the room now: a disk that is full later ends the process, without a word. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    elif os.name == "nt":
        os.truncate(file, size)
    else:  # macOS makes a file of holes
        for start in range(0, size, len(_ZEROS)):
            os.write(file, _ZEROS[: size - start])


def in_memory(array: np.ndarray) -> bool:
    """Whether it is not a part of such a file."""
    return _mapping(array) is None


def let_go(array: np.ndarray) -> None:
    """Give back the memory that parts of the file which were looked at or written take; nothing of it is lost."""
    mapping = _mapping(array)
    advice = getattr(mmap, "MADV_DONTNEED", None)
    if mapping is not None and advice is not None:
        with contextlib.suppress(OSError, ValueError):
            mapping.madvise(advice)


def free_bytes(folder: Path) -> int:
    """What the disk has left there; a lot where that cannot be told."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 1 << 62


def _mapping(array: np.ndarray) -> mmap.mmap | None:
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _unlink(name: Path) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name)
