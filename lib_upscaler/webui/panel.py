"""The widgets that all panels share: upscalers with refresh, size, and what is behind "Advanced"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from . import choices, host, host_cache
from .registry import REGISTRY
from .service import service
from .settings import PRECISIONS

__all__ = [
    "ALPHAS",
    "BY_SETTINGS",
    "FITS",
    "HOST_LISTS",
    "SIZES",
    "accordion",
    "advanced",
    "form_row",
    "refresh_button",
    "refresh_models",
    "refreshes",
    "remember_component",
    "size",
    "upscaler_2",
]

BY_SETTINGS = "as in the settings"
SIZES = ("Scale by", "Scale to", "Longest side", "Megapixels")
FITS = ("inside", "crop", "stretch", "pad")
ALPHAS = ("network", "fast", "drop")

HOST_LISTS: dict[str, Any] = {}
"""The host's own drop-downs of upscalers in the UI that is being built, by their ids."""

_LISTED: dict[str, Callable[[], list[str]]] = {
    "txt2img_hr_upscaler": lambda: [*_latent_modes(), *_host_names()],
    "extras_upscaler_1": lambda: _host_names(),
    "extras_upscaler_2": lambda: _host_names(),
}


def remember_component(component: Any, elem_id: str | None) -> None:
    """Called for each component of the host's UI as it is built."""
    if elem_id in _LISTED or elem_id in ("extras_image", "extras_upscale-checkbox", "extras_upscale"):
        HOST_LISTS[elem_id] = component


def _host_names() -> list[str]:
    return [entry.name for entry in host.upscalers()]


def _latent_modes() -> list[str]:
    return list(getattr(host.module("shared"), "latent_upscale_modes", None) or ())


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


def _tool_button(symbol: str, elem_id: str, tooltip: str) -> Any:
    make = getattr(host.module("ui_components"), "ToolButton", None)
    return gr.Button(symbol, elem_id=elem_id) if make is None else make(symbol, elem_id=elem_id, tooltip=tooltip)


# -- upscalers ---------------------------------------------------------------------------------------------------------


def upscaler_1(elem_id: str) -> Any:
    return gr.Dropdown(
        label="Upscaler 1", choices=choices.names(), value=choices.default_name(), elem_id=f"{elem_id}_upscaler_1"
    )


def upscaler_2(elem_id: str) -> tuple[Any, Any]:
    """The drop-down and the slider of its visibility."""
    second = gr.Dropdown(
        label="Upscaler 2",
        choices=[choices.NO_UPSCALER, *choices.names()],
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


def refresh_models() -> None:
    """New files are found and listed, in the host's lists as well; those that are gone keep their places."""
    service().refresh()
    REGISTRY.update()
    host_cache.clear()


def refresh_button(elem_id: str) -> Any:
    """The button beside a list; ``refreshes`` says what it does."""
    symbol = getattr(host.module("ui_common"), "refresh_symbol", "\U0001f504")
    return _tool_button(symbol, f"{elem_id}_refresh", "Look for new models")


def refreshes(button: Any, *lists: tuple[Any, Sequence[str]]) -> None:
    """The button updates these drop-downs, and those of the host that this page has so far.

    lists: drop-downs of ours, and what stands in each before the names.
    """
    theirs = [(HOST_LISTS[key], listed) for key, listed in _LISTED.items() if key in HOST_LISTS]

    def refresh() -> Any:
        refresh_models()
        found = [[*head, *choices.names()] for _, head in lists] + [listed() for _, listed in theirs]
        updates = [gr.update(choices=each) for each in found]
        return updates if len(updates) > 1 else updates[0]

    button.click(fn=refresh, inputs=[], outputs=[component for component, _ in (*lists, *theirs)])


# -- size --------------------------------------------------------------------------------------------------------------


def pixels(label: str, elem_id: str, value: int = 2048) -> Any:
    """A slider for a side of the result."""
    return gr.Slider(minimum=1, maximum=16384, step=1, value=value, label=label, elem_id=elem_id)


def size(elem_id: str) -> dict[str, Any]:
    """The ways of asking for a size, by the names of ``extras.Values``; those of the chosen way are shown."""
    by = gr.Radio(label="Size", choices=list(SIZES), value=SIZES[0], elem_id=f"{elem_id}_size_by")
    rows = []
    with form_row(elem_id=f"{elem_id}_by_scale") as row:
        scale = gr.Slider(minimum=1.0, maximum=16.0, step=0.05, value=4.0, label="Scale", elem_id=f"{elem_id}_scale")
        rows.append(row)
    with gr.Column(visible=False, elem_id=f"{elem_id}_by_box") as box:
        with form_row():
            width = pixels("Width", f"{elem_id}_width")
            height = pixels("Height", f"{elem_id}_height")
            swap = _tool_button("\U000021c5", f"{elem_id}_swap", "Switch width/height")
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
    return {
        "size_by": by,
        "scale": scale,
        "width": width,
        "height": height,
        "fit": fit,
        "longest_side": longest,
        "megapixels": megapixels,
    }


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
