"""The one Lanczos resample to the exact size: in float, in bands of rows, rounded once at the end.

The filter is Pillow's (three lobes, widened for reduction, weights normalised at the borders). Pillow itself does the
rows. The columns are done here: Pillow takes the box of a band in 32-bit floats, which is not exact enough where
a band's edge falls between two source rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..geometry import Size

__all__ = ["lanczos", "lanczos_plane"]

LOBES = 3.0
BAND_BYTES = 8_000_000
"""Float intermediates of one band; small enough to stay in a processor's cache, so this is fast as well as lean."""

# What one unit of a source is in 8-bit levels.
_LEVELS = {np.dtype(np.uint8): 1.0, np.dtype(np.uint16): 255 / 65535, np.dtype(np.float32): 255.0}


@dataclass(frozen=True)
class _Taps:
    """For each output row: the first source row it sees, and the weight of each row from there on (0 beyond)."""

    first: np.ndarray  # (h,) int
    weights: np.ndarray  # (h, taps) float32


def lanczos(
    planes: np.ndarray,
    target: Size,
    band_rows: int | None = None,
    check: Callable[[], None] | None = None,
    bits: int = 8,
) -> np.ndarray:
    """``planes`` (H, W, C) at the size ``target``: (h, w, C) uint8, halves rounded up, the same for any band height.

    planes: uint8, uint16 (65535 is white) or float32 (0 to 1; what lies beyond is clipped, after the resample).
    band_rows: output rows at a time; None: as many as take about BAND_BYTES.
    check: called between bands; what it raises ends the work.
    bits: 16 for a uint16 result (65535 is white), where another step follows that rounds.
    """
    if planes.ndim != 3 or planes.dtype not in _LEVELS:
        raise ValueError(f"planes are (H, W, C) of uint8, uint16 or float32, not {planes.shape} of {planes.dtype}")
    height, width, channels = planes.shape
    taps = _taps(height, target.height)
    if band_rows is None:
        rows_per_output = 2 + height / target.height  # result and temporary, and the source rows behind them
        band_rows = max(1, int(BAND_BYTES / (4 * channels * max(width, target.width) * rows_per_output)))
    top_level = 255 if bits == 8 else 65535
    output = np.empty((target.height, target.width, channels), dtype=np.uint8 if bits == 8 else np.uint16)
    for top in range(0, target.height, band_rows):
        if check is not None:
            check()
        band = slice(top, min(top + band_rows, target.height))
        levels = _band(planes, target.width, taps, band)
        levels *= np.float32(_LEVELS[planes.dtype] * (top_level / 255))
        output[band] = _rounded(levels, top_level).transpose(0, 2, 1)
    return output


def lanczos_plane(
    plane: np.ndarray, target: Size, band_rows: int | None = None, check: Callable[[], None] | None = None
) -> np.ndarray:
    """As ``lanczos`` for a single plane, such as alpha: (H, W) to (h, w)."""
    return lanczos(plane[:, :, None], target, band_rows, check)[:, :, 0]


def _band(planes: np.ndarray, width: int, taps: _Taps, band: slice) -> np.ndarray:
    """The output rows ``band`` before clipping and rounding: (rows, C, w) float32 in the source's unit."""
    first, weights = taps.first[band], taps.weights[band]
    source_top = int(first.min())
    source_bottom = min(planes.shape[0], int(first.max()) + weights.shape[1])
    rows = _resize_rows(planes[source_top:source_bottom], width)
    if len(first) == len(rows) and weights.shape[1] == 1:
        return rows
    result = np.zeros((len(first), *rows.shape[1:]), dtype=np.float32)
    for tap in range(weights.shape[1]):
        # Rows past the last one have a weight of 0.
        source = np.minimum(first - source_top + tap, len(rows) - 1)
        result += weights[:, tap, None, None] * rows[source]
    return result


def _resize_rows(planes: np.ndarray, width: int) -> np.ndarray:
    """(H, W, C) of any source type to (H, C, w) float32: every row resampled to ``width``."""
    height, source_width, channels = planes.shape
    resized = np.empty((height, channels, width), dtype=np.float32)
    chunk = max(1, int(BAND_BYTES / (8 * source_width)))
    for top in range(0, height, chunk):
        for channel in range(channels):
            plane = np.ascontiguousarray(planes[top : top + chunk, :, channel], dtype=np.float32)
            if width != source_width:
                plane = Image.fromarray(plane).resize((width, len(plane)), Image.Resampling.LANCZOS)
            resized[top : top + chunk, channel] = plane
    return resized


def _taps(source: int, target: int) -> _Taps:
    """Pillow's ``precompute_coeffs`` for one axis, in float64 until the weights are normalised."""
    if source == target:
        return _Taps(np.arange(target), np.ones((target, 1), dtype=np.float32))
    scale = source / target
    reduction = max(scale, 1.0)
    support = LOBES * reduction
    centre = (np.arange(target) + 0.5) * scale
    first = np.maximum(0, np.floor(centre - support + 0.5)).astype(np.int64)
    end = np.minimum(source, np.floor(centre + support + 0.5)).astype(np.int64)
    rows = first[:, None] + np.arange(min(source, math.ceil(support) * 2 + 1))
    x = (rows - centre[:, None] + 0.5) / reduction
    weights = np.where(np.abs(x) < LOBES, np.sinc(x) * np.sinc(x / LOBES), 0.0)
    weights[rows >= end[:, None]] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    return _Taps(first, weights.astype(np.float32))


def _rounded(levels: np.ndarray, top_level: int) -> np.ndarray:
    """Float levels to whole ones from 0 to ``top_level``, halves up; ``levels`` is overwritten."""
    levels += np.float32(0.5)
    np.floor(levels, out=levels)
    return np.clip(levels, 0, top_level, out=levels).astype(np.uint8 if top_level == 255 else np.uint16)
