"""The accordion "TrueScale Hires Fix" in txt2img: what the host's drop-down of upscalers cannot hold."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ...errors import TrueScaleError
from .. import host
from ..host import health
from ..host.settings import PRECISIONS
from ..panels import cards, forecast, lists, pieces
from ..panels.presets_bar import PresetsBar
from ..panels.values import Values
from ..takeover import choices
from ..takeover.failing import HIRES_NOTE
from ..takeover.hires_options import HiresOptions, attach
from ..takeover.scaler import is_ours
from ..upscaling.service import service

__all__ = ["AXES", "INFOTEXT", "TITLE", "hand_over", "prepare", "ui"]

TITLE = "TrueScale Hires Fix"
_ELEM_ID = "truescale_hires"

INFOTEXT = {
    "upscaler_2": "Hires upscaler 2",
    "visibility": "Hires upscaler 2 visibility",
    "precision": "Hires upscaler precision",
    "tile": "Hires upscaler tile",
}
"""Argument -> key. Values as by default are left out."""

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
        presets = PresetsBar(_ELEM_ID, "hires")
        made = lists.Lists(_ELEM_ID)
        source = pieces.source_size(_ELEM_ID)
        with pieces.form_row():
            second, visibility = pieces.upscaler_2(_ELEM_ID, made)
            refresh = pieces.refresh_button(_ELEM_ID)
        pieces.refreshes(refresh, made, source)
        with pieces.form_row():
            precision = pieces.precision(_ELEM_ID)
        with pieces.form_row():
            tile = pieces.tile(_ELEM_ID)
        plan = gr.HTML("", elem_id=f"{_ELEM_ID}_plan")
    parts = {"upscaler_2": second, "visibility": visibility, "precision": precision, "tile": tile}
    _show_plan(parts, source, card, plan)
    theirs = lists.host_components().get("txt2img_hr_upscaler")
    presets.connect({**parts, **({"upscaler_1": theirs} if theirs is not None else {})}, source)
    defaults = {"upscaler_2": choices.NO_UPSCALER, "visibility": 0.5, "precision": pieces.BY_SETTINGS, "tile": 0}
    # One that is not in the infotext was at its default; switched on if any of them is there.
    pairs: list[tuple[Any, Any]] = [(enabled, lambda found: any(key in found for key in INFOTEXT.values()))]
    for name, component in parts.items():
        pairs.append((component, _pasted(INFOTEXT[name], defaults[name])))
    return [enabled, *parts.values()], pairs


def _show_plan(parts: dict[str, Any], source: Any, card: Any, plan: Any) -> None:
    """The card of the upscaler in Hires. fix, and what enlarging will take, before the second pass.

    The page's script writes the sizes and the upscaler into ``source``.
    """
    names = list(parts)

    def told(text: str, *values: Any) -> str:
        return _plan_html(forecast.source_of(text), dict(zip(names, values)))

    def carded(text: str) -> str:
        name = str(forecast.source_of(text).get("upscaler") or "")
        return cards.card_html(name) if _is_ours(name) else ""

    source.change(fn=carded, inputs=[source], outputs=[card], show_progress=False)
    for component in (source, *parts.values()):
        component.change(fn=told, inputs=[source, *parts.values()], outputs=[plan], show_progress=False)


def _plan_html(found: dict[str, Any], values: dict[str, Any]) -> str:
    """found: width, height (of the first pass, px), scale, resize_x, resize_y (px, 0 for by the other), upscaler."""
    size, name = forecast.size_of(found), str(found.get("upscaler") or "")
    if size is None or not _is_ours(name):
        return ""
    x, y = (found.get(key) if isinstance(found.get(key), int) else 0 for key in ("resize_x", "resize_y"))
    sized: dict[str, Any] = {"size_by": "Scale by", "scale": found.get("scale")}
    if x or y:
        sized = {"size_by": "Scale to", "width": x, "height": y, "fit": "crop"}
    asked = Values(upscaler_1=name, memory=0, alpha="drop", **sized, **values)
    return forecast.plan_html(size, forecast.look(asked))


def _pasted(key: str, default: Any) -> Any:
    def value(found: dict[str, Any]) -> Any:
        text = found.get(key)
        return default if text is None else type(default)(text)

    return value


def prepare(
    p: Any,
    enabled: Any = False,
    upscaler_2: Any = None,
    visibility: Any = 0.5,
    precision: Any = None,
    tile: Any = 0,
    *_: Any,
) -> None:
    """Before a generation: tie the accordion's values to its ``p``, and note them in its infotext. Never raises."""
    attach(p, HiresOptions())
    # A dict of its own: copies of ``p`` (X/Y/Z plot) share one, and what another of them has noted is not this one's.
    ours = (*INFOTEXT.values(), HIRES_NOTE)
    p.extra_generation_params = {key: value for key, value in p.extra_generation_params.items() if key not in ours}
    if not getattr(p, "enable_hr", False):
        return
    asked = {"upscaler_2": upscaler_2, "visibility": visibility, "precision": precision, "tile": tile}
    axes = getattr(p, AXES, {})
    if not enabled and not axes:
        return
    if not _is_ours(getattr(p, "hr_upscaler", None)):
        host.warn(f"{TITLE} does nothing with '{p.hr_upscaler}'; choose one of its upscalers in Hires. fix")
        return
    options = _options(**{**(asked if enabled else {}), **axes})
    attach(p, options)
    noted = {
        "upscaler_2": options.second.name if options.has_second else None,
        "visibility": options.visibility if options.has_second else None,
        "precision": options.precision,
        "tile": options.tile,
    }
    p.extra_generation_params.update({INFOTEXT[name]: value for name, value in noted.items() if value is not None})


def _is_ours(upscaler: Any) -> bool:
    return any(entry.name == upscaler and is_ours(entry.scaler) for entry in host.upscalers())


def _options(upscaler_2: Any = None, visibility: Any = 0.5, precision: Any = None, tile: Any = 0) -> HiresOptions:
    """What can be used of the values; what cannot is told."""
    second = None
    try:
        second = choices.find(upscaler_2)
    except TrueScaleError as error:
        host.warn(f"Hires Fix runs without Upscaler 2: {error}")
    share = _within(visibility, 0.5, 0.0, 1.0, "visibility of Upscaler 2")
    side = round(_within(tile, 0, 0, 65536, "tile size"))
    if precision not in (None, "", pieces.BY_SETTINGS, *PRECISIONS):
        host.warn(f"There is no precision '{precision}'; that of the settings is used")
    return HiresOptions(second, share, precision if precision in PRECISIONS else None, max(16, side) if side else None)


def _within(value: Any, default: float, low: float, high: float, what: str) -> float:
    if value is None or value == "":
        return default
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not low <= number <= high:
        host.warn(f"The {what} must be from {low:g} to {high:g}, not {value!r}; {default:g} is used")
        return default
    return number


def hand_over() -> None:
    """Between upscaling and the second pass: the device's memory is Stable Diffusion's again."""
    service().give_back()
