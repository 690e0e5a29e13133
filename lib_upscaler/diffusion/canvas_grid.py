"""Where the tiles of a latent lie, other at every step. Pure: whole numbers and floats, no torch.

A lattice of tiles of the checkpoint's size that overlap by no more than is needed, shifted by a random offset at every
step, so that no line stands still: a fixed line gathers what is wrong with it over all steps (SpotDiffusion, Frolov et
al. 2024, shifts likewise, without any overlap; Tiled Diffusion's lines stand still under overlaps of half a tile). The
first and the last tile of an axis are cut to what the canvas needs of them, so that neither the shift nor the overlap
costs a row of whole tiles.

All lengths are px of the latent, 8 px of the picture each.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..errors import RequestError
from ..geometry import Region, Size

__all__ = ["Axis", "CanvasGrid", "StepGrid", "plan_canvas"]

UNIT = 8
"""Sides of tiles are multiples of it: the U-Net halves three times; the host interpolates where there is a rest."""

_MOST_OVERLAP = 16

WORK_LIMIT = 1.1
"""Sampled px per px of the canvas that freedom of the lines may cost."""


@dataclass(frozen=True)
class Axis:
    """One axis of the canvas cut into stretches.

    length: of the canvas. starts, sides: of the stretches, both ends of each rising from one to the next; the first
    starts at 0, the last ends at ``length``. context: outputs that are nearer to an inner edge are not used.
    """

    length: int
    starts: tuple[int, ...]
    sides: tuple[int, ...]
    context: int = 0

    @property
    def sampled(self) -> int:
        """Lengths of all stretches together."""
        return sum(self.sides)

    @property
    def blends(self) -> list[tuple[int, int]]:
        """From where to where (exclusive) each stretch gives way to the next: their overlap less ``context`` on both
        sides. Empty stretches are jumps."""
        ends = [start + side for start, side in zip(self.starts, self.sides)]
        return [(second + self.context, first - self.context) for first, second in zip(ends, self.starts[1:])]

    @cached_property
    def weights(self) -> tuple[tuple[float, ...], ...]:
        """Of each stretch, in [0, 1], one for each px; they sum to 1 at each px of the canvas.

        Within a blend, half a cosine wave from one to the next.
        """
        blends, lines = self.blends, []
        for number, (start, side) in enumerate(zip(self.starts, self.sides)):
            places = [start + place + 0.5 for place in range(side)]
            into = [_step(place, *blends[number - 1]) if number else 1.0 for place in places]
            away = [_step(place, *blends[number]) if number < len(blends) else 0.0 for place in places]
            lines.append(tuple(first - second for first, second in zip(into, away)))
        return tuple(lines)


def _step(place: float, start: int, end: int) -> float:
    """0 before ``start``, 1 after ``end``, half a cosine wave in between; a jump where they are the same."""
    share = min(1.0, max(0.0, (place - start) / max(1e-9, end - start)))
    return 0.5 - 0.5 * math.cos(math.pi * share)


@dataclass(frozen=True)
class StepGrid:
    """The tiles of one step: every stretch across with every stretch down."""

    across: Axis
    down: Axis

    @property
    def size(self) -> Size:
        return Size(self.across.length, self.down.length)

    @cached_property
    def tiles(self) -> tuple[Region, ...]:
        """Row by row."""
        columns = list(zip(self.across.starts, self.across.sides))
        rows = list(zip(self.down.starts, self.down.sides))
        return tuple(Region(x, y, width, height) for y, height in rows for x, width in columns)

    @property
    def work(self) -> float:
        """Sampled px per px of the canvas."""
        return self.across.sampled * self.down.sampled / self.size.area

    def lines(self, number: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Weights of tile ``number`` (across, down); a px's is their product. They sum to 1 over all tiles."""
        row, column = divmod(number, len(self.across.starts))
        return self.across.weights[column], self.down.weights[row]

    @property
    def alike(self) -> list[list[int]]:
        """Numbers of the tiles that are of one size, and can be sampled in one batch; at most nine sizes."""
        groups: dict[Size, list[int]] = {}
        for number, tile in enumerate(self.tiles):
            groups.setdefault(tile.size, []).append(number)
        return list(groups.values())


