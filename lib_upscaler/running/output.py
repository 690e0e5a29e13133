"""What a pass gives out: rows of tiles into the canvas, the strips along their seams, and the preview."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..geometry import Region
from ..models.network import Sink
from ..planning.passes import PassTask
from .canvas import BlendingCanvas, Canvas
from .channels import from_network
from .preview import Preview
from .seams import Strip
from .tiles import Batch

__all__ = ["Output"]


class Output:
    """The result of a pass as it grows. ``begin`` comes first."""

    def __init__(self, task: PassTask, preview: Preview | None, folder: Path | None = None) -> None:
        """folder: for the file in which the result lies, where it does."""
        self._task, self._preview, self._folder = task, preview, folder if task.on_disk else None
        self._canvas: Canvas | BlendingCanvas

    def begin(self, blending: bool) -> None:
        """An empty canvas. blending: tiles are cross-faded, since they can never quite agree."""
        canvas = BlendingCanvas if blending else Canvas
        self._canvas = canvas(self._task.output, self._task.channels, self._task.bits, self._folder)

    @property
    def blending(self) -> bool:
        return isinstance(self._canvas, BlendingCanvas)

    def finish(self) -> np.ndarray:
        """As ``Canvas.pixels``."""
        return self._canvas.finish()

    def sink(self, batch: Batch, strips: list[list[Strip]]) -> Sink:
        """Where the network's rows for a batch go, for one attempt; and into the strips of each of its tiles.

        A blend is added when the tile is complete, so that a failed attempt leaves no trace.
        """
        writers = [self._writer(*tile) for tile in zip(batch.cores, batch.regions, strips)]

        def sink(rows: Tensor, top: int) -> None:
            for write, part in zip(writers, rows.chunk(len(writers))):
                write(from_network(part, self._task.channels), top)

        return sink

    def _writer(self, core: Region, region: Region, strips: list[Strip]) -> Callable[[Tensor, int], None]:
        """For finished rows of a region: ``(C, h, w)`` beginning so many rows below the region's upper edge."""
        canvas, preview = self._canvas, self._preview
        target, around = core.times(self._task.scale), region.times(self._task.scale)
        waiting: list[Tensor] = []

        def write(part: Tensor, below: int) -> None:
            left, top = around.x, around.y + below
            bottom = top + part.shape[1]
            for strip in strips:
                strip.take(part, left, top)
            first, last = max(top, target.y), min(bottom, target.bottom)
            if first < last:
                cut = part[:, first - top : last - top, target.x - left : target.right - left]
                if preview is not None:
                    preview.wrote(cut, target.x, first)
                if isinstance(canvas, Canvas):
                    canvas.write(cut, target.x, first)
            if isinstance(canvas, BlendingCanvas):
                waiting.append(part.float().cpu())
                if bottom == around.bottom:
                    canvas.add(torch.cat(waiting, dim=1), around, target)

        return write
