"""What a second pass will take, in words, before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....diffusion.canvas_forecast import forecast
from ....diffusion.grid import LATENT
from ....errors import TrueScaleError
from ....geometry import Size
from ....planning.sizing import SizeRequest, plan_size
from ... import host
from ...host.markup import line, word
from ...sampling.checkpoint import is_known, tile_for_checkpoint
from ...sampling.in_tiles import network_grid
from ...takeover import vae
from .ways import AUTO, TILES, fits_one_tile, memory_free, memory_of, why_no_tiles

__all__ = ["second_pass_html"]

_STEPS = 20
"""Hardly anything depends on them."""


def second_pass_html(size: Size, asked: SizeRequest, values: Mapping[str, Any]) -> str:
    """A line for each pass after the first. size: of the first pass, px. values: checked ones of the accordion."""
    try:
        output = _whole_latents(plan_size(size, asked).output)
        lines = _pass(output, values["second_pass"])
        if values["again_scale"] > 1:
            scaled = Size(*(round(side * values["again_scale"]) for side in (output.width, output.height)))
            lines += _pass(_whole_latents(scaled), values["second_pass"])
        return lines
    except TrueScaleError:  # of the size, which the line of the upscaler says
        return ""
    except Exception:  # noqa: BLE001 - it is a forecast; the run itself says what is wrong
        host.log.warning("TrueScale: cannot say what a second pass will take", exc_info=True)
        return ""


def _pass(size: Size, way: str) -> str:
    """size: px of the picture."""
    latent = Size(size.width // LATENT, size.height // LATENT)
    possible, whole, free = not why_no_tiles(None), memory_of(latent, 1), memory_free()
    tiles = possible and not fits_one_tile(latent) and (way == TILES or (way == AUTO and is_known() and whole > free))
    side = tile_for_checkpoint()
    grid = network_grid(latent, Size(side, side), 0)
    parts, memory = [word("second pass"), str(size)], whole
    if tiles:
        cost = forecast(grid, _STEPS)
        parts += [f"{word('tiles per step')}: {cost.tiles:.3g}", f"{word('sampled px per px')}: {cost.work:.2f}"]
        memory = memory_of(Size(grid.tile, grid.tile), 1)
    else:
        parts.append(word("sampled in one piece"))
    parts.append(f"{word('memory')} {memory / 1e9:.1f} / {free / 1e9:.1f} GB")
    return line([*parts, _vae_words(size, tiles)])


def _vae_words(size: Size, bands: bool) -> str:
    found = vae.expected(size, 1, bands)
    if found is None:
        return ""
    how = word("VAE as a whole") if found.schedule is None else word("VAE in bands")
    return f"{how}: {found.bytes / 1e9:.1f} GB"


def _whole_latents(size: Size) -> Size:
    return Size(*(max(LATENT, side // LATENT * LATENT) for side in (size.width, size.height)))
