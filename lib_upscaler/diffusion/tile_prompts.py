"""A prompt for each tile: lines, the prompts made of them, and which of them a part of the canvas gets. Pure, no torch.

The tiles are those of ``grid.RedrawGrid``, whichever engine draws: a line means the same place. One canvas moves its
network's tiles at every step; each of them gets the prompt of the tiles that cover most of it, so that beside a border
either prompt has its turn.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import TypeVar

from ..errors import RequestError
from ..geometry import Region
from .grid import RedrawGrid

__all__ = ["PLACEHOLDER", "areas_of", "lines_of", "most_of", "prompt_of", "tags_of"]

PLACEHOLDER = "{prompt}"
"""In a line: the prompt of all tiles."""

_TAG = re.compile(r"<\w+:[^>]+>")
"""Of the WebUI's, that switch on a LoRA or another network: <lora:name:1>."""

Key = TypeVar("Key", bound=Hashable)


def lines_of(text: str, grid: RedrawGrid) -> list[str]:
    """One for each tile, row by row from the top left, "" for a tile that has none; [] of a text without any.

    Raises RequestError where there are too few or too many. Empty ones that are too many at the end do not count.
    """
    if not text.strip():
        return []
    rows, columns = len(grid.rows), len(grid.columns)
    lines = [line.strip() for line in text.replace("\r\n", "\n").split("\n")]
    while len(lines) > rows * columns and not lines[-1]:
        lines.pop()
    if len(lines) == rows * columns:
        return lines
    verb = "is" if len(lines) == 1 else "are"
    what = f"there {verb} {_counted(len(lines), 'line')} with prompts and {_counted(rows * columns, 'tile')}"
    lattice = f"{_counted(rows, 'row')} x {_counted(columns, 'column')}"
    why = f"a picture of {grid.size} px has {lattice} of tiles of {grid.tile} px here"
    raise RequestError(what, why, "give one line for each tile; one that is to have the prompt of all stays empty")


def _counted(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"


def tags_of(prompt: str) -> list[str]:
    """Those that switch on a LoRA or another network, "<lora:name:1>", in their order."""
    return _TAG.findall(prompt)


def prompt_of(line: str, own: str, common: str) -> str:
    """A tile's prompt. line: its own, "" for none. own: the picture's prompt. common: the one for all tiles, "" for the
    picture's.

    A line takes the place of the picture's prompt, which may name what the tile does not show; only its tags stay.
    Words for all tiles are added to it. ``PLACEHOLDER`` stands for the prompt that the tile would have without a line.
    """
    without = common or own
    if not line:
        return without
    if PLACEHOLDER in line:
        return line.replace(PLACEHOLDER, without)
    if common:
        return f"{line}, {common}"
    return " ".join([line, *(tag for tag in tags_of(own) if tag not in line)])


def areas_of(grid: RedrawGrid) -> list[Region]:
    """Of each tile what is nearer to it than to its neighbours, px: they fill the canvas, and none overlap."""
    across = _cuts(grid.columns, grid.tile.width, grid.canvas.width)
    down = _cuts(grid.rows, grid.tile.height, grid.canvas.height)
    return [
        Region(left, top, right - left, bottom - top)
        for top, bottom in zip(down, down[1:])
        for left, right in zip(across, across[1:])
    ]


def _cuts(edges: Sequence[int], side: int, length: int) -> list[int]:
    """In the middle of each overlap, and both ends."""
    return [0, *((second + first + side) // 2 for first, second in zip(edges, edges[1:])), length]


def most_of(part: Region, areas: Sequence[Region], keys: Sequence[Key]) -> Key:
    """Of the areas' keys the one that covers most of ``part``; of equals the first. Raises ValueError without areas."""
    shares: dict[Key, int] = {}
    for area, key in zip(areas, keys):
        shares[key] = shares.get(key, 0) + _common_px(part, area)
    return max(shares, key=lambda key: shares[key])


def _common_px(one: Region, other: Region) -> int:
    width = min(one.right, other.right) - max(one.x, other.x)
    height = min(one.bottom, other.bottom) - max(one.y, other.y)
    return max(0, width) * max(0, height)
