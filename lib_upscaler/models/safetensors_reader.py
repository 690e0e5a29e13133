"""The header of a safetensors file: eight bytes of length, then JSON that says where each tensor lies behind it.

Read by ourselves, and not by the library, which maps the file into memory, and which has no limit on tensors.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import torch

from ..errors import ModelFileError, UnsupportedModelError
from .source import Source
from .stored import (
    DOWNLOAD_AGAIN,
    MOST_TENSORS,
    Place,
    Storage,
    StoredTensor,
    Unsound,
    cannot_load,
    excessive_file,
    item_size,
    shown,
    truncated_file,
)

__all__ = ["read_safetensors"]

_LARGEST_HEADER = 8_000_000  # bytes: 400 for each of the most tensors
_METADATA = "__metadata__"

_TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "U16": "uint16", "U32": "uint32", "U64": "uint64",
}  # fmt: skip
"""Types of the format, and PyTorch's, of which an older one lacks some."""


def read_safetensors(source: Source) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """The tensors by name, and what the file says of itself. Raises ModelFileError, UnsupportedModelError."""
    start = source.look(0, 8)
    if len(start) < 8:
        raise truncated_file(source.path)
    (length,) = struct.unpack("<Q", start)
    if length > _LARGEST_HEADER:
        raise _wrong(source, "it is too large")
    if 8 + length > source.size:
        raise truncated_file(source.path)
    header = _parsed(source, source.look(8, length))
    metadata = _metadata(source, header.pop(_METADATA, None) or {})
    if len(header) > MOST_TENSORS:
        raise excessive_file(source.path, f"it holds {len(header)} tensors")
    tensors, ends = {}, []
    for name, described in header.items():
        try:
            tensors[name], end = _tensor(source, name, described, 8 + length)
        except Unsound as error:
            raise _wrong(source, f"'{shown(name)}': {error}") from error
        ends.append(end)
    _check_order(source, ends, source.size - 8 - length)
    return tensors, metadata


def _parsed(source: Source, text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("it names something twice")
        return made

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise _wrong(source, shown(str(error))) from error
    if not isinstance(header, dict):
        raise _wrong(source, "it is no list of tensors")
    return header


def _metadata(source: Source, found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise _wrong(source, "what it says of itself is no text")
    return found


def _tensor(source: Source, name: str, described: Any, data: int) -> tuple[StoredTensor, tuple[int, int]]:
    """The tensor, and where its bytes begin and end behind ``data``. Raises Unsound, UnsupportedModelError."""
    if not isinstance(described, dict) or set(described) != {"dtype", "shape", "data_offsets"}:
        raise Unsound("it is not described as a tensor")
    kind, shape, offsets = described["dtype"], described["shape"], described["data_offsets"]
    is_whole: Callable[[Any], bool] = lambda value: type(value) is int and 0 <= value < 2**62  # noqa: E731
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or not all(map(is_whole, numbers)):
            raise Unsound("its shape or place is no list of whole numbers")
    dtype = getattr(torch, _TYPES.get(kind, ""), None) if isinstance(kind, str) else None
    if dtype is None:
        raise UnsupportedModelError(
            cannot_load(source.path),
            f"it stores '{shown(name)}' as {shown(str(kind))}, which this PyTorch does not know",
            "get it as F32 or F16",
        )
    if len(offsets) != 2:
        raise Unsound("its place has no beginning and end")
    begin, end = offsets
    size = end - begin
    stored = StoredTensor(Storage(dtype, size, Place(data + begin, size, size)), 0, tuple(shape), _dense(shape), dtype)
    if stored.elements * item_size(dtype) != size:
        raise Unsound("its shape does not fit its place")
    return stored, (begin, end)


def _dense(shape: list[int]) -> tuple[int, ...]:
    """Strides of a tensor whose elements lie one behind the other, in order."""
    strides, step = [], 1
    for length in reversed(shape[:64]):
        strides.append(step)
        step = min(step * max(length, 1), 2**62)
    return tuple(reversed(strides))


def _check_order(source: Source, ends: list[tuple[int, int]], size: int) -> None:
    """That the tensors fill the rest of the file without gaps. size: of that rest."""
    position = 0
    for begin, end in sorted(ends):
        if begin != position:
            raise _wrong(source, "its tensors overlap, or there are gaps between them")
        position = end
    if position != size:
        raise ModelFileError(
            cannot_load(source.path), "the file is truncated, or longer than its header says", DOWNLOAD_AGAIN
        )


def _wrong(source: Source, why: str) -> ModelFileError:
    return ModelFileError(cannot_load(source.path), f"its safetensors header is wrong ({why})", DOWNLOAD_AGAIN)
