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
from ...sampling.checkpoint import tile_for_checkpoint
from ...sampling.in_tiles import network_grid
from ...takeover import vae
from ...upscaling.statement import gigabytes
from ..sampling_costs import canvas_costs, whole_costs
from .ways import AUTO, TILES, fits_one_tile, is_too_much, memory_free, memory_of, why_no_tiles

__all__ = ["second_pass_html"]

_STEPS = 20
"""Hardly anything depends on them."""


def second_pass_html(size: Size, asked: SizeRequest, values: Mapping[str, Any], steps: int, batch: int) -> str:
    """A line for each pass after the first. size: of the first pass, px. values: checked ones of the accordion. steps:
    of the second pass, 0 where they are not known. batch: pictures at once."""
    try:
        output = _whole_latents(plan_size(size, asked).output)
        lines = _pass(output, values["second_pass"], steps, batch)
        if values["again_scale"] > 1:
            scaled = Size(*(round(side * values["again_scale"]) for side in (output.width, output.height)))
            lines += _pass(_whole_latents(scaled), values["second_pass"], steps, batch)
        return lines
    except TrueScaleError:  # of the size, which the line of the upscaler says
        return ""
    except Exception:  # noqa: BLE001 - it is a forecast; the run itself says what is wrong
        host.log.warning("TrueScale: cannot say what a second pass will take", exc_info=True)
        return ""


def _pass(size: Size, way: str, steps: int, batch: int) -> str:
    """size: px of the picture."""
    latent = Size(size.width // LATENT, size.height // LATENT)
    possible, free = not fits_one_tile(latent) and not why_no_tiles(None), memory_free()
    tiles = possible and (way == TILES or (way == AUTO and is_too_much(memory_of(latent.area, batch))))
    parts = [word("second pass"), str(size)]
    if tiles:
        side = tile_for_checkpoint()
        cost = forecast(network_grid(latent, Size(side, side), 0), min(steps or _STEPS, _STEPS))
        parts += [f"{word('tiles per step')}: {cost.tiles:.3g}", f"{word('sampled px per px')}: {cost.work:.2f}"]
        parts += canvas_costs(cost, steps, batch)
    else:
        parts += [word("sampled in one piece"), *whole_costs(latent.area * batch, steps)]
    known = "" if free is None else f"{word('free in GB')}: {gigabytes(free)}"
    return line([*parts, known, _vae_words(size, tiles, batch)])


def _vae_words(size: Size, bands: bool, batch: int) -> str:
    found = vae.expected(size, batch, bands)
    if found is None:
        return ""
    how = word("VAE as a whole") if found.schedule is None else word("VAE in bands")
    return f"{how}: {gigabytes(found.bytes)} GB"


def _whole_latents(size: Size) -> Size:
    return Size(*(max(LATENT, side // LATENT * LATENT) for side in (size.width, size.height)))
