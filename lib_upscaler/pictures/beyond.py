"""What lies beyond black and white in a picture of floating point: networks never saw such values.

They get the picture cut off at 0 and 1. The rest, highlights mostly, is resampled by itself and added to their result.
"""

from __future__ import annotations

import numpy as np

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


def put_back(enlarged: np.ndarray, rest: np.ndarray, wrap: Wrap = NO_WRAP) -> np.ndarray:
    """``enlarged`` (h, w, C) with the rest, where its depth can hold that."""
    if bits_of(enlarged) != 32:
        return enlarged
    height, width, channels = enlarged.shape
    resized = np.empty((height, width, channels), np.float32)
    lanczos(rest, Size(width, height), output=resized, wrap=wrap)
    resized += enlarged
    return resized
