"""The panel "TrueScale" in the Extras tab, and as a step after generating."""

from __future__ import annotations

from itertools import count
from typing import Any

import gradio as gr

from ...errors import Cancelled, TrueScaleError
from ...fields import Place, checked, size_of
from ...geometry import Size
from ...planning.sizing import plan_size
from ...request import UpscaleRequest
from .. import host
from ..host import health
from ..host.callers import Caller, find_caller
from ..host.lives import PAGE
from ..host.progress import shown_as_job
from ..panels import bridge, catalogue, extras_tools, forecast, lists, pieces, which_panel
from ..panels.presets_bar import PresetsBar
from ..panels.widgets import Widgets
from ..takeover import cache, choices, results
from ..takeover.failing import HIRES_NOTE, answer, as_error, batch_begins, batch_ends
from ..takeover.requests import Find, request_of

__all__ = ["first_pass", "process", "ui"]

_ELEM_ID = "truescale_extras"
PLACE: Place = "extras"


def ui() -> dict[str, Any]:
    """The components, by the names of their fields and ``enabled``. Never raises: the WebUI would not start."""
    elem_id = _elem_id()
    with pieces.accordion("TrueScale", elem_id) as enabled:
        if health.problem():
            gr.HTML(f"<p class='truescale-problem'>{health.problem()}</p>", elem_id=f"{elem_id}_problem")
            return {"enabled": enabled}
        twice = gr.HTML(_TWICE, visible=False, elem_id=f"{elem_id}_twice")
        parts = _widgets(elem_id)
    _warn_of_upscaling_twice(enabled, twice)
    return {"enabled": enabled, **parts}


def _widgets(elem_id: str) -> dict[str, Any]:
    in_extras = elem_id == _ELEM_ID
    presets = PresetsBar(elem_id, PLACE)
    read, read_note = extras_tools.read_button(elem_id) if in_extras else (None, None)
    listed = lists.Lists(elem_id)
    source = bridge.SOURCE.component(elem_id)
    made = Widgets(PLACE, elem_id, listed)
    with pieces.form_row():
        first = made["upscaler_1"]
        refresh = pieces.refresh_button(elem_id)
    card = gr.HTML("", elem_id=f"{elem_id}_card")
    with pieces.form_row():
        made["upscaler_2"]
        made["visibility"]
    with pieces.form_row():
        made["clean_up"]
        made["followed_by"]
    made.rest("models")
    follow = pieces.size(made, elem_id)
    plan = gr.HTML("", elem_id=f"{elem_id}_plan")
    pieces.advanced(made, elem_id, source)
    made.rest()
    parts = made.parts
    if in_extras:
        which_panel.ui(elem_id, listed, first, parts)
        catalogue.ui(elem_id, listed.updates, listed.components)
        extras_tools.reads(read, read_note, parts)
    pieces.shows_card(card, first, source, follow, parts["scale"])
    pieces.refreshes(refresh, listed, source)
    presets.connect(parts, source)
    _show_plan(parts, source, plan)
    return parts


def _show_plan(parts: dict[str, Any], source: Any, plan: Any) -> None:
    names = list(parts)

    def text(size: str, *values: Any) -> str:
        asked = dict(zip(names, values))
        return forecast.plan_html(forecast.size_of(bridge.SOURCE.read(size)), lambda: _request(asked, choices.peek))

    for component in (source, *parts.values()):
        component.change(fn=text, inputs=[source, *parts.values()], outputs=[plan], show_progress=False)


def _request(values: dict[str, Any], find: Find = choices.find) -> UpscaleRequest:
    """Raises RequestError, SizeError, ModelNotFoundError."""
    asked = checked(PLACE, values)
    return request_of(asked, size_of(PLACE, asked, asked["size_by"]), find)


