"""The accordion "Which model?": pick a crop, run several upscalers on it, compare, choose with a click."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
from PIL import Image

from ...errors import Cancelled, RequestError, TrueScaleError
from ...fields import checked
from .. import host
from ..host.lives import SCRIPTS
from ..host.markup import line, plain, problem, word
from ..host.progress import is_stopped
from ..takeover import choices
from ..takeover.failing import as_error
from . import bridge, lists, pieces

__all__ = ["ui"]

SOURCE, SHEET = "Source", "Contact sheet"
"""Names in the list that the page's script gets."""

_MOST = 24
"""Models at once."""

_LOSSLESS = {"format": "png"} if "format" in inspect.signature(gr.Gallery.__init__).parameters else {}
"""gradio 4 would make WebP of them; gradio 3 knows PNG only."""


def ui(elem_id: str, made: lists.Lists, upscaler: Any, parts: Mapping[str, Any]) -> None:
    """elem_id: of the panel. upscaler: the drop-down that is set by a click. parts: argument -> component."""
    picture = lists.host_components().get("extras_image")
    if picture is None:
        return
    own = f"{elem_id}_which"
    with gr.Accordion("Which model?", open=False, elem_id=own):
        gr.HTML(
            line([word("Try several models on a crop of the picture in Extras, and choose with a click.")]),
            elem_id=f"{own}_about",
        )
        models = made.dropdown(
            lists.offered, label="Models to try", value=None, multiselect=True, elem_id=f"{own}_models"
        )
        with pieces.form_row():
            gr.Button("Pick a crop", elem_id=f"{own}_pick")
            run = gr.Button("Compare models", variant="primary", elem_id=f"{own}_run")
            stop = gr.Button("Stop", elem_id=f"{own}_stop")
        crop = bridge.CROP.component(own)
        note = gr.HTML("", elem_id=f"{own}_note")
        gallery = gr.Gallery(elem_id=f"{own}_tries", elem_classes=bridge.HIDDEN, label="Tries", **_LOSSLESS)
        names = bridge.NAMES.component(own, [])
        chosen = bridge.CHOSEN.component(own)
        gr.HTML("", elem_id=f"{own}_grid")
    arguments = list(parts)

    def compare(image: Any, area: str, wanted: list[str] | None, *values: Any) -> Iterator[tuple[Any, Any, Any]]:
        yield from _compared(image, area, wanted or [], dict(zip(arguments, values)))

    def compare_at_once(*given: Any) -> tuple[Any, Any, Any]:
        return list(compare(*given))[-1]

    # Without a queue gradio runs no generators: then the end is shown only.
    run.click(
        fn=compare_at_once if host.command_option("no_gradio_queue") else compare,
        inputs=[picture, crop, models, *parts.values()],
        outputs=[gallery, names, note],
        show_progress=False,
    )
    stop.click(fn=lambda: SCRIPTS.of(_Stop).set(), inputs=[], outputs=[], queue=False)
    chosen.change(fn=_choice, inputs=[chosen], outputs=[upscaler, note], show_progress=False)


def _choice(text: str) -> tuple[Any, Any]:
    name = bridge.CHOSEN.read(text).get("name")
    if name not in choices.names():
        return gr.update(), gr.update()
    return gr.update(value=name), line([word("Upscaler 1 is now"), plain(name)])


class _Stop(threading.Event):
    """The panel's own button."""


class _Watch:
    """Progress of one try: only whether it is to stop."""

    def advance(self, fraction: float, note: str = "") -> None:
        pass

    def cancelled(self) -> bool:
        return SCRIPTS.of(_Stop).is_set() or is_stopped()


def _compared(image: Any, area: str, wanted: list[str], given: Mapping[str, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Updates of the gallery, the names and the note, after each model."""
    from . import which_model

    SCRIPTS.of(_Stop).clear()
    try:
        if not wanted:
            raise RequestError("no model is chosen", "", "choose some to try in the list above")
        if len(wanted) > _MOST:
            raise RequestError(f"{len(wanted)} models are too many at once", "", f"choose {_MOST} at most")
        values = checked("extras", given)
        region = which_model.crop_of(bridge.CROP.read(area), image)
        scale = which_model.scale_of_crop(values, image)
    except TrueScaleError as error:
        yield gr.update(), gr.update(), problem(error)
        return
    shown: list[tuple[str, Image.Image]] = [(SOURCE, which_model.enlarged_plainly(image, region, scale))]
    problems: list[str] = []
    tries = which_model.try_models(image, region, wanted, values, _Watch())
    for number, name in enumerate(wanted, 1):
        yield gr.update(), gr.update(), line([f"{number} / {len(wanted)}", plain(name)])
        try:
            tried = _next(tries)
        except TrueScaleError as error:
            problems.append(problem(error))
            break
        if tried.image is None:
            problems.append(problem(tried.problem))
        else:
            shown.append((f"{tried.name}\n{tried.report.seconds:.1f} s", tried.image))
    if len(shown) == 1:
        yield gr.update(), gr.update(), "".join(problems)
        return
    labels = [label.split("\n")[0] for label, _ in shown]
    sheet = which_model.contact_sheet([(label.replace("\n", ", "), picture) for label, picture in shown])
    listed = bridge.NAMES.html([*labels, SHEET])
    yield [*(picture for _, picture in shown), sheet], listed, "".join(problems)


def _next(tries: Iterator[Any]) -> Any:
    """One try, as a job of the host's: one at a time, with its state. Raises TrueScaleError."""
    with host.queue_lock():
        state = host.state()
        state.begin(job="truescale-which")
        try:
            return next(tries)
        except Cancelled:
            raise
        except Exception as error:
            raise as_error(error, "TrueScale") from error
        finally:
            state.end()
