"""A redraw in one piece: what ``Redraw`` does with a single tile, without what many tiles need.

Channel by channel, so that a large picture takes a fifth of the memory.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..errors import RequestError, TrueScaleError
from ..geometry import Region, Size
from .color_lock import low_frequencies
from .grid import RedrawGrid, plan_grid
from .redraw import RedrawListener, Redrawn, Sampler, Stop, Tile, padded

__all__ = ["WholeRedraw", "whole_grid"]


def whole_grid(size: Size) -> RedrawGrid:
    """The single tile of a picture of this size, px: padded to multiples of 8 and to 64 px."""
    return plan_grid(size, Size(max(64, size.width), max(64, size.height)), 0)


class WholeRedraw:
    """One picture to redraw in one piece."""

    def __init__(self, source: Image.Image, color_lock: float = 0.0, mask: Image.Image | None = None) -> None:
        """source: RGB, of the size of the result. color_lock: 0 to 1. mask: L, of the same size, 255 where it is
        redrawn.

        Raises RequestError.
        """
        if mask is not None and mask.size != source.size:
            raise RequestError("the mask does not fit the picture", f"{mask.size} and {source.size}", "")
        if not 0 <= color_lock <= 1:
            raise RequestError(f"a colour lock of {color_lock} is not possible", "", "choose one from 0 to 1")
        self.grid = whole_grid(Size(*source.size))
        self._color_lock = color_lock
        self._source = padded(np.asarray(source.convert("RGB")), self.grid.canvas)
        self._mask = None if mask is None else padded(np.asarray(mask.convert("L")), self.grid.canvas)
        self._result = self._source

    def todo(self) -> list[int]:
        """Numbers of the tiles that are redrawn: the one, unless the mask leaves nothing to redraw."""
        return [0] if self._mask is None or self._mask.max() > 0 else []

    def run(self, sampler: Sampler, listener: RedrawListener) -> Redrawn:
        """Redraw. What the sampler raises but Stop goes through."""
        todo = self.todo()
        if not todo:
            return Redrawn(self.image(), 0, 1, True)
        listener.begins(0, 1)
        mask = None if self._mask is None else Image.fromarray(self._mask)
        tile = Tile(0, Region.of(self.grid.canvas), Image.fromarray(self._source), mask)
        try:
            pictures = sampler([tile])
        except Stop as stop:
            return Redrawn(self.image(), 0, 1, not stop.whole)
        if len(pictures) != 1:
            raise TrueScaleError(f"one tile was to be redrawn and {len(pictures)} came back")
        self._put(np.asarray(pictures[0].convert("RGB")))
        listener.shows(self.image)
        return Redrawn(self.image(), 1, 0, True)

    def image(self) -> Image.Image:
        """The picture as it is now, RGB, of the source's size."""
        width, height = self.grid.size.width, self.grid.size.height
        return Image.fromarray(np.ascontiguousarray(self._result[:height, :width]))

    def _put(self, redrawn: np.ndarray) -> None:
        if redrawn.shape != self._source.shape:
            given = f"{redrawn.shape[1]}x{redrawn.shape[0]}"
            raise TrueScaleError("the picture came back in another size", f"{given}, not {self.grid.canvas}", "")
        result = np.empty_like(self._source)
        for channel in range(3):
            source = self._source[:, :, channel].astype(np.float32)
            change = redrawn[:, :, channel] - source
            if self._color_lock:
                change -= np.float32(self._color_lock) * low_frequencies(change[:, :, None])[:, :, 0]
            if self._mask is not None:
                change *= self._mask / np.float32(255)
            change += source
            change += np.float32(0.5)
            result[:, :, channel] = np.floor(change, out=change).clip(0, 255)
        self._result = result
