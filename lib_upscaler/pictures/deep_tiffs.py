"""TIFF of 16 bits and of floating point: by tifffile, by hand, by OpenCV or Pillow, whichever is there and can.

tifffile knows most kinds, but needs imagecodecs for some compressions; OpenCV and Pillow bring libtiff, and know few.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..depths import Bits
from ..errors import PictureReadError, UnsupportedPictureError
from .opening import CONVERT, Opened, opened_image
from .pixels import Pixels
from .plugins import advice
from .tiff_strips import DamagedStripError, read_strips
from .tiffs import APART, PLANES, PREMULTIPLIED, UNSPECIFIED, TiffKind, as_it_lies

__all__ = ["check_kind", "read"]

TwoReadings = Callable[[BinaryIO, Image.Image], np.ndarray]
"""Pillow's way to (H, W, C) uint16 (``deep``)."""

_COLORS = {0: 1, 1: 1, 2: 3}
_OTHERWISE = CONVERT.replace("8-bit ", "")


def read(opened: Opened, what: str, notes: list[str], two_readings: TwoReadings) -> Pixels:
    """The first picture, as it lies in the file. Raises PictureReadError, UnsupportedPictureError."""
    kind = opened.tiff
    assert kind is not None  # it is a TIFF
    check_kind(kind, what)
    _check_complete(opened, kind, what)
    problems = []
    for reader in (_by_tifffile, _by_hand, _by_opencv, _by_pillow):
        try:
            planes = reader(opened, kind, two_readings)
        except (DamagedStripError, zlib.error) as error:
            raise _damaged(what, f"its pixels are damaged ({error})") from error
        except ImportError:
            continue
        except UnidentifiedImageError:
            continue  # in Pillow's words, which name no reason
        except Exception as error:  # noqa: BLE001 - whatever a reader raises, the next one may be able to
            problems.append(" ".join(str(error).split()))
            continue
        if planes is not None:
            return _as_pixels(planes, kind, notes)
    why = f"its pixels are {kind.in_words()}, which nothing here can unpack"
    raise UnsupportedPictureError(what, f"{why} ({problems[0]})" if problems else why, _advice())


def _advice() -> str:
    return f"install readers with '{advice('tifffile', 'imagecodecs', keeps='numpy')}', or {_OTHERWISE}"


def check_kind(kind: TiffKind, what: str) -> None:
    """By what the header tells. Raises UnsupportedPictureError for what would come out wrong."""
    if kind.photometric not in _COLORS or max(kind.formats) not in (1, 3):
        raise UnsupportedPictureError(what, f"its pixels are {kind.in_words()}", _OTHERWISE)


def _check_complete(opened: Opened, kind: TiffKind, what: str) -> None:
    """Readers fill up in silence what a file that was cut does not hold."""
    size = opened.file.seek(0, 2)
    opened.file.seek(0)
    for places, lengths in ((273, 279), (324, 325)):
        for place, length in zip(kind.numbers.get(places, ()), kind.numbers.get(lengths, ())):
            if place + length > size:
                raise _damaged(what, "the file ends early: rows of pixels are missing")
    if kind.lengths_too_small():
        raise _damaged(what, "its directory tells of fewer bytes of pixels than it has rows")


def _damaged(what: str, why: str) -> PictureReadError:
    return PictureReadError(what, why, "download or export it again")


# -- readers -----------------------------------------------------------------------------------------------------------


def _by_tifffile(opened: Opened, kind: TiffKind, _: TwoReadings) -> np.ndarray | None:
    tifffile = importlib.import_module("tifffile")
    opened.file.seek(0)
    with tifffile.TiffFile(opened.file, name="picture.tif") as file:
        page = file.pages[0]
        planes = np.asarray(page.asarray())
    if kind.samples == 1 and planes.ndim == 2:
        return planes[:, :, None]
    if planes.ndim == 3 and planes.shape[2] != kind.samples and planes.shape[0] == kind.samples:
        planes = planes.transpose(1, 2, 0)  # each channel for itself
    return planes if planes.ndim == 3 else None


