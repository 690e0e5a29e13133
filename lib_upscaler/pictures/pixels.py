"""Between a Pillow image and planes of colour and alpha."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..depths import Bits, bits_of, converted
from ..errors import UnsupportedPictureError

__all__ = ["SUPPORTED_MODES", "Pixels", "check_mode", "compose", "decompose", "turned"]

SUPPORTED_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")

_MODE_NAMES = {
    "CMYK": "CMYK, the colours of a printing press",
    "YCbCr": "YCbCr, the colours of video",
    "LAB": "CIE L*a*b*",
    "HSV": "HSV",
    "I": "grey with 16 or 32 bits",
    "F": "grey in floating point",
    "La": "grey with premultiplied alpha",
    "RGBa": "RGB with premultiplied alpha",
    "RGBX": "RGB with an unused fourth channel",
    "PA": "a palette with a separate alpha",
}


@dataclass(frozen=True)
class Pixels:
    """A picture as planes, of any depth (``depths``).

    color: (H, W, 1 or 3), grey or RGB, not premultiplied. Floating point may go beyond 0 and 1.
    alpha: (H, W) of the same type, the top is opaque; None: the picture has no transparency.
    mode: what the result should be: L, LA, RGB or RGBA.
    """

    color: np.ndarray
    alpha: np.ndarray | None
    mode: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px, as Pillow has it."""
        return self.color.shape[1], self.color.shape[0]

    @property
    def bits(self) -> Bits:
        return bits_of(self.color)

    def at(self, bits: Bits) -> Pixels:
        """The same picture at another depth, rounded once; what lies beyond white and black is cut off."""
        alpha = None if self.alpha is None else converted(self.alpha, bits)
        return Pixels(converted(self.color, bits), alpha, self.mode)


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """Upright. orientation: as EXIF has it, 1 to 8."""
    across, flipped, mirrored = _ORIENTATIONS.get(orientation, (False, False, False))

    def seen(planes: np.ndarray) -> np.ndarray:
        planes = planes.swapaxes(0, 1) if across else planes
        return np.ascontiguousarray(planes[:: -1 if flipped else 1, :: -1 if mirrored else 1])

    alpha = None if pixels.alpha is None else seen(pixels.alpha)
    return Pixels(seen(pixels.color), alpha, pixels.mode)


_ORIENTATIONS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
"""Whether rows and columns are exchanged, then whether rows come in reverse, and whether columns do."""


def check_mode(mode: str) -> None:
    """Refuse a Pillow mode that would come out wrong. Raises UnsupportedPictureError."""
    if mode in SUPPORTED_MODES:
        return
    name = "grey with 16 bits" if mode.startswith("I;16") else _MODE_NAMES.get(mode)
    label = f"{name} (mode {mode})" if name else f"of the mode {mode}"
    raise UnsupportedPictureError(
        "cannot upscale this picture",
        f"its pixels are {label}",
        "convert it to 8-bit grey, RGB or RGBA in a picture editor first",
    )


def decompose(image: Image.Image | Pixels) -> Pixels:
    """The planes of a picture of the modes 1, L, LA, P, RGB, RGBA; of planes, they themselves.

    1 becomes grey, P becomes RGB or RGBA, a transparent colour (``info["transparency"]``) becomes alpha.
    Raises UnsupportedPictureError for all other modes.
    """
    if isinstance(image, Pixels):
        return image
    check_mode(image.mode)
    if image.mode == "P":
        image = image.convert("RGBA" if _palette_has_alpha(image) else "RGB")
        key = None
    else:
        key = _transparent_color(image)
    if image.mode == "1":
        image = image.convert("L")
    planes = np.asarray(image)
    planes = planes[:, :, None] if planes.ndim == 2 else planes
    if image.mode in ("LA", "RGBA"):
        return Pixels(np.ascontiguousarray(planes[:, :, :-1]), np.ascontiguousarray(planes[:, :, -1]), image.mode)
    if key is None:
        return Pixels(planes, None, image.mode)
    alpha = np.where((planes == key).all(axis=2), np.uint8(0), np.uint8(255))
    return Pixels(planes, alpha, image.mode + "A")


def compose(color: np.ndarray, alpha: np.ndarray | None, mode: str) -> Image.Image:
    """A Pillow image of ``mode`` (L, LA, RGB, RGBA) from (H, W, 1 or 3) and (H, W), both uint8."""
    if mode not in ("L", "LA", "RGB", "RGBA"):
        raise ValueError(f"a result has the mode L, LA, RGB or RGBA, not {mode}")
    channels = 1 if mode.startswith("L") else 3
    if color.ndim != 3 or color.shape[2] != channels or (alpha is not None) != mode.endswith("A"):
        raise ValueError(f"planes of {color.shape}, {'with' if alpha is not None else 'without'} alpha, are not {mode}")
    if alpha is not None:
        return Image.fromarray(np.concatenate((color, alpha[:, :, None]), axis=2))
    return Image.fromarray(color[:, :, 0] if channels == 1 else color)


def _palette_has_alpha(image: Image.Image) -> bool:
    return "transparency" in image.info or (image.palette is not None and image.palette.mode.endswith("A"))


def _transparent_color(image: Image.Image) -> np.ndarray | None:
    """The colour of ``image`` (1, L, RGB) that counts as transparent: (C,) in 8-bit levels, or None."""
    key = image.info.get("transparency")
    if image.mode in ("1", "L") and isinstance(key, int):
        # Pillow gives the key of a 1-bit picture as 0 and 1, from 10.1 on as 0 and 255.
        return np.array([255 if image.mode == "1" and key else key])
    if image.mode == "RGB" and isinstance(key, tuple) and len(key) == 3:
        return np.array(key)
    return None
