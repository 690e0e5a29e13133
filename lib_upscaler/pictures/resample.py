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

from .. import scratch
from ..depths import Bits, bits_of, rounded, top_of, type_of
from ..geometry import Size

__all__ = ["NO_WRAP", "Wrap", "lanczos"]

LOBES = 3.0
BAND_BYTES = 8_000_000
"""Float intermediates of one band; small enough to stay in a processor's cache, so this is fast as well as lean."""


Wrap = tuple[bool, bool]
"""Whether a picture goes on at its other side: to the left and right, and above and below."""
NO_WRAP: Wrap = (False, False)


@dataclass(frozen=True)
class _Taps:
    """For each output row: the first source row it sees, and the weight of each row from there on (0 beyond).

    Of a picture that goes on at its other side, rows below 0 and from the height on are those of that side.
    """

    first: np.ndarray  # (h,) int
    weights: np.ndarray  # (h, taps) float32
    wraps: bool = False


def lanczos(
    planes: np.ndarray,
    target: Size,
    band_rows: int | None = None,
    check: Callable[[], None] | None = None,
    bits: Bits = 8,
    wrap: Wrap = NO_WRAP,
    output: np.ndarray | None = None,
    is_cut: bool = True,
) -> np.ndarray:
    """``planes`` (H, W, C) at the size ``target``: (h, w, C), halves rounded up, the same for any band height.

    planes: of any depth (``depths``); what lies beyond black and white is cut off, after the resample.
    band_rows: output rows at a time; None: as many as take about BAND_BYTES.
    check: called between bands; what it raises ends the work.
    bits: of the result, where ``output`` does not say it; more than the picture shall have in the end where another
        step follows that rounds.
    wrap: along which axes the picture goes on at its other side.
    output: where the result goes, of any depth. is_cut: whether what lies beyond black and white is cut off.
    """
    source_bits = bits_of(planes)
    if planes.ndim != 3:
        raise ValueError(f"planes are (H, W, C), not {planes.shape}")
    height, width, channels = planes.shape
    taps = _taps(height, target.height, wrap[1])
    if band_rows is None:
        rows_per_output = 2 + height / target.height  # result and temporary, and the source rows behind them
        band_rows = max(1, int(BAND_BYTES / (4 * channels * max(width, target.width) * rows_per_output)))
    if output is None:
        output = np.empty((target.height, target.width, channels), type_of(bits))
    unit = np.float32(1 / top_of(source_bits))
    for top in range(0, target.height, band_rows):
        if check is not None:
            check()
        band = slice(top, min(top + band_rows, target.height))
        values = _band(planes, target.width, taps, band, wrap[0])
        values *= unit
        values = values.transpose(0, 2, 1)
        scratch.let_go(planes)
        scratch.let_go(output)
        output[band] = rounded(values, bits_of(output)) if is_cut else values
    return output


def _band(planes: np.ndarray, width: int, taps: _Taps, band: slice, wraps: bool) -> np.ndarray:
    """The output rows ``band`` before clipping and rounding: (rows, C, w) float32 in the source's unit."""
    first, weights = taps.first[band], taps.weights[band]
    # Rows past the last one have a weight of 0, unless the picture goes on there.
    seen = np.arange(int(first.min()), int(first.max()) + weights.shape[1])
    seen = seen % len(planes) if taps.wraps else seen[seen < len(planes)]
    rows = _resize_rows(planes, seen, width, wraps)
    if len(first) == len(rows) and weights.shape[1] == 1:
        return rows
    result = np.zeros((len(first), *rows.shape[1:]), dtype=np.float32)
    for tap in range(weights.shape[1]):
        source = np.minimum(first - int(first.min()) + tap, len(rows) - 1)
        result += weights[:, tap, None, None] * rows[source]
    return result


def _resize_rows(planes: np.ndarray, seen: np.ndarray, width: int, wraps: bool) -> np.ndarray:
    """The rows ``seen`` of (H, W, C) of any source type to (h, C, w) float32: each resampled to ``width``."""
    _, source_width, channels = planes.shape
    resized = np.empty((len(seen), channels, width), dtype=np.float32)
    beside = math.ceil(LOBES * max(1.0, source_width / width)) + 1 if wraps else 0
    chunk = max(1, int(BAND_BYTES / (8 * (source_width + 2 * beside))))
    for top in range(0, len(seen), chunk):
        rows = planes[seen[top : top + chunk]]
        for channel in range(channels):
            plane = np.ascontiguousarray(rows[:, :, channel], dtype=np.float32)
            if width != source_width:
                plane = np.pad(plane, ((0, 0), (beside, beside)), mode="wrap") if beside else plane
                # Pillow's filter sees what lies beside the box.
                box = (beside, 0, beside + source_width, len(plane))
                plane = Image.fromarray(plane).resize((width, len(plane)), Image.Resampling.LANCZOS, box=box)
            resized[top : top + chunk, channel] = plane
    return resized


def _taps(source: int, target: int, wraps: bool) -> _Taps:
    """Pillow's ``precompute_coeffs`` for one axis, in float64 until the weights are normalised."""
    if source == target:
        return _Taps(np.arange(target), np.ones((target, 1), dtype=np.float32), wraps)
    scale = source / target
    reduction = max(scale, 1.0)
    support = LOBES * reduction
    centre = (np.arange(target) + 0.5) * scale
    first = np.floor(centre - support + 0.5).astype(np.int64)
    end = np.floor(centre + support + 0.5).astype(np.int64)
    taps = math.ceil(support) * 2 + 1
    if not wraps:
        first, end, taps = np.maximum(0, first), np.minimum(source, end), min(source, taps)
    rows = first[:, None] + np.arange(taps)
    x = (rows - centre[:, None] + 0.5) / reduction
    weights = np.where(np.abs(x) < LOBES, np.sinc(x) * np.sinc(x / LOBES), 0.0)
    weights[rows >= end[:, None]] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    return _Taps(first, weights.astype(np.float32), wraps)
