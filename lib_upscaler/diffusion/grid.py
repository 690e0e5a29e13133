"""Where the tiles lie. Pure: whole numbers, no torch, no Pillow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import RequestError
from ..geometry import Region, Size

__all__ = ["LATENT", "ORDERS", "Order", "RedrawGrid", "ordered", "plan_grid"]

LATENT = 8
"""px of the picture per px of the latent: origins and sizes of tiles are multiples of it."""

Order = Literal["rows", "chess", "spiral", "detail"]
ORDERS: tuple[Order, ...] = get_args(Order)
"""Row by row; first the tiles of one colour of a chess board, then the others; from the centre outwards; most detailed
first. The result is the same in any order, but for what an interrupt leaves undone."""


@dataclass(frozen=True)
class RedrawGrid:
    """A picture cut into tiles of one size.

    size: of the picture. canvas: what is cut: the picture padded by reflection, on the right and below, to multiples of
    8 and to at least one tile. tile: of every tile. columns, rows: left and upper edges of the tiles, px of the canvas,
    multiples of 8, rising.
    """

    size: Size
    canvas: Size
    tile: Size
    columns: tuple[int, ...]
    rows: tuple[int, ...]

    @property
    def tiles(self) -> list[Region]:
        """All tiles, row by row."""
        return [Region(x, y, self.tile.width, self.tile.height) for y in self.rows for x in self.columns]

    @property
    def overlap(self) -> int:
        """The smallest actual overlap of neighbours, px; 0 where there is but one tile."""
        gaps = [
            length - (second - first)
            for edges, length in ((self.columns, self.tile.width), (self.rows, self.tile.height))
            for first, second in zip(edges, edges[1:])
        ]
        return min(gaps, default=0)

    @property
    def work(self) -> float:
        """Pixels that are sampled for each pixel of the picture."""
        return len(self.columns) * len(self.rows) * self.tile.area / self.size.area

    def __str__(self) -> str:
        count = len(self.columns) * len(self.rows)
        if count == 1:
            return f"1 tile, {self.size}"
        return f"{count} tiles, {len(self.columns)} x {len(self.rows)}, overlap {self.overlap}, {self.size}"


def plan_grid(size: Size, tile: Size, overlap: int) -> RedrawGrid:
    """As few tiles as cover the picture with neighbours overlapping by at least ``overlap`` px, evenly spread.

    A tile's sides are rounded up to multiples of 8, and the overlap likewise; a tile that is longer than the picture is
    cut to it (and to 64 px at least). Raises RequestError for a tile below 64 px or an overlap that leaves no progress.
    """
    if min(tile.width, tile.height) < 64:
        raise RequestError(f"a tile of {tile} px is not possible", "", "choose at least 64 px")
    if overlap < 0:
        raise RequestError(f"an overlap of {overlap} px is not possible", "", "choose 0 or more")
    overlap = _up(overlap)
    sides = [(length, min(_up(wanted), max(64, _up(length)))) for length, wanted in _sides(size, tile)]
    for length, side in sides:
        if length > side and overlap > side - LATENT:
            todo = f"choose at most {side - LATENT} px, or larger tiles"
            raise RequestError(f"an overlap of {overlap} px leaves nothing of a tile of {side} px", "", todo)
    (width, tile_width), (height, tile_height) = sides
    canvas = Size(max(_up(width), tile_width), max(_up(height), tile_height))
    return RedrawGrid(
        size,
        canvas,
        Size(tile_width, tile_height),
        _edges(canvas.width, tile_width, overlap),
        _edges(canvas.height, tile_height, overlap),
    )


def _sides(size: Size, tile: Size) -> list[tuple[int, int]]:
    return [(size.width, tile.width), (size.height, tile.height)]


def _edges(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Rising multiples of 8 from 0 to ``length - tile``, no two further apart than ``tile - overlap``."""
    distance, step = (length - tile) // LATENT, (tile - overlap) // LATENT
    if distance == 0:
        return (0,)
    gaps = -(-distance // step)
    return tuple(number * distance // gaps * LATENT for number in range(gaps + 1))


def _up(value: int) -> int:
    return -(-value // LATENT) * LATENT


def ordered(grid: RedrawGrid, order: Order, detail: Sequence[float] = ()) -> list[int]:
    """Numbers of the tiles in the order in which they are drawn. detail: of each tile, for "detail".

    Raises RequestError for an order that there is not.
    """
    across = len(grid.columns)
    numbers = range(across * len(grid.rows))
    if order == "rows":
        return list(numbers)
    if order == "chess":
        return sorted(numbers, key=lambda n: ((n % across + n // across) % 2, n))
    if order == "detail":
        return sorted(numbers, key=lambda n: (-detail[n], n))
    if order == "spiral":
        return sorted(numbers, key=lambda n: (_from_centre(n, across, len(grid.rows)), n))
    raise RequestError(f"there is no order of tiles called '{order}'", "", f"choose one of {', '.join(ORDERS)}")


def _from_centre(number: int, across: int, down: int) -> tuple[float, float]:
    """(ring around the centre, angle within it)."""
    x, y = number % across - (across - 1) / 2, number // across - (down - 1) / 2
    return max(abs(x), abs(y)), math.atan2(y, x)
