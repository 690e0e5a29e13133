"""Pictures of more than 8 bits per channel, read at their full depth.

Pillow keeps the upper 8 of 16 bits wherever there are colours. It takes the other 8 where it is told that the bytes lie
the other way round: two readings make the whole. Kinds of TIFF that Pillow does not know are read by tifffile or OpenCV
where they are installed (``deep_tiffs``).
"""

from __future__ import annotations

import re
import struct
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from ..depths import Bits, top_of
from ..errors import PictureReadError, UnsupportedPictureError
from . import deep_tiffs
from .finite import finite
from .opening import Opened, opened_image
from .pixels import Pixels

__all__ = ["bits_told", "deep_modes", "is_deep", "read_deep", "two_readings"]

_SIXTEEN = re.compile(r";16([BLN]?)$")
_GREY = ("I", "F")
_MOST_HEADER = 4096  # bytes of a PPM's header


def deep_modes(image: Image.Image) -> list[str]:
    """How pixels of more than 8 bits lie in the file, in Pillow's words; empty where they are of 8."""
    arguments = [tile[3] for tile in getattr(image, "tile", [])]
    modes = [str(a[0] if isinstance(a, tuple) and a else a) for a in arguments]
    deep = [mode for mode in modes if re.search(r";(16|32)", mode) and not mode.startswith("BGR;16")]
    if image.format == "PPM" and not deep:
        tops = [a[-1] for a in arguments if isinstance(a, tuple) and isinstance(a[-1], int) and a[-1] > 255]
        return ["PPM" for _ in tops]
    return deep or [image.mode for _ in arguments if image.mode.startswith(_GREY)]


def is_deep(opened: Opened) -> bool:
    """Whether ``read_deep`` is to read it."""
    kind = opened.tiff
    return bool(deep_modes(opened.image)) or (kind is not None and max(kind.bits) > 8)


def bits_told(opened: Opened) -> Bits:
    """Of each channel, as ``read_picture`` will give it."""
    if not is_deep(opened):
        return 8
    kind = opened.tiff
    floating = opened.image.mode == "F" if kind is None else 3 in kind.formats or max(kind.bits) > 16
    return 32 if floating else 16


def read_deep(opened: Opened, what: str, notes: list[str]) -> Pixels:
    """All its bits, as it lies in the file.

    Raises PictureReadError, UnsupportedPictureError, and what readers raise.
    """
    image = opened.image
    if image.format == "PNG":
        pixels = _png(opened)
    elif image.format == "PPM":
        pixels = _ppm(opened.file, what)
    elif image.format == "TIFF" and opened.tiff is not None:
        pixels = deep_tiffs.read(opened, what, notes, two_readings)
    else:
        raise UnsupportedPictureError(
            what, f"it is a {image.format} with more than 8 bits per channel", "convert it to PNG or TIFF first"
        )
    return finite(pixels, notes)


# -- Pillow twice ------------------------------------------------------------------------------------------------------


def _png(opened: Opened) -> Pixels:
    image, key = opened.image, opened.image.info.get("transparency")
    mode = str(opened.image.tile[0][3])  # type: ignore[attr-defined]
    if mode.startswith("LA"):
        # Four bytes of a px are four bytes, whatever they are called; Pillow has no other way for this kind.
        planes = np.asarray(_opened_again(_called_rgba(opened.file)))
        planes = planes[..., 0::2].astype(np.uint16) << 8 | planes[..., 1::2]
        return Pixels(np.ascontiguousarray(planes[..., :1]), np.ascontiguousarray(planes[..., 1]), "LA")
    planes = _grey(image) if image.mode.startswith("I") else two_readings(opened.file, image)
    if planes.shape[2] == 4:
        return Pixels(np.ascontiguousarray(planes[..., :3]), np.ascontiguousarray(planes[..., 3]), "RGBA")
    mode = "L" if planes.shape[2] == 1 else "RGB"
    if key is None:
        return Pixels(planes, None, mode)
    is_key = (planes == np.array(key).reshape(-1)).all(axis=2)
    return Pixels(planes, np.where(is_key, np.uint16(0), np.uint16(top_of(16))), mode + "A")


