"""The output while it is being put together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from .. import scratch
from ..depths import Bits, rounded, top_of, type_of
from ..geometry import Region, Size
from .downloads import Downloads

__all__ = ["BlendingCanvas", "Canvas"]

_CHUNK_VALUES = 1 << 18  # values converted at a time: they stay in the processor's cache, which halves the time for it
_CUDA_CHUNK_VALUES = 1 << 23
_HELD_BYTES = 1 << 23  # of a picture in a file that may be in memory as well


class Canvas:
    """A picture of any depth (``depths``). ``pixels``: ``(H, W, C)``."""

    def __init__(self, size: Size, channels: int, bits: Bits, folder: Path | None = None) -> None:
        """folder: where the picture lies in a file; None: in memory."""
        self._bits = bits
        self._downloads = Downloads()
        self._written = 0
        self.pixels = scratch.planes((size.height, size.width, channels), type_of(bits), folder)

    def write(self, values: Tensor, left: int, top: int) -> None:
        """``values``: ``(C, h, w)`` in [0, 1], anywhere; its corner goes to column ``left``, row ``top``."""
        levels = top_of(self._bits)
        _, height, width = values.shape
        step = max(1, (_CUDA_CHUNK_VALUES if values.is_cuda else _CHUNK_VALUES) // max(1, width * values.shape[0]))
        for first in range(0, height, step):
            part = values[:, first : first + step].float()
            if self._bits != 32:
                # Halves round up; on the device, so that only whole numbers travel.
                part = part.mul(levels).add_(0.5)
                part = part.byte() if self._bits == 8 else part.int()
            rows = part.permute(1, 2, 0)
            place = self.pixels[top + first : top + first + rows.shape[0], left : left + width]
            if rows.is_cuda:
                self._downloads.put(rows, place)
            else:
                place[...] = rows.cpu().numpy()
            self._written += place.nbytes
            if self._written > _HELD_BYTES:
                scratch.let_go(self.pixels)
                self._written = 0

    def finish(self) -> np.ndarray:
        self._downloads.finish()
        return self.pixels


class BlendingCanvas:
    """Overlapping tiles cross-faded over their common context, for networks whose tiles can never quite agree.

    Weights rise linearly from the tile's outer edge to as far inside the core, so that two neighbours sum to one; the
    sum is divided out, whatever the tiles are.
    """

    def __init__(self, size: Size, channels: int, bits: Bits, folder: Path | None = None) -> None:
        """folder: as of ``Canvas``."""
        self._size, self._channels, self._bits, self._folder = size, channels, bits, folder
        floats = np.dtype(np.float32)
        self._sum = scratch.planes((channels, size.height, size.width), floats, folder)
        self._weight = scratch.planes((size.height, size.width), floats, folder)
        for plane in (*self._sum, self._weight):
            plane[...] = 0
            scratch.let_go(plane)

    def add(self, values: Tensor, region: Region, core: Region) -> None:
        """``values``: ``(C, h, w)`` in [0, 1] of ``region``; both regions in px of the canvas."""
        rows = _ramp(region.y, region.bottom, core.y, core.bottom, self._size.height)
        columns = _ramp(region.x, region.right, core.x, core.right, self._size.width)
        weight = rows[:, None] * columns[None, :]
        self._sum[:, region.rows, region.columns] += values.float().cpu().numpy() * weight
        self._weight[region.rows, region.columns] += weight
        scratch.let_go(self._sum)
        scratch.let_go(self._weight)

    def finish(self) -> np.ndarray:
        """``(H, W, C)`` as ``Canvas.pixels``."""
        shape = self._size.height, self._size.width, self._channels
        result = scratch.planes(shape, type_of(self._bits), self._folder)
        step = max(1, _CHUNK_VALUES // self._size.width)
        for first in range(0, self._size.height, step):
            rows = slice(first, first + step)
            for channel in range(self._channels):
                result[rows, :, channel] = rounded(self._sum[channel, rows] / self._weight[rows], self._bits)
            for plane in (result, self._sum, self._weight):
                scratch.let_go(plane)
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
