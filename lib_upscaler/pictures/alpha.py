"""What alpha needs around a network: colours beneath it, its range kept, and a picture without it.

Planes of any depth (``depths``): colour (H, W, 1 or 3), alpha (H, W) of the same type, whose top is opaque.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from .. import scratch
from ..depths import bits_of, converted, rounded, top_of, type_of
from .wrapping import cut, wrapped

__all__ = ["NEARLY_OPAQUE", "bleed", "constant_alpha", "flatten", "is_nearly_opaque", "within_neighbours"]

BAND_PIXELS = 1 << 20
NEARLY_OPAQUE = 254
"""The least alpha of 8 bits that no eye can tell from opaque."""


def flatten(color: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    """The picture on a plain background: (H, W, 1 or 3) of its depth, exactly rounded, halves up.

    background: RGB, 0 to 255. Grey stays grey on a grey background and becomes RGB on any other.
    """
    is_grey = color.shape[2] == 1 and len(set(background)) == 1
    plain = np.array(background[:1] if is_grey else background, dtype=np.uint8)
    bits = bits_of(color)
    behind, top = converted(plain, bits), top_of(bits)
    flat = np.empty((*color.shape[:2], len(behind)), dtype=type_of(bits))
    for band in _bands(*color.shape[:2]):
        if bits == 32:
            weight = alpha[band, :, None]
            flat[band] = color[band] * weight + behind * (1 - weight)
            continue
        whole: np.ndarray = alpha[band, :, None].astype(np.uint64 if bits == 16 else np.uint32)
        sums = color[band] * whole + behind.astype(whole.dtype) * (whole.dtype.type(top) - whole)
        # n / top rounded half up, in whole numbers: (2 n + top) // (2 top).
        flat[band] = (2 * sums + top) // (2 * top)
    return flat


def constant_alpha(alpha: np.ndarray) -> np.generic | None:
    """The one value that all of ``alpha`` has; None if there are several."""
    first = alpha.flat[0]
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
    bits = bits_of(color)
    for channel, coarse in enumerate(_pull(sums, weights)):
        spread = rounded(_doubled(coarse, height, width) / np.float32(top_of(bits)), bits)
        filled[:, :, channel] = np.where(hidden, spread, color[:, :, channel])
    return filled


def is_nearly_opaque(alpha: np.ndarray) -> bool:
    """Whether no eye can tell ``alpha`` (H, W) from opaque: of 8 bits, 254 and 255 alone.

    Such an alpha is worth no run of a network, and no restorer needs to be told of it; its values stay true.
    """
    return bool(alpha.min() * 255.0 >= NEARLY_OPAQUE * top_of(bits_of(alpha)))


def within_neighbours(
    result: np.ndarray, source: np.ndarray, radius: int = 2, wrap: tuple[bool, bool] = (False, False)
) -> np.ndarray:
    """``result`` (h, w) kept within the range of the source's pixels around each place.

    Networks and resampling overshoot beside edges, and give 1 for 0 and 254 for 255: transparency that nobody drew.
    source: (H, W), the alpha before scaling, at the depth of the result. wrap: whether it goes on at its other side,
    across and down. radius: px of the source that count in each direction beside those that the pixel of the result
    lies on; what is flat that far stays exactly so.
    """
    height, width = result.shape
    reach = tuple(radius + before // (2 * after) for before, after in zip(source.shape, result.shape))
    beside = reach[1] * wrap[0], reach[0] * wrap[1]
    low, high = (cut(plane, beside) for plane in _extremes(wrapped(source, beside), reach))
    rows = (2 * np.arange(height) + 1) * source.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * source.shape[1] // (2 * width)
    kept = result if not scratch.in_memory(result) else np.empty_like(result)  # a file is ours to write to
    for band in _bands(height, width):
        lowest, highest = (plane[rows[band]][:, columns] for plane in (low, high))
        np.clip(result[band], lowest, highest, out=kept[band])
        scratch.let_go(kept)
    return kept


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
            weight = alpha[row::2, column::2].astype(np.float32) / top_of(bits_of(alpha))
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
