"""How much memory a job may use, how much it used, and how the heap is kept from being handed back and forth."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import psutil
import torch

__all__ = [
    "PeakMeter",
    "available_bytes",
    "can_steady_heap",
    "is_out_of_memory",
    "memory_budget",
    "resident_bytes",
    "return_heap",
    "steady_heap",
]

CUDA_SHARE, CPU_SHARE = 0.8, 0.7
"""Of what is free, how much a job may take when the user sets no limit."""

_OUT_OF_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "defaultcpuallocator",
    "cannot allocate memory",
    "not enough memory",
    "could not allocate tensor",  # DirectML
    "cudnn_status_not_supported",
    "cudnn_status_alloc_failed",
    "cublas_status_alloc_failed",
    "could not create a primitive",  # oneDNN, when a scratch buffer cannot be had
    "invalid buffer size",  # MPS
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory ran out, in the words of any of torch's backends."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _OUT_OF_MEMORY_WORDS)


def available_bytes(device: torch.device) -> int:
    """Bytes that could be taken on the device now, torch's own cache counted as free."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    available = psutil.virtual_memory().available
    limit = _cgroup_free()
    return available if limit is None else min(available, limit)


def memory_budget(device: torch.device, limit: int | None) -> int:
    """Bytes that a job may use on the device: a share of what is free, at most ``limit``."""
    share = CUDA_SHARE if device.type == "cuda" else CPU_SHARE
    budget = int(available_bytes(device) * share)
    return budget if limit is None else min(budget, limit)


def _cgroup_free() -> int | None:
    """Bytes left under the control group's limit (version 2, then 1); None where there is no limit."""
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            return max(0, int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # absent, or the word "max"
            continue
    return None


def resident_bytes() -> int:
    """Memory that the process holds now."""
    return psutil.Process().memory_info().rss


class PeakMeter:
    """Measures the memory that a stretch of code takes above what was taken when it began.

    On CUDA torch's own count; on the CPU the resident memory of the process: Linux keeps the peak itself, elsewhere a
    thread looks every 10 ms. Meters may be nested.

    baseline: resident bytes to count from on the CPU, None for what is resident when it begins. What earlier pictures
    have left in the heap is used again and would not be seen.
    """

    _active: ClassVar[list[PeakMeter]] = []
    _active_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, device: torch.device, baseline: int | None = None) -> None:
        self._device = device
        self._baseline = baseline
        self._process = psutil.Process()
        self._peak = 0
        self.bytes = 0

    def __enter__(self) -> PeakMeter:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._start = torch.cuda.memory_allocated(self._device)
            return self
        self._start = self._process.memory_info().rss if self._baseline is None else self._baseline
        with self._active_lock:
            for outer in self._active:  # they must not forget what was before the kernel's peak is reset
                outer._peak = max(outer._peak, _kernel_peak() or 0)
            self._kernel = _reset_peak()
            self._active.append(self)
        if not self._kernel:
            self._stop = threading.Event()
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self._device)
        elif self._kernel:
            with self._active_lock:
                self._active.remove(self)
            peak = max(self._peak, _kernel_peak() or self._start)
        else:
            with self._active_lock:
                self._active.remove(self)
            self._stop.set()
            self._watcher.join()
            peak = max(self._peak, self._process.memory_info().rss)
        self.bytes = max(0, peak - self._start)

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self._peak = max(self._peak, self._process.memory_info().rss)


def _reset_peak() -> bool:
    """Ask Linux to forget the process's peak so far."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return _kernel_peak() is not None


def _kernel_peak() -> int | None:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


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
    blocks (see ``strategy.STEADY_OVERHEAD``). Elsewhere this does nothing.
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
