"""The frames of a WebP (its container's specification): each as a WebP of its own."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO

from PIL import Image

from ...geometry import Size
from .blocks import Block, Layout, check_area

__all__ = ["WebpFrames", "chunk", "chunks_of"]

_CLEARED, _REPLACES = 1, 2  # bits of a frame's flags
_ALPHA = 0x10
_FRAME = 16  # bytes before a frame's chunks


@dataclass
class WebpFrames:
    """data: the file. ``cut``: whether it ends within a frame, which is none of ``count`` then."""

    data: bytes
    parts: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._size, self._plays, self.cut = (1, 1), 1, False
        for kind, start, length in chunks_of(self.data, 12):
            end = start + length
            if kind == b"VP8X":
                self._size = _number(self.data, start + 4) + 1, _number(self.data, start + 7) + 1
            elif kind == b"ANIM":
                (self._plays,) = struct.unpack_from("<H", self.data, start + 4)
            elif kind == b"ANMF" and (end > len(self.data) or length < _FRAME):
                self.cut = True
            elif kind == b"ANMF":
                self.parts.append((start, end))

    @property
    def count(self) -> int:
        return len(self.parts)

    @property
    def layout(self) -> Layout:
        durations = tuple(Fraction(_number(self.data, start + 12)) for start, _ in self.parts)
        return Layout(Size(*self._size), durations, self._plays)

    def blocks(self) -> Iterator[Block]:
        """Raises what Pillow does."""
        for start, end in self.parts:
            x, y = 2 * _number(self.data, start), 2 * _number(self.data, start + 3)
            flags = self.data[start + 15]
            then = "cleared" if flags & _CLEARED else "stays"
            yield Block(self._image(start, end), x, y, not flags & _REPLACES, then)  # type: ignore[arg-type]

    def _image(self, start: int, end: int) -> Image.Image:
        """The part alone, RGBA."""
        check_area(_number(self.data, start + 6) + 1, _number(self.data, start + 9) + 1)
        inner = self.data[start + _FRAME : end]
        alone = {kind: inner[at : at + length] for kind, at, length in chunks_of(inner, 0)}
        body = b"WEBP"
        if b"ALPH" in alone:
            sides = self.data[start + 6 : start + 12]  # less one, as the chunk VP8X wants them
            body += chunk(b"VP8X", bytes([_ALPHA, 0, 0, 0]) + sides) + chunk(b"ALPH", alone[b"ALPH"])
        for kind in (b"VP8 ", b"VP8L"):
            if kind in alone:
                body += chunk(kind, alone[kind])
        whole = b"RIFF" + struct.pack("<I", len(body)) + body
        with Image.open(BytesIO(whole), formats=["WEBP"]) as image:
            image.load()
            return image.convert("RGBA")


def chunks_of(data: bytes, position: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and length of what each chunk holds."""
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        yield kind, position + 8, length
        position += 8 + length + length % 2


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(data)) + data + b"\x00" * (len(data) % 2)


def _number(data: bytes, place: int) -> int:
    """Of 24 bits."""
    return int.from_bytes(data[place : place + 3], "little")
