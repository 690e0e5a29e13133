"""The controls of "TrueScale SD Upscale"."""

from __future__ import annotations

import html
import re
from typing import Any

import gradio as gr

from ....diffusion.grid import ORDERS, plan_grid
from ....errors import RequestError, TrueScaleError
from ....planning.sizing import plan_size
from ...host import health
from ...host.markup import line, problem
from ...panels import forecast, lists, pieces
from ...panels.presets_bar import PresetsBar
from ...takeover import choices
from ...takeover.failing import as_error

__all__ = ["TITLE", "run", "ui"]

TITLE = "TrueScale SD Upscale"
_ELEM_ID = "truescale_sd"
WORDS = ("tiles", "tile", "overlap")
"""In the words of a plan."""


def run(p: Any, *arguments: Any) -> Any:
    """The host's Processed. Raises TrueScaleError."""
    if health.problem():
        raise as_error(RequestError(health.problem()), TITLE)
    from . import script

    return script.run(p, *arguments)


def ui() -> tuple[list[Any], list[tuple[Any, Any]]]:
    """The components in the order of ``SdValues``, and the pairs for pasting from infotext."""
    if health.problem():
        return [gr.HTML(f"<p class='truescale-problem'>{health.problem()}</p>", elem_id=f"{_ELEM_ID}_problem")], []
    from .script import INFOTEXT, SIZES, SdValues

    presets = PresetsBar(_ELEM_ID, "sd")
    source = pieces.source_size(_ELEM_ID)
    upscalers, card, made, refresh = _upscalers()
    sizes, follow = _size(SIZES)
    parts = {**upscalers, **sizes, **_tiles()}
    parts["precision"] = pieces.precision(_ELEM_ID)
    plan = gr.HTML("", elem_id=f"{_ELEM_ID}_plan")
    _show_plan(parts, source, plan)
    pieces.shows_card(card, parts["upscaler_1"], source, follow, parts["scale"])
    pieces.refreshes(refresh, made, source)
    presets.connect(parts, source)
    fields = SdValues.__dataclass_fields__
    pairs = [(parts[name], _pasted(key, fields[name].default, name)) for name, key in INFOTEXT.items()]
    return [parts[name] for name in fields], pairs


def _pasted(key: str, default: Any, name: str) -> Any:
    fallback = {"upscaler_2": choices.NO_UPSCALER, "precision": pieces.BY_SETTINGS}.get(name, default)

    def value(found: dict[str, Any]) -> Any:
        text = found.get(key)
        if text is None:
            return gr.update() if name == "upscaler_1" else fallback
        return type(default)(float(text)) if isinstance(default, (int, float)) else text

    return value


def _upscalers() -> tuple[dict[str, Any], Any, lists.Lists, Any]:
    """The widgets, the card's place, the lists, the button that refreshes them."""
    made = lists.Lists(_ELEM_ID)
    with pieces.form_row():
        first = pieces.upscaler_1(_ELEM_ID, made, lists.offered_or_none)
        refresh = pieces.refresh_button(_ELEM_ID)
    card = gr.HTML("", elem_id=f"{_ELEM_ID}_card")
    with pieces.form_row():
        second, visibility = pieces.upscaler_2(_ELEM_ID, made)
    return {"upscaler_1": first, "upscaler_2": second, "visibility": visibility}, card, made, refresh


def _size(ways: tuple[str, ...]) -> tuple[dict[str, Any], Any]:
    by = gr.Radio(label="Size", choices=list(ways), value=ways[0], elem_id=f"{_ELEM_ID}_size_by")
    with pieces.form_row(elem_id=f"{_ELEM_ID}_by_scale") as by_scale:
        scale = gr.Slider(minimum=1.0, maximum=16.0, step=0.05, value=2.0, label="Scale", elem_id=f"{_ELEM_ID}_scale")
        follow = pieces.follows_model(_ELEM_ID)
    with pieces.form_row(visible=False, elem_id=f"{_ELEM_ID}_by_box") as by_box:
        width = pieces.pixels("Width", f"{_ELEM_ID}_width", 1024)
        height = pieces.pixels("Height", f"{_ELEM_ID}_height", 1024)
    with pieces.form_row(visible=False, elem_id=f"{_ELEM_ID}_by_side") as by_side:
        longest = pieces.pixels("Longest side, in pixels", f"{_ELEM_ID}_longest", 2048)
    rows = dict(zip(ways, (by_scale, by_box, by_side)))
    by.change(
        fn=lambda chosen: [gr.update(visible=chosen == way) for way in rows],
        inputs=[by],
        outputs=list(rows.values()),
        show_progress=False,
    )
    return {"size_by": by, "scale": scale, "width": width, "height": height, "longest_side": longest}, follow


