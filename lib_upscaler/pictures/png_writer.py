"""PNG of 8 or 16 bits written row by row, so that a picture need not be in memory as a whole.

Pillow writes no PNG of 16 bits with colours, and none in parts. What stands beside the pixels comes from Pillow all the
same: its own PNG of one pixel, whose chunks go around ours.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from ..depths import Bits
from ..geometry import Size

__all__ = ["Rows", "write_png"]

Rows = Callable[[int, int], np.ndarray]
"""The rows from the first to before the second of a picture: ``(n, W, C)``, colours and then alpha."""

_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_BAND_BYTES = 1 << 22
_CHUNK_BYTES = 1 << 20

_EFFORT = 1, zlib.Z_RLE
"""Level and strategy: as for the PNGs that Pillow writes here (``writing``)."""


def write_png(
    file: BinaryIO, rows: Rows, size: Size, channels: int, bits: Bits, options: dict[str, Any], chunks: bytes = b""
) -> None:
    """channels: 1 to 4. bits: 8 or 16. options: for Pillow's writer. chunks: behind the header."""
    before, behind = _beside(_MODES[channels], options)
    file.write(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", size.width, size.height, bits, _COLOR_TYPES[channels], 0, 0, 0)
    file.write(_chunk(b"IHDR", header) + chunks + before)
    waiting = bytearray()
    for packed in _packed(rows, size, channels * bits // 8):
        waiting += packed
        if len(waiting) >= _CHUNK_BYTES:
            file.write(_chunk(b"IDAT", bytes(waiting)))
            waiting.clear()
    file.write(_chunk(b"IDAT", bytes(waiting)) + behind + _chunk(b"IEND", b""))


def _packed(rows: Rows, size: Size, pixel_bytes: int) -> Iterator[bytes]:
    packer = zlib.compressobj(_EFFORT[0], zlib.DEFLATED, zlib.MAX_WBITS, 9, _EFFORT[1])
    line = size.width * pixel_bytes
    step = max(1, _BAND_BYTES // line)
    above = np.zeros((1, line), np.uint8)
    for top in range(0, size.height, step):
        band = rows(top, min(size.height, top + step))
        lines = np.ascontiguousarray(band, ">u2" if band.dtype == np.uint16 else np.uint8).view(np.uint8)
        lines = lines.reshape(len(band), line)
        yield packer.compress(_filtered(lines, above, pixel_bytes).tobytes())
        above = lines[-1:].copy()
    yield packer.flush()


def _filtered(lines: np.ndarray, above: np.ndarray, pixel_bytes: int) -> np.ndarray:
    """Each row as differences, with the number of the filter in front: of three the one whose sum is least.

    The rule of thumb of the PNG specification (third edition, 12.7); Sub, Up and Paeth.
    """
    up = np.concatenate([above, lines[:-1]])
    left, corner = (np.zeros_like(lines) for _ in range(2))
    left[:, pixel_bytes:], corner[:, pixel_bytes:] = lines[:, :-pixel_bytes], up[:, :-pixel_bytes]
    best = np.empty((len(lines), lines.shape[1] + 1), np.uint8)
    least = np.full(len(lines), np.iinfo(np.int64).max)
    for number, predicted in ((1, lambda: left), (2, lambda: up), (4, lambda: _paeth(left, up, corner))):
        difference = lines - predicted()
        cost = np.abs(difference.view(np.int8).astype(np.int16)).sum(axis=1, dtype=np.int64)
        better = cost < least
        best[better, 0], least[better] = number, cost[better]
        best[better, 1:] = difference[better]
    return best


def _paeth(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Of the three the one that left + up - corner is closest to."""
    a, b, c = (plane.astype(np.int16) for plane in (left, up, corner))
    to_left, to_up, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    is_left = (to_left <= to_up) & (to_left <= to_corner)
    return np.where(is_left, left, np.where(to_up <= to_corner, up, corner))


def _beside(mode: str, options: dict[str, Any]) -> tuple[bytes, bytes]:
    """The chunks of a PNG of one pixel, those before its pixels and those behind."""
    file = BytesIO()
    Image.new(mode, (1, 1)).save(file, format="PNG", **options)
    data, place = file.getvalue(), 8
    before, behind, seen = b"", b"", False
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        whole = data[place : place + length + 12]
        place += len(whole)
        if kind == b"IDAT":
            seen = True
        elif kind not in (b"IHDR", b"IEND"):
            before, behind = (before, behind + whole) if seen else (before + whole, behind)
    return before, behind


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
