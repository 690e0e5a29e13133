"""The accordion "TrueScale Hires Fix" in txt2img: what the host's drop-down of upscalers cannot hold."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ....errors import TrueScaleError
from ....fields import checked, fields_of
from ....planning.sizing import ByDimensions, ByScale
from ....request import UpscaleRequest
from ...host import health
from ...host.markup import problem
from ...panels import bridge, cards, forecast, lists, pieces
from ...panels.pasting import paste_pairs
from ...panels.presets_bar import PresetsBar
from ...panels.widgets import Widgets
from ...takeover import choices
from ...takeover.requests import request_of
from .prepare import PLACE, TITLE, is_ours_by_name

__all__ = ["ui"]

_ELEM_ID = "truescale_hires"


def ui() -> tuple[list[Any], list[tuple[Any, Any]]]:
    """The components in the order of the API's positional arguments, and the pairs for pasting from infotext."""
    with pieces.accordion(TITLE, _ELEM_ID) as enabled:
        if health.problem():
            gr.HTML(f"<p class='truescale-problem'>{health.problem()}</p>", elem_id=f"{_ELEM_ID}_problem")
            return [enabled], []
        gr.HTML(
            "<p class='truescale-note'>For the upscaler that is chosen in Hires. fix above, and the second pass.</p>",
            elem_id=f"{_ELEM_ID}_note",
        )
        card = gr.HTML("", elem_id=f"{_ELEM_ID}_card")
        presets = PresetsBar(_ELEM_ID, PLACE)
        listed = lists.Lists(_ELEM_ID)
        source = bridge.SOURCE.component(_ELEM_ID)
        made = Widgets(PLACE, _ELEM_ID, listed)
        with pieces.form_row():
            made["upscaler_2"]
            made["visibility"]
            refresh = pieces.refresh_button(_ELEM_ID)
        pieces.refreshes(refresh, listed, source)
        made.rest("models", "size", "engine")
        pieces.ldsr(made, _ELEM_ID)
        _second_pass(made)
        plan = gr.HTML("", elem_id=f"{_ELEM_ID}_plan")
    parts = made.parts
    _show_plan(parts, source, card, plan)
    theirs = lists.host_components().get("txt2img_hr_upscaler")
    presets.connect({**parts, **({"upscaler_1": theirs} if theirs is not None else {})}, source)
    keys = [field.at[PLACE].key for field in fields_of(PLACE)]
    is_on = (enabled, lambda found: any(key in found for key in keys))
    return [enabled, *parts.values()], [is_on, *paste_pairs(PLACE, parts)]


def _second_pass(made: Widgets) -> None:
    """With upscalers of others and latent ones, too."""
    for names in (("second_pass",), ("composition",), ("second_seed",), ("again_scale", "again_denoising")):
        with pieces.form_row():
            for name in names:
                made[name]


def _show_plan(parts: dict[str, Any], source: Any, card: Any, plan: Any) -> None:
    """The card of the upscaler in Hires. fix, and what enlarging will take, before the second pass.

    The page's script writes the sizes and the upscaler into ``source``.
    """
    names = list(parts)

    def planned(text: str, *values: Any) -> str:
        return _plan_html(bridge.SOURCE.read(text), dict(zip(names, values)))

    def carded(text: str) -> str:
        name = str(bridge.SOURCE.read(text).get("upscaler") or "")
        return cards.card_html(name) if is_ours_by_name(name) else ""

    source.change(fn=carded, inputs=[source], outputs=[card], show_progress=False)
    for component in (source, *parts.values()):
        component.change(fn=planned, inputs=[source, *parts.values()], outputs=[plan], show_progress=False)


def _plan_html(found: dict[str, Any], values: dict[str, Any]) -> str:
    """found: width, height (of the first pass, px), scale, resize_x, resize_y (px, 0 for by the other), upscaler,
    steps (of the second pass), batch (pictures at once)."""
    size, name = forecast.size_of(found), str(found.get("upscaler") or "")
    if size is None or not name or health.problem():
        return ""
    x, y = (found.get(key) if isinstance(found.get(key), int) else 0 for key in ("resize_x", "resize_y"))
    by = ByDimensions(x or None, y or None, "crop") if x or y else ByScale(found.get("scale"))

    def request() -> UpscaleRequest:
        return request_of({**asked, "upscaler_1": name}, by, choices.peek, alpha="drop")

    from .plan import second_pass_html  # not at the WebUI's start: it brings torch

    try:
        asked = checked(PLACE, values)
        enlarging = forecast.plan_html(size, request) if is_ours_by_name(name) else forecast.size_html(size, by)
    except TrueScaleError as error:
        return problem(error)
    return enlarging + second_pass_html(size, by, asked, _count(found.get("steps"), 0), _count(found.get("batch"), 1))


def _count(value: Any, least: int) -> int:
    """What the page wrote; ``least`` where it did not."""
    return int(value) if isinstance(value, (int, float)) and least < value < 10**6 else least
