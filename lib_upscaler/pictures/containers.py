"""HEIC, AVIF, JPEG XL and JPEG 2000: what the file says, joined with the pixels that its reader gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import Image

from ..errors import PictureReadError, UnsupportedPictureError
from . import heifs, jp2s, jxls, plugins
from .exif import PREFIX
from .metadata import Found
from .spaces import in_own_mode

__all__ = ["CONVERT", "MAX_PIXELS", "Contained", "open_container", "too_large"]

CONVERT = "convert it to 8-bit grey, RGB or RGBA in a picture editor first"

MAX_PIXELS = 178_956_970
"""Pillow's own limit, for files whose reader unpacks them before anything else can be looked at."""


@dataclass
class Contained:
    """image: opened, not loaded. own_mode: Pillow's, true of its samples; None: the one it has. palette: (entries,
    channels) uint8, of samples that are numbers in it. last_is_other: whether its last channel is no transparency.
    """

    image: Image.Image
    found: Found = field(default_factory=Found)
    own_mode: str | None = None
    palette: np.ndarray | None = None
    last_is_other: bool = False

    @property
    def mode(self) -> str:
        """Pillow's mode of what ``taken_right`` gives."""
        if self.palette is not None:
            return {1: "L", 3: "RGB"}.get(self.palette.shape[1], "RGBA")
        if self.last_is_other:
            return self.image.mode.rstrip("A")
        return self.own_mode or self.image.mode

    def taken_right(self, image: Image.Image) -> Image.Image:
        """``image``, loaded, with its samples taken for what they are."""
        if self.palette is not None:
            numbers = np.minimum(np.asarray(image), len(self.palette) - 1)
            colors = self.palette[numbers]
            return Image.fromarray(colors[..., 0] if colors.shape[2] == 1 else colors)
        if self.last_is_other and image.mode in ("LA", "RGBA"):
            return image.getchannel("L") if image.mode == "LA" else image.convert("RGB")
        return image if self.own_mode is None else in_own_mode(image, self.own_mode)


def open_container(kind: plugins.Kind, file: BinaryIO, what: str) -> Contained:
    """A file of that kind. Raises PictureReadError, UnsupportedPictureError."""
    file.seek(0)
    data = file.read()
    opener = {plugins.HEIF: _heif, plugins.AVIF: _avif, plugins.JXL: _jxl, plugins.JP2: _jp2}[kind]
    return opener(data, what)


def _heif(data: bytes, what: str) -> Contained:
    told = heifs.look_into(data)
    image, found = plugins.opened(plugins.HEIF, BytesIO(data), what), told.found
    _add_parts(found, image)
    found.is_turned = True  # by its reader
    if found.aspect and told.orientation in (5, 6, 7, 8):
        found.aspect = found.aspect[::-1]
    _tell_depth(found, told.bits)
    return Contained(image, found)


def _avif(data: bytes, what: str) -> Contained:
    told = heifs.look_into(data)
    image, found = plugins.opened(plugins.AVIF, BytesIO(data), what), told.found
    _add_parts(found, image)
    found.frames = getattr(image, "n_frames", 1)
    found.orientation = told.orientation
    if told.is_cropped:
        found.notes.append("what it wants cut off at its edges is not cut off")
    _tell_depth(found, told.bits)
    return Contained(image, found)


def _jxl(data: bytes, what: str) -> Contained:
    told = jxls.look_into(data)
    if told.size and told.size[0] * told.size[1] > MAX_PIXELS:
        raise too_large(told.size, what)
    if told.is_cmyk:
        raise UnsupportedPictureError(what, "it is a JPEG XL in CMYK, which is not read here", CONVERT)
    if not told.bits:
        raise UnsupportedPictureError(what, "it is a JPEG XL in floating point", CONVERT)
    image, found = plugins.opened(plugins.JXL, BytesIO(data), what), told.found
    _add_parts(found, image)
    if getattr(image, "jpeg", False):  # what was packed without loss comes out as it was, not turned
        found.orientation = told.orientation
    else:
        found.is_turned = True
    _tell_depth(found, told.bits)
    if told.is_animated:
        found.notes.append("it is an animation; only its first frame is upscaled")
    mode = {"LA": "La", "RGBA": "RGBa"}.get(image.mode) if told.premultiplied else None
    return Contained(image, found, mode)


def _jp2(data: bytes, what: str) -> Contained:
    told = jp2s.look_into(data)
    if why := told.why_not():
        raise UnsupportedPictureError(what, f"it is a JPEG 2000, and {why}", CONVERT)
    if told.missing:
        raise PictureReadError(
            what, "the file ends early: data of its pixels are missing", "download or export it again"
        )
    if told.own_mode == "YCbCr":
        data = jp2s.unconverted(data)
    if not told.has_end:  # its reader wants the marker
        data = data.removesuffix(b"\xff") + b"\xff\xd9"
    image, found = plugins.opened(plugins.JP2, BytesIO(data), what), told.found
    if not told.has_end:
        found.notes.append("its end marker is missing; all its pixels are there")
    if told.has_further_channel:
        found.notes.append("its last channel is no transparency, as the file says; it was left out")
    return Contained(image, found, told.own_mode, told.palette, told.has_further_channel)


def too_large(size: tuple[int, int], what: str) -> PictureReadError:
    """The error for a picture of more than MAX_PIXELS."""
    why = f"{size[0]}x{size[1]} px are more than can be opened safely"
    return PictureReadError(what, why, "make it smaller first")


def _add_parts(found: Found, image: Image.Image) -> None:
    """What every reader keeps in ``info``."""
    exif, xmp, icc = (image.info.get(key) for key in ("exif", "xmp", "icc_profile"))
    if isinstance(exif, bytes) and exif:
        found.exif = exif if exif.startswith(PREFIX) else PREFIX + exif
    if isinstance(xmp, bytes) and xmp:
        found.add_xmp(xmp)
    if isinstance(icc, bytes) and icc and found.icc is None:
        found.icc, found.colors = icc, None


def _tell_depth(found: Found, bits: int) -> None:
    """Readers give 8 bits. A reader of all of them belongs before ``plugins.opened``, where ``bits`` is above 8."""
    if bits > 8:
        found.notes.append(f"its {bits} bits per channel were read as 8")
