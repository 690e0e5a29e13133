"""The plan of tiles or bands that cover a picture. Pure; no torch.

A tile's *core* is what it contributes to the result, its *region* the core with real neighbouring pixels as context.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..geometry import Region, Size

__all__ = ["SMALLEST_CORE", "TileGrid", "halves", "plan_fixed", "plan_within", "region_of"]

SMALLEST_CORE = 16
"""px; below that a tile is nearly all context."""


@dataclass(frozen=True)
class TileGrid:
    """Cores that cover a picture once, row by row. ``work``: px of all their regions together."""

    cores: tuple[Region, ...]
    work: int


def _cuts(length: int, parts: int, align: int) -> list[int]:
    """Borders of ``parts`` equal stretches of ``length``, the inner ones at multiples of ``align``."""
    inner = {min(length, round(i * length / parts / align) * align) for i in range(1, parts)}
    return [0, *sorted(inner - {0, length}), length]


def _grid(size: Size, columns: int, rows: int, margin: int, align: int) -> TileGrid:
    xs, ys = _cuts(size.width, columns, align), _cuts(size.height, rows, align)
    cores = tuple(
        Region(left, top, right - left, bottom - top)
        for top, bottom in zip(ys, ys[1:])
        for left, right in zip(xs, xs[1:])
    )
    return TileGrid(cores, sum(region_of(core, margin, size, align).size.area for core in cores))


def region_of(core: Region, margin: int, size: Size, align: int = 1) -> Region:
    """The core with its context, cut at the picture's border, beginning at a multiple of ``align``."""
    margin = math.ceil(margin / align) * align
    return core.grown(margin, size)


def plan_fixed(size: Size, side: int, margin: int, align: int = 1) -> TileGrid:
    """Equal cores of at most ``side`` px each way (rounded up to ``align``)."""
    side = max(align, math.ceil(side / align) * align)
    return _grid(size, math.ceil(size.width / side), math.ceil(size.height / side), margin, align)


def plan_within(size: Size, fits: Callable[[Size], bool], margin: int, align: int = 1) -> TileGrid | None:
    """The grid with the least work all of whose regions fit; None if there is none.

    fits: whether a region of that size can be run. Full-width bands are among the candidates: they pay for context in
    one dimension only.
    """
    best: tuple[int, int, int] | None = None  # work, columns, rows
    most = math.ceil(size.width / SMALLEST_CORE)
    columns = 1
    while columns <= most:
        widths = _extents(size.width, columns, margin, align)
        rows = _fewest_rows(size.height, widths, fits, margin, align)
        if rows is not None:
            work = sum(widths) * sum(_extents(size.height, rows, margin, align))
            if best is None or work < best[0]:
                best = (work, columns, rows)
            elif columns > 4 and work > 1.5 * best[0]:
                break
        columns += max(1, columns // 8)  # very many columns need no fine search
    return None if best is None else _grid(size, best[1], best[2], margin, align)


def _extents(length: int, parts: int, margin: int, align: int) -> list[int]:
    """What the regions of ``parts`` stretches of ``length`` measure, context included."""
    margin = math.ceil(margin / align) * align
    cuts = _cuts(length, parts, align)
    return [min(length, end + margin) - max(0, start - margin) for start, end in zip(cuts, cuts[1:])]


def _fewest_rows(height: int, widths: list[int], fits: Callable[[Size], bool], margin: int, align: int) -> int | None:
    """The fewest rows of tiles of these widths so that each fits."""

    def all_fit(rows: int) -> bool:
        heights = set(_extents(height, rows, margin, align))
        return all(fits(Size(width, tall)) for width in set(widths) for tall in heights)

    low, high = 1, math.ceil(height / SMALLEST_CORE)
    if not all_fit(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if all_fit(middle) else (middle + 1, high)
    return high


def halves(core: Region, align: int = 1) -> tuple[Region, Region] | None:
    """The core cut in two across its longer side; None where the halves would be too small."""
    if max(core.width, core.height) < 2 * max(SMALLEST_CORE, align):
        return None
    if core.width >= core.height:
        cut = max(align, core.width // 2 // align * align)
        return (
            Region(core.x, core.y, cut, core.height),
            Region(core.x + cut, core.y, core.width - cut, core.height),
        )
    cut = max(align, core.height // 2 // align * align)
    return (
        Region(core.x, core.y, core.width, cut),
        Region(core.x, core.y + cut, core.width, core.height - cut),
    )
