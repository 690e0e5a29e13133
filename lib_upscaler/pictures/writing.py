"""Picture files written whole or not at all."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from .. import scratch
from ..errors import PictureWriteError, RequestError
from ..geometry import Size
from . import exrs
from .formats import EXR, GIF, JPEG, PNG, TIFF, WEBP, OutputFormat, check_format, output_format
from .gif_writing import write_gif
from .keeping import Keeping, kept
from .metadata import Metadata
from .numberless import numberless
from .pixels import Pixels, compose, decompose
from .png_writer import Rows, write_png
from .publishing import publishing
from .tiff_writer import CLASSIC_BYTES, write_tiff

__all__ = ["DEFAULT_JPEG_QUALITY", "check_quality", "encode", "encoder_options", "write_picture"]

DEFAULT_JPEG_QUALITY = 95

# Run-length matching on the filtered rows. Real photos enlarged to 2048x2048: 0.11 to 0.35 s and 0.98 / 3.05 / 1.03 MB;
# zlib's usual matching took as long at level 1 (1.25 / 3.84 / 1.26 MB), 0.25 to 0.65 s at 4 (0.97 / 3.24 / 1.03 MB),
# 0.4 to 1.7 s at 6, Pillow's default (0.90 / 3.14 / 0.96 MB).
_PNG_HEADER = 8 + 25  # bytes: the signature, and the chunk IHDR
_JFIF_UNIT = 13  # where in a JPEG of Pillow's the unit of its density stands

_PNG_EFFORT = {"compress_level": 1, "compress_type": 3}

# Lossless WebP at Pillow's defaults takes 3.4 s for 2048x2048, this 0.9 s, for 2% more bytes.
_WEBP_LOSSLESS = {"lossless": True, "exact": True, "method": 1, "quality": 20}


def write_picture(
    image: Image.Image | Pixels,
    path: str | os.PathLike[str],
    metadata: Metadata,
    *,
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    durable: bool = False,
) -> tuple[str, ...]:
    """Write the picture beside ``path`` under another name and rename it; return warnings.

    image: of the mode L, LA, RGB or RGBA, or planes, whose depth is kept as far as the format holds it.

    What each format keeps of ``metadata`` is in docs/formats.md, and what it does not is in the warnings. JPEG has a
    quality of 95 unless one is given, and 4:4:4; WebP is lossless unless a quality is given. The PNG text
    ``parameters`` becomes EXIF UserComment elsewhere, as in the WebUI. Colours that the format cannot tell become sRGB;
    a GIF has 256 of them (``gif_writing``). ``quality`` is ignored by lossless formats. On any error, Ctrl-C included,
    nothing is left behind. durable: see ``publishing``.

    Raises RequestError (suffix, format, quality, alpha in JPEG or BMP), SizeError, PictureWriteError.
    """
    path = Path(path)
    target = output_format(path, format)
    _check_request(image, path, target, quality)
    notes: list[str] = []
    pixels = in_depth(decompose(image), target, notes)
    with publishing(path, overwrite, durable) as file:
        keeping = kept(pixels, target, metadata)
        encode(keeping, file, target, encoder_options(target, quality, with_exif="exif" in keeping.options))
    return (*notes, *keeping.notes)


def in_depth(pixels: Pixels, target: OutputFormat, notes: list[str]) -> Pixels:
    """The picture at the depth that the format stores it with. notes: get a sentence where bits are lost."""
    bits = target.depth_for(pixels.bits)
    if bits < pixels.bits:
        notes.append(f"{target.name} holds at most {bits} bits per channel; rounded to that")
    return pixels.at(bits)


def _check_request(image: Image.Image | Pixels, path: Path, target: OutputFormat, quality: int | None) -> None:
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise ValueError(f"a result has the mode L, LA, RGB or RGBA, not {image.mode}")
    if image.mode.endswith("A") and not target.alpha:
        raise RequestError(
            f"cannot write {path.name!r}", f"{target.name} stores no transparency", "use PNG, or put it on a background"
        )
    check_quality(quality)
    check_format(Size(*image.size), target.name, len(image.mode))
    if target is EXR:
        exrs.check_writer()


def check_quality(quality: int | None) -> None:
    """Raises RequestError."""
    if quality is not None and (isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100):
        raise RequestError(f"the quality {quality!r} is not possible", "it is a whole number from 1 to 100")


def encoder_options(target: OutputFormat, quality: int | None, with_exif: bool) -> dict[str, object]:
    """For Pillow's writer."""
    if target is PNG:
        return dict(_PNG_EFFORT)
    if target is JPEG:
        return {"quality": quality or DEFAULT_JPEG_QUALITY, "subsampling": 0, "optimize": False}
    if target is WEBP:
        return dict(_WEBP_LOSSLESS) if quality is None else {"quality": quality, "method": 4}
    if target is TIFF:
        if with_exif:
            return {"compression": "raw"}
        # The predictor (horizontal differences) halves what LZW makes of a photo.
        return {"compression": "tiff_lzw", "tiffinfo": {317: 2}}
    return {}


