"""Two results mixed into one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import scratch
from ..depths import Bits, bits_of, rounded, top_of, type_of

__all__ = ["mix"]

_CHUNK_ROWS = 256


def mix(
    first: np.ndarray, second: np.ndarray, visibility: float, bits: Bits = 8, folder: Path | None = None
) -> np.ndarray:
    """``first * (1 - visibility) + second * visibility``, rounded once, halves up.

    first, second: ``(H, W, C)`` of one size and depth (``depths``). visibility: of the second, 0 to 1.
    folder: where the result lies in a file; None: in memory. Returns ``(H, W, C)`` with so many bits.
    """
    result = scratch.planes(first.shape, type_of(bits), folder)
    top = top_of(bits_of(first))
    for start in range(0, first.shape[0], _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        mixed = first[rows] * np.float64((1 - visibility) / top)
        mixed += second[rows] * np.float64(visibility / top)
        result[rows] = rounded(mixed, bits)
        for planes in (first, second, result):
            scratch.let_go(planes)
    return result
