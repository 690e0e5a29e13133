"""The queue of the Extras on the page: a button by Generate, and below it the list of jobs and their results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import Context
from PIL import Image

from ...errors import TrueScaleError
from .. import host
from ..host.extras_run import MODES, Asked, inputs_of
from ..host.markup import problem
from . import bridge, pieces
from .own_page import only_own_page
from .queue_jobs import Job, queue
from .queue_words import settings_in_words

__all__ = ["add_queue", "is_place"]

_PANEL = "truescale_extras_queue"
_SMALL = {"size": "sm", "min_width": 110}
_PLACE = "extras_results"
"""The host's component before which the queue stands: the one below Generate."""


def is_place(elem_id: str | None) -> bool:
    """Whether the queue goes before the component of this id."""
    return elem_id == _PLACE


def add_queue() -> None:
    """Called when the host has built all that Generate reads. Without what it knows of that, there is no queue."""
    blocks = {getattr(block, "elem_id", None): block for block in getattr(Context.root_block, "blocks", {}).values()}
    inputs, tabs = inputs_of(blocks.get), [blocks.get(elem_id) for elem_id in MODES]
    if inputs is None:
        host.log.warning("TrueScale: no queue in the Extras: their inputs are not those that are known")
    if inputs is None or f"{_PANEL}_add" in blocks:
        return
    _Panel().connect(inputs, tabs)


class _Panel:
    """The widgets, and what ties them together."""

    def __init__(self) -> None:
        self._mode, self._seen = gr.State(0), gr.State(0)
        self._do, self._show = bridge.QUEUE_DO.component(_PANEL), bridge.QUEUE_SHOW.component(_PANEL)
        self._ask = bridge.QUEUE_ASK.component(_PANEL)
        self._jobs = bridge.QUEUE_JOBS.component(_PANEL, _told())
        with gr.Row(elem_id=f"{_PANEL}_row"):
            self._add = gr.Button("Add to queue", elem_id=f"{_PANEL}_add")
        gr.HTML("", elem_id=f"{_PANEL}_status")
        self._note = gr.HTML("", elem_id=f"{_PANEL}_note")
        with gr.Column(visible=bool(queue().jobs()), elem_id=f"{_PANEL}_box") as self._box:
            gr.HTML("", elem_id=f"{_PANEL}_list")
            with pieces.form_row():
                self._resume = gr.Button("Run queue", **_SMALL, elem_id=f"{_PANEL}_run")
                self._pause = gr.Button("Pause queue", **_SMALL, elem_id=f"{_PANEL}_pause")
                self._stop = gr.Button("Interrupt job", **_SMALL, elem_id=f"{_PANEL}_stop")
                self._clear = gr.Button("Clear finished", **_SMALL, elem_id=f"{_PANEL}_clear")
            self._results = gr.Gallery(
                label="Results of the queue",
                elem_id=f"{_PANEL}_results",
                columns=4,
                height=320,
                visible=bool(queue().results()),
            )

    def connect(self, inputs: list[Any], tabs: list[Any]) -> None:
        for number, tab in enumerate(tabs):
            if tab is not None:
                tab.select(fn=lambda number=number: number, inputs=[], outputs=[self._mode], show_progress=False)
        shown = [self._jobs, self._box, self._results, self._seen]
        self._on(self._add.click, _added, [*inputs, self._mode], [self._note, *shown])
        self._on(self._do.change, _done, [self._do], [self._note, *shown])
        self._on(self._show.click, _shown, [], shown)
        self._ask.click(fn=only_own_page(_answer), inputs=[], outputs=[self._jobs], show_progress=False, queue=False)
        for button, action in (
            (self._resume, lambda: queue().resume()),
            (self._pause, lambda: queue().pause()),
            (self._stop, lambda: queue().interrupt()),
            (self._clear, lambda: queue().clear_ended()),
        ):
            self._on(button.click, _pressed(action), [], [self._note, *shown])

    def _on(self, event: Any, function: Any, inputs: list[Any], outputs: list[Any]) -> None:
        """Which results the page has comes last."""
        event(
            fn=only_own_page(function),
            inputs=[*inputs, self._seen],
            outputs=outputs,
            show_progress=False,
            queue=False,
        )


# -- what happens ------------------------------------------------------------------------------------------------------


def _added(*given: Any) -> list[Any]:
    *inputs, mode, seen = given
    try:
        asked = Asked.of(int(mode or 0), inputs)
    except TrueScaleError as error:
        return [problem(error), *_shown(seen)]
    queue().add(asked, settings_in_words(asked.values))
    return ["", *_shown(seen)]


def _done(text: str, seen: int) -> list[Any]:
    """What a button of a job asks for."""
    said = bridge.QUEUE_DO.read(text)
    number = said.get("job")
    if isinstance(number, int):
        actions = {
            "up": lambda: queue().move(number, -1),
            "down": lambda: queue().move(number, 1),
            "remove": lambda: queue().remove(number),
            "again": lambda: queue().again(number),
        }
        actions.get(str(said.get("act")), lambda: None)()
    return ["", *_shown(seen)]


def _pressed(action: Any) -> Any:
    def pressed(seen: int) -> list[Any]:
        action()
        return ["", *_shown(seen)]

    return pressed


def _answer() -> str:
    return bridge.QUEUE_JOBS.html(_told())


def _shown(seen: int) -> list[Any]:
    """Updates of the jobs, the box, the gallery, and which results the page has."""
    there = queue()
    revision = there.results_revision
    pictures = [] if seen == revision else list(map(_picture, there.results()))
    gallery = gr.update() if seen == revision else gr.update(value=pictures, visible=bool(pictures))
    box = gr.update(visible=bool(there.jobs()))
    return [_answer(), box, gallery, revision]


def _picture(file: str) -> Image.Image:
    """As the host hands over pictures that it has saved: the page gets the file, which is not opened here. One that is
    very large, or no picture any more, would fail each button of each page."""
    image = Image.new("L", (1, 1))
    image.already_saved_as = file  # type: ignore[attr-defined]
    return image


def _told() -> dict[str, Any]:
    return {"paused": queue().is_paused, "jobs": [_job(job) for job in queue().jobs()]}


def _job(job: Job) -> dict[str, Any]:
    name, small = Path(job.asked.name).name or job.asked.name, job.asked.small
    told = {"number": job.number, "name": name, "small": small, "settings": job.settings}
    notes = [*job.ran.notes, *([job.ran.error] if job.ran.error else [])]
    return {**told, "state": job.state, "notes": notes, "results": len(job.ran.files), **_progress(job)}


def _progress(job: Job) -> dict[str, str]:
    if job.state != "running":
        return {}
    return {"progress": str(getattr(host.state(), "textinfo", None) or "") if job.turn == "now" else ""}