def encode(keeping: Keeping, file: BinaryIO, target: OutputFormat, encoder: dict[str, Any]) -> None:
    """Encode into an empty file; once more without the metadata, where the encoder chokes on it.

    file: for EXR, one with a name. encoder: of ``encoder_options``. Raises PictureWriteError, OSError.
    """
    if target is GIF:
        write_gif([(keeping.pixels, 0)], file, keeping)
        return
    if target is EXR:
        keeping.notes += exrs.write(Path(file.name), keeping.pixels)  # its libraries write by name
        return
    try:
        _encode(keeping, file, target, encoder)
    except (ValueError, TypeError, KeyError, struct.error, RuntimeError, zlib.error):
        file.seek(0)
        file.truncate()
        try:
            _encode(Keeping(keeping.pixels), file, target, encoder)
        except (ValueError, RuntimeError) as error:
            raise PictureWriteError("cannot write the result", f"{target.name} failed ({error})") from error
        keeping.notes.append(f"its metadata could not be written as {target.name} and was left out")


def _encode(keeping: Keeping, file: BinaryIO, target: OutputFormat, encoder: dict[str, Any]) -> None:
    """With what Pillow has no option for: chunks behind a PNG's header, the shape of pixels in a JPEG."""
    options: dict[str, Any] = {**encoder, **keeping.options}
    if "tiffinfo" in options:
        options["tiffinfo"] = {**encoder.get("tiffinfo", {}), **options["tiffinfo"]}
    pixels = keeping.pixels
    if _is_ours(pixels, target, options):
        rows, size, channels = _rows_of(pixels), Size(*pixels.size), len(pixels.mode)
        if target is PNG:
            write_png(file, rows, size, channels, pixels.bits, options, keeping.chunks)
        else:
            write_tiff(file, rows, size, channels, pixels.bits, options)
        return
    image = compose(pixels.color, pixels.alpha, pixels.mode)
    into = _BehindHeader(file, keeping.chunks) if keeping.chunks else file
    image.save(numberless(file) if target is TIFF else into, format=target.name, **options)
    if keeping.aspect is not None:
        file.seek(_JFIF_UNIT)
        file.write(b"\x00")
        file.seek(0, os.SEEK_END)
    file.write(keeping.trailer)


def _is_ours(pixels: Pixels, target: OutputFormat, options: dict[str, Any]) -> bool:
    """Whether Pillow does not write it: more than 8 bits, or not in memory, or too large for its TIFF; nor does it
    compress one with EXIF.
    """
    if target not in (PNG, TIFF):
        return False
    large = pixels.color.nbytes * len(pixels.mode) // pixels.color.shape[2] > CLASSIC_BYTES
    by_us = target is TIFF and (large or "exif" in options)
    return pixels.bits > 8 or not scratch.in_memory(pixels.color) or by_us


def _rows_of(pixels: Pixels) -> Rows:
    color, alpha = pixels.color, pixels.alpha

    def rows(top: int, bottom: int) -> np.ndarray:
        band = color[top:bottom]
        whole = band if alpha is None else np.concatenate([band, alpha[top:bottom, :, None]], axis=2)
        whole = whole.copy() if whole is band and not scratch.in_memory(band) else whole
        for planes in (color,) if alpha is None else (color, alpha):
            scratch.let_go(planes)
        return whole

    return rows


class _BehindHeader:
    """A file for Pillow's writer of PNG, in which ``chunks`` follow the first one."""

    def __init__(self, file: BinaryIO, chunks: bytes) -> None:
        self._file, self._chunks, self._room = file, chunks, _PNG_HEADER

    def write(self, data: bytes) -> int:
        if self._room and len(data) >= self._room:
            self._file.write(bytes(data[: self._room]) + self._chunks)
            self._file.write(data[self._room :])
            self._room = 0
        else:
            self._file.write(data)
            self._room -= min(self._room, len(data))
        return len(data)

    def flush(self) -> None:
        self._file.flush()
