"""A tensor that is still in its file, and the words for a file that is not whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..errors import ModelFileError

__all__ = [
    "DOWNLOAD_AGAIN",
    "Storage",
    "StoredTensor",
    "cannot_load",
    "damaged_file",
    "item_size",
    "strided",
    "truncated_file",
]

_LARGEST_EXPANDED = 2**28  # elements of a tensor that is larger than its data (a stride of 0)
DOWNLOAD_AGAIN = "download it again"


@dataclass(frozen=True)
class Storage:
    """Where the bytes of one or more tensors lie. ``read``: gives them, 1-D uint8, at least ``size`` bytes."""

    dtype: torch.dtype
    size: int
    read: Callable[[], Tensor] = field(repr=False)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that is still in the file.

    load: gives it, on the CPU. It may share memory with the (copy-on-write) mapped file. Where the file's description
    does not fit its data, the error is whichever of Python's or torch's comes of it.
    """

    load: Callable[[], Tensor] = field(repr=False)


def strided(
    storage: Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype
) -> Tensor:
    """``shape``, ``stride`` and ``offset`` in elements, as in ``as_strided``."""
    data = storage.read()[: storage.size]
    width = item_size(dtype)
    if data.data_ptr() % width:
        data = data.clone()
    flat = data[: data.numel() // width * width].view(dtype)
    elements = 1
    for length in shape:
        elements *= length
    if elements > max(flat.numel(), _LARGEST_EXPANDED):
        raise ValueError("a tensor is far larger than its data")
    return flat.as_strided(shape, stride, offset)


def item_size(dtype: torch.dtype) -> int:
    """Bytes of one element (``dtype.itemsize`` came with torch 2.1)."""
    return torch.empty((), dtype=dtype).element_size()


def cannot_load(path: Path) -> str:
    return f"cannot load the model '{path.name}'"


def damaged_file(path: Path, detail: str) -> ModelFileError:
    return ModelFileError(cannot_load(path), f"the file is damaged ({detail})", DOWNLOAD_AGAIN)


def truncated_file(path: Path) -> ModelFileError:
    return ModelFileError(cannot_load(path), "the file is truncated: its end is missing", DOWNLOAD_AGAIN)