def _tiles() -> dict[str, Any]:
    def side(label: str, name: str) -> Any:
        elem_id, info = f"{_ELEM_ID}_{name}", "0 = by checkpoint"
        return gr.Slider(minimum=0, maximum=2048, step=8, value=0, label=label, elem_id=elem_id, info=info)

    with pieces.form_row():
        width, height = side("Tile width", "tile_width"), side("Tile height", "tile_height")
    with pieces.form_row():
        overlap = gr.Slider(
            minimum=0, maximum=512, step=8, value=64, label="Tile overlap", elem_id=f"{_ELEM_ID}_overlap"
        )
        batch = gr.Slider(minimum=1, maximum=16, step=1, value=1, label="Tiles at once", elem_id=f"{_ELEM_ID}_batch")
    # Not shown: the result is the same in any order. It keeps its place for API clients, presets and older infotexts.
    order = gr.Radio(label="Order", choices=list(ORDERS), value=ORDERS[0], elem_id=f"{_ELEM_ID}_order", visible=False)
    with pieces.form_row():
        lock = gr.Slider(
            minimum=0.0,
            maximum=1.0,
            step=0.05,
            value=0.5,
            label="Color lock",
            elem_id=f"{_ELEM_ID}_color_lock",
            info="how much the tiles keep the colors of the source",
        )
        flatness = gr.Slider(
            minimum=0.0,
            maximum=20.0,
            step=0.1,
            value=0.0,
            label="Skip flat tiles",
            elem_id=f"{_ELEM_ID}_flatness",
            info="tiles with less detail than this are not redrawn; 0 = redraw all",
        )
    prompt = gr.Textbox(
        label="Prompt for tiles",
        placeholder="empty: the picture's own; a plain one keeps the subject from appearing in every tile",
        elem_id=f"{_ELEM_ID}_prompt",
        lines=1,
    )
    return {
        "tile_width": width,
        "tile_height": height,
        "overlap": overlap,
        "order": order,
        "batch": batch,
        "color_lock": lock,
        "flatness": flatness,
        "prompt": prompt,
    }


# -- the plan ----------------------------------------------------------------------------------------------------------


def _show_plan(parts: dict[str, Any], source: Any, plan: Any) -> None:
    """What the run will take. The page's script writes the source's size into ``source``."""
    names = (
        *("upscaler_1", "upscaler_2", "visibility", "precision"),
        *("size_by", "scale", "width", "height", "longest_side", "tile_width", "tile_height", "overlap"),
    )
    inputs = [source, *(parts[name] for name in names)]

    def text(size: str, *values: Any) -> str:
        return _plan_html(forecast.source_of(size), dict(zip(names, values)))

    for component in inputs:
        component.change(fn=text, inputs=inputs, outputs=[plan], show_progress=False)


def _plan_html(found: dict[str, Any], values: dict[str, Any]) -> str:
    """The upscaler's line, and "24 tiles, 6 x 4, overlap 64, 2048x3072", or what is wrong; "" without a picture.

    found: what the page's script wrote: width, height of the source; target_width, target_height of img2img.
    """
    from .script import SdValues

    size = forecast.size_of(found)
    if size is None:
        return ""
    try:
        chosen = SdValues.of([{name: value for name, value in values.items() if value is not None}], choices.peek)
        request = chosen.size(found.get("target_width") or size.width, found.get("target_height") or size.height)
        target = plan_size(size, request).output
        words = str(plan_grid(target, chosen.tile(), chosen.overlap))
    except TrueScaleError as error:
        return problem(error)
    # Each word an element: the host translates whole texts, and numbers are in none of them.
    marked = re.sub(rf"\b({'|'.join(WORDS)})\b", r"<span>\1</span>", html.escape(words))
    return forecast.plan_html(size, lambda: chosen.job(request, choices.peek)) + line([marked])
