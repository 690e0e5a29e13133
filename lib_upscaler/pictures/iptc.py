"""Captions and credits in IPTC's older form (IIM): in a JPEG among Photoshop's data, in a PNG as ImageMagick does."""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["PHOTOSHOP", "PNG_KEYS", "from_photoshop", "from_raw_profile", "has_paths", "to_photoshop", "to_raw_profile"]

PHOTOSHOP = b"Photoshop 3.0\x00"
PNG_KEYS = ("Raw profile type iptc", "Raw profile type 8bim")
_IPTC, _PATHS = 0x0404, range(2000, 2999)


def _resources(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each of Photoshop's image resources, as far as they are whole."""
    position = 0
    while data[position : position + 4] == b"8BIM" and position + 7 <= len(data):
        number = struct.unpack_from(">H", data, position + 4)[0]
        position += 6 + (data[position + 6] + 2) // 2 * 2  # behind the name, padded to an even length
        if position + 4 > len(data):
            return
        (length,) = struct.unpack_from(">I", data, position)
        content = data[position + 4 : position + 4 + length]
        if len(content) < length:
            return
        yield number, content
        position += 4 + (length + 1) // 2 * 2


def from_photoshop(data: bytes) -> bytes | None:
    """The IIM among image resources (with or without Photoshop's name in front)."""
    data = data[len(PHOTOSHOP) :] if data.startswith(PHOTOSHOP) else data
    return next((content for number, content in _resources(data) if number == _IPTC), None)


def has_paths(data: bytes) -> bool:
    """Whether there are clipping paths, which no result keeps: they lie in the pixels of the source."""
    data = data[len(PHOTOSHOP) :] if data.startswith(PHOTOSHOP) else data
    return any(number in _PATHS for number, _ in _resources(data))


def to_photoshop(iptc: bytes) -> bytes:
    """What a JPEG's segment APP13 holds."""
    return PHOTOSHOP + _resource(iptc)


def _resource(iptc: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", _IPTC, 0, len(iptc)) + iptc + b"\x00" * (len(iptc) % 2)


def to_raw_profile(iptc: bytes) -> str:
    """The text under the first of PNG_KEYS, as ImageMagick and ExifTool read it: hexadecimal, 72 digits a line."""
    digits = _resource(iptc).hex()
    lines = [digits[start : start + 72] for start in range(0, len(digits), 72)]
    return "\n".join(["", "iptc", f"{len(digits) // 2:8}", *lines, ""])


def from_raw_profile(text: str) -> bytes:
    """The content of such a text. Raises ValueError where it is damaged."""
    _, _, length, *lines = text.split("\n")
    data = bytes.fromhex("".join(lines))
    if len(data) != int(length):
        raise ValueError("a raw profile is cut off")
    return data
