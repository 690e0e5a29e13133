"""How much of each tile is seen at each pixel: raised cosines over the actual overlaps, that sum to 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .grid import Grid

__all__ = ["TileWeights"]


class TileWeights:
    """The weights of a grid's tiles, kept as one line per column and row of tiles."""

    def __init__(self, grid: Grid) -> None:
        self._across = _along(grid.columns, grid.tile.width)
        self._down = _along(grid.rows, grid.tile.height)

    def __getitem__(self, number: int) -> np.ndarray:
        """Of tile ``number`` of ``grid.tiles``: ``(h, w)`` float32 in [0, 1]. At each pixel of the canvas they sum
        to 1."""
        row, column = divmod(number, len(self._across))
        return (self._down[row][:, None] * self._across[column][None, :]).astype(np.float32)


def _along(edges: Sequence[int], length: int) -> list[np.ndarray]:
    """One axis. Between two neighbours a step rises over the whole of their overlap; a tile's weight is the step that
    leads to it less the one that leads away, so that the sum is 1 however many tiles overlap."""
    weights = []
    for number, edge in enumerate(edges):
        position = np.arange(edge, edge + length) + 0.5
        into = _step(position, edge, edges[number - 1] + length) if number else np.ones(length)
        away = _step(position, edges[number + 1], edge + length) if number + 1 < len(edges) else np.zeros(length)
        weights.append(into - away)
    return weights


def _step(position: np.ndarray, start: int, end: int) -> np.ndarray:
    """0 before ``start``, 1 after ``end``, half a cosine wave in between; a jump where they are the same."""
    share = ((position - start) / max(1e-9, end - start)).clip(0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * share)
