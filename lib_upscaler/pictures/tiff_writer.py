"""TIFF of any depth written strip by strip, beyond 4 GB too (BigTIFF), so that it need not be in memory as a whole.

Pillow writes no TIFF of 16 bits or floating point with colours. What stands beside the pixels comes from Pillow all the
same: its own TIFF of one pixel, whose tags are copied. TIFF 6.0, Adobe's technical notes 1 to 3 (deflate, predictors),
and BigTIFF as libtiff has it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from ..depths import Bits
from ..geometry import Size
from .png_writer import Rows

__all__ = ["CLASSIC_BYTES", "write_tiff"]

CLASSIC_BYTES = 2**32 - 2**26
"""Of pixels that offsets of 32 bits reach, less 64 MiB for what stands beside them and for noise that does not pack."""

_STRIP_BYTES = 1 << 20
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_SHORT, _LONG, _LONG8 = 3, 4, 16
_SUB_DIRECTORIES = frozenset((34665, 34853, 40965))  # EXIF, GPS, interoperability
_LAYOUT = frozenset((256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 338, 339))
"""Tags that say how pixels lie: ours, not those of the TIFF of one pixel."""
_DEFLATE, _DIFFERENCES, _BYTES_APART = 8, 2, 3
_ALPHA = 2


@dataclass(frozen=True)
class _Value:
    """kind: as TIFF numbers them. data: little-endian. below: of a directory that a tag points to."""

    kind: int
    count: int
    data: bytes
    below: dict[int, _Value] | None = None


def write_tiff(file: BinaryIO, rows: Rows, size: Size, channels: int, bits: Bits, options: Mapping[str, Any]) -> None:
    """channels: 1 to 4. bits: 8, 16 or 32 (floating point). options: for Pillow's writer."""
    big = size.area * channels * bits // 8 > CLASSIC_BYTES
    file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if big else struct.pack("<2sHI", b"II", 42, 0))
    step = max(1, _STRIP_BYTES // (size.width * channels * bits // 8))
    places, lengths = [], []
    for top in range(0, size.height, step):
        packed = zlib.compress(_differences(rows(top, min(size.height, top + step)), bits), 6 if bits == 8 else 4)
        places.append(file.tell())
        lengths.append(len(packed))
        file.write(packed)
    tags = {tag: value for tag, value in _beside(_MODES[channels], options).items() if tag not in _LAYOUT}
    tags.update(_layout(size, channels, bits, step, places, lengths, big))
    file.write(b"\x00" * (file.tell() % 2))
    start = _write_directory(file, tags, big)
    file.seek(8 if big else 4)
    file.write(struct.pack("<Q" if big else "<I", start))
    file.seek(0, 2)


def _differences(band: np.ndarray, bits: Bits) -> bytes:
    """Rows as what each px differs by from the one before; of floating point by bytes, the highest of all px first."""
    if bits != 32:
        lines = np.ascontiguousarray(band, "<u2" if bits == 16 else np.uint8)
        result = lines.copy()
        result[:, 1:] -= lines[:, :-1]
        return result.tobytes()
    height, width, channels = band.shape
    lines = np.ascontiguousarray(band, ">f4").view(np.uint8).reshape(height, width * channels, 4)
    apart = lines.transpose(0, 2, 1).reshape(height, 4 * width * channels)
    result = apart.copy()
    result[:, channels:] -= apart[:, :-channels]
    return result.tobytes()


def _layout(
    size: Size, channels: int, bits: Bits, rows: int, places: list[int], lengths: list[int], big: bool
) -> dict[int, _Value]:
    offset = _LONG8 if big else _LONG
    layout = {
        256: _numbers(_LONG, size.width),
        257: _numbers(_LONG, size.height),
        258: _numbers(_SHORT, *[bits] * channels),
        259: _numbers(_SHORT, _DEFLATE),
        262: _numbers(_SHORT, 1 if channels <= 2 else 2),
        273: _numbers(offset, *places),
        277: _numbers(_SHORT, channels),
        278: _numbers(_LONG, rows),
        279: _numbers(offset, *lengths),
        284: _numbers(_SHORT, 1),
        317: _numbers(_SHORT, _BYTES_APART if bits == 32 else _DIFFERENCES),
        339: _numbers(_SHORT, *[3 if bits == 32 else 1] * channels),
    }
    if channels in (2, 4):
        layout[338] = _numbers(_SHORT, _ALPHA)
    return layout


def _numbers(kind: int, *numbers: int) -> _Value:
    letter = {_SHORT: "H", _LONG: "I", _LONG8: "Q"}[kind]
    return _Value(kind, len(numbers), struct.pack(f"<{len(numbers)}{letter}", *numbers))


# -- directories -------------------------------------------------------------------------------------------------------


def _beside(mode: str, options: Mapping[str, Any]) -> dict[int, _Value]:
    """The tags of a TIFF of one pixel that Pillow writes."""
    file = BytesIO()
    Image.new(mode, (1, 1)).save(file, format="TIFF", **{**options, "compression": "raw"})
    data = file.getvalue()
    (start,) = struct.unpack_from("<I", data, 4)
    assert data[:4] == b"II*\x00"  # as Pillow writes for modes of 8 bits
    return _read_directory(data, start)


def _read_directory(data: bytes, start: int) -> dict[int, _Value]:
    (count,) = struct.unpack_from("<H", data, start)
    tags = {}
    for row in range(count):
        place = start + 2 + 12 * row
        tag, kind, number, value = struct.unpack_from("<HHII", data, place)
        length = _SIZES[kind] * number
        if tag in _SUB_DIRECTORIES:
            tags[tag] = _Value(kind, 1, b"", _read_directory(data, value))
        else:
            first = place + 8 if length <= 4 else value
            tags[tag] = _Value(kind, number, data[first : first + length])
    return tags


def _write_directory(file: BinaryIO, tags: dict[int, _Value], big: bool) -> int:
    """At the end of the file, behind the values that do not fit into it; returns where it begins."""
    room, pointer = (8, "<Q") if big else (4, "<I")
    entries = []
    for tag, value in sorted(tags.items()):
        kind, count, data = value.kind, value.count, value.data
        if value.below is not None:
            kind, data = (_LONG8 if big else _LONG), struct.pack(pointer, _write_directory(file, value.below, big))
        if len(data) > room:
            place = file.tell()
            file.write(data + b"\x00" * (len(data) % 2))
            data = struct.pack(pointer, place)
        entries.append(struct.pack("<HHQ" if big else "<HHI", tag, kind, count) + data.ljust(room, b"\x00"))
    start = file.tell()
    file.write(struct.pack("<Q" if big else "<H", len(entries)) + b"".join(entries) + struct.pack(pointer, 0))
    return start