def _grey(image: Image.Image) -> np.ndarray:
    """(H, W, 1) uint16 of a picture of the mode I or I;16."""
    image.load()
    return np.asarray(image).astype(np.uint16)[:, :, None]


def two_readings(file: BinaryIO, image: Image.Image) -> np.ndarray:
    """(H, W, C) uint16 of colours with 16 bits each that Pillow has a reader for. image: the file, opened."""
    modes = set(deep_modes(image))
    found = _SIXTEEN.search(next(iter(modes))) if len(modes) == 1 else None
    if found is None or image.mode.startswith(_GREY) or "a;" in found.string:  # it divides by alpha, in 8 bits
        raise _NotPillowsError
    order = found[1] or "L"
    if order == "N":
        order = "L" if sys.byteorder == "little" else "B"
    kind = image.format or ""
    upper = _reading(file, kind, order)
    lower = _reading(file, kind, {"L": "B", "B": "L"}[order])
    planes = upper.astype(np.uint16)
    planes <<= 8
    planes |= lower
    return planes


class _NotPillowsError(UnsupportedPictureError):
    """Pillow has no reader for this kind."""

    def __init__(self) -> None:
        super().__init__("cannot read this picture", "its pixels lie in a way that is not read here", "")


def _reading(file: BinaryIO, kind: str, order: str) -> np.ndarray:
    """(H, W, C) uint8: of each value the byte that is the upper one if they lie in this order."""
    file.seek(0)
    with opened_image(BytesIO(file.read()), kind) as image:  # a copy: older Pillow closes the file of a TIFF
        tiles = image.tile  # type: ignore[attr-defined]
        image.tile = [_with_mode(tile, lambda mode: _SIXTEEN.sub(f";16{order}", mode)) for tile in tiles]  # type: ignore[attr-defined]
        image.load()
        return np.asarray(image)


def _with_mode(tile: Any, renamed: Callable[[str], str]) -> Any:
    arguments = tile[3]
    if isinstance(arguments, tuple):
        return (*tile[:3], (renamed(arguments[0]), *arguments[1:]))
    return (*tile[:3], renamed(arguments))


def _called_rgba(png: BinaryIO) -> BinaryIO:
    """A PNG of grey and alpha of 16 bits, called one of RGBA of 8."""
    png.seek(0)
    data = bytearray(png.read())
    data[24:26] = bytes((8, 6))
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return BytesIO(bytes(data))


def _opened_again(file: BinaryIO) -> Image.Image:
    image = opened_image(file, "PNG")
    image.load()
    return image


# -- PPM ---------------------------------------------------------------------------------------------------------------


def _ppm(file: BinaryIO, what: str) -> Pixels:
    """Netpbm's PGM and PPM of more than 255 levels, which Pillow makes 8 bits of."""
    file.seek(0)
    words, place = _ppm_header(file.read(_MOST_HEADER))
    width, height, top = (int(word) for word in words[1:4])
    channels = {b"P2": 1, b"P5": 1, b"P3": 3, b"P6": 3}.get(words[0])
    if channels is None or not 255 < top <= 65535:
        raise _NotPillowsError
    file.seek(place)
    count = width * height * channels
    if words[0] in (b"P5", b"P6"):
        values = np.frombuffer(file.read(2 * count), ">u2")
    else:
        values = np.array(re.sub(rb"#[^\n]*", b"", file.read()).split()[:count], np.uint32)
    if len(values) < count:
        raise PictureReadError(what, "the file ends early: rows of pixels are missing", "download or export it again")
    planes = values.reshape(height, width, channels).astype(np.uint64)
    # From so many levels to 65535, halves up.
    planes = np.minimum((planes * 2 * 65535 + top) // (2 * top), 65535)
    return Pixels(planes.astype(np.uint16), None, "L" if channels == 1 else "RGB")


def _ppm_header(head: bytes) -> tuple[list[bytes], int]:
    """Its four words, and where the pixels begin."""
    words: list[bytes] = []
    place = 0
    while len(words) < 4:
        found = re.compile(rb"(?:\s|#[^\n]*\n)*([^\s#]+)").match(head, place)
        if found is None:
            raise _NotPillowsError
        words.append(found[1])
        place = found.end()
    return words, place + 1
