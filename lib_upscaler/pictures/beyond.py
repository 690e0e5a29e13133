"""What lies beyond black and white in a picture of floating point: networks never saw such values.

They get the picture cut off at 0 and 1. The rest, highlights mostly, is resampled by itself and added to their result.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import scratch
from ..depths import bits_of
from ..geometry import Size
from .resample import NO_WRAP, Wrap, lanczos

__all__ = ["beyond", "put_back"]


def beyond(color: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The part of ``color`` (H, W, C) within 0 and 1, and the rest; None where there is none."""
    if bits_of(color) != 32 or (color.min() >= 0 and color.max() <= 1):
        return color, None
    within = np.clip(color, 0, 1)
    return within, color - within


def put_back(enlarged: np.ndarray, rest: np.ndarray, wrap: Wrap = NO_WRAP, folder: Path | None = None) -> np.ndarray:
    """``enlarged`` (h, w, C) with the rest, where its depth can hold that.

    folder: where the result lies in a file; None: in memory.
    """
    if bits_of(enlarged) != 32:
        return enlarged
    height, width, channels = enlarged.shape
    resized = scratch.planes((height, width, channels), enlarged.dtype, folder)
    lanczos(rest, Size(width, height), output=resized, wrap=wrap, is_cut=False)
    for top in range(0, height, _ROWS):
        resized[top : top + _ROWS] += enlarged[top : top + _ROWS]
        scratch.let_go(resized)
        scratch.let_go(enlarged)
    return resized


_ROWS = 256
