"""The widgets that all panels share: upscalers with refresh, size, and what is behind "Advanced"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from .. import host
from ..host.settings import BY_SETTINGS, PRECISIONS
from ..takeover import choices
from . import cards
from .lists import Lists, cleaners, offered, offered_or_none

__all__ = [
    "ALPHAS",
    "BY_SETTINGS",
    "FITS",
    "SIZES",
    "accordion",
    "advanced",
    "clean_up",
    "follows_model",
    "form_row",
    "pixels",
    "precision",
    "refresh_button",
    "refreshes",
    "shows_card",
    "size",
    "source_size",
    "tile",
    "tool_button",
    "upscaler_1",
    "upscaler_2",
]

SIZES = ("Scale by", "Scale to", "Longest side", "Megapixels")
FITS = ("inside", "crop", "stretch", "pad")
ALPHAS = ("network", "fast", "drop")


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


# -- upscalers ---------------------------------------------------------------------------------------------------------


def upscaler_1(elem_id: str, lists: Lists, listed: Callable[[], list[str]] = offered) -> Any:
    """The drop-down; ``refresh_button`` goes beside it, its card below."""
    return lists.dropdown(listed, label="Upscaler 1", value=choices.default_name(), elem_id=f"{elem_id}_upscaler_1")


def upscaler_2(elem_id: str, lists: Lists) -> tuple[Any, Any]:
    """The drop-down and the slider of its visibility."""
    second = lists.dropdown(
        offered_or_none,
        label="Upscaler 2",
        value=choices.NO_UPSCALER,
        elem_id=f"{elem_id}_upscaler_2",
    )
    visibility = gr.Slider(
        minimum=0.0,
        maximum=1.0,
        step=0.01,
        value=0.5,
        label="Upscaler 2 visibility",
        elem_id=f"{elem_id}_upscaler_2_visibility",
    )
    return second, visibility


def clean_up(elem_id: str, lists: Lists) -> Any:
    """A network that repairs the picture before it is enlarged."""
    return lists.dropdown(
        cleaners,
        label="Clean up first",
        value=choices.NO_UPSCALER,
        elem_id=f"{elem_id}_clean_up",
        info="a 1x network that takes away JPEG damage, noise or blur before the picture is enlarged",
    )


def refresh_button(elem_id: str) -> Any:
    """The button beside a list; ``refreshes`` says what it does."""
    symbol = getattr(host.module("ui_common"), "refresh_symbol", "\U0001f504")
    return tool_button(symbol, f"{elem_id}_refresh", "Look for new models")


def refreshes(button: Any, lists: Lists, source: Any) -> None:
    """The button looks for new files; what others have found is listed when the page's script writes ``source``."""
    button.click(fn=lists.updates, inputs=[], outputs=lists.components)
    source.change(fn=lists.ours_now, inputs=[], outputs=lists.ours, show_progress=False)


def source_size(elem_id: str) -> Any:
    """Written by the page's script: how large the source is, so that nothing needs to be sent to plan for it."""
    return gr.Textbox("", elem_id=f"{elem_id}_source", elem_classes="truescale-hidden", label="Source size")


# -- size --------------------------------------------------------------------------------------------------------------


def pixels(label: str, elem_id: str, value: int = 2048) -> Any:
    """A slider for a side of the result."""
    return gr.Slider(minimum=1, maximum=16384, step=1, value=value, label=label, elem_id=elem_id)


def follows_model(elem_id: str) -> Any:
    """A switch: the scale becomes that of each upscaler that is chosen."""
    return gr.Checkbox(False, label="Scale follows the model", elem_id=f"{elem_id}_follow")


