"""The prompts of a picture's tiles, from the lines of the panel: for either engine, and what they rule out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ....diffusion.canvas_conditioning import Part
from ....diffusion.grid import LATENT, RedrawGrid, plan_grid
from ....diffusion.tile_prompts import areas_of, lines_of, most_of, prompt_of, tags_of
from ....geometry import Size
from ... import host
from ...sampling.prompts import why_not_on_canvas

__all__ = ["TilePrompts", "filled", "is_one_at_once", "noted_lines", "tile_prompts"]

LONGEST = 24_000
"""Characters that a picture's text says of them: a JPEG has room for 32,000 of all kinds, and cannot be saved above."""


@dataclass(frozen=True)
class TilePrompts:
    """grid: whose tiles they are of. own: that of a tile without a line. each: by the number of the tile."""

    grid: RedrawGrid
    own: str
    each: tuple[str, ...]

    @property
    def only(self) -> str | None:
        """The one that all have, if it is one."""
        return self.each[0] if len(set(self.each)) == 1 else None

    @property
    def texts(self) -> list[str]:
        """The different ones, but for ``own``."""
        return [text for text in dict.fromkeys(self.each) if text != self.own]

    def number_of(self) -> Callable[[Part], int | None]:
        """For a part of the canvas: which of ``texts`` it gets; None for ``own``. The whole gets that too."""
        areas = areas_of(self.grid)
        numbers = {text: number for number, text in enumerate(self.texts)}
        keys = [numbers.get(text) for text in self.each]

        def number(part: Part) -> int | None:
            return None if part.shrink > 1 else most_of(part.region.times(LATENT), areas, keys)

        return number

    def why_not_on_canvas(self, is_one_tile: bool) -> str:
        """In words; "" where the engine "One canvas" can. is_one_tile: whether its network gets the whole at once."""
        if self.only is not None:
            return ""
        if is_one_tile:
            return "the network gets the picture as a whole, and with one prompt"
        return why_not_on_canvas(self.own, self.texts)


def tile_prompts(values: Mapping[str, Any], own: str, size: Size, tile: Size) -> TilePrompts | None:
    """None where no tile has one of its own. own: the prompt of the picture. size: of the result. tile: px.

    Raises RequestError, also where the lines do not fit the tiles.
    """
    if not values["tile_prompts"].strip():
        return None
    grid = plan_grid(size, tile, values["overlap"])
    lines = lines_of(values["tile_prompts"], grid)
    common = values["prompt"]
    return TilePrompts(grid, common or own, tuple(prompt_of(line, own, common) for line in lines))


def filled(prompts: TilePrompts) -> int:
    """How many tiles have one of their own."""
    return sum(text != prompts.own for text in prompts.each)


def is_one_at_once(values: Mapping[str, Any]) -> bool:
    """Whether the host could not sample tiles of these lines together: it takes LoRAs from the first prompt of a batch,
    and some hosts combine prompts with AND only where all have as many parts."""
    return any(tags_of(line) or "AND" in line for line in values["tile_prompts"].splitlines())


def noted_lines(text: str) -> str | None:
    """For the text of a picture; None where they are too long for it, which is told."""
    if not text.strip():
        return None
    if len(text) > LONGEST:
        host.warn(f"The prompts of the tiles, {len(text)} characters, are too long to be kept in the picture's text")
        return None
    # With a line break the host always quotes it: else it would take a quotation, or "512x512", for something else.
    return text if "\n" in text else f"{text} \n"
