"""Which device to run on, by the words that a user gives, and whose turn it is there."""

from __future__ import annotations

import threading

import torch

from ..errors import DeviceError

__all__ = ["device_lock", "find_device"]

_locks: dict[str, threading.RLock] = {}
_locks_guard = threading.Lock()


def device_lock(device: torch.device) -> threading.RLock:
    """The lock under which networks run on the device; two callers take turns."""
    with _locks_guard:
        return _locks.setdefault(str(device), threading.RLock())


def find_device(wanted: str | torch.device = "auto") -> torch.device:
    """``"auto"`` (CUDA, else MPS, else the CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, ... or a device.

    Raises DeviceError where there is no such device.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise DeviceError(f"'{wanted}' is no device", "", f"use one of {_present()}") from None
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", 0)  # one name per card: locks and copies of the weights are kept by it
    missing = (
        (device.type == "cuda" and device.index >= torch.cuda.device_count())
        or (device.type == "mps" and not _has_mps())
        or device.type == "meta"
    )
    if missing:
        raise DeviceError(f"there is no device '{wanted}' here", "", f"use one of {_present()}")
    try:
        # Other back ends (DirectML, XPU) say themselves whether they are there.
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        cause = str(error).splitlines()[0]
        raise DeviceError(f"the device '{wanted}' does not work", cause, f"use one of {_present()}") from None
    return device


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _present() -> str:
    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    return ", ".join([*names, "mps"] if _has_mps() else names)
