"""A tensor that is still in its file, what one file may come to, and the words for a file that is not whole."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import MemoryLimitError, ModelFileError

__all__ = [
    "DOWNLOAD_AGAIN",
    "MOST_TENSORS",
    "Place",
    "Storage",
    "StoredTensor",
    "Unsound",
    "cannot_load",
    "damaged_file",
    "excessive_file",
    "item_size",
    "largest_content",
    "not_enough_memory",
    "shown",
    "strided",
    "truncated_file",
]

DOWNLOAD_AGAIN = "download it again"
MOST_TENSORS = 20_000
"""In one file; the networks that there are have up to 3000."""
_MOST_DIMENSIONS = 64
_LARGEST_LENGTH = 2**48


class Unsound(Exception):  # noqa: N818 - a signal to the reader of a file, which says it in words
    """What a file says of its data does not fit them, or is not to be believed."""


@dataclass(frozen=True)
class Place:
    """Bytes of a file. size: of what they are unpacked to, where they are ``packed`` (deflated); else as ``length``."""

    start: int
    length: int
    size: int
    packed: bool = False
    checksum: int = 0

    def unpacked(self, data: bytes | bytearray) -> bytes | bytearray:
        """What the bytes that lie there stand for, never more than ``size``. Raises Unsound."""
        if not self.packed:
            return data
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        found = bytearray()
        try:
            while len(found) < self.size:
                part = inflater.decompress(data, self.size - len(found))
                if not part:
                    break
                found += part
                data = inflater.unconsumed_tail
        except zlib.error as error:
            raise Unsound("the archive cannot be unpacked") from error
        if len(found) != self.size or zlib.crc32(found) != self.checksum:
            raise Unsound("the archive cannot be unpacked")
        return found


class Storage:
    """Where the bytes of one or more tensors lie.

    place: in the file; None until it is known. skip, size: the part of it that is meant, in bytes.
    """

    __slots__ = ("dtype", "place", "size", "skip")

    def __init__(self, dtype: torch.dtype, size: int, place: Place | None = None, skip: int = 0) -> None:
        self.dtype, self.size, self.place, self.skip = dtype, size, place, skip


class StoredTensor:
    """A tensor that is still in the file. shape, stride, offset: in elements, as in ``as_strided``."""

    __slots__ = ("dtype", "elements", "offset", "shape", "storage", "stride")

    def __init__(
        self, storage: Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype
    ) -> None:
        """Raises Unsound."""
        if len(shape) > _MOST_DIMENSIONS or len(stride) != len(shape):
            raise Unsound("a tensor without a sound shape")
        self.elements = 1
        for length in shape:
            if not 0 <= length < _LARGEST_LENGTH:
                raise Unsound("a tensor without a sound shape")
            self.elements = min(self.elements * length, _LARGEST_LENGTH)
        self.storage, self.offset, self.shape, self.stride, self.dtype = storage, offset, shape, stride, dtype

    @property
    def bytes(self) -> int:
        """Of all its elements, written out: one with a stride of 0 is larger than its data."""
        return self.elements * item_size(self.dtype)


def strided(data: Tensor, stored: StoredTensor) -> Tensor:
    """The tensor, in the memory of ``data``: the bytes at its storage's place, 1-D uint8.

    Raises RuntimeError or ValueError where the description does not fit the data.
    """
    storage, width = stored.storage, item_size(stored.dtype)
    data = data[storage.skip : storage.skip + storage.size]
    if data.data_ptr() % width:
        data = data.clone()
    flat = data[: data.numel() // width * width].view(stored.dtype)
    return flat.as_strided(stored.shape, stored.stride, stored.offset)


def item_size(dtype: torch.dtype) -> int:
    """Bytes of one element (``dtype.itemsize`` came with torch 2.1)."""
    size = _ITEM_SIZES.get(dtype)
    if size is None:
        size = _ITEM_SIZES[dtype] = torch.empty((), dtype=dtype).element_size()
    return size


_ITEM_SIZES: dict[torch.dtype, int] = {}


def largest_content(file_size: int) -> int:
    """Bytes that the data in a file of this size may come to when they are unpacked or written out."""
    return 2 * file_size + 64_000_000


# Words


def shown(text: str, longest: int = 100) -> str:
    """A stranger's text for a message: one line, nothing that a terminal obeys."""
    printed = "".join(letter if letter.isprintable() else "?" for letter in text[: longest + 1])
    return printed if len(printed) <= longest else f"{printed[:longest]}..."


def cannot_load(path: Path) -> str:
    return f"cannot load the model '{shown(path.name, 255)}'"


def damaged_file(path: Path, detail: str) -> ModelFileError:
    return ModelFileError(cannot_load(path), f"the file is damaged ({detail})", DOWNLOAD_AGAIN)


def truncated_file(path: Path) -> ModelFileError:
    return ModelFileError(cannot_load(path), "the file is truncated: its end is missing", DOWNLOAD_AGAIN)


def excessive_file(path: Path, detail: str) -> ModelFileError:
    """Refused for what it would take. detail: a clause about the file, "it ..."."""
    return ModelFileError(cannot_load(path), f"{detail}, which no upscaling network needs", "use another file")


def not_enough_memory(path: Path) -> MemoryLimitError:
    return MemoryLimitError(cannot_load(path), "there is not enough memory", "close other programs")
