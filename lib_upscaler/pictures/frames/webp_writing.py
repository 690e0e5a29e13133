"""An animated WebP written frame by frame: each by Pillow as a WebP of its own, of each the rectangle that has changed.

Pillow's own writer (9.5 to 12.0) makes a list of all frames first, and one frame of those that are alike.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from io import BytesIO
from typing import Any, BinaryIO

from PIL import Image

from ...errors import PictureWriteError
from ..areas import Box, cropped, difference
from ..formats import WEBP
from ..keeping import Keeping
from ..pixels import Pixels
from ..writing import encode
from .source import Frame
from .timing import Clock
from .webp_reading import chunk, chunks_of

__all__ = ["write_webp"]

_ANIMATION, _XMP, _EXIF, _ALPHA, _PROFILE = 0x02, 0x04, 0x08, 0x10, 0x20
_REPLACES = 2
_PIXELS = (b"ALPH", b"VP8 ", b"VP8L")
_MOST = (1 << 24) - 1  # ms
_LONGEST = (1 << 32) - 2  # bytes


def write_webp(frames: Iterable[tuple[Keeping, Frame]], file: BinaryIO, encoder: dict[str, Any], plays: int) -> bool:
    """Write frames of one size; whether all times, whole milliseconds here, could be told exactly.

    The first one's Keeping says what stands beside the pixels. Two frames are held, packed and not.
    Raises PictureWriteError, OSError.
    """
    clock = Clock(1, 1, _MOST)
    before: Pixels | None = None
    behind, flags = b"", 0
    for keeping, frame in frames:
        picture = keeping.pixels
        if before is None:
            parts = _first(keeping, encoder)
            flags = _flags(picture, parts)
            _begin(file, picture, parts, flags, plays)
            behind = b"".join(chunk(kind, parts[kind]) for kind in (b"EXIF", b"XMP ") if kind in parts)
            box = Box(0, 0, *picture.size)
        else:
            box = _changed(before, picture)
            parts = _parts(_packed(cropped(picture, box), encoder))
        inner = b"".join(chunk(kind, parts[kind]) for kind in _PIXELS if kind in parts)
        file.write(chunk(b"ANMF", _head(box, clock.units(frame.duration)) + inner))
        before = picture
    if before is None:
        raise PictureWriteError("cannot write the result", "it has no frames")
    file.write(behind)
    _end(file)
    return clock.is_exact


def _first(keeping: Keeping, encoder: dict[str, Any]) -> dict[bytes, bytes]:
    buffer = BytesIO()
    encode(keeping, buffer, WEBP, encoder)
    return _parts(buffer.getvalue())


def _flags(pixels: Pixels, parts: dict[bytes, bytes]) -> int:
    flags = _ANIMATION | (_ALPHA if pixels.mode.endswith("A") else 0)
    return flags | sum(flag for kind, flag in ((b"ICCP", _PROFILE), (b"EXIF", _EXIF), (b"XMP ", _XMP)) if kind in parts)


def _begin(file: BinaryIO, pixels: Pixels, parts: dict[bytes, bytes], flags: int, plays: int) -> None:
    sides = b"".join(struct.pack("<I", side - 1)[:3] for side in pixels.size)
    file.write(b"RIFF\x00\x00\x00\x00WEBP" + chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides))
    if b"ICCP" in parts:
        file.write(chunk(b"ICCP", parts[b"ICCP"]))
    file.write(chunk(b"ANIM", bytes(4) + struct.pack("<H", min(plays, 65_535))))


def _head(box: Box, milliseconds: int) -> bytes:
    numbers = (box.left // 2, box.top // 2, box.size[0] - 1, box.size[1] - 1, milliseconds)
    return b"".join(struct.pack("<I", number)[:3] for number in numbers) + bytes([_REPLACES])


def _end(file: BinaryIO) -> None:
    length = file.tell() - 8
    if length > _LONGEST:
        raise PictureWriteError("cannot write the result", "a WebP holds at most 4 GB", "choose PNG, or a smaller size")
    file.seek(4)
    file.write(struct.pack("<I", length))


def _packed(image: Image.Image, encoder: dict[str, Any]) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "WEBP", icc_profile=b"", **encoder)
    return buffer.getvalue()


def _parts(data: bytes) -> dict[bytes, bytes]:
    return {kind: data[start : start + length] for kind, start, length in chunks_of(data, 12)}


def _changed(before: Pixels, now: Pixels) -> Box:
    """The rectangle that has changed; its corner lies on even numbers, as the format wants it."""
    found = difference(before, now)
    if found is None:
        return Box(0, 0, 1, 1)
    return Box(found.left // 2 * 2, found.top // 2 * 2, found.right, found.bottom)
