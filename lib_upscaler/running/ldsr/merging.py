"""Tiles put together to one canvas: a weighted mean.

``ramps`` are ours. ``host_weights`` are the WebUI's (``get_weighting`` and ``delta_border`` in its LDSR's
``sd_hijack_ddpm_v1.py``, from CompVis/latent-diffusion, MIT).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...geometry import Region, Size
from ...planning.latent_tiles import LatentGrid, Span

__all__ = ["Merge", "host_weights", "ramps"]

_LEAST_WEIGHT, _MOST_WEIGHT = 0.01, 0.5  # of the host


class Merge:
    """A canvas that tiles are added to. The same in whatever order they come, but for rounding."""

    def __init__(self, canvas: Size, channels: int, weights: Sequence[Tensor], device: torch.device) -> None:
        """weights: of each tile, ``(h, w)`` float32, above 0."""
        self._weights = weights
        self._sum = torch.zeros(channels, canvas.height, canvas.width, device=device)
        self._weight = torch.zeros(canvas.height, canvas.width, device=device)

    def add(self, number: int, tile: Region, values: Tensor) -> None:
        """values: ``(C, h, w)``."""
        weight = self._weights[number].to(self._sum.device)
        self._sum[:, tile.rows, tile.columns] += values.to(self._sum) * weight
        self._weight[tile.rows, tile.columns] += weight

    def mean(self) -> Tensor:
        """``(1, C, H, W)``; this object is used up."""
        return self._sum.div_(self._weight)[None]


def ramps(grid: LatentGrid, scale: int = 1) -> list[Tensor]:
    """The weights of a grid's tiles, row by row: half a cosine wave across each overlap. scale: px per latent px."""
    across, down = _along(grid.columns, scale), _along(grid.rows, scale)
    return [row[:, None] * column[None, :] for row in down for column in across]


def host_weights(grid: LatentGrid, scale: int = 1) -> list[Tensor]:
    """The WebUI's: the distance to the nearest border of the tile, as a share of its side."""
    tile = grid.tiles[0]
    ways = [torch.arange(side * scale) / (side * scale - 1) for side in (tile.height, tile.width)]
    down, across = (torch.minimum(way, 1 - way) for way in ways)
    weight = torch.minimum(down[:, None], across[None, :]).clip(_LEAST_WEIGHT, _MOST_WEIGHT)
    return [weight] * len(grid.tiles)


def _along(spans: Sequence[Span], scale: int) -> list[Tensor]:
    weights = []
    for number, (start, end) in enumerate(spans):
        weight = torch.ones((end - start) * scale)
        if number:
            rise = _rise((spans[number - 1][1] - start) * scale)
            weight[: len(rise)] *= rise
        if number + 1 < len(spans):
            rise = _rise((end - spans[number + 1][0]) * scale)
            weight[len(weight) - len(rise) :] *= rise.flip(0)
        weights.append(weight)
    return weights


def _rise(length: int) -> Tensor:
    """From just above 0 to just below 1."""
    return 0.5 - 0.5 * torch.cos(math.pi * (torch.arange(length) + 0.5) / max(1, length))
