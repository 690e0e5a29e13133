"""Which files are pictures, and which formats results can be written in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import RequestError, SizeError
from ..geometry import Size

__all__ = [
    "BMP",
    "FORMATS",
    "GIF",
    "JPEG",
    "PNG",
    "READ_FORMATS",
    "READ_SUFFIXES",
    "TIFF",
    "WEBP",
    "OutputFormat",
    "check_format",
    "is_picture_path",
    "kind_by_name",
    "output_format",
    "output_formats",
    "suffix_of",
]

READ_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "GIF", "PPM", "TGA")

# fmt: off
READ_SUFFIXES = frozenset((
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".tif", ".tiff", ".bmp", ".gif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".tga",
))
# fmt: on


_OTHER_KINDS = {
    ".heic": "HEIC",
    ".heif": "HEIF",
    ".hif": "HEIF",
    ".avif": "AVIF",
    ".jxl": "JPEG XL",
    ".jp2": "JPEG 2000",
    ".j2k": "JPEG 2000",
    ".jpx": "JPEG 2000",
}
"""Pictures that are not read, by their suffixes."""


@dataclass(frozen=True)
class OutputFormat:
    """A format that results can be written in.

    name: Pillow's name. alpha: whether it stores transparency. quality: whether it takes a quality, 1 to 100.
    frames: whether it holds the frames of an animation (a TIFF: as pages). pages: whether pages of different sizes.
    """

    name: str
    alpha: bool
    quality: bool
    frames: bool = False
    pages: bool = False


PNG = OutputFormat("PNG", alpha=True, quality=False, frames=True)
JPEG = OutputFormat("JPEG", alpha=False, quality=True)
WEBP = OutputFormat("WEBP", alpha=True, quality=True, frames=True)
TIFF = OutputFormat("TIFF", alpha=True, quality=False, frames=True, pages=True)
GIF = OutputFormat("GIF", alpha=True, quality=False, frames=True)
BMP = OutputFormat("BMP", alpha=False, quality=False)

FORMATS = {
    ".png": PNG,
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".webp": WEBP,
    ".tif": TIFF,
    ".tiff": TIFF,
    ".gif": GIF,
    ".bmp": BMP,
}
"""File suffix, in small letters, to format."""


def is_picture_path(path: str | os.PathLike[str]) -> bool:
    """Whether the name is that of a picture that can be read; not hidden files, such as macOS's ``._*``."""
    path = Path(path)
    return path.suffix.lower() in READ_SUFFIXES and not path.name.startswith(".")


def kind_by_name(path: str | os.PathLike[str]) -> str:
    """What a file that is not read is called where such files are counted: "HEIC", ".txt" or "without a suffix"."""
    suffix = Path(path).suffix
    return _OTHER_KINDS.get(suffix.lower(), suffix or "without a suffix")


def output_formats() -> tuple[str, ...]:
    """The formats that can be asked for, as suffixes without a dot, one each."""
    return ("png", "jpg", "webp", "tiff", "gif", "bmp")


def suffix_of(target: OutputFormat) -> str:
    """The usual one, with its dot."""
    return next(f".{name}" for name in output_formats() if FORMATS[f".{name}"] is target)


def output_format(path: str | os.PathLike[str], format: str | None = None) -> OutputFormat:
    """The format for a path and, if given, a name such as ``png`` or ``JPEG``. Raises RequestError."""
    suffix = Path(path).suffix.lower()
    by_suffix = FORMATS.get(suffix)
    choices = f"use one of {', '.join(output_formats())}"
    if format is None:
        if by_suffix is None:
            raise RequestError(f"cannot write {Path(path).name!r}", f"unknown file type {suffix!r}", choices)
        return by_suffix
    asked = FORMATS.get("." + format.lower().lstrip("."))
    if asked is None:
        raise RequestError(f"unknown format {format!r}", "", choices)
    if by_suffix not in (None, asked):
        raise RequestError(
            f"cannot write {Path(path).name!r} as {asked.name}", "the name says another format", "change one of them"
        )
    return asked


# Longest side in px: what the format's own fields can say; JPEG: what libjpeg allows.
_FORMAT_SIDE = {"JPEG": 65_500, "WEBP": 16_383, "PNG": 2**31 - 1, "TIFF": 2**31 - 1, "GIF": 65_535, "BMP": 2**31 - 1}

# Bytes of pixels: offsets of 32 bits, less 64 MiB for headers, profiles and what LZW may add to noise.
_FORMAT_BYTES = {"TIFF": 2**32 - 2**26, "BMP": 2**32 - 2**26}


def check_format(size: Size, format_name: str, channels: int = 4) -> None:
    """Refuse, before any work, a size that the file format cannot hold.

    format_name: Pillow's name (JPEG, WEBP, PNG, TIFF, GIF, BMP). channels: bytes per pixel. Raises SizeError.
    """
    name = format_name.upper()
    what = f"cannot store {size} px as {name}"
    limit = _FORMAT_SIDE.get(name)
    if limit is None:
        raise RequestError(f"cannot write the format {format_name!r}", "", f"use one of {', '.join(_FORMAT_SIDE)}")
    if size.longest > limit:
        raise SizeError(what, f"this format holds at most {limit} px on a side", "ask for a smaller size, or use PNG")
    if size.area * channels > _FORMAT_BYTES.get(name, size.area * channels):
        raise SizeError(what, "this format holds at most 4 GB", "ask for a smaller size, or use PNG")
