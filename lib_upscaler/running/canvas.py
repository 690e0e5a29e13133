"""The output while it is being put together: regions written into it, and the seams between them measured."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..geometry import Region, Size

__all__ = ["BlendingCanvas", "Canvas", "Seams", "Strip"]

_CHUNK_VALUES = 1 << 21  # values converted at a time, so that no float copy of the whole picture is made


class Canvas:
    """A picture of whole numbers. ``pixels``: ``(H, W, C)`` uint8, or uint16 (65535 = 1.0) for further work."""

    def __init__(self, size: Size, channels: int, bits: int) -> None:
        self._kind = np.uint8 if bits == 8 else np.uint16
        self.pixels = np.empty((size.height, size.width, channels), self._kind)

    def write(self, values: Tensor, left: int, top: int) -> None:
        """``values``: ``(C, h, w)`` in [0, 1], anywhere; its corner goes to column ``left``, row ``top``."""
        levels = 255 if self._kind is np.uint8 else 65535
        _, height, width = values.shape
        step = max(1, _CHUNK_VALUES // max(1, width * values.shape[0]))
        for first in range(0, height, step):
            # Halves round up; on the device, so that only whole numbers travel.
            part = values[:, first : first + step].float().mul(levels).add_(0.5)
            whole = part.byte() if levels == 255 else part.int()
            rows = whole.permute(1, 2, 0).cpu().numpy()
            self.pixels[top + first : top + first + rows.shape[0], left : left + width] = rows

    def finish(self) -> np.ndarray:
        return self.pixels


class BlendingCanvas:
    """Overlapping tiles cross-faded over their common context, for networks whose tiles can never quite agree.

    Weights rise linearly from the tile's outer edge to as far inside the core, so that two neighbours sum to one; the
    sum is divided out, whatever the tiles are.
    """

    def __init__(self, size: Size, channels: int, bits: int) -> None:
        self._size, self._channels, self._bits = size, channels, bits
        self._sum = np.zeros((channels, size.height, size.width), np.float32)
        self._weight = np.zeros((size.height, size.width), np.float32)

    def add(self, values: Tensor, region: Region, core: Region) -> None:
        """``values``: ``(C, h, w)`` in [0, 1] of ``region``; both regions in px of the canvas."""
        rows = _ramp(region.y, region.bottom, core.y, core.bottom, self._size.height)
        columns = _ramp(region.x, region.right, core.x, core.right, self._size.width)
        weight = rows[:, None] * columns[None, :]
        self._sum[:, region.rows, region.columns] += values.float().cpu().numpy() * weight
        self._weight[region.rows, region.columns] += weight

    def finish(self) -> np.ndarray:
        """``(H, W, C)`` as ``Canvas.pixels``."""
        self._sum /= self._weight
        levels, kind = (255, np.uint8) if self._bits == 8 else (65535, np.uint16)
        result = np.empty((self._size.height, self._size.width, self._channels), kind)
        for channel in range(self._channels):
            plane = self._sum[channel]
            plane *= levels
            plane += 0.5
            result[..., channel] = plane.clip(0, levels + 0.5, out=plane)
        return result


def _ramp(start: int, end: int, core_start: int, core_end: int, limit: int) -> np.ndarray:
    """Weights along one side of a tile; no ramp at the picture's own border."""
    position = np.arange(start, end, dtype=np.float32) + 0.5
    weights = np.ones(end - start, np.float32)
    if start > 0:
        reach = max(1, core_start - start)
        weights = np.minimum(weights, (position - (core_start - reach)) / (2 * reach))
    if end < limit:
        reach = max(1, end - core_end)
        weights = np.minimum(weights, (core_end + reach - position) / (2 * reach))
    return weights.clip(1e-6, 1)


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
