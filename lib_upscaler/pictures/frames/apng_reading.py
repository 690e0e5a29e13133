"""The frames of an APNG (PNG, third edition, 4.9): each chunk of pixels as a PNG of its own."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO

from PIL import Image

from ...geometry import Size
from .blocks import Block, Layout, Then, check_area

__all__ = ["ApngFrames"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_THEN: dict[int, Then] = {1: "cleared", 2: "taken back"}
_GREY = (0, 4)  # types of colour


@dataclass
class _Part:
    """control: the chunk fcTL, without its number; None of the picture that is no frame. pixels: places of chunks."""

    control: bytes | None
    pixels: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class ApngFrames:
    """data: the file. ``told`` frames are announced; ``count`` are there."""

    data: bytes
    parts: list[_Part] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._header = self._table = self._transparency = b""
        self.told, self._plays = 0, 0
        position = len(_SIGNATURE)
        while position + 8 <= len(self.data):
            length, kind = struct.unpack_from(">I4s", self.data, position)
            start, end = position + 8, position + 8 + length
            if kind == b"IEND" or end > len(self.data):
                return
            self._add(kind, start, end)
            position = end + 4

    def _add(self, kind: bytes, start: int, end: int) -> None:
        content = self.data[start:end] if kind in (b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL") else b""
        if kind == b"IHDR":
            self._header = content
        elif kind == b"PLTE":
            self._table = _chunk(kind, content)
        elif kind == b"tRNS":
            self._transparency = _chunk(kind, content)
        elif kind == b"acTL":
            self.told, self._plays = struct.unpack(">II", content)
        elif kind == b"fcTL":
            self.parts.append(_Part(content[4:]))
        elif kind == b"IDAT":
            if not self.parts:
                self.parts.append(_Part(None))
            self.parts[0].pixels.append((start, end))
        elif kind == b"fdAT" and self.parts:
            self.parts[-1].pixels.append((start + 4, end))

    @property
    def hidden(self) -> bool:
        return bool(self.parts) and self.parts[0].control is None

    @property
    def count(self) -> int:
        """Frames whose pixels begin."""
        return sum(part.control is not None and bool(part.pixels) for part in self.parts)

    @property
    def deep(self) -> bool:
        return self._header[8] == 16

    @property
    def layout(self) -> Layout:
        width, height = struct.unpack_from(">II", self._header)
        controls = [part.control for part in self.parts if part.control is not None]
        durations = tuple(_milliseconds(*struct.unpack_from(">HH", control, 16)) for control in controls)
        return Layout(Size(width, height), durations, self._plays, self._header[9] in _GREY, self.hidden)

    def blocks(self) -> Iterator[Block]:
        """The hidden picture first, if there is one. Raises what Pillow does."""
        width, height = struct.unpack_from(">II", self._header)
        for number, part in enumerate(self.parts):
            x = y = then = over = 0
            size = width, height
            if part.control is not None:
                *size, x, y = struct.unpack_from(">IIII", part.control)  # type: ignore[assignment]
                then, over = part.control[20:22]
            # The frame that comes first has nothing to be taken back to.
            word = "cleared" if then == 2 and number == self.hidden else _THEN.get(then, "stays")
            word = "cleared" if part.control is None else word
            yield Block(self._image(part, *size), x, y, over == 1, word)

    def _image(self, part: _Part, width: int, height: int) -> Image.Image:
        """The part alone, RGBA."""
        check_area(width, height)
        header = struct.pack(">II", width, height) + self._header[8:]
        pixels = b"".join(self.data[start:end] for start, end in part.pixels)
        before = _chunk(b"IHDR", header) + self._table + self._transparency
        alone = _SIGNATURE + before + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
        with Image.open(BytesIO(alone), formats=["PNG"]) as image:
            image.load()
            return self._with_key_in_levels(image).convert("RGBA")

    def _with_key_in_levels(self, image: Image.Image) -> Image.Image:
        """Pillow scales grey of 1, 2 and 4 bits to 8, but not always the grey that is transparent."""
        if self._header[9] != 0 or self._header[8] > 4 or not self._transparency:
            return image
        (key,) = struct.unpack(">H", self._transparency[8:10])
        grey = image.convert("L") if image.mode == "1" else image
        grey.info["transparency"] = key * 255 // ((1 << self._header[8]) - 1)
        return grey


def _milliseconds(numerator: int, denominator: int) -> Fraction:
    """The delay is a fraction of a second; a denominator of 0 is 100."""
    return Fraction(1000 * numerator, denominator or 100)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
