"""Tiles put together: a weighted mean, in which texture stays as strong as it is in each tile.

The mean of two textures that know nothing of each other is weaker than either, in the middle of an overlap by a factor
of 0.71: a soft band along each seam. Textures that agree lose nothing. So what is fine in the mean is made stronger by
the factor that their measured agreement asks for; what is coarse (``low_frequencies``) is the plain mean.

With ``h`` the fine part of each tile, ``v`` its strength (variance), ``w`` the weights and ``r`` the correlation of
neighbours, the mean has the strength ``sum(w^2) v + r (sum(w)^2 - sum(w^2)) v``, where it should have ``sum(w)^2 v``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ..geometry import Region
from .grid import LATENT, RedrawGrid

__all__ = ["Blend", "TileWeights", "step"]

_AROUND = 9
"""Cells of 8 px over which agreement is measured: enough for a firm value, few enough to follow the picture."""

_FAINT = 0.0025
"""Levels squared. Texture below a twentieth of a level is none."""


class Blend:
    """What is changed in the canvas, in levels. The same in whatever order the tiles come.

    Where no tile has been added there is no change, and towards there it fades out.
    """

    def __init__(self, grid: RedrawGrid) -> None:
        self._tiles, self._weights = grid.tiles, TileWeights(grid)
        self._added: list[int] = []
        height, width = grid.canvas.height, grid.canvas.width
        self._mean = np.zeros((height, width, 3), np.float32)
        # sum(w h), sum(w h^2), sum(w^2 h^2), sum(w); half precision errs by a hundredth of a level
        self._fine = np.zeros((height, width, 3), np.float16)
        cells = height // LATENT, width // LATENT
        self._strength, self._alone, self._covered = (np.zeros(cells, np.float32) for _ in range(3))

    def add(self, number: int, change: np.ndarray, fine: np.ndarray) -> None:
        """A tile of the grid. change, fine: all that it changes, and what of it is texture, ``(h, w, 3)`` levels."""
        region, weight = self._tiles[number], self._weights[number]
        self._added.append(number)
        self._mean[region.rows, region.columns] += change * weight[:, :, None]
        self._fine[region.rows, region.columns] += (fine * weight[:, :, None]).astype(np.float16)
        power = np.square(fine).mean(axis=2) * weight
        place = slice(region.y // LATENT, region.bottom // LATENT), slice(region.x // LATENT, region.right // LATENT)
        self._strength[place] += _cells(power)
        self._alone[place] += _cells(power * weight)
        self._covered[place] += _cells(weight)

    def mean(self, region: Region) -> np.ndarray:
        """The plain mean there, ``(h, w, 3)`` float32 levels; not a copy."""
        return self._mean[region.rows, region.columns]

    def agreement(self) -> np.ndarray:
        """The correlation of the textures of neighbours, 0 to 1, for each cell of 8x8 px; 1 where there is none."""
        mixed = [_cells(np.square(band.astype(np.float32)).mean(axis=2)) for band in self._fine_bands()]
        shared = _around(np.concatenate(mixed) - self._alone)
        possible = _around((self._covered * self._strength - self._alone).clip(0))
        return ((shared + _FAINT) / (possible + _FAINT)).clip(0, 1)

    def rows(self, top: int, bottom: int, agreement: np.ndarray) -> np.ndarray:
        """Rows ``top`` to ``bottom`` of the change, ``(bottom - top, W, 3)`` float32 levels."""
        covered, alone = self._sums_of_weights(top, bottom)
        correlation = _stretched(agreement, top, bottom, covered.shape[1])
        full = np.square(covered)
        kept = alone + correlation * (full - alone)
        gain = np.sqrt(full / np.maximum(kept, 1e-9), where=kept > 1e-9, out=np.ones_like(full))
        return self._mean[top:bottom] + self._fine[top:bottom] * (gain - 1)[:, :, None]

    def _sums_of_weights(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray]:
        """In these rows, of the tiles that have been added: sum(w), sum(w^2)."""
        sums = np.zeros((2, bottom - top, self._mean.shape[1]), np.float32)
        for number in self._added:
            tile = self._tiles[number]
            first, last = max(top, tile.y), min(bottom, tile.bottom)
            if first < last:
                weight = self._weights[number][first - tile.y : last - tile.y]
                sums[0, first - top : last - top, tile.columns] += weight
                sums[1, first - top : last - top, tile.columns] += np.square(weight)
        return sums[0], sums[1]

    def _fine_bands(self) -> list[np.ndarray]:
        """The fine part in bands, so that no second copy of it is needed."""
        height = 32 * LATENT
        return [self._fine[top : top + height] for top in range(0, len(self._fine), height)]


def _cells(plane: np.ndarray) -> np.ndarray:
    """Means of 8x8 px."""
    height, width = plane.shape
    return plane.reshape(height // LATENT, LATENT, width // LATENT, LATENT).mean(axis=(1, 3), dtype=np.float32)


def _around(cells: np.ndarray) -> np.ndarray:
    """Means of the cells around each; at the border of those that there are."""
    planes = torch.from_numpy(cells)[None, None]
    return F.avg_pool2d(planes, _AROUND, stride=1, padding=_AROUND // 2, count_include_pad=False)[0, 0].numpy()


def _stretched(cells: np.ndarray, top: int, bottom: int, width: int) -> np.ndarray:
    """Rows ``top`` to ``bottom`` of the cells interpolated to pixels."""
    down, across = np.arange(top, bottom), np.arange(width)
    for axis, place in ((0, down), (1, across)):
        at = ((place + 0.5) / LATENT - 0.5).clip(0, cells.shape[axis] - 1)
        first = np.minimum(at.astype(int), max(0, cells.shape[axis] - 2))
        share = (at - first).astype(np.float32)
        share = share[:, None] if axis == 0 else share[None, :]
        second = np.minimum(first + 1, cells.shape[axis] - 1)
        cells = cells.take(first, axis) * (1 - share) + cells.take(second, axis) * share
    return cells


class TileWeights:
    """The weights of a grid's tiles, kept as one line per column and row of tiles."""

    def __init__(self, grid: RedrawGrid) -> None:
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
        into = step(position, edge, edges[number - 1] + length) if number else np.ones(length)
        away = step(position, edges[number + 1], edge + length) if number + 1 < len(edges) else np.zeros(length)
        weights.append(into - away)
    return weights


def step(position: np.ndarray, start: int, end: int) -> np.ndarray:
    """0 before ``start``, 1 after ``end``, half a cosine wave in between; a jump where they are the same."""
    share = ((position - start) / max(1e-9, end - start)).clip(0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * share)
