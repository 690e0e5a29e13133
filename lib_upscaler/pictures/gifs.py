"""What a GIF says beside its first frame: comments, XMP, a profile, its pixels' shape, and where the frame lies."""

from __future__ import annotations

from dataclasses import dataclass

from .gif_parts import table_bytes
from .metadata import Found

__all__ = ["Gif", "look_into"]

_XMP, _ICC = b"XMP DataXMP", b"ICCRGBG1012"
_XMP_TRAILER = 258  # bytes behind XMP that lead readers of blocks to its end


@dataclass
class Gif:
    """box: of the first frame on the canvas: left, top, right, bottom, px."""

    found: Found
    box: tuple[int, int, int, int] | None = None


def look_into(data: bytes) -> Gif:
    """data: the file. What cannot be read ends the look, and costs nothing that stands before it."""
    gif = Gif(Found(frames=0))
    if len(data) >= 13:
        if data[12]:  # the shape of a pixel, width by height, in sixty-fourths
            gif.found.add_density(64, data[12] + 15, None)
        position = 13 + table_bytes(data[10])
        while (following := _block(data, position, gif)) is not None:
            position = following
    gif.found.frames = max(1, gif.found.frames)
    return gif


def _block(data: bytes, position: int, gif: Gif) -> int | None:
    """Read the block at ``position``; where the next one lies."""
    kind = data[position : position + 1]
    if kind == b"," and position + 10 <= len(data):
        left, top, width, height = (
            int.from_bytes(data[position + i : position + i + 2], "little") for i in (1, 3, 5, 7)
        )
        gif.found.frames += 1
        if gif.box is None:
            gif.box = left, top, left + width, top + height
        return _behind(data, position + 11 + table_bytes(data[position + 9]))
    if kind != b"!":
        return None
    label = data[position + 1 : position + 2]
    if label == b"\xfe":
        end = _behind(data, position + 2)
        gif.found.add_comment(_joined(data, position + 2))
        return end
    application = data[position + 3 : position + 14] if label == b"\xff" else b""
    if application == _XMP:
        end = data.find(b"\x00\x00", position + 14)
        if end >= 0:
            gif.found.add_xmp(data[position + 14 : end + 2 - _XMP_TRAILER])
            return end + 2
    elif application == _ICC:
        gif.found.icc = _joined(data, position + 14)
    return _behind(data, position + 2)


def _behind(data: bytes, position: int) -> int | None:
    """Behind a row of blocks, each of which begins with its length; one of no length ends it."""
    while position < len(data):
        length = data[position]
        position += 1 + length
        if not length:
            return position
    return None


def _joined(data: bytes, position: int) -> bytes:
    pieces = []
    while position < len(data) and (length := data[position]):
        pieces.append(data[position + 1 : position + 1 + length])
        position += 1 + length
    return b"".join(pieces)
