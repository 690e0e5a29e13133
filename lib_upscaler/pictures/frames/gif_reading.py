"""The frames of a GIF as it lies in the file (GIF89a): each with its part of the canvas, its table and its time."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO

import numpy as np
from PIL import Image

from ...geometry import Size
from ..gif_parts import behind, table_bytes
from .blocks import Block, Layout, Then, check_area

__all__ = ["GifFrames"]

_HUNDREDTH = Fraction(10)  # ms
_THEN: dict[int, Then] = {2: "cleared", 3: "taken back"}
_REPEATING = (b"NETSCAPE2.0", b"ANIMEXTS1.0")


@dataclass
class _Control:
    """What the block before a frame says of it."""

    delay: int = 0
    disposal: int = 0
    transparent: int | None = None


@dataclass
class _Part:
    """left, top, width, height: on the canvas. head: flags of the frame. table: of colours. packed: the pixels."""

    left: int
    top: int
    width: int
    height: int
    flags: int
    table: bytes
    packed: tuple[int, int]
    control: _Control


@dataclass
class GifFrames:
    """data: the file. ``cut``: whether it ends within a frame, which is none of ``count`` then."""

    data: bytes
    parts: list[_Part] = field(default_factory=list)
    plays: int = 1
    cut: bool = False

    def __post_init__(self) -> None:
        try:
            self._look()
        except (IndexError, struct.error):
            self.cut = True

    def _look(self) -> None:
        self._common = self.data[13 : 13 + table_bytes(self.data[10])]
        position = 13 + table_bytes(self.data[10])
        control = _Control()
        while position < len(self.data):
            kind = self.data[position]
            if kind == 0x2C:
                position = self._frame(position, control)
                control = _Control()
            elif kind == 0x21:
                label = self.data[position + 1]
                if label == 0xF9:
                    control = self._control(position + 3)
                elif label == 0xFF and self.data[position + 3 : position + 14] in _REPEATING:
                    self._repetition(position + 14)
                position = self._behind_extension(position + 2)
            else:  # the end, or what is none of a GIF's blocks
                return

    @property
    def count(self) -> int:
        return len(self.parts)

    @property
    def layout(self) -> Layout:
        """The canvas is the file's, made larger where the first frame does not fit, as in browsers."""
        width, height = struct.unpack_from("<HH", self.data, 6)
        first = self.parts[0]
        size = Size(max(1, width, first.left + first.width), max(1, height, first.top + first.height))
        return Layout(size, tuple(part.control.delay * _HUNDREDTH for part in self.parts), self.plays)

    def blocks(self) -> Iterator[Block]:
        """Raises what Pillow does."""
        for part in self.parts:
            then = _THEN.get(part.control.disposal, "stays")
            yield Block(self._image(part), part.left, part.top, blend=True, then=then)

    def _frame(self, position: int, control: _Control) -> int:
        left, top, width, height, flags = struct.unpack_from("<HHHHB", self.data, position + 1)
        start = position + 10 + table_bytes(flags)
        end = behind(self.data, start + 1)
        table = self.data[position + 10 : start] or self._common
        self.parts.append(_Part(left, top, width, height, flags, table, (start, end), control))
        return end

    def _control(self, position: int) -> _Control:
        flags, delay, transparent = struct.unpack_from("<BHB", self.data, position)
        return _Control(delay, flags >> 2 & 7, transparent if flags & 1 else None)

    def _repetition(self, position: int) -> None:
        if self.data[position] == 3 and self.data[position + 1] == 1:
            (again,) = struct.unpack_from("<H", self.data, position + 2)
            self.plays = again + 1 if again else 0

    def _behind_extension(self, position: int) -> int:
        """An extension that the file ends in costs no frame."""
        try:
            return behind(self.data, position)
        except IndexError:
            return len(self.data)

    def _image(self, part: _Part) -> Image.Image:
        """The part alone, RGBA: as a GIF of one frame, whose numbers are looked up here."""
        if not part.width or not part.height:
            return Image.new("RGBA", (1, 1))
        check_area(part.width, part.height)
        whole = b"GIF89a" + struct.pack("<HHBBB", part.width, part.height, 0xF7, 0, 0)
        whole += bytes(number for level in range(256) for number in (level, level, level))
        whole += struct.pack("<BHHHHB", 0x2C, 0, 0, part.width, part.height, part.flags & 0x40)
        whole += self.data[slice(*part.packed)] + b";"
        with Image.open(BytesIO(whole), formats=["GIF"]) as image:
            numbers = np.asarray(image)
        colors = np.zeros((256, 4), np.uint8)
        colors[:, 3] = 255
        known = np.frombuffer(part.table, np.uint8).reshape(-1, 3)
        colors[: len(known), :3] = known
        if part.control.transparent is not None:
            colors[part.control.transparent] = 0
        return Image.fromarray(colors[numbers])
