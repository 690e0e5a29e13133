"""What all panels share beside single widgets: accordions, refresh, size, and what is behind "Advanced"."""

from __future__ import annotations

from typing import Any

import gradio as gr

from .. import host
from . import cards
from .lists import Lists

__all__ = [
    "accordion",
    "advanced",
    "follows_model",
    "form_row",
    "ldsr",
    "refresh_button",
    "refreshes",
    "shows_card",
    "size",
    "tool_button",
]

WORDS = ("Enable TrueScale", "Enable TrueScale Hires Fix")
"""Labels on hosts whose accordions have no switch of their own."""


def accordion(label: str, elem_id: str) -> Any:
    """An accordion that is switched on by opening it, closed at first; a context manager and an input in one."""
    components = host.module("ui_components")
    make = getattr(components, "InputAccordion", None)
    return make(False, label=label, elem_id=elem_id) if make is not None else _PlainAccordion(label, elem_id)


class _PlainAccordion:
    """For hosts without one: a check box on top of an ordinary accordion."""

    def __init__(self, label: str, elem_id: str) -> None:
        self._accordion = gr.Accordion(label, open=False, elem_id=elem_id)
        self._label, self._elem_id = label, elem_id

    def __enter__(self) -> Any:
        self._accordion.__enter__()
        return gr.Checkbox(False, label=f"Enable {self._label}", elem_id=f"{self._elem_id}-checkbox")

    def __exit__(self, *error: Any) -> None:
        self._accordion.__exit__(*error)


def form_row(**arguments: Any) -> Any:
    """A row of the host's forms, without gaps."""
    return getattr(host.module("ui_components"), "FormRow", gr.Row)(**arguments)


def tool_button(symbol: str, elem_id: str, tooltip: str) -> Any:
    """A small square one; its tooltip says what it is for."""
    make = getattr(host.module("ui_components"), "ToolButton", None)
    return gr.Button(symbol, elem_id=elem_id) if make is None else make(symbol, elem_id=elem_id, tooltip=tooltip)


# -- lists of upscalers ------------------------------------------------------------------------------------------------


def refresh_button(elem_id: str) -> Any:
    """The button beside a list; ``refreshes`` says what it does."""
    symbol = getattr(host.module("ui_common"), "refresh_symbol", "\U0001f504")
    return tool_button(symbol, f"{elem_id}_refresh", "Look for new models")


def refreshes(button: Any, lists: Lists, source: Any) -> None:
    """The button looks for new files; what others have found is listed when the page's script writes ``source``."""
    button.click(fn=lists.updates, inputs=[], outputs=lists.components)
    source.change(fn=lists.ours_now, inputs=[], outputs=lists.ours, show_progress=False)


# -- size --------------------------------------------------------------------------------------------------------------


def follows_model(elem_id: str) -> Any:
    """A switch: the scale becomes that of each upscaler that is chosen."""
    return gr.Checkbox(False, label="Scale follows the model", elem_id=f"{elem_id}_follow")


def size(made: Any, elem_id: str) -> Any:
    """The ways of asking for a size, of which the fields of the chosen one are shown; gives the switch that ties the
    scale to the model. made: the panel's ``widgets.Widgets``.
    """
    by, has_fit, has_area = made["size_by"], made.has("fit"), made.has("megapixels")
    with form_row(elem_id=f"{elem_id}_by_scale") as by_scale:
        made["scale"]
        follow = follows_model(elem_id)
    with gr.Column(visible=False, elem_id=f"{elem_id}_by_box") as by_box:
        with form_row():
            sides = [made["width"], made["height"]]
            swap = tool_button("\U000021c5", f"{elem_id}_swap", "Switch width/height")
        if has_fit:
            with form_row():
                made["fit"]
    with form_row(visible=False, elem_id=f"{elem_id}_by_side") as by_side:
        made["longest_side"]
    rows = {"Scale by": by_scale, "Scale to": by_box, "Longest side": by_side}
    if has_area:
        with form_row(visible=False, elem_id=f"{elem_id}_by_area") as rows["Megapixels"]:
            made["megapixels"]
    by.change(
        fn=lambda chosen: [gr.update(visible=chosen == way) for way in rows],
        inputs=[by],
        outputs=list(rows.values()),
        show_progress=False,
    )
    swap.click(fn=lambda w, h: (h, w), inputs=sides, outputs=sides, show_progress=False)
    return follow


# -- what is said beside the widgets -----------------------------------------------------------------------------------


def shows_card(card: Any, upscaler: Any, source: Any, follow: Any = None, scale: Any = None) -> None:
    """``card`` tells of the one chosen in ``upscaler``; first when the page's script writes ``source``.

    With ``follow`` and ``scale``, that slider follows the model where the switch says so.
    """
    source.change(fn=cards.card_html, inputs=[upscaler], outputs=[card], show_progress=False)
    if follow is None:
        upscaler.change(fn=cards.card_html, inputs=[upscaler], outputs=[card], show_progress=False)
        return

    def chosen(name: str | None, follows: bool) -> tuple[Any, str]:
        card_html = cards.card_html(name)
        own = cards.scale_of(name) if follows and name else None
        return gr.update(value=float(own)) if own else gr.update(), card_html

    for component in (upscaler, follow):
        component.change(fn=chosen, inputs=[upscaler, follow], outputs=[scale, card], show_progress=False)


def ldsr(made: Any, elem_id: str) -> None:
    """What can be asked of LDSR, closed at first."""
    with gr.Accordion("LDSR", open=False, elem_id=f"{elem_id}_ldsr"):
        for pair in (("ldsr_mode", "ldsr_sampler"), ("ldsr_steps", "ldsr_eta"), ("ldsr_seed",)):
            with form_row():
                for name in pair:
                    made[name]


# -- advanced ----------------------------------------------------------------------------------------------------------


def advanced(made: Any, elem_id: str, source: Any) -> None:
    """Closed at first; its defaults never need touching."""
    with gr.Accordion("Advanced", open=False, elem_id=f"{elem_id}_advanced"):
        with form_row():
            made["precision"]
        with form_row():
            made["tile"]
            made["memory"]
        for name in ("alpha", "recipe"):
            with form_row():
                made[name]
        shows_card(gr.HTML("", elem_id=f"{elem_id}_recipe_card"), made["recipe"], source)
        made.rest("engine")
        ldsr(made, elem_id)
