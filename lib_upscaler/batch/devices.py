"""Which devices a run uses."""

from __future__ import annotations

from ..errors import RequestError
from ..running.device import find_device

__all__ = ["devices_of"]


def devices_of(word: str) -> list[str]:
    """The devices that ``--device`` names: one, several with commas between (also twice the same), or "all": every
    CUDA card, else what "auto" finds.

    Raises DeviceError where one is not there, RequestError.
    """
    import torch

    if word == "all":
        return [f"cuda:{index}" for index in range(torch.cuda.device_count())] or [str(find_device("auto"))]
    names = [name.strip() for name in word.split(",")]
    if not all(names):
        raise RequestError(f"the device '{word}' is not possible", "a name is empty", "write it as cuda:0,cuda:1")
    return [str(find_device(name)) for name in names]
