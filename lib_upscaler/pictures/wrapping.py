"""A picture that goes on at its other side, as textures and panoramas do: with px of that side beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["cut", "wrapped"]


def wrapped(planes: np.ndarray, beside: Sequence[int]) -> np.ndarray:
    """``(H, W, ...)`` with so many px of its other side to the left and right, and above and below.

    More than the picture has repeat it. The same array where there are none.
    """
    across, down = beside
    if not (across or down):
        return planes
    height, width = planes.shape[:2]
    rows = np.arange(-down, height + down) % height
    columns = np.arange(-across, width + across) % width
    return planes[rows[:, None], columns]


def cut(planes: np.ndarray, beside: Sequence[int]) -> np.ndarray:
    """The opposite of ``wrapped``; a view."""
    across, down = beside
    height, width = planes.shape[:2]
    return planes[down : height - down, across : width - across]
