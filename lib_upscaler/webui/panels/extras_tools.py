"""What the Extras tab has beside our panel's own widgets: settings read from a picture, the statement of the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from ...errors import TrueScaleError
from ...fields import NO_UPSCALER
from ..host.markup import line, plain, problem, word
from ..takeover import choices
from ..takeover.results import latest_html
from . import bridge, lists
from .presets import MODELS

__all__ = ["STATEMENT_BELOW", "add_statement", "read_button", "reads"]

STATEMENT_BELOW = "html_log_extras"
"""The host's component below which the statement stands."""


def read_button(elem_id: str) -> tuple[Any, Any]:
    """The button, and where it answers."""
    button = gr.Button("Read settings from picture", size="sm", elem_id=f"{elem_id}_read")
    return button, gr.HTML("", elem_id=f"{elem_id}_read_note")


def reads(button: Any, note: Any, parts: Mapping[str, Any]) -> None:
    """A picture that was upscaled in Extras sets the panel as it was. parts: argument -> component."""
    names = list(parts)
    picture = lists.host_components().get("extras_image")

    def read(image: Any) -> list[Any]:
        from .extras_text import settings_of_picture

        try:
            values = settings_of_picture(image)
        except TrueScaleError as error:
            return [*(gr.update() for _ in names), problem(error)]
        chosen = [name for name in MODELS if values[name] and values[name] != NO_UPSCALER]
        missing = [name for name in chosen if choices.is_gone(values[name])]
        if missing:
            note_html = line(
                [word("Model not found, so that another one is used"), *(plain(values[name]) for name in missing)]
            )
        else:
            note_html = line([word("The panel is set as it was for this picture")])
        return [*(gr.update() if name in missing else gr.update(value=values[name]) for name in names), note_html]

    button.click(fn=read, inputs=[picture], outputs=[*parts.values(), note], show_progress=False)


def add_statement() -> None:
    """Called when the host has built the place below its result: ours, which the page's script asks for after a run."""

    def latest() -> str:
        return latest_html()

    shown = gr.HTML("", elem_id="truescale_extras_statement")
    show = bridge.STATEMENT_SHOW.component("truescale_extras")
    show.click(fn=latest, inputs=[], outputs=[shown], show_progress=False)
