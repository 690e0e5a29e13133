"""What a JPEG 2000 (JP2, JPX, bare codestream) says of its samples and beside them (ISO/IEC 15444-1, annexes A, I).

Pillow decodes the samples and leaves most of that aside: profile, palette, what the channels are, and whether the data
are all there.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from .boxes import Numbers, boxes
from .metadata import Found

__all__ = ["Jp2", "look_into", "unconverted"]

_CODESTREAM = b"\xff\x4f\xff\x51"
_SIZES, _COMMENT, _TILE_PART, _END = 0xFF51, 0xFF64, 0xFF90, 0xFFD9
_LATIN = 1  # comments in letters
_ENCODERS = (b"Created by ", b"Kakadu-")
"""What comments begin with that tell of the program alone."""

_CMYK, _SRGB, _GREY, _SYCC = 12, 16, 17, 18
_READ_SPACES = {1: (_GREY,), 2: (_GREY,), 3: (_SRGB, _SYCC), 4: (_SRGB, _CMYK)}
"""Of how many channels which colours Pillow decodes rightly, or are put right here."""

_UUIDS = {
    bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC"): "XMP",
    b"JpgTiffExif->JP2": "EXIF",
    bytes.fromhex("33C7A4D2B81D4723A0BAF1A3E097AD38"): "IPTC",
    bytes.fromhex("B14BF8BD083D4B43A5AE8CD7D5A6CE03"): "GeoTIFF",
}
_METRES_IN_INCH = 0.0254
_YCC = re.compile(rb"(colr\x01..)\x00\x00\x00\x12", re.DOTALL)


@dataclass
class Jp2:
    """bits: of each channel, none where it cannot be read. subsampled: whether channels have fewer samples. space: the
    number of the colours (table I.10; 16 sRGB); None: a profile tells them, or nothing. palette: (entries, channels).
    mapping: for each channel (what it is: 0 colour, 1 alpha, 2 alpha that colours are multiplied by; of which colour).
    missing: whether data of pixels are missing. has_end: whether the end marker is there.
    """

    found: Found
    bits: tuple[int, ...] = ()
    subsampled: bool = False
    space: int | None = None
    palette: np.ndarray | None = None
    mapping: dict[int, tuple[int, int]] = field(default_factory=dict)
    missing: bool = False
    has_end: bool = True

    @property
    def own_mode(self) -> str | None:
        """Pillow's mode that is true of the samples; None: the one that Pillow gives them."""
        if self.found.icc is not None and self.found.icc[16:20] == b"CMYK" and len(self.bits) == 4:
            return "CMYK"
        if self.space == _CMYK and len(self.bits) == 4:
            return "CMYK"
        if self.space == _SYCC:
            return "YCbCr"
        if 2 in {kind for kind, _ in self.mapping.values()}:
            return {2: "La", 4: "RGBa"}.get(len(self.bits))
        return None

    @property
    def has_further_channel(self) -> bool:
        """Whether the last channel is neither a colour nor transparency, as the file says."""
        return self.mapping.get(len(self.bits) - 1, (0, 0))[0] > 2

    def why_not(self) -> str:
        """Why Pillow would make a wrong picture of it, in words; empty where it does not, as far as is known."""
        if any(bits != 8 for bits in self.bits):
            return f"it has {max(self.bits)} bits per channel"
        if self.subsampled:
            return "its colours have fewer samples than its brightness"
        channels = len(self.bits)
        if channels not in (0, *_READ_SPACES):
            return f"it has {channels} channels"
        if self.space is not None and channels and self.palette is None and self.space not in _READ_SPACES[channels]:
            return f"its colours are of a kind that is not read here (number {self.space})"
        if self.palette is not None and (channels != 1 or self.palette.shape[1] not in (1, 3, 4)):
            return "its palette is of a kind that is not read here"
        if any(kind == 0 and of not in (0, number + 1, 65_535) for number, (kind, of) in self.mapping.items()):
            return "its channels stand in another order than usual"
        return ""


def look_into(data: bytes) -> Jp2:
    """data: the file. What cannot be read is not told."""
    jp2 = Jp2(Found())
    stream = memoryview(data) if data.startswith(_CODESTREAM) else None
    for kind, content, _ in boxes(memoryview(data)) if stream is None else ():
        if kind == b"jp2c" and stream is None:
            stream = content
        elif kind == b"jp2h":
            _inside(content, jp2)
        elif kind == b"uuid":
            _add_uuid(content, jp2.found)
    if stream is not None:
        try:
            _walk(stream, jp2)
        except ValueError:
            jp2.missing = True
    return jp2


