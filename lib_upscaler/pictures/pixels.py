"""Between a Pillow image and planes of 8-bit colour and alpha, and what alpha needs around a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..errors import UnsupportedPictureError

__all__ = [
    "SUPPORTED_MODES",
    "Pixels",
    "bleed",
    "check_mode",
    "compose",
    "constant_alpha",
    "decompose",
    "flatten",
    "is_nearly_opaque",
    "mix",
    "quantise",
    "within_neighbours",
]

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

BAND_PIXELS = 1 << 20
NEARLY_OPAQUE = 254
"""The least alpha that no eye can tell from opaque."""


@dataclass(frozen=True)
class Pixels:
    """A picture as planes.

    color: (H, W, 1 or 3) uint8, grey or RGB, not premultiplied.
    alpha: (H, W) uint8, 255 opaque; None: the picture has no transparency.
    mode: what the result should be: L, LA, RGB or RGBA.
    """

    color: np.ndarray
    alpha: np.ndarray | None
    mode: str


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


def decompose(image: Image.Image) -> Pixels:
    """The planes of a picture of the modes 1, L, LA, P, RGB, RGBA.

    1 becomes grey, P becomes RGB or RGBA, a transparent colour (``info["transparency"]``) becomes alpha.
    Raises UnsupportedPictureError for all other modes.
    """
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


def quantise(values: np.ndarray) -> np.ndarray:
    """Finite floats 0 to 1, any shape, to uint8; halves up, what lies beyond is clipped."""
    levels = values * values.dtype.type(255)
    levels += values.dtype.type(0.5)
    np.floor(levels, out=levels)
    return np.clip(levels, 0, 255, out=levels).astype(np.uint8)


def flatten(color: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    """The picture on a plain background: (H, W, 1 or 3) uint8, exactly rounded, halves up.

    background: RGB, 0 to 255. Grey stays grey on a grey background and becomes RGB on any other.
    """
    is_grey = color.shape[2] == 1 and len(set(background)) == 1
    behind = np.array(background[:1] if is_grey else background, dtype=np.uint32)
    flat = np.empty((*color.shape[:2], len(behind)), dtype=np.uint8)
    for band in _bands(*color.shape[:2]):
        weight = alpha[band, :, None].astype(np.uint32)
        # n / 255 rounded half up, in whole numbers: (2 n + 255) // 510.
        flat[band] = (2 * (color[band] * weight + behind * (255 - weight)) + 255) // 510
    return flat


def constant_alpha(alpha: np.ndarray) -> int | None:
    """The one value that all of ``alpha`` has; None if there are several."""
    first = int(alpha.flat[0])
    return first if (alpha == first).all() else None


def bleed(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """``color`` (H, W, C) with the colour of visible pixels spread into the fully transparent ones.

    A network sees what lies hidden beside an edge, and so do resampling filters. Pixels with alpha above 0 stay as
    they are; a picture without a visible pixel, or without a hidden one, comes back unchanged.
    Push-pull (Gortler et al., The Lumigraph, 1996): averages of ever larger blocks, filled in from coarse to fine.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return color
    filled = np.empty_like(color)
    height, width = alpha.shape
    sums, weights = _push(color, alpha)
    for channel, coarse in enumerate(_pull(sums, weights)):
        spread = quantise(_doubled(coarse, height, width) / np.float32(255))
        filled[:, :, channel] = np.where(hidden, spread, color[:, :, channel])
    return filled


def is_nearly_opaque(alpha: np.ndarray) -> bool:
    """Whether no eye can tell ``alpha`` (H, W) uint8 from opaque: 254 and 255 alone.

    Such an alpha is worth no run of a network, and no restorer needs to be told of it; its values stay true.
    """
    return bool(alpha.min() >= NEARLY_OPAQUE)


