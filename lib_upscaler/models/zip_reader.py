"""Zip archives of ``torch.save`` (since torch 1.6) and ``torch.jit.save``: a pickle, and a file for each storage."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import cast

from ..errors import ModelFileError, UnsupportedModelError
from .pickles import Pickles, Placeholder
from .source import Source
from .stored import (
    MOST_TENSORS,
    Place,
    Storage,
    StoredTensor,
    Unsound,
    cannot_load,
    damaged_file,
    item_size,
    truncated_file,
)

__all__ = ["read_zip"]

_LARGEST_LIST = 4_000_000  # bytes of the list of entries: 35,000 of the usual ones
_LARGEST_PICKLE = 32_000_000  # bytes, without the tensors' data
_DEEPEST, _LONGEST_PREFIX = 64, 2000


def read_zip(source: Source) -> object:
    """The content, with its tensors still in the file. Raises ModelFileError, UnsafeModelError, UnsupportedModelError.

    Checksums of entries that are not packed are not looked at: torch can be told not to write them.
    """
    entries = _entries(source)
    roots = sorted((name[: -len("data.pkl")] for name in entries if name.endswith("/data.pkl")), key=len)
    if not roots:
        raise ModelFileError(
            cannot_load(source.path),
            "it is a zip archive without a PyTorch model",
            "unpack it and use the model file inside",
        )
    root = roots[0]
    order = entries.get(f"{root}byteorder")
    if order is not None and order.file_size < 100 and _unpacked(source, order).strip() == b"big":
        raise UnsupportedModelError(
            cannot_load(source.path), "it was written on a big-endian machine", "save it as .safetensors"
        )
    table = entries[f"{root}data.pkl"]
    if table.file_size > _LARGEST_PICKLE:
        raise damaged_file(source.path, "its table of contents is far too large")

    def storage_of(identity: tuple) -> Storage:
        dtype, key, count, _ = identity
        info = entries.get(f"{root}data/{key}")
        size = count * item_size(dtype)
        if info is None or not 0 <= size <= info.file_size:
            raise Unsound("data is missing")
        return Storage(dtype, size, _place(source, info))

    content = Pickles(source.path, _unpacked(source, table), storage_of).next()
    return _script_weights(source, content) if f"{root}constants.pkl" in entries else content


class _File(io.RawIOBase):
    """The source as ``zipfile`` wants it."""

    def __init__(self, source: Source) -> None:
        self._source, self._position = source, 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        if base + offset < 0:
            raise ValueError("before the beginning of the file")
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        size = max(0, self._source.size - self._position) if size is None or size < 0 else size
        if size > _LARGEST_LIST:
            raise Unsound("its list of contents is far too long")
        found = self._source.look(self._position, size)
        self._position += len(found)
        return found


def _entries(source: Source) -> dict[str, zipfile.ZipInfo]:
    """By name. The list of a zip file's contents stands at its end: a broken-off download has none."""
    try:
        with zipfile.ZipFile(cast(io.BufferedIOBase, _File(source))) as archive:
            return {info.filename: info for info in archive.infolist()}
    except Unsound as error:
        raise damaged_file(source.path, str(error)) from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, IndexError, OverflowError) as error:
        raise truncated_file(source.path) from error


def _place(source: Source, info: zipfile.ZipInfo) -> Place:
    """Where the bytes of an entry lie. Raises Unsound."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 0x1:
        raise Unsound("an entry is packed in an unknown way")
    header = source.look(info.header_offset, 30) if info.header_offset >= 0 else b""
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise Unsound("an entry is not where it should be")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    start = info.header_offset + 30 + name_length + extra_length
    packed = info.compress_type == zipfile.ZIP_DEFLATED
    length = info.compress_size if packed else info.file_size
    if start + length > source.size:
        raise Unsound("an entry reaches beyond the file")
    return Place(start, length, info.file_size, packed, info.CRC if packed else 0)


def _unpacked(source: Source, info: zipfile.ZipInfo) -> bytes:
    """A small entry, at once."""
    try:
        place = _place(source, info)
        return bytes(place.unpacked(source.look(place.start, place.length)))
    except Unsound as error:
        raise damaged_file(source.path, str(error)) from error


def _script_weights(source: Source, content: object) -> dict[str, StoredTensor]:
    """The state dict of a TorchScript archive: its tensors under the names of the modules they lie in.

    Its code is not touched. A tensor that is neither parameter nor buffer comes along: the file does not tell.
    """
    weights: dict[str, StoredTensor] = {}
    modules = 0

    def collect(module: object, prefix: str, around: frozenset[int]) -> None:
        nonlocal modules
        modules += 1
        if modules > MOST_TENSORS or len(prefix) > _LONGEST_PREFIX:
            raise damaged_file(source.path, "its modules lie in each other without end")
        content = module.content if isinstance(module, Placeholder) else None
        for name, value in (content or {}).items():
            if isinstance(value, StoredTensor):
                weights[f"{prefix}{name}"] = value
            elif isinstance(value, Placeholder) and id(value) not in around and len(around) < _DEEPEST:
                collect(value, f"{prefix}{name}.", around | {id(value)})

    collect(content, "", frozenset({id(content)}))
    if not weights:
        raise UnsupportedModelError(
            cannot_load(source.path),
            "it is a frozen TorchScript program without separate weights",
            "get the weights as .pth",
        )
    return weights
