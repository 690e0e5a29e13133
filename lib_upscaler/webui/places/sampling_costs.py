"""What sampling will take, for a panel's plan: the network's memory, and time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...diffusion.canvas_forecast import CanvasForecast
from ...diffusion.grid import LATENT, RedrawGrid
from .. import host
from ..host.markup import word
from ..panels.forecast import time_words
from ..sampling.checkpoint import network_memory
from ..sampling.speed import seconds_for
from ..upscaling.statement import gigabytes

__all__ = ["canvas_costs", "steps_of", "tiles_costs", "whole_costs"]

_ROWS = 2
"""Of a picture: its prompt and its negative prompt."""


def steps_of(found: Mapping[str, Any]) -> int:
    """How many steps the host's img2img will sample, as its ``setup_img2img_steps`` counts them; 0 where the page did
    not say. found: what its script wrote, with ``steps`` and ``strength``."""
    steps, strength = found.get("steps"), found.get("strength")
    if not isinstance(steps, (int, float)) or not isinstance(strength, (int, float)) or steps < 1:
        return 0
    if host.option("img2img_fix_steps", False):
        return int(steps)
    return min(int(steps), int(min(strength, 0.999) * steps) + 1)


def canvas_costs(cost: CanvasForecast, steps: int, pictures: int = 1) -> list[str]:
    """Parts of a line, HTML. pictures: of each tile at once."""
    memory = [_memory(cost.batch_px * pictures)]
    if cost.tiles > 1:
        memory.append(f"{word('as a whole')}: {gigabytes(network_memory(_ROWS, cost.canvas * pictures))}")
    return memory + _time(cost.work * cost.canvas * pictures, steps)


def whole_costs(px: int, steps: int) -> list[str]:
    """The like for a canvas of so many px that the network gets as a whole."""
    return [_memory(px), *_time(px, steps)]


def tiles_costs(grid: RedrawGrid, batch: int, steps: int) -> list[str]:
    """The like for tiles that are sampled by themselves, ``batch`` of them at once."""
    px = grid.tile.area // LATENT**2
    return [_memory(px * min(batch, len(grid.tiles))), *_time(px * len(grid.tiles), steps)]


def _memory(px: int) -> str:
    return f"{word('memory of the network in GB')}: {gigabytes(network_memory(_ROWS, px))}"


def _time(px: float, steps: int) -> list[str]:
    """Nothing where nothing is known."""
    seconds = seconds_for(px, steps) if steps else None
    return [] if seconds is None else [time_words(seconds)]
