"""The output while it is being put together."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ..geometry import Region, Size
from .downloads import Downloads

__all__ = ["BlendingCanvas", "Canvas"]

_CHUNK_VALUES = 1 << 18  # values converted at a time: they stay in the processor's cache, which halves the time for it
_CUDA_CHUNK_VALUES = 1 << 23


class Canvas:
    """A picture of whole numbers. ``pixels``: ``(H, W, C)`` uint8, or uint16 (65535 = 1.0) for further work."""

    def __init__(self, size: Size, channels: int, bits: int) -> None:
        self._kind = np.uint8 if bits == 8 else np.uint16
        self._downloads = Downloads()
        self.pixels = np.empty((size.height, size.width, channels), self._kind)

    def write(self, values: Tensor, left: int, top: int) -> None:
        """``values``: ``(C, h, w)`` in [0, 1], anywhere; its corner goes to column ``left``, row ``top``."""
        levels = 255 if self._kind is np.uint8 else 65535
        _, height, width = values.shape
        step = max(1, (_CUDA_CHUNK_VALUES if values.is_cuda else _CHUNK_VALUES) // max(1, width * values.shape[0]))
        for first in range(0, height, step):
            # Halves round up; on the device, so that only whole numbers travel.
            part = values[:, first : first + step].float().mul(levels).add_(0.5)
            whole = part.byte() if levels == 255 else part.int()
            rows = whole.permute(1, 2, 0)
            place = self.pixels[top + first : top + first + rows.shape[0], left : left + width]
            if rows.is_cuda:
                self._downloads.put(rows, place)
            else:
                place[...] = rows.cpu().numpy()

    def finish(self) -> np.ndarray:
        self._downloads.finish()
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
