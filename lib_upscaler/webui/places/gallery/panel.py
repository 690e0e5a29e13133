"""What is on the page for it: a place for words below the gallery's buttons, and the channels of the page's script.

The script makes the button and its dialog; the host builds its own buttons without a way to add one.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from ....errors import TrueScaleError
from ... import host
from ...host.lives import PAGE
from ...host.markup import problem
from ...panels import bridge, presets
from . import run

__all__ = ["watch"]

_TABS = ("txt2img", "img2img")
_MOST_WAITING = 8
_MOST_HELD = 2**30  # bytes


class _Parts(dict):
    """Component by id: the host's of the page that is being built, and ours that are there already."""


def watch(component: Any, elem_id: str | None) -> None:
    """Called for each component of the host's UI as it is built."""
    for tab in _TABS:
        if elem_id in (f"{tab}_gallery", f"generation_info_{tab}"):
            PAGE.of(_Parts)[elem_id] = component
        if elem_id == f"download_files_{tab}":  # just below the buttons
            PAGE.of(_Parts)[_panel(tab)] = _add(_panel(tab))
        elif elem_id == f"generation_info_{tab}":  # the last that is needed
            _connect(tab, PAGE.of(_Parts))


def _panel(tab: str) -> str:
    return f"truescale_gallery_{tab}"


def _add(panel: str) -> dict[str, Any]:
    """The components of ours."""
    return {
        "note": gr.HTML("", elem_id=f"{panel}_note"),
        "order": bridge.ORDER.component(panel),
        "ask": bridge.PRESETS_ASK.component(panel),
        "presets": bridge.PRESETS.component(panel, _names()),
        "done": bridge.DONE.component(panel),
        "place": bridge.PLACE.component(panel),
        "added": bridge.ADDED.component(panel),
    }


def _names() -> list[str]:
    return presets.store().names(run.PLACE)


class _Waiting(dict):
    """Task -> its results, until the page says where its gallery is to have them."""

    def put(self, task: str, results: list[run.Result]) -> None:
        """Those of pages that were closed meanwhile would stay for ever: there is an end to how many, and how much."""
        self[task] = results
        while len(self) > 1 and (len(self) > _MOST_WAITING or self._held() > _MOST_HELD):
            del self[next(iter(self))]

    def _held(self) -> int:
        return sum(result.held for results in self.values() for result in results)


def _connect(tab: str, parts: dict[str, Any]) -> None:
    gallery, info, ours = (parts.get(name) for name in (f"{tab}_gallery", f"generation_info_{tab}", _panel(tab)))
    if gallery is None or info is None or ours is None:
        return
    waiting = PAGE.of(_Waiting)

    def ordered(said: str, generation: str, note: str) -> tuple[str, str]:
        order = bridge.ORDER.read(said)
        done, words = _as_job(tab, order, generation, waiting)
        return done, (note or "") + words if order.get("waited") else words

    def added(place: dict[str, Any], pictures: list[int]) -> str:
        return bridge.ADDED.html({"task": place.get("task"), "pictures": pictures})

    def placed(said: str, generation: str) -> tuple[Any, ...]:
        place = bridge.PLACE.read(said)
        try:
            made = run.placed(waiting.get(place.get("task"), []), place.get("files"), generation)
        except TrueScaleError as error:
            return gr.update(), gr.update(), added(place, []), problem(error)
        waiting.pop(place.get("task"), None)
        return *made[:2], added(place, made[2]), gr.update()

    changes = {"show_progress": False}
    inputs = [ours["order"], info, ours["note"]]
    ours["order"].change(fn=ordered, inputs=inputs, outputs=[ours["done"], ours["note"]], **changes)
    outputs = [gallery, info, ours["added"], ours["note"]]
    ours["place"].change(fn=placed, inputs=[ours["place"], info], outputs=outputs, **changes)
    ours["ask"].click(fn=lambda: bridge.PRESETS.html(_names()), inputs=[], outputs=[ours["presets"]], **changes)


def _as_job(tab: str, order: dict[str, Any], generation: str, waiting: _Waiting) -> tuple[str, str]:
    """One job of the host's at a time, with its bar and its Interrupt; an error becomes words in the note."""
    task = str(order.get("task") or "")

    def answer(results: int) -> str:
        return bridge.DONE.html({"task": task, "results": results})

    def job(_: str) -> tuple[str, str]:
        results, note = run.upscaled(tab, order, generation)
        waiting.put(task, results)
        return answer(len(results)), note

    queue = host.module("call_queue")
    done, note = queue.wrap_gradio_gpu_call(job, extra_outputs=[answer(0)])(task)  # type: ignore[union-attr]
    return done, note
