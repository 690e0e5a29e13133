"""Where the windows of a picture lie in which attention is computed, and what a shifted one must not see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["Hidden", "Masks", "WindowGrid", "area_at_once", "forget_orders", "hide", "masks_of"]

_AREA, _SCORES = 1024, 1 << 18
"""px, and scores of one head, that each thread works on at once. Measured on an Intel Xeon with 2 MB of second cache:
a block of SwinIR takes 3% longer with 512 px and a tenth with 4096, attention in HAT's windows a quarter with 4096."""

_HIDDEN = -100.0
"""What is added to the score of a pair of px that must not see each other (Swin Transformer, Liu et al. 2021)."""


def area_at_once(seen: int = 1) -> int:
    """px that are worked on together. seen: px that each of them attends to."""
    return max(1, min(_AREA, _SCORES // seen)) * torch.get_num_threads()


@dataclass(frozen=True)
class WindowGrid:
    """Windows over a picture whose sides are multiples of theirs; all lengths are (down, right) in px.

    shift: the picture is moved up and left by so much before it is cut, and what leaves it comes in on the other side.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    shift: tuple[int, int]

    @property
    def columns(self) -> int:
        return self.size[1] // self.window[1]

    @property
    def count(self) -> int:
        return self.size[0] // self.window[0] * self.columns

    @property
    def area(self) -> int:
        """px of a window."""
        return self.window[0] * self.window[1]

    def order(self) -> tuple[Tensor, Tensor]:
        """The numbers of the picture's px in the order of the windows, and where each px stands in it."""
        return _order(self)

    def chunks(self) -> Iterator[tuple[int, int]]:
        """First and last window (exclusive) of those that are worked on together."""
        together = max(1, area_at_once(self.area) // self.area)
        for first in range(0, self.count, together):
            yield first, min(self.count, first + together)

    def runs(self, seen: int) -> Iterator[tuple[int, int]]:
        """The like, each within one row of windows. seen: px that each px attends to."""
        together = max(1, area_at_once(seen) // self.area)
        for row in range(0, self.count, self.columns):
            for first in range(row, row + self.columns, together):
                yield first, min(row + self.columns, first + together)


@lru_cache(maxsize=4)
def _order(grid: WindowGrid) -> tuple[Tensor, Tensor]:
    (height, width), (down, right) = grid.size, grid.window
    px = torch.arange(height * width, dtype=torch.int32).view(height, width)
    moved = px.roll((-grid.shift[0], -grid.shift[1]), (0, 1))
    index = moved.view(height // down, down, width // right, right).transpose(1, 2).reshape(-1)
    inverse = torch.empty_like(index)
    inverse[index.long()] = px.view(-1)
    return index, inverse


def forget_orders() -> None:
    """They are as large as a channel or two of the picture, and wanted for as long as it is worked on."""
    _order.cache_clear()


@dataclass(frozen=True)
class Masks:
    """What is added to the scores of the windows at the right, at the bottom, and in the corner; ``(px, px)`` each."""

    right: Tensor
    bottom: Tensor
    corner: Tensor


Hidden = tuple[tuple[slice, Tensor], ...]


@lru_cache(maxsize=8)
def masks_of(window: tuple[int, int], shift: tuple[int, int], dtype: torch.dtype) -> Masks | None:
    """Px that were not neighbours before the shift do not see each other. None without a shift."""
    if not any(shift):
        return None
    below, beside = (torch.arange(side) >= side - moved for side, moved in zip(window, shift))
    rows = below[:, None].expand(window).reshape(-1)
    columns = beside[None, :].expand(window).reshape(-1)

    def mask(*parts: Tensor) -> Tensor:
        apart = sum((part[:, None] != part[None, :]).to(dtype) for part in parts)
        return torch.as_tensor(apart).clamp(max=1) * _HIDDEN

    return Masks(mask(columns), mask(rows), mask(rows, columns))


def hide(grid: WindowGrid, first: int, last: int, masks: Masks | None) -> Hidden:
    """What is to be added to the scores of the windows from ``first`` to ``last`` (exclusive), and to which of them."""
    if masks is None:
        return ()
    count, columns = last - first, grid.columns
    lowest = min(count, max(0, grid.count - columns - first))  # from here on they are of the last row
    right, corner = (columns - 1 - first) % columns, grid.count - 1 - first
    parts = (
        (slice(right, lowest, columns), masks.right),
        (slice(lowest, min(count, corner)), masks.bottom),
        (slice(corner, count), masks.corner),
    )
    return tuple((which, mask) for which, mask in parts if which.start < which.stop)
