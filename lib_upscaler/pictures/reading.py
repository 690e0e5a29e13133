"""Picture files read with everything worth keeping, part by part: what is damaged costs itself alone, and is told.

No pixel is changed, except that the orientation is applied, once, that a channel which is no transparency is left out,
and that colours which are neither grey nor RGB become RGB.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from ..depths import Bits
from ..errors import PictureReadError, UnsupportedPictureError
from ..geometry import Size
from . import deep_tiffs, exrs, fourth
from .alpha import NEARLY_OPAQUE
from .colours import is_srgb, tags_to_srgb
from .deep import bits_told, deep_modes, is_deep, read_deep
from .formats import READ_FORMATS
from .frames.tiff_pages import view_from
from .handed import found_in_info
from .jpegs import first_missing_row
from .metadata import PARAMETERS, Metadata, settled
from .opening import CONVERT, Opened, open_picture, opened_file
from .pixels import Pixels, compose, decompose, turned
from .readers_warnings import collected_warnings
from .spaces import check_space, plain_space
from .stealth import hidden_text
from .tiffs import cut_strips

__all__ = [
    "READ_FORMATS",
    "PictureHeader",
    "SourcePicture",
    "as_srgb",
    "picture_of",
    "read_header",
    "read_metadata",
    "read_picture",
    "upright",
]

_OTHER_KIND = re.compile("unsupported|not supported|cannot handle", re.IGNORECASE)
"""What Pillow says of sound files that it cannot read."""

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class SourcePicture:
    """A picture as read: upright.

    image: of 8 bits, of a mode that ``pixels.decompose`` takes; or its planes where it has more.
    format: Pillow's name of the file's format. warnings: sentences without a full stop, for the user.
    """

    image: Image.Image | Pixels
    metadata: Metadata
    format: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class PictureHeader:
    """size: upright. channels: of the colours, 1 (grey) or 3. alpha: whether there may be transparency.

    bits: of each channel, 8, 16 or 32 (floating point).
    """

    size: Size
    channels: int
    alpha: bool
    bits: Bits = 8


def read_picture(path: str | os.PathLike[str], page: int | None = None) -> SourcePicture:
    """Read a picture file whole: its first frame upright, its metadata, and warnings.

    page: of a TIFF, where the directory of the one to read lies (``frames.tiff_pages``).
    Broken metadata costs a warning, broken or missing pixels the picture. Raises PictureReadError (missing, a folder,
    empty, truncated, no picture, larger than memory) and UnsupportedPictureError (a kind that is not read here, no
    reader ...).
    """
    path = Path(path)
    what = f"cannot read {path.name!r}"
    notes: list[str] = []
    if exrs.is_exr(path):
        with opened_file(path, what):
            pixels, metadata = exrs.read(path, what, notes)
        return SourcePicture(pixels, metadata, "EXR", tuple(notes))
    with _opening(path, what, notes, whole=True, page=page) as opened:
        if opened.found.frames > 1 and page is None:
            notes.append(f"{path.name} has {opened.found.frames} frames; only the first is upscaled")
        image = _pixels(opened, what, notes)
        upright, metadata = _settled(image, opened, notes)
    return SourcePicture(upright, metadata, opened.image.format or "", tuple(dict.fromkeys(notes)))


def read_metadata(path: str | os.PathLike[str]) -> tuple[Metadata, int, tuple[str, ...]]:
    """What stands beside the pixels, the orientation that is still to be applied, and warnings.

    Raises what ``read_picture`` does, as far as it shows without the pixels.
    """
    path = Path(path)
    notes: list[str] = []
    with _opening(path, f"cannot read {path.name!r}", notes, whole=True) as opened:
        metadata, orientation = settled(opened.found, opened.image.size, notes)
    return metadata, orientation, tuple(dict.fromkeys(notes))


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The picture with its orientation, as EXIF counts them, applied."""
    return _turned(image, orientation) if orientation in _TRANSPOSE else image


def picture_of(image: Image.Image, turn: bool = False) -> SourcePicture:
    """A picture that somebody else has opened, treated as one that is read from its file, as far as Pillow keeps it.

    turn: whether the orientation in its EXIF is still to be applied. Raises UnsupportedPictureError, as for files.
    """
    check_space(image.mode)
    _check_depth(image)
    notes: list[str] = []
    raw_mode = _raw_modes(image)[0]
    found = found_in_info(image)
    plain = image.copy()
    plain.info = _transparency(image, raw_mode)
    metadata, orientation = settled(found, image.size, notes)
    if not turn:
        metadata = replace(metadata, size=image.size)
    elif orientation in _TRANSPOSE:
        plain = _turned(plain, orientation)
    plain, metadata = _in_plain_space(plain, metadata, notes)
    plain, metadata = _without_hidden_text(plain, metadata, notes)
    return SourcePicture(plain, metadata, image.format or "", tuple(dict.fromkeys(notes)))


