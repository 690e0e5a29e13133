"""What a JPEG XL says of its picture before it is decoded (ISO/IEC 18181-1, annex D; 18181-2): readers decode at once,
and tell neither its size before that nor what its channels are.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from .boxes import boxes
from .metadata import Found

__all__ = ["Jxl", "look_into"]

_CONTAINER = b"\x00\x00\x00\x0cJXL "
_PACKED = {b"xml ": "its compressed XMP", b"Exif": "its compressed EXIF data"}  # by Brotli, which Python has not
_ALPHA, _SPOT, _BLACK, _CFA = 0, 2, 4, 5  # kinds of further channels
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))

# What a number that is coded in one of four ways is: of each way its bits, and what is added to them.
_Choice = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]
_SIDE: _Choice = ((9, 1), (13, 1), (18, 1), (30, 1))
_PREVIEW_EIGHTHS: _Choice = ((0, 16), (0, 32), (5, 1), (9, 33))
_PREVIEW_SIDE: _Choice = ((6, 1), (8, 65), (10, 321), (12, 1345))
_DEPTH: _Choice = ((0, 8), (0, 10), (0, 12), (6, 1))
_FLOAT_DEPTH: _Choice = ((0, 32), (0, 16), (0, 24), (6, 1))
_COUNT: _Choice = ((0, 0), (0, 1), (4, 2), (12, 1))
_ENUM: _Choice = ((0, 0), (0, 1), (4, 2), (6, 18))
_SHIFT: _Choice = ((0, 0), (0, 3), (0, 4), (3, 1))
_NAME: _Choice = ((0, 0), (4, 0), (5, 16), (10, 48))
_FILTER: _Choice = ((0, 1), (2, 0), (4, 3), (8, 19))
_TICKS: _Choice = ((0, 100), (0, 1000), (10, 1), (30, 1))
_PER: _Choice = ((0, 1), (0, 1001), (8, 1), (10, 1))
_LOOPS: _Choice = ((0, 0), (3, 0), (16, 0), (32, 0))


@dataclass
class Jxl:
    """size: of the coded picture, px; None: it cannot be read. orientation: as EXIF numbers it; the EXIF's does not
    count. bits: per channel; 0: floating point. premultiplied: whether colours are multiplied by alpha. is_cmyk:
    whether a further channel is black ink.
    """

    found: Found
    size: tuple[int, int] | None = None
    orientation: int = 1
    bits: int = 8
    premultiplied: bool = False
    is_cmyk: bool = False
    is_animated: bool = False


def look_into(data: bytes) -> Jxl:
    """data: the file, bare or in a container. What cannot be read is not told."""
    jxl = Jxl(Found())
    stream: bytes = data
    if data.startswith(_CONTAINER):
        parts = []
        for kind, content, _ in boxes(memoryview(data)):
            if kind in (b"jxlc", b"jxlp"):
                parts.append(bytes(content[4 if kind == b"jxlp" else 0 :][:4096]))
            elif kind == b"xml ":
                jxl.found.add_xmp(bytes(content))
            elif kind == b"brob" and content[:4] in _PACKED:
                jxl.found.lost.append(_PACKED[bytes(content[:4])])
            elif kind == b"jhgm":
                jxl.found.lost.append("its HDR gain map")
        stream = b"".join(parts)[:65_536]
    if stream[:2] == b"\xff\x0a":
        with contextlib.suppress(ValueError):  # it ends early, as its reader will find
            _header(_Bits(stream[2:]), jxl)
    return jxl


class _Bits:
    """Numbers of any number of bits, the least significant first. Raises ValueError at the end."""

    def __init__(self, data: bytes) -> None:
        self.value = int.from_bytes(data[:4096], "little")
        self.left = 8 * len(data[:4096])

    def next(self, count: int = 1) -> int:
        if count > self.left:
            raise ValueError("the data ends early")
        number = self.value & (1 << count) - 1
        self.value >>= count
        self.left -= count
        return number

    def choice(self, ways: _Choice) -> int:
        count, more = ways[self.next(2)]
        return self.next(count) + more


def _header(bits: _Bits, jxl: Jxl) -> None:
    jxl.size = _size(bits)
    if bits.next():  # all as usual
        return
    if bits.next():
        jxl.orientation = 1 + bits.next(3)
        if bits.next():
            _size(bits)
        if bits.next():
            _size(bits, preview=True)
        jxl.is_animated = bool(bits.next())
        if jxl.is_animated:
            for way in (_TICKS, _PER, _LOOPS):
                bits.choice(way)
            bits.next()
    jxl.bits = _depth(bits)
    bits.next()  # whether 16 bits suffice for a decoder
    for _ in range(bits.choice(_COUNT)):
        _further_channel(bits, jxl)


def _size(bits: _Bits, preview: bool = False) -> tuple[int, int]:
    in_eighths = bits.next()

    def side() -> int:
        if not in_eighths:
            return bits.choice(_PREVIEW_SIDE if preview else _SIDE)
        return 8 * (bits.choice(_PREVIEW_EIGHTHS) if preview else 1 + bits.next(5))

    height, ratio = side(), bits.next(3)
    if not ratio:
        return side(), height
    wide, high = _RATIOS[ratio - 1]
    return height * wide // high, height


def _depth(bits: _Bits) -> int:
    """Of whole numbers; 0 for floating point."""
    if not bits.next():
        return bits.choice(_DEPTH)
    bits.choice(_FLOAT_DEPTH)
    bits.next(4)
    return 0


def _further_channel(bits: _Bits, jxl: Jxl) -> None:
    if bits.next():  # alpha of 8 bits, as usual
        return
    kind = bits.choice(_ENUM)
    _depth(bits)
    bits.choice(_SHIFT)
    for _ in range(bits.choice(_NAME)):
        bits.next(8)
    if kind == _ALPHA:
        jxl.premultiplied = jxl.premultiplied or bool(bits.next())
        return
    jxl.is_cmyk = jxl.is_cmyk or kind == _BLACK
    if "a further channel of it" not in jxl.found.lost:
        jxl.found.lost.append("a further channel of it")
    if kind == _SPOT:
        bits.next(64)
    elif kind == _CFA:
        bits.choice(_FILTER)
