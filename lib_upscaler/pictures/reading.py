"""Picture files read with everything worth keeping.

Nothing here changes a pixel, except that the EXIF orientation is applied, once.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from ..errors import PictureReadError, UnsupportedPictureError
from ..geometry import Size
from .formats import READ_FORMATS
from .metadata import Metadata, exif_of_tiff, metadata_of
from .pixels import check_mode

__all__ = [
    "MAX_PIXELS",
    "PictureHeader",
    "SourcePicture",
    "read_header",
    "read_picture",
]

MAX_PIXELS = 178_956_970
"""Larger pictures are not opened: Pillow's own limit, kept here also where a host has turned Pillow's off."""

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Python's warning filters are shared by all threads; one reader at a time changes them.
_warning_filters = threading.Lock()


@dataclass(frozen=True)
class SourcePicture:
    """A picture as read: upright, of a mode that ``pixels.decompose`` takes.

    format: Pillow's name of the file's format. warnings: sentences without a full stop, for the user.
    """

    image: Image.Image
    metadata: Metadata
    format: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class PictureHeader:
    """What a file says of its picture before the pixels.

    size: upright. channels: of the colours, 1 (grey) or 3. alpha: whether there may be transparency.
    """

    size: Size
    channels: int
    alpha: bool


def read_picture(path: str | os.PathLike[str]) -> SourcePicture:
    """Read a picture file whole: its first frame upright, its metadata, and warnings.

    Broken metadata costs a warning, broken pixels the picture. Raises PictureReadError (missing, a folder, empty,
    truncated, no picture, more than MAX_PIXELS) and UnsupportedPictureError (16 bits per channel, CMYK and the like).
    """
    path = Path(path)
    what = f"cannot read {path.name!r}"
    notes: list[str] = []
    with _opening(path, what, notes) as image:
        format_name = "JPEG" if image.format == "MPO" else image.format
        upright, metadata = _loaded(image, path.name, what, notes)
    return SourcePicture(upright, metadata, format_name, tuple(notes))


def read_header(path: str | os.PathLike[str]) -> PictureHeader:
    """The size and kind of the picture that ``read_picture`` would give, without reading its pixels.

    An orientation that stands behind the pixels is not seen. Raises what ``read_picture`` does, as far as it shows.
    """
    path = Path(path)
    what = f"cannot read {path.name!r}"
    notes: list[str] = []
    with _opening(path, what, notes) as image:
        _check(image, what)
        alpha = image.mode.endswith("A") or "transparency" in image.info
        return PictureHeader(_upright_size(image, notes), 1 if image.mode in ("1", "L", "LA") else 3, alpha)


def _upright_size(image: Image.Image, notes: list[str]) -> Size:
    """Of an image that is not loaded."""
    if image.format == "TIFF":  # Pillow turns it by itself, some versions when it is loaded, others before
        width, height, orientation = image.tag_v2[256], image.tag_v2[257], image.tag_v2.get(274, 1)
    else:
        width, height = image.size
        _, orientation = metadata_of(image, True, notes)
    return Size(height, width) if orientation in (5, 6, 7, 8) else Size(width, height)


@contextlib.contextmanager
def _opening(path: Path, what: str, notes: list[str]) -> Iterator[Image.Image]:
    """The image, not loaded; whatever Pillow raises on it comes out in words."""
    try:
        with _opened(path, what) as file, _collected_warnings(notes), _identified(file, what, notes) as image:
            yield image
    except (PictureReadError, UnsupportedPictureError):
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise PictureReadError(what, "it is too large to open", "make it smaller first") from error
    except Exception as error:
        # Pillow's decoders raise almost anything on damaged data; whatever it is, the file cannot be read.
        raise PictureReadError(
            what, f"the file is damaged or incomplete ({error})", "download or export it again"
        ) from error


@contextlib.contextmanager
def _opened(path: Path, what: str) -> Iterator[BinaryIO]:
    try:
        if path.is_dir():
            raise PictureReadError(what, "it is a folder", "name the pictures in it")
        if path.exists() and not path.is_file():
            raise PictureReadError(what, "it is not a regular file")
        file = path.open("rb")
    except FileNotFoundError as error:
        raise PictureReadError(what, f"there is no file {str(path)!r}", "check the name and the folder") from error
    except PermissionError as error:
        raise PictureReadError(what, "access is denied", "check the permissions of the file") from error
    except (OSError, ValueError) as error:
        raise PictureReadError(what, getattr(error, "strerror", None) or str(error)) from error
    with file:
        yield file


@contextlib.contextmanager
def _collected_warnings(notes: list[str]) -> Iterator[None]:
    """Pillow's warnings become ``notes``, except that about large pictures: MAX_PIXELS is the rule for those."""
    with _warning_filters, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        text = " ".join(str(warning.message).split()).rstrip(".")
        # Pillow's notes on its own future are for programmers.
        if not issubclass(warning.category, (Image.DecompressionBombWarning, DeprecationWarning)) and text not in notes:
            notes.append(text)


