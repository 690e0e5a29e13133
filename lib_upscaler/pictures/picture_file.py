"""Picture files: read with everything worth keeping, written whole or not at all.

Nothing here changes a pixel, except that the EXIF orientation is applied, once.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import struct
import threading
import uuid
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo, iTXt

from ..errors import PictureReadError, PictureWriteError, RequestError, UnsupportedPictureError
from ..geometry import Size
from ..planning.sizing import check_format
from .exif import orientation_of, with_size, with_user_comment, without_structure
from .pixels import check_mode

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "Metadata",
    "OutputFormat",
    "PictureHeader",
    "SourcePicture",
    "is_picture_path",
    "output_format",
    "output_formats",
    "read_header",
    "read_picture",
    "write_picture",
]

MAX_PIXELS = 178_956_970
"""Larger pictures are not opened: Pillow's own limit, kept here also where a host has turned Pillow's off."""

READ_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "GIF", "PPM", "TGA")
# fmt: off
READ_SUFFIXES = frozenset((
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".tif", ".tiff", ".bmp", ".gif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".tga",
))
# fmt: on
DEFAULT_JPEG_QUALITY = 95

# Run-length matching on the filtered rows. Real photos enlarged to 2048x2048: 0.11 to 0.35 s and 0.98 / 3.05 / 1.03 MB;
# zlib's usual matching took as long at level 1 (1.25 / 3.84 / 1.26 MB), 0.25 to 0.65 s at 4 (0.97 / 3.24 / 1.03 MB),
# 0.4 to 1.7 s at 6, Pillow's default (0.90 / 3.14 / 0.96 MB).
_PNG_EFFORT = {"compress_level": 1, "compress_type": 3}
# Lossless WebP at Pillow's defaults takes 3.4 s for 2048x2048, this 0.9 s, for 2% more bytes.
_WEBP_LOSSLESS = {"lossless": True, "exact": True, "method": 1, "quality": 20}

_EXIF_LIMIT = {"JPEG": 65_533}  # one APP1 segment
_PARAMETERS = "parameters"  # the PNG text in which the WebUI keeps its prompt and settings
_RAW_EXIF = "Raw profile type exif"  # where ImageMagick keeps EXIF in a PNG
_XMP = "XML:com.adobe.xmp"
_XMP_ORIENTATION = re.compile(r"""\s*tiff:Orientation=["'](\d)["']|<tiff:Orientation>(\d)</tiff:Orientation>""")

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
class OutputFormat:
    """A format that results can be written in.

    name: Pillow's name. alpha: whether it stores transparency. quality: whether it takes a quality, 1 to 100.
    """

    name: str
    alpha: bool
    quality: bool


_PNG = OutputFormat("PNG", alpha=True, quality=False)
_JPEG = OutputFormat("JPEG", alpha=False, quality=True)
_WEBP = OutputFormat("WEBP", alpha=True, quality=True)
_TIFF = OutputFormat("TIFF", alpha=True, quality=False)
_BMP = OutputFormat("BMP", alpha=False, quality=False)

FORMATS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _WEBP,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": _BMP,
}
"""File suffix, in small letters, to format."""


@dataclass(frozen=True)
class Metadata:
    """What a picture file says beside its pixels.

    exif: begins with ``Exif\\0\\0``; without orientation and thumbnail. text: a PNG's text, ``parameters`` included.
    dpi: horizontal and vertical pixels per inch.
    """

    icc_profile: bytes | None = None
    exif: bytes | None = None
    text: dict[str, str] = field(default_factory=dict)
    dpi: tuple[float, float] | None = None


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


def is_picture_path(path: str | os.PathLike[str]) -> bool:
    """Whether the name is that of a picture that can be read; not hidden files, such as macOS's ``._*``."""
    path = Path(path)
    return path.suffix.lower() in READ_SUFFIXES and not path.name.startswith(".")


def output_formats() -> tuple[str, ...]:
    """The formats that can be asked for, as suffixes without a dot, one each."""
    return ("png", "jpg", "webp", "tiff", "bmp")


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


# ---------------------------------------------------------------------------------------------------- reading


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
        _, orientation = _metadata(image, True, notes)
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
        image.info["exif"] = _exif_of_tiff(image)
    image.load()
    metadata, orientation = _metadata(image, frames > 1, notes)
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


def _metadata(image: Image.Image, animated: bool, notes: list[str]) -> tuple[Metadata, int]:
    """The metadata of a loaded image, and the orientation that is still to be applied, 1 to 8."""
    text = _text(image, animated)
    exif, orientation = _exif(image, text, notes)
    text.pop(_RAW_EXIF, None)
    if _XMP in text:
        found = _XMP_ORIENTATION.search(text[_XMP])
        if found and exif is None:
            orientation = int(found.group(1) or found.group(2))
        if found:
            text[_XMP] = iTXt(_XMP_ORIENTATION.sub("", text[_XMP]))
    return Metadata(_icc_profile(image, notes), exif, text, _dpi(image)), orientation


