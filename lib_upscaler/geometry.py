"""Sizes and regions in whole pixels. Pure; no torch, no Pillow."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Region", "Size"]


@dataclass(frozen=True, order=True)
class Size:
    """Width and height in px, each at least 1."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a size is at least 1x1, not {self.width}x{self.height}")

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def area(self) -> int:
        """Pixels."""
        return self.width * self.height

    @property
    def longest(self) -> int:
        return max(self.width, self.height)

    @property
    def sides(self) -> tuple[int, int]:
        return self.width, self.height

    def times(self, factor: int) -> Size:
        return Size(self.width * factor, self.height * factor)


@dataclass(frozen=True)
class Region:
    """A rectangle: columns ``x`` to ``right``, rows ``y`` to ``bottom`` (both ends exclusive)."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def of(cls, size: Size) -> Region:
        return cls(0, 0, size.width, size.height)

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    @property
    def rows(self) -> slice:
        return slice(self.y, self.bottom)

    @property
    def columns(self) -> slice:
        return slice(self.x, self.right)

    def times(self, factor: int) -> Region:
        return Region(self.x * factor, self.y * factor, self.width * factor, self.height * factor)

    def grown(self, by: int, within: Size) -> Region:
        """This region with ``by`` px of context on each side, as far as ``within`` reaches."""
        x, y = max(0, self.x - by), max(0, self.y - by)
        right, bottom = min(within.width, self.right + by), min(within.height, self.bottom + by)
        return Region(x, y, right - x, bottom - y)

    def relative_to(self, outer: Region) -> Region:
        """This region in the coordinates of ``outer``'s top left corner."""
        return Region(self.x - outer.x, self.y - outer.y, self.width, self.height)
