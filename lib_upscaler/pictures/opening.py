"""A picture file opened: its pixels for Pillow, and what else stands in it, found format by format."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from ..errors import PictureReadError, UnsupportedPictureError
from . import gifs, jpegs, plugins, pngs, tiffs, webps
from .containers import CONVERT, Contained, open_container
from .formats import READ_FORMATS
from .metadata import Found
from .numberless import numberless

__all__ = ["CONVERT", "Opened", "open_picture", "opened_file", "opened_image"]

_AGAIN = "download or export it again"
_SIGNATURES = {pngs.SIGNATURE: "PNG", b"\xff\xd8\xff": "JPEG", b"RIFF": "WebP", b"GIF8": "GIF", b"BM": "BMP"}


@dataclass
class Opened:
    """image: opened, not loaded. file: where its pixels come from. length: bytes of the whole file.

    What follows is there for its own format alone: jpeg: to see whether all rows are there. tiff: the kind of its
    samples. box: of the first frame on a GIF's canvas. contained: of a HEIC, AVIF, JPEG XL or JPEG 2000.
    """

    image: Image.Image
    found: Found
    file: BinaryIO
    length: int = 0
    jpeg: jpegs.Jpeg | None = None
    tiff: tiffs.TiffKind | None = None
    box: tuple[int, int, int, int] | None = None
    contained: Contained | None = None

    @property
    def mode(self) -> str:
        """Pillow's mode of its samples."""
        return self.image.mode if self.contained is None else self.contained.mode


@contextlib.contextmanager
def opened_file(path: Path, what: str) -> Iterator[BinaryIO]:
    """The file, to be read; what stands in the way comes out in words. Raises PictureReadError."""
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


def open_picture(file: BinaryIO, what: str, whole: bool) -> Opened:
    """What is in the file. whole: its pixels will be asked for; else those of a PNG are not read.

    Raises PictureReadError, UnsupportedPictureError, and what Pillow raises.
    """
    head = file.read(1024)
    if not head:
        raise PictureReadError(what, "the file is empty", _AGAIN)
    length = file.seek(0, 2)
    try:
        opened = _by_format(file, head, what, whole)
        opened.length = length
        return opened
    except UnidentifiedImageError as error:
        for signature, name in _SIGNATURES.items():
            if head.startswith(signature):
                raise PictureReadError(what, f"it begins as a {name}, but is damaged or ends early", _AGAIN) from error
        raise PictureReadError(what, _why_no_picture(head), f"use {', '.join(READ_FORMATS)} files") from error


def _by_format(file: BinaryIO, head: bytes, what: str, whole: bool) -> Opened:
    file.seek(0)
    if head.startswith(pngs.SIGNATURE):
        pixels, found = pngs.take_apart(file, what, whole)
        return Opened(opened_image(pixels, "PNG"), found, pixels)
    if head.startswith(b"\xff\xd8\xff"):
        jpeg, found = jpegs.take_apart(file.read())
        if why := jpeg.why_not():
            raise UnsupportedPictureError(what, why, CONVERT)
        pixels = jpeg.file()
        image = opened_image(pixels, "JPEG")
        _add_jfif_density(found, image)
        return Opened(image, found, pixels, jpeg=jpeg)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        pixels, found = webps.take_apart(file.read())
        return Opened(opened_image(pixels, "WEBP"), found, pixels)
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return _tiff(file, what)
    if head.startswith((b"GIF87a", b"GIF89a")):
        gif = gifs.look_into(file.read())
        file.seek(0)
        return Opened(opened_image(file, "GIF"), gif.found, file, box=gif.box)
    if (contained_kind := plugins.kind_of(head)) is not None:
        contained = open_container(contained_kind, file, what)
        return Opened(contained.image, contained.found, file, contained=contained)
    image = opened_image(
        file, *(name for name in READ_FORMATS if name not in ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "GIF"))
    )
    return Opened(image, _found_in_plain(image, file, head), file)


def opened_image(file: BinaryIO, *formats: str) -> Image.Image:
    """Opened by Pillow, not loaded, however large it is: what fits into memory is looked at elsewhere."""
    Image.init()
    known = [name for name in formats if name in Image.OPEN]
    file = numberless(file) if known == ["TIFF"] else file
    try:
        return Image.open(file, formats=known)
    except Image.DecompressionBombError:
        for name in known:
            with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):
                file.seek(0)
                return Image.OPEN[name][0](file, "")
        raise