def _identified(file: BinaryIO, what: str, notes: list[str]) -> Image.Image:
    """The image, opened but not loaded."""
    head = file.read(1024)
    file.seek(0)
    if not head:
        raise PictureReadError(what, "the file is empty", "download or export it again")
    Image.init()
    formats = [name for name in READ_FORMATS if name in Image.OPEN]
    try:
        return Image.open(file, formats=formats)
    except Image.DecompressionBombError:
        raise
    except (UnidentifiedImageError, ValueError, SyntaxError, OSError) as error:
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            file.seek(0)
            with contextlib.suppress(UnidentifiedImageError, ValueError, SyntaxError, OSError):
                image = Image.open(BytesIO(_png_without_metadata(file.read())), formats=["PNG"])
                notes.append("its metadata is damaged and was left out")
                return image
        if not isinstance(error, UnidentifiedImageError):
            raise
        raise PictureReadError(what, _why_no_picture(head), f"use {', '.join(READ_FORMATS)} files") from error


def _why_no_picture(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "it is a web page, not a picture"
    if start.startswith((b"<svg", b"<?xml")):
        return "it is a drawing or text in XML, not a picture made of pixels"
    if not re.search(rb"[\x00-\x08\x0e-\x1f]", head):
        return "it is text, not a picture"
    return "it is not a picture of a known kind, or its beginning is damaged"


def _png_without_metadata(data: bytes) -> bytes:
    """The PNG with nothing but the chunks that its pixels need."""
    kept, position = [data[:8]], 8
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(data[position : position + 12 + length])
        position += 12 + length
    return b"".join(kept)


def _loaded(image: Image.Image, name: str, what: str, notes: list[str]) -> tuple[Image.Image, Metadata]:
    """The pixels, upright and free of ``info`` but for a transparent colour, and the metadata."""
    _check(image, what)
    raw_mode = _raw_modes(image)[0]
    frames = _frame_count(image)
    if frames > 1:
        notes.append(f"{name} has {frames} frames; only the first is upscaled")
    if image.format == "TIFF":
        image.info["exif"] = exif_of_tiff(image)
    image.load()
    metadata, orientation = metadata_of(image, frames > 1, notes)
    upright = image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image.copy()
    upright.info = _transparency(image, raw_mode)
    return upright, metadata


def _check(image: Image.Image, what: str) -> None:
    """Refuse, before its pixels are read, what is too large or would come out wrong."""
    if image.width * image.height > MAX_PIXELS:
        raise PictureReadError(
            what, f"{image.width}x{image.height} px are more than can be opened safely", "make it smaller first"
        )
    check_mode(image.mode)
    _check_depth(image)


def _frame_count(image: Image.Image) -> int:
    if image.format == "MPO":  # a photo with previews or a gain map behind it, not an animation
        return 1
    try:
        return getattr(image, "n_frames", 1)
    except (EOFError, OSError, ValueError, SyntaxError):  # a later frame is damaged; the first need not be
        return 1


def _raw_modes(image: Image.Image) -> list[str]:
    """How the pixels lie in the file, in Pillow's words, one for each tile."""
    arguments = [tile[3] for tile in image.tile]
    return [str(a[0] if isinstance(a, tuple) and a else a) for a in arguments] or [""]


def _check_depth(image: Image.Image) -> None:
    """Refuse 16 bits per channel, which Pillow reduces to 8 without a word (``BGR;16`` is 5-6-5 bits, and fine)."""
    deep = any(re.search(r";(16[BLN]|32)", mode) for mode in _raw_modes(image))
    if image.format == "PPM":
        deep = deep or any(isinstance(t[3], tuple) and isinstance(t[3][-1], int) and t[3][-1] > 255 for t in image.tile)
    if deep:
        raise UnsupportedPictureError(
            "cannot upscale this picture", "it has 16 bits per channel", "convert it to 8 bits per channel first"
        )


def _transparency(image: Image.Image, raw_mode: str) -> dict[str, object]:
    """The transparent colour of the picture, in 8-bit levels; no other ``info`` is kept with the pixels."""
    key = image.info.get("transparency")
    if key is None:
        return {}
    if image.format == "PNG" and isinstance(key, int):
        # Pillow scales grey of 2 and 4 bits to 8, but not the grey that is transparent.
        key *= {"L;2": 85, "L;4": 17}.get(raw_mode, 1)
    return {"transparency": key}
