"""Which files are pictures, and which formats results can be written in."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from ..depths import Bits
from ..errors import RequestError, SizeError
from ..geometry import Size
from . import plugins

__all__ = [
    "BMP",
    "EXR",
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
    ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".exr",
))
# fmt: on


@dataclass(frozen=True)
class OutputFormat:
    """A format that results can be written in.

    name: Pillow's name. alpha: whether it stores transparency. quality: whether it takes a quality, 1 to 100.
    depths: bits per channel that it can hold; 32: floating point.
    frames: whether it holds the frames of an animation (a TIFF: as pages). pages: whether pages of different sizes.
    """

    name: str
    alpha: bool
    quality: bool
    depths: tuple[Bits, ...] = (8,)
    frames: bool = False
    pages: bool = False

    def depth_for(self, bits: Bits) -> Bits:
        """The bits that a picture of so many is stored with: as many, else what comes closest."""
        return min(
            self.depths, key=lambda depth: (depth < bits, abs(depth - bits)) if bits <= max(self.depths) else -depth
        )

    @property
    def of_frames(self) -> OutputFormat:
        """What it holds of each frame, with a name for words: those of an animation have 8 bits here, not so pages."""
        return self if self.pages else replace(self, name=f"an animation in {self.name}", depths=(8,))


PNG = OutputFormat("PNG", alpha=True, quality=False, depths=(8, 16), frames=True)
JPEG = OutputFormat("JPEG", alpha=False, quality=True)
WEBP = OutputFormat("WEBP", alpha=True, quality=True, frames=True)
TIFF = OutputFormat("TIFF", alpha=True, quality=False, depths=(8, 16, 32), frames=True, pages=True)
GIF = OutputFormat("GIF", alpha=True, quality=False, frames=True)
EXR = OutputFormat("EXR", alpha=True, quality=False, depths=(16, 32))
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
    ".exr": EXR,
}
"""File suffix, in small letters, to format."""


def is_picture_path(path: str | os.PathLike[str]) -> bool:
    """Whether the name is that of a picture that can be read here; not hidden files, such as macOS's ``._*``.

    HEIC, AVIF, JPEG XL and JPEG 2000 can be where their reader is installed.
    """
    path = Path(path)
    if path.name.startswith("."):
        return False
    kind = plugins.kind_by_suffix(path)
    return path.suffix.lower() in READ_SUFFIXES or (kind is not None and plugins.can_read(kind))


def kind_by_name(path: str | os.PathLike[str]) -> str:
    """What a file that is not read is called where such files are counted: "HEIC", ".txt" or "without a suffix"."""
    suffix, kind = Path(path).suffix, plugins.kind_by_suffix(path)
    return kind.word if kind is not None else suffix or "without a suffix"


def output_formats() -> tuple[str, ...]:
    """The formats that can be asked for, as suffixes without a dot, one each."""
    return ("png", "jpg", "webp", "tiff", "gif", "bmp", "exr")


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
_FORMAT_SIDE = {
    **{name: 2**31 - 1 for name in ("PNG", "TIFF", "BMP", "EXR")},
    **{"JPEG": 65_500, "WEBP": 16_383, "GIF": 65_535},
}

# Bytes of pixels: offsets of 32 bits, less 64 MiB for headers. TIFF beyond that is BigTIFF.
_FORMAT_BYTES = {"BMP": 2**32 - 2**26}


def check_format(size: Size, format_name: str, channels: int = 4) -> None:
    """Refuse, before any work, a size that the file format cannot hold.

    format_name: Pillow's name (JPEG, WEBP, PNG, TIFF, GIF, BMP, EXR). channels: bytes per pixel. Raises SizeError.
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