def _tiff(file: BinaryIO, what: str) -> Opened:
    kind = tiffs.kind_of(file)
    if kind and (why := kind.why_not()):
        raise UnsupportedPictureError(what, why, CONVERT)
    if kind and (missing := kind.missing()):
        raise PictureReadError(what, f"{missing} of the pieces that its pixels lie in are not in the file", _AGAIN)
    file.seek(0)
    try:
        image = opened_image(file, "TIFF")
    except UnidentifiedImageError:
        copy = tiffs.as_pillow_knows(file, kind) if kind else None
        deep = tiffs.in_eight_bits(file, kind) if kind and copy is None and max(kind.bits) > 8 else None
        if kind is None or (copy is None and kind.is_plain):
            why = "the file is damaged or incomplete: what describes its pixels is broken or missing"
            raise PictureReadError(what, why, _AGAIN) from None
        if copy is None and deep is None:
            raise UnsupportedPictureError(what, f"its pixels are {kind.in_words()}", CONVERT) from None
        if copy is not None:
            file, image = copy, opened_image(copy, "TIFF")
        elif deep is not None:
            image = _described(deep, kind, what)
    if kind and kind.photometric == tiffs.YCBCR:
        tiffs.by_libtiff(image)
    found = tiffs.found_in_tiff(image)
    found.frames = kind.pictures if kind else 1
    return Opened(image, found, file, tiff=kind)


def _described(copy: BinaryIO, kind: tiffs.TiffKind, what: str) -> Image.Image:
    """Of a kind that Pillow does not know, what stands beside the pixels. Raises UnsupportedPictureError."""
    try:
        return opened_image(copy, "TIFF")
    except UnidentifiedImageError:
        raise UnsupportedPictureError(what, f"its pixels are {kind.in_words()}", CONVERT) from None


def _add_jfif_density(found: Found, image: Image.Image) -> None:
    if "jfif_unit" in image.info:
        x, y = image.info["jfif_density"]
        unit = image.info["jfif_unit"]
        if unit in (1, 2) or x != y:  # as many across as down in no length says nothing
            found.add_density(x, y, {1: 1.0, 2: 2.54}.get(unit))


def _found_in_plain(image: Image.Image, file: BinaryIO, head: bytes) -> Found:
    """Of the formats that say little: BMP, PPM, TGA."""
    found = Found()
    if image.format == "BMP":
        x, y = image.info.get("dpi", (0, 0))
        found.add_density(x, y, 1.0)
        found.icc = _profile_of_bmp(file, head)
    elif image.format == "TGA" and isinstance(image.info.get("id_section"), bytes):
        found.add_comment(image.info["id_section"])
    elif image.format == "PPM":
        # A comment stands in the header: behind the two letters, and before the pixels.
        for line in re.findall(rb"#([^\n]*)\n", re.split(rb"\n\d+\s+\d+\s+\d*\s", head, maxsplit=1)[0] + b"\n"):
            found.add_comment(line.strip())
    return found


def _profile_of_bmp(file: BinaryIO, head: bytes) -> bytes | None:
    """The profile in a BMP of version 5, which says where it is from the end of its first header on."""
    if len(head) < 14 + 124 or struct.unpack_from("<I", head, 14)[0] < 124 or head[14 + 56 : 14 + 60] != b"DEBM":
        return None
    start, length = struct.unpack_from("<II", head, 14 + 112)
    place = file.tell()
    file.seek(14 + start)
    profile = file.read(min(length, 64 << 20))
    file.seek(place)
    return profile


def _why_no_picture(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "it is a web page, not a picture"
    if start.startswith((b"<svg", b"<?xml")):
        return "it is a drawing or text in XML, not a picture made of pixels"
    if not re.search(rb"[\x00-\x08\x0e-\x1f]", head):
        return "it is text, not a picture"
    kind = _other_kind(head)
    if kind:
        return f"it is {kind}, which is not read here"
    return "it is not a picture of a known kind, or its beginning is damaged"


def _other_kind(head: bytes) -> str:
    """Sound pictures that are none of ours, whatever their names say."""
    if head[4:8] == b"ftyp":
        return "a camera's raw data" if head[8:12] == b"crx " else "a film"
    starts = {
        b"8BPS": "a Photoshop document",
        b"%PDF": "a PDF",
        b"DDS ": "a DirectDraw surface",
        b"qoif": "a QOI",
        b"\x00\x00\x01\x00": "a Windows icon",
    }
    return next((name for start, name in starts.items() if head.startswith(start)), "")
