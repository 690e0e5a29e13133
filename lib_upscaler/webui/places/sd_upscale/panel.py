"""The controls of "TrueScale SD Upscale"."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

import gradio as gr

from ....diffusion.grid import plan_grid
from ....diffusion.tile_prompts import tags_of
from ....errors import TrueScaleError
from ....fields import NO_UPSCALER, Place, size_of
from ....geometry import Size
from ....planning.sizing import SizeRequest, plan_size
from ...host import health
from ...host.markup import line, problem
from ...panels import bridge, forecast, lists, pieces
from ...panels.pasting import paste_pairs
from ...panels.presets_bar import PresetsBar
from ...panels.widgets import Widgets
from ...takeover import choices
from ...takeover.failing import as_error
from ...takeover.requests import request_of
from . import prompts_panel
from .engines import ONE_CANVAS, TILES, engine_here

__all__ = ["TITLE", "run", "ui"]

TITLE = "TrueScale SD Upscale"
_ELEM_ID = "truescale_sd"
PLACE: Place = "sd"
WORDS = (
    "tiles with a prompt of their own",
    *("tiles per step", "sampled px per px", "tiles", "tile", "overlap"),
)
"""In the words of a plan."""


def run(p: Any, *arguments: Any) -> Any:
    """The host's Processed. Raises TrueScaleError."""
    try:
        health.check()
    except TrueScaleError as error:
        raise as_error(error, TITLE) from None
    from . import script

    return script.run(p, *arguments)


def ui() -> tuple[list[Any], list[tuple[Any, Any]]]:
    """The components in the order of their fields, and the pairs for pasting from infotext."""
    if health.problem():
        return [gr.HTML(f"<p class='truescale-problem'>{health.problem()}</p>", elem_id=f"{_ELEM_ID}_problem")], []
    presets = PresetsBar(_ELEM_ID, PLACE)
    source = bridge.SOURCE.component(_ELEM_ID)
    listed = lists.Lists(_ELEM_ID)
    made = Widgets(PLACE, _ELEM_ID, listed)
    with pieces.form_row():
        made["upscaler_1"]
        refresh = pieces.refresh_button(_ELEM_ID)
    card = gr.HTML("", elem_id=f"{_ELEM_ID}_card")
    with pieces.form_row():
        made["upscaler_2"]
        made["visibility"]
    follow = pieces.size(made, _ELEM_ID)
    prompts = _tiles(made)
    made.rest("models", "size", "tiles", "engine")
    pieces.ldsr(made, _ELEM_ID)
    plan = gr.HTML("", elem_id=f"{_ELEM_ID}_plan")
    parts = made.parts
    _show_plan(parts, source, plan, prompts.table)
    prompts_panel.connect(prompts, source, parts)
    pieces.shows_card(card, parts["upscaler_1"], source, follow, parts["scale"])
    pieces.refreshes(refresh, listed, source)
    presets.connect({name: part for name, part in parts.items() if name != "tile_prompts"}, source)  # of one picture
    return list(parts.values()), paste_pairs(PLACE, parts)


def _tiles(made: Widgets) -> prompts_panel.Parts:
    with pieces.form_row():
        made["engine"]
        made["composition"]
    for pair in (("tile_width", "tile_height"), ("overlap", "batch"), ("color_lock", "flatness")):
        with pieces.form_row():
            for name in pair:
                made[name]
    with pieces.form_row():
        made["prompt"]
    return prompts_panel.ui(made, _ELEM_ID)


# -- the plan ----------------------------------------------------------------------------------------------------------


def _show_plan(parts: dict[str, Any], source: Any, plan: Any, table: Any) -> None:
    """What the run will take, and which line of prompts is which tile. The page's script writes the source's size into
    ``source``."""
    names, inputs = list(parts), [source, *parts.values()]

    def texts(size: str, *values: Any) -> tuple[str, str]:
        found, given = bridge.SOURCE.read(size), dict(zip(names, values))
        return _plan_html(found, given), _table_html(found, given)

    for component in inputs:
        component.change(fn=texts, inputs=inputs, outputs=[plan, table], show_progress=False)


