"""An APNG written frame by frame: each chunk of pixels by Pillow, of each frame the rectangle that has changed.

Pillow's own writer (9.5 to 12.0) goes through the frames twice: of a generator it writes the first alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any, BinaryIO

from PIL import Image

from ...errors import PictureWriteError
from ..areas import Box, cropped, difference
from ..formats import PNG
from ..keeping import Keeping
from ..pixels import Pixels
from ..writing import encode
from .source import Frame
from .timing import as_fraction

__all__ = ["write_apng"]

_SIGNATURE = 8
_AT_REST = Box(0, 0, 1, 1)


def write_apng(
    frames: Iterable[tuple[Keeping, Frame]], file: BinaryIO, encoder: dict[str, Any], count: int, plays: int
) -> bool:
    """Write ``count`` frames of one size and mode; whether all times could be told exactly.

    The first one's Keeping says what stands beside the pixels. One that is not shown comes before all others. Two
    frames are held, packed and not. Raises PictureWriteError, OSError.
    """
    writer = _Writer(file, encoder, count, plays)
    for keeping, frame in frames:
        writer.add(keeping, frame)
    writer.end()
    return writer.is_exact


class _Writer:
    def __init__(self, file: BinaryIO, encoder: dict[str, Any], count: int, plays: int) -> None:
        self._file, self._encoder, self._count, self._plays = file, encoder, count, plays
        self._number = 0
        self._behind: list[bytes] = []
        self._is_open = self._has_still = False
        self._before: Pixels | None = None
        self.is_exact = True

    def add(self, keeping: Keeping, frame: Frame) -> None:
        picture = keeping.pixels
        if not self._is_open:
            pixels = self._begin(keeping)
            box = Box(0, 0, *picture.size)
        else:
            # A frame is drawn on what the one before has left; there is none when the first is drawn.
            box = Box(0, 0, *picture.size) if self._before is None else difference(self._before, picture) or _AT_REST
            pixels = _pixels(_packed(cropped(picture, box), self._encoder))
        if not frame.shown:
            self._has_still = True
            for data in pixels:
                self._chunk(b"IDAT", data)
            return
        self._control(box, frame)
        for data in pixels:
            if not self._has_still and self._before is None:
                self._chunk(b"IDAT", data)
            else:
                self._chunk(b"fdAT", struct.pack(">I", self._next()) + data)
        self._before = picture

    def end(self) -> None:
        if self._before is None:
            raise PictureWriteError("cannot write the result", "it has no frames")
        for chunk in self._behind:
            self._file.write(chunk)

    def _begin(self, keeping: Keeping) -> Iterator[bytes]:
        """All that stands before the pixels of the first picture; its pixels."""
        buffer = BytesIO()
        encode(keeping, buffer, PNG, self._encoder)
        data = buffer.getvalue()
        self._file.write(data[:_SIGNATURE])
        pixels = []
        for kind, whole in _chunks(data):
            if kind == b"IDAT":
                pixels.append(whole[8:-4])
            elif pixels:
                self._behind.append(whole)
            else:
                self._file.write(whole)
        self._chunk(b"acTL", struct.pack(">II", self._count, self._plays))
        self._is_open = True
        return iter(pixels)

    def _control(self, box: Box, frame: Frame) -> None:
        delay = as_fraction(frame.duration)
        self.is_exact = self.is_exact and delay[0] * 1000 == frame.duration * delay[1]
        places = (*box.size, box.left, box.top, *delay)
        self._chunk(b"fcTL", struct.pack(">IIIIIHHBB", self._next(), *places, 0, 0))

    def _next(self) -> int:
        self._number += 1
        return self._number - 1

    def _chunk(self, kind: bytes, data: bytes) -> None:
        self._file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


def _packed(image: Image.Image, encoder: dict[str, Any]) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", icc_profile=b"", **encoder)
    return buffer.getvalue()


def _pixels(data: bytes) -> Iterator[bytes]:
    return (whole[8:-4] for kind, whole in _chunks(data) if kind == b"IDAT")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = _SIGNATURE
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, data[position : position + 12 + length]
        position += 12 + length
