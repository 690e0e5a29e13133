"""Where the tiles of a latent lie at one step of sampling: a grid that moves from step to step. Pure; no torch.

A line between tiles that stood still would settle in the picture. Here every line is elsewhere at each step, and what
one step leaves there the next ones work on.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..geometry import Region, Size

__all__ = ["LatentGrid", "Span", "moving_grid", "regular_grid"]

Span = tuple[int, int]
"""First px, and the one behind the last."""


@dataclass(frozen=True)
class LatentGrid:
    """canvas: of the latent. columns, rows: of the tiles, rising; they cover the canvas. All in latent px."""

    canvas: Size
    columns: tuple[Span, ...]
    rows: tuple[Span, ...]

    @property
    def tiles(self) -> list[Region]:
        """Row by row."""
        return [
            Region(left, top, right - left, bottom - top) for top, bottom in self.rows for left, right in self.columns
        ]

    @property
    def area(self) -> int:
        """Latent px of all tiles together."""
        across, down = (sum(end - start for start, end in spans) for spans in (self.columns, self.rows))
        return across * down


def moving_grid(canvas: Size, tile: int, overlap: int, step: int, align: int) -> LatentGrid:
    """The tiles of one step: of ``tile`` px at most, those at a border of half of it at least, neighbours overlapping
    by ``overlap``; every line is a multiple of ``align``, as are the canvas and ``overlap``.
    """
    return LatentGrid(
        canvas,
        _spans(canvas.width, tile, overlap, _fraction(step, 2), align),
        _spans(canvas.height, tile, overlap, _fraction(step, 3), align),
    )


def regular_grid(canvas: Size, tile: int, stride: int) -> LatentGrid:
    """Tiles of one size at each multiple of the stride, as the WebUI has them; the canvas fits them."""

    def spans(length: int) -> tuple[Span, ...]:
        return tuple((start, start + tile) for start in range(0, length - tile + 1, stride))

    return LatentGrid(canvas, spans(canvas.width), spans(canvas.height))


def _spans(length: int, tile: int, overlap: int, shift: float, align: int) -> tuple[Span, ...]:
    if length <= tile:
        return ((0, length),)
    half = -(-tile // (2 * align)) * align
    first = half + int(shift * ((tile - half) // align + 1)) * align
    spans = [(0, first)]
    while spans[-1][1] < length:
        start = spans[-1][1] - overlap
        end = min(start + tile, length)
        spans.append((min(start, length - half) if end == length else start, end))
    return tuple(spans)


def _fraction(number: int, base: int) -> float:
    """Halton's sequence: in [0, 1), each far from those just before."""
    result, share = 0.0, 1.0
    while number:
        share /= base
        number, digit = divmod(number, base)
        result += share * digit
    return result
