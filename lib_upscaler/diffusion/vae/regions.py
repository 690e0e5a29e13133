"""Where the windows of a plane lie: those of a pass over it, and those of a sample."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...geometry import Region, Size

__all__ = ["SAMPLE_SIDE", "equal_part", "sample_regions", "tiles_of"]

SAMPLE_SIDE, FEWEST_SAMPLES, MOST_SAMPLES = 48, 16, 192
"""px of a window that statistics are sampled in, at the stage's finest resolution, and how many there are."""


def tiles_of(size: Size, tile: Size) -> Iterator[list[Region]]:
    """The windows of a plane, one row of them after another."""
    for y in range(0, size.height, tile.height):
        height = min(tile.height, size.height - y)
        yield [Region(x, y, min(tile.width, size.width - x), height) for x in range(0, size.width, tile.width)]


def sample_regions(size: Size) -> tuple[list[Region], list[Region]]:
    """Windows of a sample: one in each cell of a lattice, nowhere at the same place of their cells.

    In two halves, as the colours of a chess board; the second is the first where there is but one cell. Every px of the
    picture is as likely as any other to be looked at; where the cells are no larger than a window, all of them are.
    """
    wanted = min(MOST_SAMPLES, max(FEWEST_SAMPLES, size.area // (24 * SAMPLE_SIDE**2)))
    across = max(1, round(math.sqrt(wanted * size.width / size.height)))
    down = max(1, round(wanted / across))
    rows, columns = _cells(size.height, down), _cells(size.width, across)
    halves: tuple[list[Region], list[Region]] = ([], [])
    for row, (top, bottom) in enumerate(rows):
        for column, (left, right) in enumerate(columns):
            width, height = min(SAMPLE_SIDE, right - left), min(SAMPLE_SIDE, bottom - top)
            # The golden ratio and a companion of it: places that repeat nowhere and cover a cell evenly.
            number = row * len(columns) + column
            x = left + round((right - left - width) * (number * 0.7548777 % 1))
            y = top + round((bottom - top - height) * (number * 0.5698403 % 1))
            halves[(row + column) % 2].append(Region(x, y, width, height))
    return halves[0], halves[1] or halves[0]


def _cells(length: int, count: int) -> list[tuple[int, int]]:
    count = min(count, length)
    edges = [length * number // count for number in range(count + 1)]
    return list(zip(edges, edges[1:]))


def equal_part(length: int, most: int) -> int:
    """The length of equal parts of at most ``most``."""
    return math.ceil(length / math.ceil(length / most))
