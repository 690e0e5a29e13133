"""The depth of a picture's values: whole numbers of 8 or 16 bits, or floating point of 32.

In each, black is 0 and white is the top: 255, 65535 or 1.0.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

__all__ = ["DEPTHS", "Bits", "Depth", "bits_of", "converted", "depth_of", "rounded", "top_of", "type_of"]

Bits = int
"""8, 16 or 32 of each channel; 32: floating point."""

Depth = Literal["auto", "8", "16", "32"]
"""What a result shall have; auto: as its source."""
DEPTHS: tuple[Depth, ...] = get_args(Depth)

_TYPES: dict[int, np.dtype[Any]] = {8: np.dtype(np.uint8), 16: np.dtype(np.uint16), 32: np.dtype(np.float32)}
_TOPS = {8: 255, 16: 65535, 32: 1}
_BAND = 1 << 21  # values converted at a time, so that no second copy of a whole picture is made


def depth_of(depth: Depth, source: Bits) -> Bits:
    """The bits of a result for a source of so many."""
    return source if depth == "auto" else int(depth)


def type_of(bits: Bits) -> np.dtype[Any]:
    """numpy's type of the values."""
    return _TYPES[bits]


def top_of(bits: Bits) -> int:
    """What white is."""
    return _TOPS[bits]


def bits_of(planes: np.ndarray) -> Bits:
    """Raises ValueError for values that are none of a picture's."""
    for bits, kind in _TYPES.items():
        if planes.dtype == kind:
            return bits
    raise ValueError(f"a picture has values of uint8, uint16 or float32, not {planes.dtype}")


def rounded(values: np.ndarray, bits: Bits) -> np.ndarray:
    """Finite floats, white is 1, any shape, as values of this depth: halves up, what lies beyond 0 and 1 is cut off."""
    if bits == 32:
        return np.clip(values, 0, 1).astype(np.float32, copy=False)
    levels = values * values.dtype.type(_TOPS[bits])
    levels += values.dtype.type(0.5)
    np.floor(levels, out=levels)
    return np.clip(levels, 0, _TOPS[bits], out=levels).astype(_TYPES[bits])


def converted(planes: np.ndarray, bits: Bits) -> np.ndarray:
    """Planes of any depth at another, rounded once; the same array where it has that depth."""
    source = bits_of(planes)
    if source == bits:
        return planes
    if (source, bits) == (8, 16):
        return planes.astype(np.uint16) * np.uint16(257)
    result = np.empty(planes.shape, _TYPES[bits])
    step = max(1, _BAND // max(1, planes[:1].size))
    for first in range(0, len(planes), step):
        rows = slice(first, first + step)
        if (source, bits) == (16, 8):  # v / 257, halves up; there are none, since 257 is odd
            result[rows] = (planes[rows].astype(np.uint32) + 128) // 257
        else:
            result[rows] = rounded(planes[rows].astype(np.float64) / _TOPS[source], bits)
    return result
