"""Modules run in bands of rows, each with as much context as they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

__all__ = ["banded_forward", "bands_of"]


def bands_of(
    x: Tensor, rows: int, radius: int, scale: int, function: Callable[[Tensor], Tensor]
) -> Iterator[tuple[int, Tensor]]:
    """``function`` over bands of ``x``; yields the first output row and the band's own rows, context cut off."""
    height = x.shape[2]
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        first, last = max(0, top - radius), min(height, bottom + radius)
        y = function(x[:, :, first:last])
        yield top * scale, y[:, :, (top - first) * scale : (bottom - first) * scale]


def banded_forward(
    module: nn.Module, radius: int, rows: int, on_band: Callable[[], None] = lambda: None
) -> Callable[[Tensor], Tensor]:
    """The module's forward in bands of so many rows. on_band: called after each; may raise."""
    plain = module.forward

    def forward(x: Tensor) -> Tensor:
        if x.shape[2] <= rows:
            return plain(x)
        result = torch.empty_like(x)
        for top, y in bands_of(x, rows, radius, 1, plain):
            result[:, :, top : top + y.shape[2]] = y
            on_band()
        return result

    return forward
