"""How much memory a stretch of code takes."""

from __future__ import annotations

import os
import re
import threading
from typing import ClassVar

import psutil
import torch

__all__ = ["PeakMeter", "resident_bytes"]


def resident_bytes() -> int:
    """Memory that the process holds now."""
    return psutil.Process().memory_info().rss


_PEAK = re.compile(rb"^VmHWM:\s+(\d+) kB", re.MULTILINE)


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
        self._peak = 0
        self.bytes = 0

    def __enter__(self) -> PeakMeter:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._start = torch.cuda.memory_allocated(self._device)
            return self
        self._start = resident_bytes() if self._baseline is None else self._baseline
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
            peak = max(self._peak, resident_bytes())
        self.bytes = max(0, peak - self._start)

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self._peak = max(self._peak, resident_bytes())


def _reset_peak() -> bool:
    """Ask Linux to forget the process's peak so far."""
    try:
        handle = os.open("/proc/self/clear_refs", os.O_WRONLY)
        try:
            os.write(handle, b"5")
        finally:
            os.close(handle)
    except OSError:
        return False
    return _kernel_peak() is not None


def _kernel_peak() -> int | None:
    try:
        handle = os.open("/proc/self/status", os.O_RDONLY)
        try:
            found = _PEAK.search(os.read(handle, 8192))
        finally:
            os.close(handle)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
