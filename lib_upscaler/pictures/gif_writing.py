"""A GIF written frame by frame: of each what has changed, in its best 256 colours, and nothing of it held for long.

Pillow's own writer of animations (9.5 to 12.0) collects all frames first, and makes one of frames that are alike; what
is at rest it shows up to 29 levels differently from frame to frame. Here Pillow packs single frames, and the blocks
around them are ours (GIF89a).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import Image

from ..errors import PictureWriteError
from . import gif_parts
from .areas import Box, around, changed, joined
from .gif_colors import CLEAR, Palette, palette_for
from .keeping import Keeping
from .pixels import Pixels

__all__ = ["HALF", "write_gif"]

HALF = 128
"""The least alpha that is shown: a GIF knows none in between."""

_STAYS, _CLEARED = 1, 2  # what becomes of a frame when the next one comes
_LEFT_AS_IT_WAS = Box(0, 0, 1, 1)


@dataclass
class _Frame:
    """rgb: (H, W, 3) uint8. seen, drawn: (H, W) bool, what is not transparent, and what of it is not there yet.

    box: what the block covers. hundredths: of a second.
    """

    rgb: np.ndarray
    seen: np.ndarray
    drawn: np.ndarray
    box: Box
    hundredths: int
    then: int = _STAYS


def write_gif(frames: Iterable[tuple[Pixels, int]], file: BinaryIO, keeping: Keeping, plays: int = 1) -> None:
    """Write frames (of 8 bits and one size) with their times in hundredths of a second, one block each.

    keeping: of the first frame, for what else stands in the file; its notes get what a GIF cannot show. plays: 0
    without end. What is the same as before keeps its pixels, so that nothing at rest flickers. Two frames are held.
    Raises PictureWriteError, OSError.
    """
    writer = _Writer(file, keeping, plays)
    before: _Frame | None = None
    pixels_before: Pixels | None = None
    for pixels, hundredths in frames:
        now = _Frame(*_planes(pixels, keeping.notes), *_nothing(pixels), hundredths)
        if before is None:
            now.drawn, now.box = now.seen, Box(0, 0, *pixels.size)
        elif pixels is not pixels_before:
            _compare(before, now)
        if before is not None:
            writer.add(before)
        before, pixels_before = now, pixels
    if before is None:
        raise PictureWriteError("cannot write the result", "it has no frames")
    writer.add(before)
    writer.end()


def _planes(pixels: Pixels, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    rgb = np.broadcast_to(pixels.color, (*pixels.color.shape[:2], 3))
    if pixels.alpha is None:
        return rgb, np.ones(rgb.shape[:2], bool)
    note = "GIF knows no transparency in between: what is less than half there is transparent, the rest is opaque"
    if note not in notes and ((pixels.alpha > 0) & (pixels.alpha < 255)).any():
        notes.append(note)
    return rgb, pixels.alpha >= HALF


def _nothing(pixels: Pixels) -> tuple[np.ndarray, Box]:
    return np.zeros(pixels.color.shape[:2], bool), _LEFT_AS_IT_WAS


def _compare(before: _Frame, now: _Frame) -> None:
    """What is to be drawn ``now``, and whether ``before`` has to be cleared away first: only all of a block can be."""
    gone = around(before.seen & ~now.seen)
    left = before.seen
    if gone is not None:
        before.then, before.box = _CLEARED, joined(before.box, gone)
        left = left.copy()
        left[before.box.rows, before.box.columns] = False
    now.drawn = now.seen & (~left | changed(before.rgb, now.rgb))
    now.box = around(now.drawn) or _LEFT_AS_IT_WAS


class _Writer:
    """The file, block by block."""

    def __init__(self, file: BinaryIO, keeping: Keeping, plays: int) -> None:
        self._file, self._keeping, self._plays = file, keeping, plays
        self._common: Palette | None = None
        self._palette: Palette | None = None

    def add(self, frame: _Frame) -> None:
        self._palette = palette = self._palette_of(frame)
        if self._common is None:
            self._common = palette
            self._begin(frame, palette)
        box = frame.box
        drawn = frame.drawn[box.rows, box.columns]
        indices = np.full(drawn.shape, CLEAR, np.uint8)
        indices[drawn] = palette.indices(frame.rgb[box.rows, box.columns][drawn])
        self._file.write(struct.pack("<BBBBHBB", 0x21, 0xF9, 4, frame.then << 2 | 1, frame.hundredths, CLEAR, 0))
        own = palette is not self._common
        flags = 0x87 if own else 0
        self._file.write(struct.pack("<BHHHHB", 0x2C, box.left, box.top, *indices.shape[::-1], flags))
        self._file.write((palette.table() if own else b"") + _packed(indices))

    def _palette_of(self, frame: _Frame) -> Palette:
        """The one before as long as it does: a new one would show what has not changed a little differently."""
        if self._palette is not None and not frame.drawn.any():
            return self._palette
        return palette_for(frame.rgb, frame.seen, self._palette, self._keeping.notes)

    def _begin(self, frame: _Frame, palette: Palette) -> None:
        height, width = frame.seen.shape
        told = self._keeping.options.get("aspect", 0)
        self._file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, CLEAR, told))
        self._file.write(palette.table() + gif_parts.repetition(self._plays) + self._keeping.chunks)

    def end(self) -> None:
        self._file.write(b";")


def _packed(indices: np.ndarray) -> bytes:
    """(H, W) uint8 by Pillow's LZW, as it follows a frame's header. Called grey: then no palette is touched."""
    buffer = BytesIO()
    Image.fromarray(indices).save(buffer, "GIF", optimize=False, interlace=0)
    data = buffer.getvalue()
    position = 13 + gif_parts.table_bytes(data[10])
    while data[position] == 0x21:  # an extension
        position = gif_parts.behind(data, position + 2)
    position += 10 + gif_parts.table_bytes(data[position + 9])
    return data[position : gif_parts.behind(data, position + 1)]
