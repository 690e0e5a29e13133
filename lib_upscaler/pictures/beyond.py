"""What lies beyond black and white in a picture of floating point: networks never saw such values.

They get the picture cut off at 0 and 1. The rest, highlights mostly, is resampled by itself and added to their result;
where the picture is transparent, as much of it as can be seen.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import scratch
from ..depths import bits_of
from ..geometry import Size
from .resample import NO_WRAP, Wrap, lanczos

__all__ = ["beyond", "is_mostly_beyond", "put_back"]

_ROWS = 256
_LEAST_SEEN = 1 / 256  # of alpha


def beyond(color: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The part of ``color`` (H, W, C) within 0 and 1, and the rest; None where there is none."""
    if bits_of(color) != 32 or (color.min() >= 0 and color.max() <= 1):
        return color, None
    within = np.clip(color, 0, 1)
    return within, color - within


def is_mostly_beyond(rest: np.ndarray) -> bool:
    """Whether more than half of the picture is brighter than white: then its white is not 1."""
    return bool((rest > 0).any(axis=2).mean() > 0.5)


def put_back(
    enlarged: np.ndarray,
    rest: np.ndarray,
    wrap: Wrap = NO_WRAP,
    folder: Path | None = None,
    alpha: np.ndarray | None = None,
) -> np.ndarray:
    """``enlarged`` (h, w, C) with the rest, where its depth can hold that.

    folder: where the result lies in a file; None: in memory. alpha: (H, W) from 0 to 1, of the picture.
    """
    if bits_of(enlarged) != 32:
        return enlarged
    height, width, channels = enlarged.shape
    resized = scratch.planes((height, width, channels), enlarged.dtype, folder)
    seen = None
    if alpha is not None:
        # What is hidden must not come into view: colours count as much as they are seen (Porter and Duff, 1984).
        rest = rest * alpha[:, :, None]
        seen = scratch.planes((height, width, 1), enlarged.dtype, folder)
        lanczos(alpha[:, :, None], Size(width, height), output=seen, wrap=wrap, is_cut=False)
    lanczos(rest, Size(width, height), output=resized, wrap=wrap, is_cut=False)
    for top in range(0, height, _ROWS):
        rows = slice(top, top + _ROWS)
        if seen is not None:
            resized[rows] = np.where(seen[rows] > _LEAST_SEEN, resized[rows] / np.maximum(seen[rows], _LEAST_SEEN), 0)
            scratch.let_go(seen)
        resized[rows] += enlarged[rows]
        scratch.let_go(resized)
        scratch.let_go(enlarged)
    return resized
