"""What memory there is, what a job takes of it, and how running out of it is recognised."""

from __future__ import annotations

import mmap
import time

import psutil
import pytest
import torch

from lib_upscaler.running.heap import steady_heap
from lib_upscaler.running.limits import available_bytes, is_out_of_memory, memory_budget
from lib_upscaler.running.peak import PeakMeter
from reference import CPU

MB = 1_000_000


def _use(size: int) -> None:
    """Take memory from the kernel, write to all of it, and hand it back; past the heap, which keeps what is freed."""
    with mmap.mmap(-1, size) as block:
        for start in range(0, size, 4096):
            block[start] = 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:83] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"),
        RuntimeError("Invalid buffer size: 9.00 GB"),
        RuntimeError("Could not allocate tensor with 1073741824 bytes. There is not enough GPU video memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_running_out_of_memory_is_recognised(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("expected scalar type Float but found Half"), ValueError("out of memory"), KeyError("x")]
)
def test_other_failures_are_not_taken_for_it(error: Exception) -> None:
    assert not is_out_of_memory(error)


@pytest.mark.alone
def test_the_budget_is_a_share_of_what_is_free_and_at_most_the_limit() -> None:
    free = available_bytes(CPU)

    assert 0 < free <= psutil.virtual_memory().total
    assert 0.3 * free < memory_budget(CPU, None) < 0.9 * free
    assert memory_budget(CPU, 5 * MB) == 5 * MB


@pytest.mark.alone
def test_the_peak_is_what_was_taken_for_a_while() -> None:
    with PeakMeter(CPU) as meter:
        _use(50 * MB)

    assert 45 * MB < meter.bytes < 80 * MB


@pytest.mark.alone
def test_peaks_within_peaks() -> None:
    with PeakMeter(CPU) as outer:
        _use(80 * MB)
        with PeakMeter(CPU) as inner:
            _use(30 * MB)

    assert 70 * MB < outer.bytes < 110 * MB
    assert 25 * MB < inner.bytes < 60 * MB


@pytest.mark.alone
def test_nothing_taken() -> None:
    with PeakMeter(CPU) as meter:
        pass

    assert 0 <= meter.bytes < 5 * MB


@pytest.mark.alone
def test_a_meter_survives_an_error() -> None:
    with pytest.raises(KeyError), PeakMeter(CPU):
        raise KeyError
    with PeakMeter(CPU) as meter:
        _use(30 * MB)

    assert meter.bytes > 25 * MB


@pytest.mark.alone
def test_the_heap_is_handed_back() -> None:
    process = psutil.Process()
    before = process.memory_info().rss

    def fill_and_fail() -> None:
        with steady_heap(), steady_heap():
            count = sum(block.numel() for block in [torch.ones(MB // 4) for _ in range(60)])
            raise KeyError(count)

    with pytest.raises(KeyError):
        fill_and_fail()

    deadline = time.monotonic() + 20  # soon, not at once: the next picture may want it
    while process.memory_info().rss - before >= 20 * MB and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process.memory_info().rss - before < 20 * MB