def _text(image: Image.Image, animated: bool) -> dict[str, str]:
    if image.format != "PNG":
        return {}
    # ``text`` also knows what follows the pixels, but moves an animation to its last frame.
    found = image.info if animated else {**image.info, **image.text}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _exif(image: Image.Image, text: dict[str, str], notes: list[str]) -> tuple[bytes | None, int]:
    try:
        raw = image.info.get("exif")
        if not raw and _RAW_EXIF in text:
            raw = bytes.fromhex("".join(text[_RAW_EXIF].split("\n")[3:]))
        if not raw:
            return None, 1
        return without_structure(raw), orientation_of(raw)
    except ValueError:
        notes.append("its EXIF data is damaged and was left out")
        return None, 1


def _exif_of_tiff(image: Image.Image) -> bytes | None:
    """The EXIF of a TIFF that is not loaded yet; after that, older Pillow has closed the file.

    A TIFF's own directory holds it together with the description of the file. No orientation: Pillow applies that of
    a TIFF itself. What cannot be read comes back as bytes that are no EXIF.
    """
    exif = Image.Exif()
    try:
        source = image.getexif()
        for tag in (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298):
            if source.get(tag):
                exif[tag] = source[tag]
        for directory in (0x8769, 0x8825):
            if tags := dict(source.get_ifd(directory)):
                exif[directory] = tags
        return exif.tobytes() if len(exif) else None
    except Exception:  # noqa: BLE001 - Pillow's reader of directories raises anything; none is worth the picture
        return b"damaged"


def _icc_profile(image: Image.Image, notes: list[str]) -> bytes | None:
    if "icc_profile" not in image.info:
        return None
    profile = image.info["icc_profile"]
    if isinstance(profile, bytes) and len(profile) >= 128 and profile[36:40] == b"acsp":
        return profile
    notes.append("its colour profile is damaged and was left out")
    return None


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if all(math.isfinite(v) and 0 < v < 65_535 for v in (x, y)) else None


# ---------------------------------------------------------------------------------------------------- writing