def as_srgb(picture: SourcePicture) -> SourcePicture:
    """For whoever can keep a profile but not a PNG's colour tags: the picture in sRGB, and that said.

    Unchanged where nothing is told of its colours, or a profile tells it.
    """
    tags, metadata = picture.metadata.colors, picture.metadata
    if tags is None or is_srgb(tags) or (metadata.icc_profile is not None and tags.code is None):
        return picture
    converted = tags_to_srgb(decompose(picture.image), tags)
    if converted is None:
        note = f"its colours ({tags.names()}) cannot be converted to sRGB here; they will look different"
        return replace(picture, warnings=(*picture.warnings, note))
    note = f"its colours ({tags.names()}) were converted to sRGB"
    metadata = replace(metadata, colors=None, icc_profile=None)
    image = compose(converted.color, converted.alpha, converted.mode) if converted.bits == 8 else converted
    return replace(picture, image=image, metadata=metadata, warnings=(*picture.warnings, note))


def read_header(path: str | os.PathLike[str], page: int | None = None) -> PictureHeader:
    """The size and kind of the picture that ``read_picture`` would give, without reading its pixels.

    An orientation that stands behind the pixels is not seen. Raises what ``read_picture`` does, as far as it shows.
    """
    path = Path(path)
    what = f"cannot read {path.name!r}"
    notes: list[str] = []
    if exrs.is_exr(path):
        with opened_file(path, what):
            size, channels, alpha = exrs.header(path, what)
        return PictureHeader(size, channels, alpha, 32)
    with _opening(path, what, notes, whole=False, page=page) as opened:
        image, mode = opened.image, opened.mode
        alpha = (mode.endswith(("A", "a")) and fourth.declared_alpha(opened.tiff)) or "transparency" in image.info
        outside = opened.box is not None and not _covers(opened.box, image.size)
        grey = mode in ("1", "L", "LA", "La") or mode.startswith(("I", "F")) or "LA;16B" in deep_modes(image)
        return PictureHeader(_upright_size(opened, notes), 1 if grey else 3, alpha or outside, bits_told(opened))


def _upright_size(opened: Opened, notes: list[str]) -> Size:
    image = opened.image
    if image.format == "TIFF":  # Pillow turns it by itself, some versions when it is loaded, others before
        tags = image.tag_v2  # type: ignore[attr-defined]
        width, height, orientation = int(tags[256]), int(tags[257]), tags.get(274, 1)
    else:
        width, height = image.size
        _, orientation = settled(opened.found, image.size, notes)
    return Size(height, width) if orientation in (5, 6, 7, 8) else Size(width, height)


# -- opening -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _opening(path: Path, what: str, notes: list[str], whole: bool, page: int | None = None) -> Iterator[Opened]:
    """The picture, checked and not loaded; whatever Pillow raises on it comes out in words."""
    try:
        with opened_file(path, what) as file, collected_warnings(notes):
            opened = open_picture(file if page is None else view_from(file, page), what, whole)
            with opened.image:
                _check(opened, what)
                yield opened
    except (PictureReadError, UnsupportedPictureError):
        raise
    except MemoryError as error:
        raise PictureReadError(what, "there is not enough memory for it", "close other programs") from error
    except Exception as error:
        # Pillow's decoders raise almost anything on damaged data; whatever it is, the file cannot be read.
        if _OTHER_KIND.search(str(error)):
            raise UnsupportedPictureError(what, f"it is of a kind that is not read here ({error})", CONVERT) from error
        detail = "" if re.fullmatch(r"-?\d*", str(error)) else f" ({error})"  # libtiff's are numbers
        raise PictureReadError(
            what, f"the file is damaged or incomplete{detail}", "download or export it again"
        ) from error


def _check(opened: Opened, what: str) -> None:
    """Refuse, before its pixels are read, what is too large or would come out wrong."""
    image = opened.image
    deep = is_deep(opened)
    pixel_bytes = image.width * image.height * _CHANNELS.get(image.mode, 4) * bits_told(opened) // 8
    if image.width * image.height > _LARGE and pixel_bytes > _MOST_PACKED * opened.length:
        raise PictureReadError(
            what,
            f"the file is damaged, or made to fill up memory: its {image.width}x{image.height} px do not fit into"
            f" {opened.length:,} bytes",
            "download or export it again",
        )
    need = 3 * pixel_bytes  # Pillow's, a copy or the planes, and one more while they are put together
    free = psutil.virtual_memory().available
    if need > free:
        raise PictureReadError(
            what,
            f"its {image.width}x{image.height} px take {need / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free",
            "close other programs, or make it smaller first",
        )
    if not deep:
        check_space(image.mode)
    elif opened.tiff is not None:
        deep_tiffs.check_kind(opened.tiff, what)


_LARGE = 178_956_970
"""px. Pillow's own limit; what is larger must look as if it were whole, and fit into memory."""
_MOST_PACKED = 1100
"""Bytes of pixels in one of a file. Deflate comes to 1032."""
_CHANNELS = {"1": 1, "L": 1, "LA": 2, "P": 1, "RGB": 3}