class CanvasGrid:
    """The grids of all steps, the same for the same arguments.

    size: of the canvas. tile: the longest side of a tile. Both px of the latent.
    """

    def __init__(self, size: Size, tile: int, across: Sequence[Axis], down: Sequence[Axis], seed: int, limit: float):
        """across, down: all that an axis may be cut into, cheapest first. See ``plan_canvas``."""
        self.size, self.tile = size, tile
        self._random = random.Random(f"TrueScale canvas {seed}")
        even = [_within(axes, math.sqrt(limit) * axes[0].length) for axes in (across, down)]
        # Lengths go by 8, so that on a small canvas there may be room for more freedom on one axis only: in turns.
        dearest = [max(axis.sampled for axis in axes) for axes in even]
        wide = [
            _within(axes, max(dearest[number], limit * size.area / dearest[1 - number]))
            for number, axes in enumerate((across, down))
        ]
        self._even = [_Deck(axes, self._random) for axes in even]
        self._wide = [_Deck(axes, self._random) for axes in wide]
        self._first = self._random.randrange(2)
        self._steps: list[StepGrid] = []

    @property
    def is_whole(self) -> bool:
        """Whether there is but one tile, at every step."""
        return max(self.size.width, self.size.height) <= self.tile

    def step(self, number: int) -> StepGrid:
        """The grid of step ``number``, from 0; on each axis with several tiles no line is where it was just before."""
        while len(self._steps) <= number:
            turn = (self._first + len(self._steps)) % 2
            decks = [(self._wide if axis == turn else self._even)[axis] for axis in range(2)]
            before = self._steps[-1] if self._steps else None
            across = decks[0].draw(before.across if before else None)
            down = decks[1].draw(before.down if before else None)
            self._steps.append(StepGrid(across, down))
        return self._steps[number]


class _Deck:
    """Ways to cut an axis, drawn at random, each once before any comes again."""

    def __init__(self, axes: Sequence[Axis], source: random.Random) -> None:
        self._axes, self._random = list(axes), source
        self._left: list[Axis] = []

    def draw(self, unlike: Axis | None) -> Axis:
        """The next one, if it can be other than ``unlike``."""
        if not any(axis != unlike for axis in self._left):
            self._left += self._random.sample(self._axes, len(self._axes))
        for place, axis in enumerate(self._left):
            if axis != unlike:
                return self._left.pop(place)
        return self._left.pop()


def _within(axes: Sequence[Axis], most: float) -> list[Axis]:
    """Those that sample no more than ``most``, but two at least, where there are two: a line must be able to move."""
    return [axis for axis in axes if axis.sampled <= max(most, axes[:2][-1].sampled)]


def plan_canvas(
    size: Size, tile: int, overlap: int | None = None, context: int = 0, seed: int = 0, limit: float = WORK_LIMIT
) -> CanvasGrid:
    """Cut a canvas into tiles for each step of sampling.

    size: of the latent, any whole number of px. tile: the checkpoint's size, px of the latent: 64 for those trained on
    512 px, 128 for 1024; a multiple of 16. overlap: least width of a blend, 0 to 16; None: 2 of 64, 4 of 128. context:
    outputs within it of an edge that is not the canvas's are not used (weight 0), so that the least overlap of tiles is
    ``overlap + 2 * context``. limit: sampled px per px of the canvas up to which lines may lie where they cost more
    than elsewhere; a canvas that cannot be cut as cheaply goes above it, by no more than it must.

    Tiles have ``tile`` px a side, the first and the last of a row or column any multiple of 8 from ``tile / 2`` to it.
    They lie inside of the canvas: where its side is no multiple of 8, the last tile ends with it and overlaps by up to
    7 px more. An axis no longer than a tile is not cut.

    Raises RequestError.
    """
    overlap = tile // 32 if overlap is None else overlap
    if tile < 32 or tile % 16:
        raise RequestError(
            f"tiles of {tile} px of the latent are not possible", "", "choose a multiple of 16, such as 64"
        )
    if not 0 <= overlap <= _MOST_OVERLAP:
        raise RequestError(
            f"an overlap of {overlap} px of the latent is not possible", "", f"choose 0 to {_MOST_OVERLAP}"
        )
    if context < 0 or overlap + 2 * context > tile // 2:
        why = f"with an overlap of {overlap} it leaves less than half of a tile of {tile}"
        raise RequestError(f"a context of {context} px of the latent is not possible", why, "choose less")
    across, down = (_ways(length, tile, overlap + 2 * context, context) for length in (size.width, size.height))
    return CanvasGrid(size, tile, across, down, seed, limit)


def _ways(length: int, tile: int, least: int, context: int) -> list[Axis]:
    """All ways to cut an axis, cheapest first."""
    if length <= tile:
        return [Axis(length, (0,), (length,), context)]
    ways = dict.fromkeys(_cut(length, tile, least, context, offset) for offset in range(1, tile - least + 1))
    return sorted(ways, key=lambda axis: axis.sampled)


def _cut(length: int, tile: int, least: int, context: int, offset: int) -> Axis:
    """The way in which the second stretch starts at ``offset``."""
    starts, sides = [0], [max(tile // 2, _up(offset + least))]
    start = offset
    while length - start > tile:
        starts.append(start)
        sides.append(tile)
        start += tile - least
    last = max(tile // 2, _up(length - start))
    return Axis(length, (*starts, length - last), (*sides, last), context)


def _up(value: int) -> int:
    return -(-value // UNIT) * UNIT