def write_picture(
    image: Image.Image,
    path: str | os.PathLike[str],
    metadata: Metadata,
    *,
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Write ``image`` (L, LA, RGB, RGBA) beside ``path`` under another name and rename it; return warnings.

    PNG keeps all metadata. JPEG (quality 95 unless given, 4:4:4) and TIFF (lossless) keep profile, EXIF and dpi, WebP
    (lossless unless a quality is given) profile and EXIF; these keep the PNG text ``parameters`` as EXIF UserComment,
    as the WebUI does. A TIFF with EXIF is uncompressed: libtiff takes none through Pillow. BMP keeps dpi alone.
    ``quality`` is ignored by lossless formats. On any error, Ctrl-C included, nothing is left behind.
    Raises RequestError (suffix, format, quality, alpha in JPEG or BMP), SizeError, PictureWriteError.
    """
    path = Path(path)
    target = output_format(path, format)
    _check_request(image, path, target, quality)
    what = f"cannot write {path.name!r}"
    if not overwrite and os.path.lexists(path):
        raise _exists(what)
    notes: list[str] = []
    extras = _metadata_options(image, target, metadata, notes)
    encoder = _encoder_options(target, quality, with_exif="exif" in extras)
    # A short name of its own, hidden, so that neither a folder scan nor a limit on lengths trips over it.
    unfinished = path.with_name(f".truescale-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        _save(image, unfinished, target, encoder, extras, notes)
        if overwrite:
            os.replace(unfinished, path)
        else:
            _publish_new(unfinished, path)
    except FileExistsError as error:
        raise _exists(what) from error
    except OSError as error:
        raise PictureWriteError(what, *_why_not_written(error, path)) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
    return tuple(notes)


def _check_request(image: Image.Image, path: Path, target: OutputFormat, quality: int | None) -> None:
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise ValueError(f"a result has the mode L, LA, RGB or RGBA, not {image.mode}")
    if image.mode.endswith("A") and not target.alpha:
        raise RequestError(
            f"cannot write {path.name!r}", f"{target.name} stores no transparency", "use PNG, or put it on a background"
        )
    if quality is not None and (isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100):
        raise RequestError(f"the quality {quality!r} is not possible", "it is a whole number from 1 to 100")
    check_format(Size(*image.size), target.name, len(image.getbands()))


def _encoder_options(target: OutputFormat, quality: int | None, with_exif: bool) -> dict[str, object]:
    if target is _PNG:
        return dict(_PNG_EFFORT)
    if target is _JPEG:
        return {"quality": quality or DEFAULT_JPEG_QUALITY, "subsampling": 0, "optimize": False}
    if target is _WEBP:
        return dict(_WEBP_LOSSLESS) if quality is None else {"quality": quality, "method": 4}
    if target is _TIFF:
        if with_exif:
            return {"compression": "raw"}
        # The predictor (horizontal differences) halves what LZW makes of a photo.
        return {"compression": "tiff_lzw", "tiffinfo": {317: 2}}
    return {}


def _metadata_options(
    image: Image.Image, target: OutputFormat, metadata: Metadata, notes: list[str]
) -> dict[str, object]:
    """What Pillow's writer is given besides the pixels; ``notes`` tell what the format cannot keep."""
    options: dict[str, object] = {}
    if metadata.dpi and target is not _WEBP:
        options["dpi"] = metadata.dpi
    profile = _fitting_profile(metadata.icc_profile, image.mode, target, notes)
    if target is _BMP:
        if profile or metadata.exif or metadata.text:
            notes.append("BMP keeps no colour profile, EXIF or text; they were left out")
        return options
    # None would make Pillow look for one in the image itself.
    options["icc_profile"] = profile or b""
    if target is _PNG:
        options["pnginfo"] = _png_text(metadata.text, notes)
    elif lost := sorted(set(metadata.text) - {_PARAMETERS}):
        notes.append(f"{target.name} cannot keep the text {', '.join(map(repr, lost))}; it was left out")
    exif = _exif_to_write(image, target, metadata, notes)
    if exif is not None:
        options["exif"] = exif
    return options


def _fitting_profile(profile: bytes | None, mode: str, target: OutputFormat, notes: list[str]) -> bytes | None:
    """The profile, unless it is for another kind of colour: readers would show wrong colours or fail."""
    kind = b"GRAY" if mode.startswith("L") and target is not _WEBP else b"RGB "  # WebP stores grey as RGB
    if profile is None or profile[16:20] == kind:
        return profile
    notes.append(f"the colour profile is not for {'grey' if kind == b'GRAY' else 'RGB'} pictures; it was left out")
    return None


def _png_text(text: dict[str, str], notes: list[str]) -> PngInfo:
    info = PngInfo()
    for key, value in text.items():
        name = key.encode("latin-1", "ignore")
        if not 1 <= len(name) <= 79 or len(name) != len(key) or "\x00" in key:
            notes.append(f"the text {key[:40]!r} has no valid name for a PNG; it was left out")
        elif isinstance(value, iTXt):
            info.add_itxt(key, value, getattr(value, "lang", "") or "", getattr(value, "tkey", "") or "")
        else:
            info.add_text(key, value)
    return info


def _exif_to_write(image: Image.Image, target: OutputFormat, metadata: Metadata, notes: list[str]) -> bytes | None:
    exif = metadata.exif
    try:
        if exif is not None:
            exif = with_size(exif, *image.size)
        if target is not _PNG and _PARAMETERS in metadata.text:
            exif = with_user_comment(exif, metadata.text[_PARAMETERS])
    except ValueError:
        notes.append("its EXIF data is damaged and was left out")
        return None
    if exif is not None and len(exif) > _EXIF_LIMIT.get(target.name, len(exif)):
        notes.append(f"its EXIF data is too long for {target.name} and was left out")
        return None
    return exif


def _save(
    image: Image.Image,
    path: Path,
    target: OutputFormat,
    encoder: dict[str, object],
    extras: dict[str, object],
    notes: list[str],
) -> None:
    """Encode into a new file; once more without ``extras``, the metadata, where the encoder chokes on it."""
    with path.open("xb") as file:
        try:
            image.save(file, format=target.name, **encoder, **extras)
        except (ValueError, TypeError, KeyError, struct.error, RuntimeError, zlib.error):
            file.seek(0)
            file.truncate()
            try:
                image.save(file, format=target.name, **encoder)
            except (ValueError, RuntimeError) as error:
                raise PictureWriteError("cannot write the result", f"{target.name} failed ({error})") from error
            notes.append(f"its metadata could not be written as {target.name} and was left out")


def _publish_new(unfinished: Path, path: Path) -> None:
    """Give the finished file its name; FileExistsError if somebody else has taken it meanwhile."""
    if os.name == "nt":
        os.rename(unfinished, path)  # refuses to overwrite, there
        return
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links (FAT, some network drives): take the name, then fill it.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.replace(unfinished, path)


def _exists(what: str) -> PictureWriteError:
    return PictureWriteError(what, "there is a file of that name already", "choose another name, or allow overwriting")


def _why_not_written(error: OSError, path: Path) -> tuple[str, str]:
    """Reason and advice, in words."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return "the disk is full", "free some space, or choose another folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "writing there is not permitted", "choose another folder"
    if error.errno == errno.EISDIR:
        return "there is a folder of that name", "choose another name"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"there is no folder {str(path.parent)!r}", "create it first"
    if error.errno == errno.EFBIG:
        return "the file is larger than the disk allows", "choose another folder or a smaller size"
    if error.errno is None:  # an encoder of Pillow; it tells no reason
        return f"the file could not be finished ({error})", "check that the disk is not full"
    return error.strerror or str(error), ""
