"""Which part of a picture is another than before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from .pixels import Pixels, compose

__all__ = ["Box", "around", "changed", "cropped", "difference", "joined"]

_ROWS = 256  # looked at together


@dataclass(frozen=True)
class Box:
    """Columns ``left`` to ``right``, rows ``top`` to ``bottom``, both ends exclusive, px."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.right)

    @property
    def size(self) -> tuple[int, int]:
        return self.right - self.left, self.bottom - self.top


def around(marked: np.ndarray) -> Box | None:
    """The smallest box around all that is marked in (H, W) bool; None where nothing is."""
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    if not len(rows):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def joined(one: Box, other: Box) -> Box:
    """The smallest box around both."""
    return Box(
        min(one.left, other.left),
        min(one.top, other.top),
        max(one.right, other.right),
        max(one.bottom, other.bottom),
    )


def changed(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Where two pictures (H, W, C) uint8 of one size differ, (H, W) bool."""
    differs = np.empty(now.shape[:2], bool)
    for top in range(0, len(now), _ROWS):
        rows = slice(top, top + _ROWS)
        (before[rows] != now[rows]).any(axis=2, out=differs[rows])
    return differs


def difference(before: Pixels, now: Pixels) -> Box | None:
    """The smallest box around all that differs between two pictures of one size and kind; None: nothing does."""
    if before is now:
        return None
    marked = changed(before.color, now.color)
    if before.alpha is not None and now.alpha is not None:
        marked |= before.alpha != now.alpha
    return around(marked)


def cropped(pixels: Pixels, box: Box) -> Image.Image:
    """A part of a picture of 8 bits."""
    alpha = None if pixels.alpha is None else pixels.alpha[box.rows, box.columns]
    return compose(pixels.color[box.rows, box.columns], alpha, pixels.mode)