def _check_depth(image: Image.Image) -> None:
    """Refuse 16 bits per channel of a picture that somebody else has opened: Pillow has reduced them to 8."""
    if deep_modes(image):
        raise UnsupportedPictureError(
            "cannot upscale this picture", "it has 16 bits per channel", "convert it to 8 bits per channel first"
        )


def _raw_modes(image: Image.Image) -> list[str]:
    """How the pixels lie in the file, in Pillow's words, one for each tile."""
    arguments = [tile[3] for tile in getattr(image, "tile", [])]
    return [str(a[0] if isinstance(a, tuple) and a else a) for a in arguments] or [""]


# -- pixels ------------------------------------------------------------------------------------------------------------


def _pixels(opened: Opened, what: str, notes: list[str]) -> Image.Image | Pixels:
    """Loaded, with its channels taken for what they are, as it lies in the file. Raises PictureReadError."""
    image = opened.image
    if is_deep(opened):
        return read_deep(opened, what, notes)
    raw_mode = _raw_modes(image)[0]
    if opened.jpeg is not None:
        row = first_missing_row(opened.jpeg, image.size)
        if row is not None:
            why = f"the file ends early: of {image.height} rows of pixels those from {row + 1} on are not there in full"
            raise PictureReadError(what, why, "download or export it again")
        if not opened.jpeg.complete:
            notes.append("its end marker is missing; all its pixels are there")
    if opened.tiff is not None and (strips := cut_strips(opened.file, opened.tiff)):
        notes.append(f"rows of its pixels may be missing: {strips} of its strips end early")
        opened.file.seek(0)
    told = image.size
    image.load()
    plain = image.copy()
    plain.info = _transparency(image, raw_mode)
    if opened.contained is not None:
        if image.size != told:
            notes.append(f"it says that it has {told[0]}x{told[1]} px, and has {image.width}x{image.height}")
        return opened.contained.taken_right(plain)
    if opened.tiff is not None:
        return fourth.of_tiff(plain, opened.tiff, notes)
    if image.format == "TGA" and image.mode == "RGBA":
        return fourth.of_tga(plain, opened.file, notes)
    if opened.box is not None and not _covers(opened.box, image.size):
        notes.append("its first frame covers a part of the picture; what lies around it is transparent")
        return _on_empty_canvas(plain, opened.box)
    return plain


def _covers(box: tuple[int, int, int, int], size: tuple[int, int]) -> bool:
    return box[0] <= 0 and box[1] <= 0 and box[2] >= size[0] and box[3] >= size[1]


def _on_empty_canvas(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    planes = np.zeros((image.height, image.width, 4), np.uint8)
    left, top, right, bottom = box
    planes[top:bottom, left:right] = np.asarray(image.convert("RGBA"))[top:bottom, left:right]
    return Image.fromarray(planes)


def _transparency(image: Image.Image, raw_mode: str) -> dict[str, object]:
    """The transparent colour of the picture, in 8-bit levels; no other ``info`` is kept with the pixels."""
    key = image.info.get("transparency")
    if key is None:
        return {}
    if image.format == "PNG" and isinstance(key, int):
        # Pillow scales grey of 2 and 4 bits to 8, but not the grey that is transparent.
        key *= {"L;2": 85, "L;4": 17}.get(raw_mode, 1)
    return {"transparency": key}


# -- what stands beside them -------------------------------------------------------------------------------------------


def _settled(image: Image.Image | Pixels, opened: Opened, notes: list[str]) -> tuple[Image.Image | Pixels, Metadata]:
    """Upright, and the metadata."""
    if isinstance(image, Pixels):
        if opened.tiff is not None:
            image = turned(image, opened.tiff.orientation)
        metadata, orientation = settled(opened.found, image.size, notes)
        return turned(image, orientation), metadata
    metadata, orientation = settled(opened.found, image.size, notes)
    upright = _turned(image, orientation) if orientation in _TRANSPOSE else image
    upright, metadata = _in_plain_space(upright, metadata, notes)
    return _without_hidden_text(upright, metadata, notes)


def _in_plain_space(image: Image.Image, metadata: Metadata, notes: list[str]) -> tuple[Image.Image, Metadata]:
    plain, profile = plain_space(image, metadata.icc_profile, notes)
    return plain, replace(metadata, icc_profile=profile)


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    turned = image.transpose(_TRANSPOSE[orientation])
    turned.info = dict(image.info)
    return turned


def _without_hidden_text(image: Image.Image, metadata: Metadata, notes: list[str]) -> tuple[Image.Image, Metadata]:
    """With what is hidden in the lowest bits as ``parameters``; an alpha that held nothing else is gone."""
    text = hidden_text(image)
    if text is None:
        return image, metadata
    if PARAMETERS in metadata.text:
        notes.append("the text hidden in its pixels cannot be kept there; it has 'parameters' as well, which are kept")
    else:
        notes.append("the text hidden in its pixels was read and is kept as 'parameters'")
        metadata = replace(metadata, text={**metadata.text, PARAMETERS: text})
    if image.mode == "RGBA" and image.getextrema()[3][0] >= NEARLY_OPAQUE:
        image = image.convert("RGB")
    return image, metadata
