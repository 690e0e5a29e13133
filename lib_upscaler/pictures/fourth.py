"""The channel beyond the colours: whether it is transparency, and the picture without it where it is not.

TIFF says it in ExtraSamples (0: not told, 1: colours multiplied by it, 2: plain alpha), TGA in the bits of its header.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np
from PIL import Image

from .tiffs import PREMULTIPLIED, UNSPECIFIED, TiffKind

__all__ = ["declared_alpha", "divided", "of_tga", "of_tiff", "tga_alpha_bits"]

_TGA_FOOTER = b"TRUEVISION-XFILE.\x00"
_NOT_TRANSPARENCY = "its {} channel is no transparency, as the file says; it was left out"


def declared_alpha(kind: TiffKind | None) -> bool:
    """Whether an extra channel of a TIFF is kept as alpha, as far as the header tells."""
    return kind is None or not kind.extra or kind.extra[0] != UNSPECIFIED


def of_tiff(image: Image.Image, kind: TiffKind, notes: list[str]) -> Image.Image:
    """A loaded TIFF of the mode LA, RGBX or RGBA with its extra channel taken for what it is."""
    if image.mode == "LA" and kind.photometric == 0:  # white is zero
        grey, alpha = image.split()
        image = Image.merge("LA", (grey.point(lambda value: 255 - value), alpha))
    others = kind.extra[1:] if declared_alpha(kind) else kind.extra
    if len(others) == 1 and others == kind.extra:
        ordinal = {"L": "second", "LA": "second", "CMYK": "fifth"}.get(image.mode, "fourth")
        notes.append(_NOT_TRANSPARENCY.format(ordinal))
    elif others:
        notes.append(f"{len(others)} of its channels are no transparency, as the file says; left out")
    if not declared_alpha(kind) and image.mode not in ("L", "RGB", "CMYK"):  # Pillow leaves such channels out
        return image.getchannel("L") if image.mode == "LA" else image.convert("RGB")
    if image.mode == "LA" and kind.extra and kind.extra[0] == PREMULTIPLIED:
        return divided(image)
    if image.mode == "RGBA" and not kind.extra and image.getextrema()[3] == (0, 0):
        notes.append("its fourth channel is zero throughout and is not called transparency; it was left out")
        return image.convert("RGB")
    return image


def tga_alpha_bits(file: BinaryIO) -> int:
    """How many bits of alpha the header of a TGA tells."""
    file.seek(17)
    return (file.read(1) or b"\x00")[0] & 15


def of_tga(image: Image.Image, file: BinaryIO, notes: list[str]) -> Image.Image:
    """A loaded TGA of the mode RGBA, without a fourth channel that is not used."""
    low, high = image.getextrema()[3]
    kind, bits = _tga_attribute(file), tga_alpha_bits(file)
    if kind in (1, 2) or (kind == 0 and not bits):
        if low != high:
            notes.append(_NOT_TRANSPARENCY.format("fourth"))
        return image.convert("RGB")
    if bits or kind in (3, 4):
        return divided(image) if kind == 4 else image
    if low != high:
        notes.append("its header tells of no transparency, but its fourth channel varies; it was taken for that")
        return image
    return image.convert("RGB")


def _tga_attribute(file: BinaryIO) -> int | None:
    """What a TGA of version 2 says its fourth channel is: 0 to 2 nothing of use, 3 alpha, 4 premultiplied alpha."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 26))
    footer = file.read(26)
    if not footer.endswith(_TGA_FOOTER) or len(footer) < 26:
        return None
    (extension,) = struct.unpack_from("<I", footer)
    file.seek(extension + 494)
    attribute = file.read(1)
    return attribute[0] if extension and attribute else None


def divided(image: Image.Image) -> Image.Image:
    """Colours that were multiplied by alpha, the last channel, as they are, halves up: of La or RGBa LA or RGBA."""
    planes = np.asarray(image).astype(np.uint32)
    alpha = planes[..., -1:]
    colors = (2 * 255 * planes[..., :-1] + alpha) // np.maximum(2 * alpha, 1)
    return Image.fromarray(np.concatenate((np.minimum(colors, 255), alpha), axis=2).astype(np.uint8))
