"""The heap kept steady while a network runs, and handed back afterwards."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Iterator
from functools import lru_cache

import torch

__all__ = ["can_steady_heap", "close_gaps", "return_heap", "steady_heap"]

_heap_lock = threading.Lock()
_heap_users = 0
_heap_return: threading.Timer | None = None
_HEAP_SECONDS = 2.0  # after the last use; the next picture of a batch comes sooner and finds its memory there
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt(3)


@contextlib.contextmanager
def steady_heap() -> Iterator[None]:
    """Keep large blocks in the heap while a network runs; hand all of them back soon afterwards.

    glibc takes every block above its threshold fresh from the kernel and returns it at once, so each layer's output
    is paid for in page faults: a quarter of the time of an RRDB network on the CPU. What it costs is gaps between the
    blocks (see ``budget.STEADY_OVERHEAD``). Elsewhere this does nothing.
    """
    global _heap_users, _heap_return
    libc = _glibc()
    if libc is None:
        yield
        return
    with _heap_lock:
        _heap_users += 1
        if _heap_return is not None:
            _heap_return.cancel()
            _heap_return = None
        elif _heap_users == 1:
            libc.mallopt(_MMAP_THRESHOLD, 1 << 30)
            libc.mallopt(_TRIM_THRESHOLD, 1 << 30)
    try:
        yield
    finally:
        with _heap_lock:
            _heap_users -= 1
            if _heap_users == 0:
                _heap_return = threading.Timer(_HEAP_SECONDS, return_heap)
                _heap_return.daemon = True
                _heap_return.start()


def return_heap() -> None:
    """Hand back now what ``steady_heap`` has kept, unless a network is running."""
    global _heap_return
    libc = _glibc()
    with _heap_lock:
        if libc is None or _heap_users or _heap_return is None:
            return
        _heap_return.cancel()
        _heap_return = None
        # Where glibc's own adjustment ends up in a process that works with pictures.
        libc.mallopt(_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(_TRIM_THRESHOLD, 64 << 20)
        libc.malloc_trim(0)


def close_gaps() -> None:
    """Hand back the pages of the gaps in a heap that is kept steady: with each tile there are more of them."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def can_steady_heap(device: torch.device) -> bool:
    """Whether ``steady_heap`` does anything for a network on this device."""
    return device.type == "cpu" and _glibc() is not None


@lru_cache(maxsize=1)
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc = ctypes.CDLL("libc.so.6")
        return libc if hasattr(libc, "mallopt") and hasattr(libc, "gnu_get_libc_version") else None
    except OSError:
        return None