def first_pass(pp: Any, enabled: bool | None = None, **values: Any) -> None:
    """Tell the scripts behind how large the picture will be."""
    cache.clear_if_stale()
    results.begins(find_caller())
    if not enabled:
        return
    try:
        asked = checked(PLACE, values)
        size = size_of(PLACE, asked, asked["size_by"])
        planned = plan_size(Size(*pp.image.size), size).output if size is not None else None
    except TrueScaleError:
        return  # ``process`` will say so
    if planned is not None:
        pp.shared.target_width, pp.shared.target_height = planned.width, planned.height


def process(pp: Any, enabled: bool | None = None, **values: Any) -> None:
    """Upscale ``pp.image``. What happens on failure is in ``failing``; after generating the picture stays as it is."""
    caller = find_caller()
    results.begins(caller)
    batch_begins(caller)
    try:
        if enabled:
            _upscale(pp, values, caller)
    finally:
        batch_ends(caller)


def _upscale(pp: Any, values: dict[str, Any], caller: Caller) -> None:
    name = values.get("recipe") or values.get("upscaler_1") or "TrueScale"
    if "Postprocess upscaler" in pp.info:
        host.warn("The accordion Upscale has enlarged this picture already; TrueScale enlarges it once more")
    with shown_as_job(name, bar=caller.kind in ("extras", "batch")) as progress:
        try:
            health.check()
            from ..panels.extras_text import infotext
            from ..takeover.moving import enlarged

            asked = checked(PLACE, values)
            made = enlarged(pp.image, caller, _request(values), progress, lambda report: infotext(asked, report))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller decides what is kept
            _failed(pp, as_error(error, name), caller, name)
            return
    for text in made.report.warnings:
        host.warn(text)
    results.made(caller, made.report)
    said = {key: value for key, value in pp.image.info.items() if key != "icc_profile" or made.metadata.icc_profile}
    made.first.image.info.update(said)  # made once
    pp.info.update(infotext(asked, made.report))
    pp.image = made.given_back(pp.image, caller)


def _failed(pp: Any, error: TrueScaleError, caller: Caller, name: str) -> None:
    if caller.kind == "other":  # after generating: the host would only log it, and the picture is there
        host.warn(f"The picture was not upscaled: {error}")
        reason = "interrupted" if isinstance(error, Cancelled) else "failed"
        pp.info[HIRES_NOTE] = f"not upscaled by {name} ({reason})"
        return
    answer(error, caller, pp.image, 1, name)


# -- the page ----------------------------------------------------------------------------------------------------------

_TWICE = (
    "<p class='truescale-note'>The accordion Upscale is on as well, with an upscaler chosen: the picture would be"
    " enlarged twice. Switch one of them off.</p>"
)


def _warn_of_upscaling_twice(enabled: Any, note: Any) -> None:
    """Show the note while the host's own accordion would enlarge the picture as well."""
    their_switch = lists.host_components().get("extras_upscale-checkbox") or lists.host_components().get(
        "extras_upscale"
    )
    their_upscaler = lists.host_components().get("extras_upscaler_1")
    if their_upscaler is None:
        return
    # Before 1.9 it cannot be switched off: it enlarges as soon as an upscaler is chosen.
    inputs = [enabled, their_upscaler, *([their_switch] if their_switch is not None else [])]

    def shown(ours: bool, upscaler: str, theirs: bool = True) -> Any:
        return gr.update(visible=bool(ours and theirs and upscaler not in (None, "", "None")))

    for component in inputs:
        component.change(fn=shown, inputs=inputs, outputs=[note], show_progress=False)


def _elem_id() -> str:
    """Ids are unique in a page: the host may build the panel in txt2img and img2img as well."""
    if "extras_image" in lists.host_components():
        return _ELEM_ID
    return f"truescale_step_{next(PAGE.of(_Steps))}"


class _Steps(count):
    """1, 2, 3 ...: the panels of one page that are steps after generating."""

    def __new__(cls) -> _Steps:
        return super().__new__(cls, 1)
