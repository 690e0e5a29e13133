"""How much memory a job may use, whether it has run out, and what can be done then."""

from __future__ import annotations

import gc
from pathlib import Path

import psutil
import torch

__all__ = ["available_bytes", "free_cache", "is_known", "is_out_of_memory", "memory_budget"]

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


def free_cache(device: torch.device) -> None:
    """Let go of tensors that nobody uses any more, and of the memory that torch keeps for the next ones."""
    gc.collect()
    if device.type in ("cuda", "mps", "xpu"):
        getattr(torch, device.type).empty_cache()


def available_bytes(device: torch.device) -> int:
    """Bytes that could be taken on the device now, torch's own cache counted as free."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "xpu":
        return _free_on_xpu(device)
    available = psutil.virtual_memory().available
    limit = _cgroup_free()
    return available if limit is None else min(available, limit)


def is_known(device: torch.device) -> bool:
    """Whether the device's own memory can be asked for: DirectML's cannot, so that the computer's stands for it."""
    return device.type in ("cpu", "cuda", "mps", "xpu")


def _free_on_xpu(device: torch.device) -> int:
    """Before PyTorch 2.6 it does not tell what others hold."""
    xpu = torch.xpu
    if hasattr(xpu, "mem_get_info"):
        free, _ = xpu.mem_get_info(device)
        return int(free + xpu.memory_reserved(device) - xpu.memory_allocated(device))
    return int(xpu.get_device_properties(device).total_memory - xpu.memory_allocated(device))


def memory_budget(device: torch.device, limit: int | None) -> int:
    """Bytes that a job may use on the device: a share of what is free, at most ``limit``."""
    share = CUDA_SHARE if device.type in ("cuda", "xpu") else CPU_SHARE
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
