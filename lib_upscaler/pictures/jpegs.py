"""A JPEG taken apart: what its pixels need for Pillow, all else read here; and whether all rows are there.

libjpeg fills what is missing with grey and says so to nobody, and Pillow calls a picture damaged whose end marker is
all that is missing. Whether rows are missing is told by what follows the data: where they are complete, it does not
matter what does.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from . import iptc, xmp
from .exif import PREFIX, directory_number
from .metadata import Found

__all__ = ["Jpeg", "first_missing_row", "take_apart"]

_END_MARKER = b"\xff\xd9"
_SCAN_END = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_READ_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
_PROGRESSIVE, _ARITHMETIC = 0xC2, 0xC9  # the second and all that follow
_LONG_XMP = b"http://ns.adobe.com/xmp/extension/\x00"
_PICTURES = 0xB001  # their number, in the index of a file of several (CIPA DC-007)


@dataclass
class Jpeg:
    """pixels: a JPEG without an end marker, of nothing but what the pixels need. complete: whether the file's own end
    marker is there. planned: whether all scans are there that the picture needs.
    frame: the marker that tells how its pixels are coded; 0: there is none. bits: per channel. layers: channels.
    """

    pixels: bytes
    complete: bool
    planned: bool
    frame: int
    bits: int
    layers: int

    def why_not(self) -> str:
        """Why libjpeg cannot read its pixels, in words; empty where it can."""
        if not self.frame:
            return ""  # the header is missing, which is another matter
        if self.bits != 8:
            return f"it has {self.bits} bits per channel"
        if self.frame not in _READ_FRAMES:
            return "it is a lossless or hierarchical JPEG, which is not read here"
        return "" if self.layers in (1, 3, 4) else f"it is a JPEG of {self.layers} channels"

    def file(self) -> BytesIO:
        return BytesIO(self.pixels + _END_MARKER)


@dataclass
class _Outline:
    """What a walk over the markers finds."""

    needed: list[bytes] = field(default_factory=lambda: [b"\xff\xd8"])
    told: list[tuple[int, bytes]] = field(default_factory=list)
    coefficients: dict[int, list[int]] = field(default_factory=dict)  # by component, how many bits are to come; -1: all
    frame: int = 0
    bits: int = 8
    end: int | None = None  # behind the end marker


def take_apart(data: bytes) -> tuple[Jpeg, Found]:
    """data: the whole file, or as much as stands before the pixels."""
    outline = _outlined(data)
    found = _found(outline.told)
    behind = data[outline.end :] if outline.end is not None else b""
    _name_others(found, outline.told, behind)
    complete = outline.end is not None
    pixels, layers = b"".join(outline.needed), len(outline.coefficients)
    return Jpeg(pixels, complete, _all_scans(outline, complete), outline.frame, outline.bits, layers), found


def first_missing_row(jpeg: Jpeg, size: tuple[int, int]) -> int | None:
    """The row, px, from which on pixels are missing; None where all are there.

    size: of the picture, px. Where the end marker is there, an eighth of the size is looked at, which is quick; not in
    progressive files, whose last data are of fine detail.
    """
    if jpeg.frame >= _ARITHMETIC:  # its data may leave out zeros at the end, so what follows them matters
        return None if jpeg.complete else 0
    if not jpeg.planned:
        return 0
    noise = np.random.default_rng(0).integers(0, 255, 8192, dtype=np.uint8).tobytes()  # no 255: no marker
    small = jpeg.complete and jpeg.frame != _PROGRESSIVE
    first, second = (_decoded(jpeg.pixels + filler + _END_MARKER, size, small) for filler in (b"", noise))
    rows = np.flatnonzero((first != second).reshape(len(first), -1).any(axis=1))
    return int(rows[0]) * size[1] // len(first) if len(rows) else None


def _decoded(data: bytes, size: tuple[int, int], small: bool) -> np.ndarray:
    with JpegImageFile(BytesIO(data)) as image:
        if small:
            image.draft(image.mode, (max(1, size[0] // 8), max(1, size[1] // 8)))
        return np.asarray(image)


def _outlined(data: bytes) -> _Outline:
    outline = _Outline()
    position = 2
    while (start := data.find(b"\xff", position)) >= 0:
        while data[start + 1 : start + 2] == b"\xff":  # fill bytes
            start += 1
        marker = data[start + 1] if start + 1 < len(data) else 0xFF
        if marker == 0xD9:
            outline.end = start + 2
            break
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:
            position = start + 2
            continue
        length = int.from_bytes(data[start + 2 : start + 4], "big")
        content = data[start + 4 : start + 2 + length]
        if length < 2 or len(content) < length - 2:
            break  # cut off within a segment
        position = start + 2 + length
        if marker in (0xFE, *range(0xE1, 0xEE), 0xEF):
            outline.told.append((marker, content))
            continue
        outline.needed.append(data[start:position])
        if marker in _FRAMES and not outline.coefficients:
            outline.frame, outline.bits = marker, content[0] if content else 0
            outline.coefficients = {number: [-1] * 64 for number in content[6::3]}
        elif marker == 0xDA:
            position = _scan(data, position, content, outline)
    return outline


def _scan(data: bytes, position: int, header: bytes, outline: _Outline) -> int:
    """Take over the data of a scan from ``position`` on; where they end."""
    found = _SCAN_END.search(data, position)
    end = found.start() if found else len(data.rstrip(b"\xff"))
    end = max(end, position)
    outline.needed.append(data[position:end])
    count = header[0] if header else 0
    if len(header) >= 4 + 2 * count:
        first, last, bits = header[1 + 2 * count], header[2 + 2 * count], header[3 + 2 * count] & 15
        for component in header[1 : 1 + 2 * count : 2]:
            table = outline.coefficients.get(component)
            if table is not None and first <= last <= 63:
                table[first : last + 1] = [bits] * (last + 1 - first)
    return end


def _all_scans(outline: _Outline, complete: bool) -> bool:
    """Where the file says that it ends, fine detail that no scan tells is meant to be missing; mean colours are not."""
    if complete:
        return all(bits[0] >= 0 for bits in outline.coefficients.values())
    return all(bit == 0 for bits in outline.coefficients.values() for bit in bits)


def _found(told: list[tuple[int, bytes]]) -> Found:
    found = Found()
    profile: dict[int, bytes] = {}
    count = 0
    for marker, content in told:
        if marker == 0xE1 and content.startswith(b"Exif\x00"):
            # More than one segment holds is continued in the next one.
            found.exif = content if found.exif is None else found.exif + content[len(PREFIX) :]
        elif marker == 0xE1 and content.startswith(xmp.JPEG_HEADER):
            found.add_xmp(content[len(xmp.JPEG_HEADER) :])
        elif marker == 0xE2 and content.startswith(b"ICC_PROFILE\x00") and len(content) > 14:
            profile[content[12]], count = content[14:], content[13]
        elif marker == 0xED and content.startswith(iptc.PHOTOSHOP):
            found.iptc = found.iptc or iptc.from_photoshop(content)
        elif marker == 0xFE:
            found.add_comment(content)
    if profile and sorted(profile) == list(range(1, count + 1)):
        found.icc = b"".join(profile[number] for number in sorted(profile))
    elif profile:
        found.notes.append("a part of its colour profile is missing; it was left out")
    return found


def _name_others(found: Found, told: list[tuple[int, bytes]], behind: bytes) -> None:
    """What no result can keep. behind: what follows the picture."""
    if any(marker == 0xE1 and content.startswith(_LONG_XMP) for marker, content in told):
        found.lost.append("the continuation of its XMP")
    if any(marker == 0xED and iptc.has_paths(content) for marker, content in told):
        found.lost.append("its clipping paths")
    if any(marker == 0xEB and content.startswith(b"JP") for marker, content in told):
        found.lost.append("its Content Credentials")
    if b"hdrgainmap" in behind or b"hdrgm:" in behind:
        found.lost.append("its HDR gain map")
        return
    index = next((content[4:] for marker, content in told if marker == 0xE2 and content.startswith(b"MPF\x00")), None)
    if index is None:
        return
    try:
        further = (directory_number(index, _PICTURES) or 1) - 1
    except (ValueError, struct.error):
        further = 0
    if further > 0:
        found.lost.append(f"the {further} further picture{'s' if further > 1 else ''} behind it (previews, depth ...)")
