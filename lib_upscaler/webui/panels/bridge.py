"""The bridge between the page's scripts and the server: every channel of it, which way it goes, and what is said on it.

``javascript/truescale_bridge.js`` is its other end and declares the same channels. All data are JSON. A channel of a
panel is the component ``{panel}_{name}``: on the page, since gradio gives components that are not there no values, but
not to be seen.
"""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import Any

import gradio as gr

__all__ = [
    "ADDED",
    "CHANNELS",
    "CHOSEN",
    "CROP",
    "DONE",
    "GROUPS",
    "HIDDEN",
    "NAMES",
    "ORDER",
    "PLACE",
    "PRESETS",
    "PRESETS_ASK",
    "QUEUE_ASK",
    "QUEUE_DO",
    "QUEUE_JOBS",
    "QUEUE_SHOW",
    "SOURCE",
    "STATEMENT_SHOW",
    "Signal",
    "ToPage",
    "ToServer",
]

HIDDEN = "truescale-hidden"
"""The class of what is not for the user's eyes."""


@dataclass(frozen=True)
class ToServer:
    """A text field that only the page's script writes; it says nothing at first. label: it is never seen."""

    name: str
    label: str
    way = "to server"

    def component(self, panel: str) -> Any:
        field = gr.Textbox("", elem_id=f"{panel}_{self.name}", elem_classes=HIDDEN, label=self.label)
        field.do_not_save_to_config = True  # the host's word for what is no setting of the user's
        return field

    def read(self, text: str | None) -> dict[str, Any]:
        """The object that was said; {} where none was, or the text is none of ours."""
        try:
            found = json.loads(text or "{}")
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class ToPage:
    """An element that only the server writes. Not a field: the host would keep its first value in ui-config.json."""

    name: str
    way = "to page"

    def component(self, panel: str, data: Any = None) -> Any:
        return gr.HTML(self.html(data), elem_id=f"{panel}_{self.name}", elem_classes=HIDDEN)

    def html(self, data: Any) -> str:
        """The component's value that says it."""
        return f"<div data-truescale-{self.name}='{html.escape(json.dumps(data), quote=True)}'></div>"


@dataclass(frozen=True)
class Signal:
    """A button that only the page's script presses: to the server, without data."""

    name: str
    way = "signal"

    def component(self, panel: str) -> Any:
        return gr.Button("", elem_id=f"{panel}_{self.name}", elem_classes=HIDDEN)


SOURCE = ToServer("source", "Source size")
"""Of Extras, SD Upscale, Hires Fix and steps after generating, while the panel is open: what its forecast needs.

``{of, width, height, runs}``: which component of the host holds the source, its px, and how many runs the page has seen
(they teach how long things take). img2img adds ``{target_width, target_height, steps, strength}``, txt2img instead has
``{width, height, scale, resize_x, resize_y, upscaler, steps, batch}``: what is set there. Without a source ``{runs}``.
"""

CROP = ToServer("crop", "Crop")
"""Of "Which model?": ``{x, y, width, height, of: [width, height]}`` in px of a source of that size; ``null``: none."""

CHOSEN = ToServer("chosen", "Chosen")
"""Of "Which model?": ``{name, count}``, the upscaler to be set; the count makes the same choice twice two of them."""

NAMES = ToPage("names")
"""Of "Which model?": ``[name, ...]``, one for each picture of the panel's gallery, the source first, the sheet last."""

GROUPS = ToPage("groups")
"""Of each panel with lists of upscalers: ``{name: heading}``, the group that each is listed in."""

STATEMENT_SHOW = Signal("statement_show")
"""Of Extras: a run has ended, its statement is to be shown."""

PRESETS_ASK = Signal("presets_ask")
"""Of a gallery: its dialog was opened, the presets of now are wanted."""

PRESETS = ToPage("presets")
"""Of a gallery: ``[name, ...]``, the presets of Extras in their order."""

ORDER = ToServer("order", "TrueScale order")
"""Of a gallery: ``{task, preset, files: [path, ...], pictures: [index, ...], waited}``, what is to be upscaled: which
of all files that it shows, then of those that it has shown. The task is the host's name for a job whose progress the
page asks for, another one each time. waited: for the order before, whose words are kept."""

DONE = ToPage("done")
"""Of a gallery: ``{task, results}``, that order is done, with so many results, which are to be placed."""

PLACE = ToServer("place", "TrueScale place")
"""Of a gallery: ``{task, files: [path, ...]}``, the results of that order are to be placed among those files, which the
gallery shows now: another run may have ended since the order."""

ADDED = ToPage("added")
"""Of a gallery: ``{task, pictures: [index, ...]}``, the answer to each such place: where its results stand there."""

QUEUE_DO = ToServer("do", "Action of the queue")
"""Of the queue: ``{act, job, count}``, "up", "down", "remove" or "again" for the job of that number; the count makes
the same action twice two of them."""

QUEUE_SHOW = Signal("show")
"""Of the queue: it is to be shown as it is now."""

QUEUE_ASK = Signal("ask")
"""Of the queue: the jobs are to be told as they are now, and nothing else on the page to be changed."""

QUEUE_JOBS = ToPage("jobs")
"""Of the queue: ``{paused, jobs: [{number, name, small, settings: [[word, value], ...], state, notes: [text, ...],
results, progress}]}``: small is a data address of its picture, or ""; results, how many pictures it has saved;
progress, of a running one alone, the host's words."""

CHANNELS: tuple[ToServer | ToPage | Signal, ...] = (
    *(SOURCE, CROP, CHOSEN, NAMES, GROUPS, STATEMENT_SHOW),
    *(PRESETS_ASK, PRESETS, ORDER, DONE, PLACE, ADDED),
    *(QUEUE_DO, QUEUE_SHOW, QUEUE_ASK, QUEUE_JOBS),
)
