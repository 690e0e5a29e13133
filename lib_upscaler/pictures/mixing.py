"""Upscaler 2: the results of two models mixed."""

from __future__ import annotations

import numpy as np

__all__ = ["mix"]

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