def _by_hand(opened: Opened, kind: TiffKind, _: TwoReadings) -> np.ndarray | None:
    return read_strips(opened.file, kind)


def _by_opencv(opened: Opened, kind: TiffKind, _: TwoReadings) -> np.ndarray | None:
    if kind.photometric == 0 or kind.samples not in (1, 3, 4):
        return None  # it turns some of these round, and makes 8 bits of others
    if kind.numbers.get(PLANES) == (APART,) or not set(kind.bits) <= {16, 32, 64}:
        return None  # it mixes up channels that lie apart, and what has 12 bits comes widened, or not
    cv2 = importlib.import_module("cv2")
    opened.file.seek(0)
    data = np.frombuffer(opened.file.read(), np.uint8)
    planes: Any = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if planes is None or planes.dtype == np.uint8:
        return None
    planes = planes[:, :, None] if planes.ndim == 2 else planes[:, :, [2, 1, 0, 3][: planes.shape[2]]]
    return planes if planes.shape[2] == kind.samples else None


def _by_pillow(opened: Opened, kind: TiffKind, two_readings: TwoReadings) -> np.ndarray | None:
    if kind.photometric == 0 or kind.numbers.get(PLANES) == (APART,):
        return None  # versions differ in whether they turn it; they know no channels of 16 bits that lie apart
    file = as_it_lies(opened.file, kind)
    image = opened_image(file, "TIFF")
    if image.mode.startswith(("I", "F")):
        image.load()
        return np.asarray(image)[:, :, None]
    return two_readings(as_it_lies(opened.file, kind), image)


# -- what the numbers mean ---------------------------------------------------------------------------------------------


def _as_pixels(planes: np.ndarray, kind: TiffKind, notes: list[str]) -> Pixels:
    colors = _COLORS[kind.photometric]
    values = _scaled(planes, kind)
    top = values.dtype.type(65535 if values.dtype == np.uint16 else 1)
    color = values[:, :, :colors]
    if kind.photometric == 0:  # white is zero
        color = top - color
    mode = "L" if colors == 1 else "RGB"
    extra = kind.extra or ((UNSPECIFIED,) if planes.shape[2] > colors else ())
    if not extra:
        return Pixels(np.ascontiguousarray(color), None, mode)
    left_out = len(extra) - (extra[0] != UNSPECIFIED)
    if left_out:
        notes.append(f"{left_out} of its channels are no transparency, as the file says; left out")
    if extra[0] == UNSPECIFIED:
        return Pixels(np.ascontiguousarray(color), None, mode)
    alpha = np.ascontiguousarray(values[:, :, colors])
    if extra[0] == PREMULTIPLIED:
        color = _divided(color, alpha, top)
    return Pixels(np.ascontiguousarray(color), alpha, mode + "A")


def _scaled(planes: np.ndarray, kind: TiffKind) -> np.ndarray:
    """As uint16 (white is 65535) or float32 (white is 1)."""
    bits: Bits = max(kind.bits)
    if planes.dtype.kind == "f":
        return planes.astype(np.float32)
    if bits == 16:
        return planes.astype(np.uint16)
    if bits < 16:  # such as the 12 of many scanners
        top = 2**bits - 1
        return ((planes.astype(np.uint32) * 2 * 65535 + top) // (2 * top)).astype(np.uint16)
    return (planes / np.float64(2**bits - 1)).astype(np.float32)


def _divided(color: np.ndarray, alpha: np.ndarray, top: Any) -> np.ndarray:
    """Colours that were multiplied by alpha as they are."""
    weight = np.maximum(alpha.astype(np.float64), 1e-9)[:, :, None] / float(top)
    plain = np.where(alpha[:, :, None] > 0, color / weight, 0)
    if color.dtype == np.uint16:
        return np.floor(np.minimum(plain, 65535) + 0.5).astype(np.uint16)
    return plain.astype(np.float32)
