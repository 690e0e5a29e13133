"""How Stable Diffusion redraws: SD Upscale, and the second pass of Hires Fix."""

from __future__ import annotations

from typing import Any

from ..diffusion.grid import ORDERS
from .field import ENGINES, SECOND_PASSES, At, Field

__all__ = ["REDRAWING", "TILES"]

_TILE_SIDE: dict[str, Any] = {
    **{"low": 0, "high": 65536, "slider": (0, 2048, 8), "whole": True, "unit": "px", "group": "tiles"},
    **{"default": 0, "info": "0 = by checkpoint"},
}


TILES: tuple[Field, ...] = (
    Field("tile_width", "number", "Tile width", {"sd": At("TrueScale tile width")}, **_TILE_SIDE),
    Field("tile_height", "number", "Tile height", {"sd": At("TrueScale tile height")}, **_TILE_SIDE),
    Field(
        "overlap",
        "number",
        "Tile overlap",
        {"sd": At("TrueScale tile overlap")},
        noun="overlap",
        default=64,
        low=0,
        high=4096,
        slider=(0, 512, 8),
        whole=True,
        unit="px",
        group="tiles",
    ),
    Field(
        "order",
        "choice",
        "Order",
        # Not shown: the result is the same in any order. It stays for API clients, presets and older infotexts.
        {"sd": At("TrueScale tile order", shown=False)},
        default=ORDERS[0],
        choices=ORDERS,
        group="tiles",
    ),
    Field(
        "batch",
        "number",
        "Tiles at once",
        {"sd": At("TrueScale tile batch")},
        noun="number of tiles at once",
        default=1,
        low=1,
        high=64,
        slider=(1, 16, 1),
        whole=True,
        group="tiles",
    ),
    Field(
        "color_lock",
        "number",
        "Color lock",
        {"sd": At("TrueScale color lock")},
        default=0.5,
        low=0,
        high=1,
        slider=(0.0, 1.0, 0.05),
        info="how much the tiles keep the colors of the source",
        group="tiles",
    ),
    Field(
        "flatness",
        "number",
        "Skip flat tiles",
        {"sd": At("TrueScale flatness")},
        noun="flatness",
        default=0.0,
        low=0,
        high=255,
        slider=(0.0, 20.0, 0.1),
        info="tiles with less detail than this are not redrawn; 0 = redraw all",
        group="tiles",
    ),
    Field(
        "prompt",
        "text",
        "Prompt for tiles",
        {"sd": At("TrueScale tile prompt")},
        default="",
        info="empty: the picture's own; a plain one keeps the subject from appearing in every tile",
        group="tiles",
    ),
)
"""Of SD Upscale, in order."""

REDRAWING: tuple[Field, ...] = (
    Field(
        "engine",
        "choice",
        "Engine",
        # "Tiles", so that API clients, presets and older infotexts get what they got before there was a choice.
        {"sd": At("TrueScale engine")},
        default=ENGINES[0],
        choices=ENGINES,
        info="Tiles: each is sampled by itself. One canvas: the whole is sampled at once, through tiles that move at"
        " every step; the overlap and flat tiles do not matter. auto: one canvas where it is possible",
        group="tiles",
    ),
    Field(
        "composition",
        "switch",
        "Keep the composition",
        {"sd": At("TrueScale keep composition"), "hires": At("Hires keep composition")},
        noun="keeping the composition",
        default=False,
        info="one canvas only: in the early steps the whole is sampled at low resolution too, so that the subject does"
        " not come up in every tile; for denoising strengths above 0.5",
        group="tiles",
    ),
    Field(
        "second_pass",
        "choice",
        "Second pass",
        {"hires": At("Hires second pass"), "xyz": At("Hires second pass", choices=SECOND_PASSES)},
        noun="second pass",
        default=SECOND_PASSES[0],
        choices=SECOND_PASSES,
        info="in tiles: memory for one tile, and the VAE in bands. auto: in tiles where the whole would not fit. whole:"
        " in tiles only after memory ran out",
        group="second pass",
    ),
    Field(
        "second_seed",
        "number",
        "Seed of the second pass",
        {"hires": At("Hires second pass seed"), "xyz": At("Hires second pass seed")},
        default=-1,
        low=-1,
        high=2**32 - 1,
        whole=True,
        info="-1 or empty = that of the first pass",
        group="second pass",
    ),
    Field(
        "again_scale",
        "number",
        "Then once more, by",
        {"hires": At("Hires once more by"), "xyz": At("Hires once more by")},
        noun="scale of the pass after the second",
        default=1.0,
        low=1,
        high=4,
        slider=(1.0, 4.0, 0.05),
        unit="x",
        info="the result of the second pass enlarged and redrawn again; 1 = not",
        group="second pass",
    ),
    Field(
        "again_denoising",
        "number",
        "Denoising of that pass",
        {"hires": At("Hires once more denoising"), "xyz": At("Hires once more denoising")},
        noun="denoising strength of the pass after the second",
        default=0.3,
        low=0.05,
        high=1,
        slider=(0.05, 1.0, 0.01),
        group="second pass",
    ),
    Field(
        "tile_prompts",
        "text",
        "A prompt for each tile",
        {"sd": At("TrueScale prompt of each tile")},
        default="",
        lines=5,
        info="one line for each tile, from the top left, row by row, in place of the prompt above; {prompt} stands for"
        " that. Empty lines: the prompt above",
        group="tiles",
    ),
)
"""In order."""