def unconverted(data: bytes) -> bytes:
    """The file with YCbCr called sRGB, so that no version of Pillow converts it: older ones do not."""
    return _YCC.sub(lambda found: found.group(1) + b"\x00\x00\x00\x10", data, count=1)


def _inside(header: memoryview, jp2: Jp2) -> None:
    for kind, content, _ in boxes(header):
        try:
            numbers = Numbers(content)
            if kind == b"colr" and jp2.space is None and jp2.found.icc is None:
                way = numbers.next(3) >> 16
                if way in (2, 3):
                    jp2.found.icc = bytes(content[3:])
                elif way == 1:
                    jp2.space = numbers.next(4)
            elif kind == b"pclr":
                jp2.palette = _palette(numbers)
            elif kind == b"cdef":
                for _ in range(numbers.next(2)):
                    channel = numbers.next(2)
                    jp2.mapping[channel] = numbers.next(2), numbers.next(2)
            elif kind == b"res ":
                _add_density(content, jp2.found)
        except ValueError:
            jp2.found.notes.append(f"its box {bytes(kind).decode('latin-1').strip()!r} is damaged and was left out")


def _palette(numbers: Numbers) -> np.ndarray:
    entries, channels = numbers.next(2), numbers.next(1)
    deep = any(bits != 7 for bits in numbers.bytes(channels))
    if deep or not entries or not channels:
        return np.zeros((1, 0), np.uint8)  # of a kind that is not read
    return np.frombuffer(numbers.bytes(entries * channels), np.uint8).reshape(entries, channels)


def _add_density(content: memoryview, found: Found) -> None:
    """Where it is told twice, that of the scan (resc) counts, not of the display (resd)."""
    for kind, inner, _ in sorted(boxes(content), key=lambda box: box[0], reverse=True):
        if kind in (b"resc", b"resd"):
            numbers = Numbers(inner)
            fractions = [(numbers.next(2), numbers.next(2)) for _ in range(2)]
            powers = [(numbers.next(1) ^ 128) - 128 for _ in range(2)]  # with a sign
            if all(below for _, below in fractions):
                y, x = (above / below * 10.0**power for (above, below), power in zip(fractions, powers))
                found.add_density(x, y, _METRES_IN_INCH)


def _add_uuid(content: memoryview, found: Found) -> None:
    name, value = _UUIDS.get(bytes(content[:16])), bytes(content[16:])
    if name == "XMP":
        found.add_xmp(value)
    elif name == "EXIF":
        found.exif = value
    elif name == "IPTC":
        found.iptc = value
    elif name == "GeoTIFF":
        found.lost.append("its place on a map (GeoTIFF)")


def _walk(stream: memoryview, jp2: Jp2) -> None:
    """Over the markers of a codestream, from tile part to tile part. Raises ValueError where it ends early."""
    numbers = Numbers(stream, 2)
    tiles, parts = 1, Counter[int]()
    promised: dict[int, int] = {}
    while True:
        start = numbers.position
        if start + 2 > len(stream):
            jp2.has_end = False
            break
        marker = numbers.next(2)
        if marker == _END:
            break
        inside = Numbers(numbers.bytes(max(numbers.next(2) - 2, 0)))
        if marker == _SIZES:
            tiles = _sizes(inside, jp2)
        elif marker == _COMMENT and inside.next(2) == _LATIN:
            text = bytes(inside.data[2:])
            if not text.startswith(_ENCODERS):
                jp2.found.add_comment(text)
        elif marker == _TILE_PART:
            tile, size, _, count = (inside.next(length) for length in (2, 4, 1, 1))
            parts[tile] += 1
            promised[tile] = count or promised.get(tile, 0)
            if not size:  # the last one, which goes on to the end marker
                size = len(stream) - 2 - start
                if bytes(stream[-2:]) != _END.to_bytes(2, "big"):
                    raise ValueError("the data ends early")
            if start + size > len(stream):
                raise ValueError("the data ends early")
            numbers.position = max(start + size, numbers.position)
    jp2.missing = len(parts) < tiles or any(parts[tile] < count for tile, count in promised.items())


def _sizes(inside: Numbers, jp2: Jp2) -> int:
    """What the marker SIZ tells of the channels; returns the number of tiles."""
    inside.next(2)
    right, bottom, _, _, width, height, left, top = (inside.next(4) for _ in range(8))
    channels = [(inside.next(1), inside.next(1), inside.next(1)) for _ in range(inside.next(2))]
    jp2.bits = tuple(1 + (depth & 127) for depth, _, _ in channels)
    jp2.subsampled = any((x, y) != (1, 1) for _, x, y in channels)
    return -(-(right - left) // max(1, width)) * -(-(bottom - top) // max(1, height))
