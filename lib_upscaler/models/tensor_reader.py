"""Reads the tensors out of model files without running anything in them.

Four formats: PyTorch's zip archives, its older plain pickles, TorchScript archives and safetensors.

Why not ``torch.load(weights_only=True)``: before torch 2.6 it hands TorchScript archives to ``torch.jit.load``
(CVE-2025-32434), WebUIs replace it by functions of their own, and it refuses a sound checkpoint for one harmless object
of the training beside the weights. Here, the pickle's every name of a Python object that is not part of a tensor is
answered by an inert placeholder: nothing is imported, nothing is called. What a file *wanted* called is written down,
and a file that wanted more than training leftovers is refused by name.
"""

from __future__ import annotations

import struct
from pathlib import Path

from ..errors import ModelFileError, UnsupportedModelError
from .foreign import refuse_foreign_content
from .pickle_machine import Ended
from .pickles import Pickles
from .safetensors_reader import read_safetensors
from .source import Source, opened_source
from .stored import (
    Place,
    Storage,
    Unsound,
    cannot_load,
    damaged_file,
    item_size,
    truncated_file,
)
from .zip_reader import read_zip

__all__ = ["read_content", "safetensors_metadata"]

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first object in a file of torch.save before torch 1.6
_PICKLE_SIZES = (1 << 20, 1 << 25)  # bytes, tried one after the other, without the tensors' data


def read_content(source: Source) -> tuple[object, dict[str, str]]:
    """What the file holds: dicts, lists and plain values, with ``StoredTensor`` and ``Placeholder`` among them. For
    safetensors and TorchScript it is the state dict. And what a safetensors file says of itself, any text.

    Raises ModelFileError, UnsafeModelError and UnsupportedModelError.
    """
    head = source.look(0, 512)
    refuse_foreign_content(source.path, head)
    if head[:4] == b"PK\x03\x04":
        return read_zip(source), {}
    if _is_safetensors(source.path, head):
        return read_safetensors(source)
    return _read_legacy(source, head), {}


def safetensors_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself, as its maker wrote it: any text. Empty for files of other formats.

    Raises ModelFileError, UnsupportedModelError.
    """
    with opened_source(path) as source:
        head = source.look(0, 512)
        if head[:4] == b"PK\x03\x04" or not _is_safetensors(path, head):
            return {}
        return read_safetensors(source)[1]


def _is_safetensors(path: Path, head: bytes) -> bool:
    """By name (unless it begins as a pickle) or, whatever the name, by a length and a JSON object behind it."""
    named_so = path.suffix.lower() == ".safetensors" and not head.startswith(b"\x80\x02")
    return named_so or (head[8:9] == b"{" and head[5:8] == b"\0\0\0")


# PyTorch: pickles


def _read_legacy(source: Source, head: bytes) -> object:
    """A file of ``torch.save`` before torch 1.6: five pickles, then the data of the storages one behind the other."""
    path = source.path
    if head[:1] != b"\x80":
        raise ModelFileError(
            cannot_load(path),
            "it is not a model file of a known format",
            "use a .pth, .pt, .ckpt, .bin or .safetensors file",
        )
    for size in _PICKLE_SIZES:
        try:
            return _Legacy(source, source.look(0, size), whole=size >= source.size).content()
        except Ended:
            continue
    raise damaged_file(path, "its table of contents is far too large")


class _Legacy:
    """The pickles in one file, and where its storages lie."""

    def __init__(self, source: Source, data: bytes, whole: bool) -> None:
        """data: the beginning of the file. whole: it is all of it."""
        self._source, self._whole = source, whole
        self._storages: dict[str, list[Storage]] = {}
        self._pickles = Pickles(source.path, data, self._storage_of)

    def content(self) -> object:
        """Raises Ended where more of the file has to be looked at, and what ``read_content`` does."""
        path = self._source.path
        if self._next() != _LEGACY_MAGIC:
            raise ModelFileError(cannot_load(path), "it is a pickle, but not one of PyTorch", "save it with torch.save")
        _version, system = self._next(), self._next()
        if isinstance(system, dict) and system.get("little_endian") is False:
            raise UnsupportedModelError(
                cannot_load(path), "it was written on a big-endian machine", "save it as .safetensors"
            )
        content, keys = self._next(), self._next()
        self._place(keys if isinstance(keys, list) else [])
        return content

    def _next(self) -> object:
        return self._pickles.next(self._whole)

    def _storage_of(self, identity: tuple) -> Storage:
        dtype, key, count, view = identity
        width = item_size(dtype)
        offset, length = view or (0, count)
        if length < 0:
            raise Unsound("data of a negative length")
        storage = Storage(dtype, length * width, skip=offset * width)
        self._storages.setdefault(key, []).append(storage)
        return storage

    def _place(self, keys: list) -> None:
        """The data stand in the order of ``keys``, each behind the number of its elements."""
        source, position = self._source, self._pickles.position
        for key in keys:
            storages = self._storages.pop(key, None) if isinstance(key, str) else None
            if storages is None:
                raise damaged_file(source.path, "data that belongs to no tensor")
            head = source.look(position, 8)
            if len(head) < 8:
                raise truncated_file(source.path)
            (count,) = struct.unpack("<q", head)
            size = max(count, 0) * item_size(storages[0].dtype)
            for storage in storages:
                storage.place = Place(position + 8, size, size)
            position += 8 + size
        if position > source.size:
            raise truncated_file(source.path)
