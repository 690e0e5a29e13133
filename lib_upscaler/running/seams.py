"""Where neighbouring tiles meet: how far they differ there, and whether that is too far."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..geometry import Region
from .precision import ChosenPrecision

__all__ = ["ACCEPTED_SEAM", "Seams", "Strip", "agree"]

ACCEPTED_SEAM = 0.5
"""8-bit levels; where neighbouring tiles differ by more, they are run again with more context."""


def agree(error: tuple[float, float], precision: ChosenPrecision) -> bool:
    """Whether two neighbours agree. error: as ``Seams.error`` gives it.

    In a small precision two tiles differ by its rounding everywhere, not only at the seam.
    """
    largest, rms = error
    if largest <= ACCEPTED_SEAM:
        return True
    return precision.dtype != torch.float32 and rms <= 255 * 10 ** (-(precision.decibels or 45.0) / 20)


@dataclass
class Strip:
    """What one tile says about the px on both sides of one of its core's edges.

    line: whether it is upright, and the column or row of the input where it lies. rect: in px of the canvas.
    values: ``(C, h, w)`` float32.
    """

    line: tuple[bool, int]
    rect: Region
    values: np.ndarray

    def take(self, band: Tensor, left: int, top: int) -> None:
        """Copy what of the band, ``(C, h, w)`` at column ``left``, row ``top``, lies in the strip."""
        shared = _common(self.rect, Region(left, top, band.shape[2], band.shape[1]))
        if shared is not None:
            there = shared.relative_to(Region(left, top, 1, 1))
            here = shared.relative_to(self.rect)
            self.values[:, here.rows, here.columns] = band[:, there.rows, there.columns].float().cpu().numpy()


class Seams:
    """The differences between neighbouring tiles along their common lines.

    Both tiles know the pixels on both sides of the line, one of them from its context. Where the context is wide
    enough they agree; how far they do not is a measured error, at no further cost.
    """

    def __init__(self, scale: int, channels: int) -> None:
        self._scale, self._channels = scale, channels
        self._lines: dict[tuple[bool, int], list[tuple[Region, Strip]]] = defaultdict(list)
        self._errors: dict[Region, dict[Region, tuple[float, float]]] = defaultdict(dict)

    def strips_of(self, core: Region, region: Region) -> list[Strip]:
        """Empty strips for the edges of ``core`` (input px) that have context in ``region`` behind them."""
        sides = [
            (region.x < core.x, (True, core.x), Region(core.x - 1, core.y, 2, core.height)),
            (region.right > core.right, (True, core.right), Region(core.right - 1, core.y, 2, core.height)),
            (region.y < core.y, (False, core.y), Region(core.x, core.y - 1, core.width, 2)),
            (region.bottom > core.bottom, (False, core.bottom), Region(core.x, core.bottom - 1, core.width, 2)),
        ]
        return [self._strip(line, rect.times(self._scale)) for wanted, line, rect in sides if wanted]

    def _strip(self, line: tuple[bool, int], rect: Region) -> Strip:
        return Strip(line, rect, np.zeros((self._channels, rect.height, rect.width), np.float32))

    def put(self, core: Region, strips: list[Strip]) -> list[Region]:
        """Record a finished tile; returns its finished neighbours."""
        self.drop(core)
        neighbours = []
        for strip in strips:
            for other, theirs in self._lines[strip.line]:
                shared = _common(strip.rect, theirs.rect)
                if shared is not None:  # else they lie along the same line without meeting
                    self._errors[core][other] = self._errors[other][core] = _difference(strip, theirs, shared)
                    neighbours.append(other)
            self._lines[strip.line].append((core, strip))
        return neighbours

    def drop(self, core: Region) -> None:
        """Forget a tile that is to be run again, perhaps in another shape."""
        for line in ((True, core.x), (True, core.right), (False, core.y), (False, core.bottom)):
            if line in self._lines:
                self._lines[line] = [(other, strip) for other, strip in self._lines[line] if other != core]
        for other in self._errors.pop(core, {}):
            del self._errors[other][core]

    def error(self, core: Region, other: Region) -> tuple[float, float]:
        """The largest and the root mean square difference between two finished neighbours, in 8-bit levels."""
        return self._errors[core][other]

    @property
    def largest(self) -> float:
        """The largest difference at any seam, in 8-bit levels."""
        return max((error[0] for errors in self._errors.values() for error in errors.values()), default=0.0)


def _difference(mine: Strip, theirs: Strip, shared: Region) -> tuple[float, float]:
    """The largest and the root mean square difference of two strips where they overlap, in 8-bit levels."""
    a, b = shared.relative_to(mine.rect), shared.relative_to(theirs.rect)
    difference = 255 * (mine.values[:, a.rows, a.columns] - theirs.values[:, b.rows, b.columns])
    return float(np.abs(difference).max()), float(np.sqrt(np.square(difference).mean()))


def _common(a: Region, b: Region) -> Region | None:
    x, y = max(a.x, b.x), max(a.y, b.y)
    right, bottom = min(a.right, b.right), min(a.bottom, b.bottom)
    return Region(x, y, right - x, bottom - y) if right > x and bottom > y else None
