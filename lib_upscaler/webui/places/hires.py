"""The accordion "TrueScale Hires Fix" in txt2img: what the host's drop-down of upscalers cannot hold."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ...errors import TrueScaleError
from ...fields import Place, checked, fields_of
from ...planning.sizing import ByDimensions, ByScale
from ...request import UpscaleRequest
from .. import host
from ..host import health
from ..panels import cards, forecast, lists, pieces
from ..panels.pasting import noted, paste_pairs
from ..panels.presets_bar import PresetsBar
from ..panels.widgets import Widgets
from ..takeover import choices
from ..takeover.failing import HIRES_NOTE
from ..takeover.hires_options import attach
from ..takeover.requests import request_of
from ..takeover.scaler import is_ours
from ..upscaling.service import service

__all__ = ["AXES", "TITLE", "hand_over", "prepare", "ui"]

TITLE = "TrueScale Hires Fix"
_ELEM_ID = "truescale_hires"

PLACE: Place = "hires"
AXES = "truescale_axes"
"""Attribute of ``p``: arguments that an X/Y/Z plot sets."""


def ui() -> tuple[list[Any], list[tuple[Any, Any]]]:
    """The components in the order of the API's positional arguments, and the pairs for pasting from infotext."""
    with pieces.accordion(TITLE, _ELEM_ID) as enabled:
        if health.problem():
            gr.HTML(f"<p class='truescale-problem'>{health.problem()}</p>", elem_id=f"{_ELEM_ID}_problem")
            return [enabled], []
        gr.HTML(
            "<p class='truescale-note'>For the upscaler that is chosen in Hires. fix above.</p>",
            elem_id=f"{_ELEM_ID}_note",
        )
        card = gr.HTML("", elem_id=f"{_ELEM_ID}_card")
        presets = PresetsBar(_ELEM_ID, PLACE)
        listed = lists.Lists(_ELEM_ID)
        source = pieces.source_size(_ELEM_ID)
        made = Widgets(PLACE, _ELEM_ID, listed)
        with pieces.form_row():
            made["upscaler_2"]
            made["visibility"]
            refresh = pieces.refresh_button(_ELEM_ID)
        pieces.refreshes(refresh, listed, source)
        made.rest("models", "size", "tiles", "engine")
        pieces.ldsr(made, _ELEM_ID)
        plan = gr.HTML("", elem_id=f"{_ELEM_ID}_plan")
    parts = made.parts
    _show_plan(parts, source, card, plan)
    theirs = lists.host_components().get("txt2img_hr_upscaler")
    presets.connect({**parts, **({"upscaler_1": theirs} if theirs is not None else {})}, source)
    keys = [field.at[PLACE].key for field in fields_of(PLACE)]
    is_on = (enabled, lambda found: any(key in found for key in keys))
    return [enabled, *parts.values()], [is_on, *paste_pairs(PLACE, parts)]


def _show_plan(parts: dict[str, Any], source: Any, card: Any, plan: Any) -> None:
    """The card of the upscaler in Hires. fix, and what enlarging will take, before the second pass.

    The page's script writes the sizes and the upscaler into ``source``.
    """
    names = list(parts)

    def planned(text: str, *values: Any) -> str:
        return _plan_html(forecast.source_of(text), dict(zip(names, values)))

    def carded(text: str) -> str:
        name = str(forecast.source_of(text).get("upscaler") or "")
        return cards.card_html(name) if _is_ours(name) else ""

    source.change(fn=carded, inputs=[source], outputs=[card], show_progress=False)
    for component in (source, *parts.values()):
        component.change(fn=planned, inputs=[source, *parts.values()], outputs=[plan], show_progress=False)


def _plan_html(found: dict[str, Any], values: dict[str, Any]) -> str:
    """found: width, height (of the first pass, px), scale, resize_x, resize_y (px, 0 for by the other), upscaler."""
    size, name = forecast.size_of(found), str(found.get("upscaler") or "")
    if size is None or not _is_ours(name):
        return ""
    x, y = (found.get(key) if isinstance(found.get(key), int) else 0 for key in ("resize_x", "resize_y"))

    def request() -> UpscaleRequest:
        size = ByDimensions(x or None, y or None, "crop") if x or y else ByScale(found.get("scale"))
        return request_of({**checked(PLACE, values), "upscaler_1": name}, size, choices.peek, alpha="drop")

    return forecast.plan_html(size, request)


def prepare(p: Any, enabled: Any = False, *given: Any) -> None:
    """Before a generation: tie the accordion's values to its ``p``, and note them in its infotext. Never raises."""
    attach(p, {})
    fields = fields_of(PLACE)
    # A dict of its own: copies of ``p`` (X/Y/Z plot) share one, and what another of them has noted is not this one's.
    ours = (*(field.at[PLACE].key for field in fields), HIRES_NOTE)
    p.extra_generation_params = {key: value for key, value in p.extra_generation_params.items() if key not in ours}
    if not getattr(p, "enable_hr", False):
        return
    axes = getattr(p, AXES, {})
    if not enabled and not axes:
        return
    if not _is_ours(getattr(p, "hr_upscaler", None)):
        host.warn(f"{TITLE} does nothing with '{p.hr_upscaler}'; choose one of its upscalers in Hires. fix")
        return
    asked = dict(zip((field.name for field in fields), given)) if enabled else {}
    values = _usable({**asked, **axes})
    second = values["upscaler_2"] if values["visibility"] > 0 else None
    attach(p, {**values, "upscaler_2": second})
    recipe = None if values["recipe"] is None else choices.name_of(values["recipe"])
    said = noted(PLACE, {**values, "recipe": recipe, "upscaler_2": None, "visibility": None})
    if second is not None:
        keys = {field.name: field.at[PLACE].key for field in fields}
        said.update({keys["upscaler_2"]: choices.name_of(second), keys["visibility"]: values["visibility"]})
    p.extra_generation_params.update(said)


def _is_ours(upscaler: Any) -> bool:
    return any(entry.name == upscaler and is_ours(entry.scaler) for entry in host.upscalers())


def _usable(given: dict[str, Any]) -> dict[str, Any]:
    """What can be used of the values, by the names of their fields; what cannot is told, and is as by default.

    Upscalers themselves in place of their names.
    """
    values = {}
    for field in fields_of(PLACE):
        try:
            value = field.checked(given.get(field.name), PLACE)
            values[field.name] = choices.find(value) if field.kind == "model" else value
        except TrueScaleError as error:
            default = None if field.kind == "model" else field.default_at(PLACE)
            values[field.name] = default
            used = f"Hires Fix runs without {field.label}" if default is None else f"{field.label} is {default}"
            host.warn(f"{used}: {error}")
    return values


def hand_over() -> None:
    """Between upscaling and the second pass: the device's memory is Stable Diffusion's again."""
    service().give_back()