def size(elem_id: str) -> tuple[dict[str, Any], Any]:
    """The ways of asking for a size, by the names of ``values.Values``, those of the chosen way are shown; and the
    switch that ties the scale to the model."""
    by = gr.Radio(label="Size", choices=list(SIZES), value=SIZES[0], elem_id=f"{elem_id}_size_by")
    rows = []
    with form_row(elem_id=f"{elem_id}_by_scale") as row:
        scale = gr.Slider(minimum=1.0, maximum=16.0, step=0.05, value=4.0, label="Scale", elem_id=f"{elem_id}_scale")
        follow = follows_model(elem_id)
        rows.append(row)
    with gr.Column(visible=False, elem_id=f"{elem_id}_by_box") as box:
        with form_row():
            width = pixels("Width", f"{elem_id}_width")
            height = pixels("Height", f"{elem_id}_height")
            swap = tool_button("\U000021c5", f"{elem_id}_swap", "Switch width/height")
        with form_row():
            fit = gr.Radio(label="Fit", choices=list(FITS), value=FITS[0], elem_id=f"{elem_id}_fit")
        rows.append(box)
    with form_row(visible=False, elem_id=f"{elem_id}_by_side") as row:
        longest = pixels("Longest side, in pixels", f"{elem_id}_longest")
        rows.append(row)
    with form_row(visible=False, elem_id=f"{elem_id}_by_area") as row:
        megapixels = gr.Slider(
            minimum=0.1, maximum=100.0, step=0.1, value=4.0, label="Size in megapixels", elem_id=f"{elem_id}_megapixels"
        )
        rows.append(row)
    by.change(
        fn=lambda chosen: [gr.update(visible=chosen == way) for way in SIZES],
        inputs=[by],
        outputs=rows,
        show_progress=False,
    )
    swap.click(fn=lambda w, h: (h, w), inputs=[width, height], outputs=[width, height], show_progress=False)
    parts = {
        "size_by": by,
        "scale": scale,
        "width": width,
        "height": height,
        "fit": fit,
        "longest_side": longest,
        "megapixels": megapixels,
    }
    return parts, follow


# -- what is told beside the widgets -----------------------------------------------------------------------------------


def shows_card(card: Any, upscaler: Any, source: Any, follow: Any = None, scale: Any = None) -> None:
    """``card`` tells of the one chosen in ``upscaler``; first when the page's script writes ``source``.

    With ``follow`` and ``scale``, that slider follows the model where the switch says so.
    """
    source.change(fn=cards.card_html, inputs=[upscaler], outputs=[card], show_progress=False)
    if follow is None:
        upscaler.change(fn=cards.card_html, inputs=[upscaler], outputs=[card], show_progress=False)
        return

    def chosen(name: str | None, follows: bool) -> tuple[Any, str]:
        told = cards.card_html(name)
        own = cards.scale_of(name) if follows and name else None
        return gr.update(value=float(own)) if own else gr.update(), told

    for component in (upscaler, follow):
        component.change(fn=chosen, inputs=[upscaler, follow], outputs=[scale, card], show_progress=False)


# -- advanced ----------------------------------------------------------------------------------------------------------


def precision(elem_id: str) -> Any:
    return gr.Radio(
        label="Precision",
        choices=[BY_SETTINGS, *PRECISIONS],
        value=BY_SETTINGS,
        elem_id=f"{elem_id}_precision",
        info="exact is float32; auto takes a smaller one where it is faster and hardly differs",
    )


def tile(elem_id: str) -> Any:
    return gr.Slider(
        minimum=0,
        maximum=2048,
        step=16,
        value=0,
        label="Tile size",
        elem_id=f"{elem_id}_tile",
        info="0 = automatic: in tiles only where memory demands it",
    )


def advanced(elem_id: str) -> dict[str, Any]:
    """Closed at first; its defaults never need touching."""
    with gr.Accordion("Advanced", open=False, elem_id=f"{elem_id}_advanced"):
        with form_row():
            chosen_precision = precision(elem_id)
        with form_row():
            chosen_tile = tile(elem_id)
            memory = gr.Slider(
                minimum=0.0,
                maximum=64.0,
                step=0.5,
                value=0.0,
                label="Most memory, in GB",
                elem_id=f"{elem_id}_memory",
                info="0 = as in the settings",
            )
        with form_row():
            alpha = gr.Radio(
                label="Transparency",
                choices=list(ALPHAS),
                value=ALPHAS[0],
                elem_id=f"{elem_id}_alpha",
                info="through the network, fast (resampled), or drop (put on white)",
            )
    return {"precision": chosen_precision, "tile": chosen_tile, "memory": memory, "alpha": alpha}