def _redraw_parts(size: Size, values: Mapping[str, Any], tile: Size, steps: int) -> list[str]:
    """Of a line, HTML. steps: that will be sampled; 0: not known. Raises RequestError."""
    from .. import sampling_costs as costs
    from .one_canvas import canvas_forecast, is_one_tile
    from .prompts import filled, is_one_at_once, tile_prompts

    # The prompt above is not known here: of a LoRA in a line, the run says whether one canvas can have it.
    own = " ".join(tags_of(values["tile_prompts"]))
    prompts, against, said = tile_prompts(values, own, size, tile), "", []
    if prompts is not None:
        said = [_marked(f"{filled(prompts)} / {len(prompts.each)} tiles with a prompt of their own")]
        against = "" if values["engine"] == TILES else prompts.why_not_on_canvas(is_one_tile(size, tile))
    if engine_here(values["engine"], against) != ONE_CANVAS:
        grid = plan_grid(size, tile, values["overlap"])
        batch = 1 if is_one_at_once(values) else values["batch"]
        return [_marked(str(grid)), *said, *costs.tiles_costs(grid, batch, steps)]
    cost = canvas_forecast(size, tile, values["batch"])
    words = f"{cost.tiles:.3g} tiles per step, {cost.work:.2f} sampled px per px, {size}"
    return [_marked(words if cost.tiles > 1 else f"1 tile, {size}"), *said, *costs.canvas_costs(cost, steps)]


def _marked(words: str) -> str:
    """Each word an element: the host translates whole texts, and numbers are in none of them."""
    return re.sub(rf"\b({'|'.join(WORDS)})\b", r"<span>\1</span>", html.escape(words))


def _plan_html(found: dict[str, Any], given: dict[str, Any]) -> str:
    """The upscaler's line, and "24 tiles, 6 x 4, overlap 64, 2048x3072", or what is wrong; "" without a picture.

    found: what the page's script wrote: width, height of the source; target_width, target_height, steps, strength of
    img2img.
    """
    from ..sampling_costs import steps_of
    from .enlarging import seamless_of
    from .script import tile_of, values_of

    size = forecast.size_of(found)
    if size is None:
        return ""
    try:
        values = values_of([given], choices.peek)
        wanted = _wanted(found, size, values)
        canvas = seamless_of(values, plan_size(size, wanted).output).canvas
        parts = _redraw_parts(canvas, values, tile_of(values), steps_of(found))
        runs = values["recipe"] or values["upscaler_1"] != NO_UPSCALER
        request = request_of(values, wanted, choices.peek, alpha="drop") if runs else None
    except TrueScaleError as error:
        return problem(error)
    if request is None:
        return forecast.size_html(size, wanted) + line(parts)
    return forecast.plan_html(size, lambda: request) + line(parts)


def _table_html(found: dict[str, Any], given: dict[str, Any]) -> str:
    """Which line of prompts is which tile; "" without a picture, or where the plan says what is wrong."""
    from .enlarging import seamless_of
    from .script import tile_of, values_of

    size = forecast.size_of(found)
    if size is None:
        return ""
    try:
        values = values_of([given], choices.peek)
        canvas = seamless_of(values, plan_size(size, _wanted(found, size, values)).output).canvas
        grid = plan_grid(canvas, tile_of(values), values["overlap"])
        return prompts_panel.table_html(values["tile_prompts"], grid)
    except TrueScaleError:
        return ""


def _wanted(found: Mapping[str, Any], size: Size, values: Mapping[str, Any]) -> SizeRequest:
    own = found.get("target_width") or size.width, found.get("target_height") or size.height
    wanted = size_of(PLACE, values, values["size_by"], own)
    assert wanted is not None  # the panel always says one
    return wanted