def within_neighbours(result: np.ndarray, source: np.ndarray, radius: int = 2) -> np.ndarray:
    """``result`` (h, w) uint8 kept within the range of the source's pixels around each place.

    Networks and resampling overshoot beside edges, and give 1 for 0 and 254 for 255: transparency that nobody drew.
    source: (H, W) uint8, the alpha before scaling. radius: px of the source that count in each direction beside those
    that the pixel of the result lies on; what is flat that far stays exactly so.
    """
    height, width = result.shape
    reach = tuple(radius + before // (2 * after) for before, after in zip(source.shape, result.shape))
    low, high = _extremes(source, reach)
    rows = (2 * np.arange(height) + 1) * source.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * source.shape[1] // (2 * width)
    kept = np.empty_like(result)
    for band in _bands(height, width):
        lowest, highest = (plane[rows[band]][:, columns] for plane in (low, high))
        np.clip(result[band], lowest, highest, out=kept[band])
    return kept


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


def _bands(height: int, width: int) -> list[slice]:
    """Rows in bands of about BAND_PIXELS, so that temporaries stay small."""
    step = max(1, BAND_PIXELS // width)
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]


def _push(color: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over blocks of 2x2 px: colour times weight (C, h, w) and weight (h, w), float32."""
    height, width = alpha.shape
    shape = (height + 1) // 2, (width + 1) // 2
    sums = np.zeros((color.shape[2], *shape), dtype=np.float32)
    weights = np.zeros(shape, dtype=np.float32)
    for row in (0, 1):
        for column in (0, 1):
            weight = alpha[row::2, column::2].astype(np.float32) / 255
            area = slice(weight.shape[0]), slice(weight.shape[1])
            weights[area] += weight
            for channel in range(color.shape[2]):
                sums[channel][area] += color[row::2, column::2, channel] * weight
    return sums, weights


def _pull(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean colour (C, h, w) of every block; where nothing is visible, from the next coarser level."""
    means = sums / np.where(weights > 0, weights, 1)
    empty = weights == 0
    if not empty.any():
        return means
    # The means, each with a weight of at most 1, so that a far but large area does not drown a near edge.
    capped = np.minimum(weights, 1)
    height, width = weights.shape
    padding = ((0, height % 2), (0, width % 2))
    coarse_sums = _sum_blocks(np.pad(means * capped, ((0, 0), *padding)))
    coarse = _pull(coarse_sums, _sum_blocks(np.pad(capped, padding)))
    return np.stack([np.where(empty, _doubled(c, height, width), mean) for c, mean in zip(coarse, means)])


def _sum_blocks(planes: np.ndarray) -> np.ndarray:
    """Sums over blocks of 2x2 in the last two axes."""
    rows = planes[..., 0::2, :] + planes[..., 1::2, :]
    return rows[..., 0::2] + rows[..., 1::2]


def _doubled(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """(h, w) float32 at twice the size, bilinear, cut to (height, width)."""
    image = Image.fromarray(np.ascontiguousarray(plane))
    box = (0, 0, width / 2, height / 2)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))


def _extremes(plane: np.ndarray, reach: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest value in the window of ``reach`` (rows, columns) around each pixel, (H, W) each."""
    low, high = plane, plane
    for axis, radius in enumerate(reach):
        low, high = _along(low, radius, axis, np.minimum), _along(high, radius, axis, np.maximum)
    return low, high


def _along(plane: np.ndarray, radius: int, axis: int, extreme: np.ufunc) -> np.ndarray:
    """The extreme within ``radius`` along one axis, in steps that double."""
    reached = 0
    while reached < radius:
        step = min(reached + 1, radius - reached) if reached else 1
        step = min(step, plane.shape[axis] - 1)
        if step < 1:
            break
        ahead = [slice(None)] * 2
        behind = [slice(None)] * 2
        ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
        wider = plane.copy()
        wider[tuple(behind)] = extreme(wider[tuple(behind)], plane[tuple(ahead)])
        wider[tuple(ahead)] = extreme(wider[tuple(ahead)], plane[tuple(behind)])
        plane, reached = wider, reached + step
    return plane


_CHUNK_ROWS = 256


def mix(first: np.ndarray, second: np.ndarray, visibility: float) -> np.ndarray:
    """``first * (1 - visibility) + second * visibility``, rounded once, halves up.

    first, second: ``(H, W, C)`` uint16 (65535 = 1.0) of one size. visibility: of the second, 0 to 1.
    Returns ``(H, W, C)`` uint8.
    """
    result = np.empty(first.shape, np.uint8)
    for top in range(0, first.shape[0], _CHUNK_ROWS):
        rows = slice(top, top + _CHUNK_ROWS)
        mixed = first[rows] * np.float64((1 - visibility) * 255 / 65535)
        mixed += second[rows] * np.float64(visibility * 255 / 65535)
        result[rows] = np.floor(mixed + 0.5).clip(0, 255)
    return result
