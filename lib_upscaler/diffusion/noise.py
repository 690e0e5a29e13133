"""One noise for the whole canvas, of which each tile gets its part.

So neighbours start from the same noise where they overlap, and the result does not depend on the order of the tiles,
on how many are sampled at once, or on a run that was interrupted. What samplers add on the way is cut from it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..geometry import Region
from .grid import LATENT

__all__ = ["NoiseField", "TileNoise", "TileTree", "repeated"]


class NoiseField:
    """The canvas's noises: the first one that sampling starts from, then one for each further draw.

    draw: gives the next one, ``(1, C, H / 8, W / 8)``, from the user's seed. period: px after which a noise comes
    again, across and down, multiples of 8; 0: it does not.
    """

    def __init__(self, draw: Callable[[], Tensor], period: tuple[int, int] = (0, 0)) -> None:
        self._draw = draw
        self._period = period
        self._drawn: list[Tensor] = []

    def part(self, number: int, tiles: Sequence[Region]) -> Tensor:
        """Noise ``number`` (from 0) of these tiles, ``(B, C, h / 8, w / 8)``."""
        return cut(self.whole(number), tiles)

    def whole(self, number: int) -> Tensor:
        """Noise ``number`` of the canvas, ``(1, C, H / 8, W / 8)``."""
        while len(self._drawn) <= number:
            self._drawn.append(repeated(self._draw(), self._period))
        return self._drawn[number]


class TileNoise:
    """Stands in for the host's random numbers while some tiles are sampled: ``first`` and ``next``, as it has them."""

    def __init__(self, field: NoiseField, tiles: Sequence[Region]) -> None:
        self._field, self._tiles = field, tuple(tiles)
        self._number = 0

    def first(self) -> Tensor:
        self._number = 1
        return self._field.part(0, self._tiles)

    def next(self) -> Tensor:
        self._number += 1
        return self._field.part(self._number - 1, self._tiles)


class TileTree:
    """Brownian motion over the noise levels (SDE samplers), drawn for the canvas and cut for some tiles.

    tree: ``(sigma, sigma_next) -> (1, C, H / 8, W / 8)``, such as k-diffusion's BrownianTreeNoiseSampler.
    """

    def __init__(self, tree: Callable[[object, object], Tensor], tiles: Sequence[Region]) -> None:
        self._tree, self._tiles = tree, tuple(tiles)

    def __call__(self, sigma: object, sigma_next: object) -> Tensor:
        return cut(self._tree(sigma, sigma_next), self._tiles)


def repeated(field: Tensor, period: tuple[int, int]) -> Tensor:
    """``(1, C, H / 8, W / 8)`` with its beginning once more from so many px on, across and down; 0: not."""
    for axis, length in ((3, period[0] // LATENT), (2, period[1] // LATENT)):
        if length:
            first = field.narrow(axis, 0, length)
            further = field.narrow(axis, 0, field.shape[axis] - length)
            field = torch.cat((first, further), axis)
    return field


def cut(field: Tensor, tiles: Sequence[Region]) -> Tensor:
    """Of ``(1, C, H / 8, W / 8)`` the parts of these tiles, ``(B, C, h / 8, w / 8)``; a copy."""
    parts = [
        field[:, :, tile.y // LATENT : tile.bottom // LATENT, tile.x // LATENT : tile.right // LATENT] for tile in tiles
    ]
    return torch.cat(parts).clone()
