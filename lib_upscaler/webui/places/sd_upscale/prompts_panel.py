"""The part of the panel for the prompts of the tiles: their lines, the interrogators, and which line is which tile."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ....diffusion.grid import RedrawGrid
from ....diffusion.tile_prompts import lines_of
from ....errors import Cancelled, RequestError, TrueScaleError
from ... import host
from ...host import interrogators
from ...host.lives import SCRIPTS
from ...host.markup import line, plain, problem, word
from ...panels import bridge, img2img_pictures, pieces
from ...panels.widgets import Widgets
from ...takeover import choices

__all__ = ["Parts", "connect", "table_html", "ui"]

_MOST_SHOWN = 100
"""Tiles of which a table is shown."""
_LONGEST = 60
"""Characters of a line in it."""


@dataclass(frozen=True)
class Parts:
    """text: the lines. table: which of them is which tile. interrogator, describe, stop: None where the WebUI has no
    interrogator."""

    text: Any
    note: Any
    table: Any
    interrogator: Any = None
    describe: Any = None
    stop: Any = None


def ui(made: Widgets, elem_id: str) -> Parts:
    """The widgets. elem_id: of the panel."""
    own = f"{elem_id}_prompts"
    with gr.Accordion("Prompts of tiles", open=False, elem_id=own):
        text, buttons = made["tile_prompts"], _buttons(own)
        note, table = gr.HTML("", elem_id=f"{own}_note"), gr.HTML("", elem_id=f"{own}_table")
    return Parts(text, note, table, **buttons)


def _buttons(own: str) -> dict[str, Any]:
    known = interrogators.names()
    if not known:
        said = line([word("This WebUI has no interrogator: the lines are typed.")])
        gr.HTML(said, elem_id=f"{own}_no_interrogator")
        return {}
    with pieces.form_row():
        chosen = gr.Radio(known, value=known[0], label="Interrogator", elem_id=f"{own}_interrogator")
    with pieces.form_row():
        describe = gr.Button("Describe tiles", elem_id=f"{own}_describe")
        stop = gr.Button("Stop", elem_id=f"{own}_stop")
    return {"interrogator": chosen, "describe": describe, "stop": stop}


def connect(parts: Parts, source: Any, fields: Mapping[str, Any]) -> None:
    """The buttons. source: written by the page's script. fields: name -> component, of all fields of the panel."""
    if parts.interrogator is None:
        return
    tabs = img2img_pictures.components()
    names, ids = list(fields), list(tabs)

    def described(asked: str, size: str, *given: Any) -> Iterator[tuple[Any, Any]]:
        pictures, values = dict(zip(ids, given)), dict(zip(names, given[len(ids) :]))
        yield from _described(asked, bridge.SOURCE.read(size), pictures, values)

    def described_at_once(*given: Any) -> tuple[Any, Any]:
        return list(described(*given))[-1]

    # Without a queue gradio runs no generators: then the end is shown only.
    parts.describe.click(
        fn=described_at_once if host.command_option("no_gradio_queue") else described,
        inputs=[parts.interrogator, source, *tabs.values(), *fields.values()],
        outputs=[parts.text, parts.note],
        show_progress=False,
    )
    parts.stop.click(fn=lambda: SCRIPTS.of(_Stop).set(), inputs=[], outputs=[], queue=False)


class _Stop(threading.Event):
    """The panel's own button."""


def _described(
    asked: str, found: Mapping[str, Any], pictures: Mapping[str, Any], given: Mapping[str, Any]
) -> Iterator[tuple[Any, Any]]:
    """Updates of the lines and the note. What was in the lines stays where it fails, and of tiles that were not looked
    at when it is stopped."""
    from .describing import describe
    from .script import values_of

    stop = SCRIPTS.of(_Stop)
    stop.clear()
    now = None
    try:
        image = img2img_pictures.picture_of(pictures, found.get("of"))
        if image is None:
            raise RequestError("there is no picture to describe", "", "put one into img2img")
        size = found.get("target_width") or image.width, found.get("target_height") or image.height
        yield gr.update(), line([word("Describing the tiles ...")])
        for now in describe(image, values_of([dict(given)], choices.find), size, asked, lambda: not stop.is_set()):
            if len(now.lines) < now.total:
                yield gr.update(), line([f"{len(now.lines) + 1} / {now.total}", *map(plain, now.lines[-1:])])
    except Cancelled:
        pass
    except TrueScaleError as error:
        yield gr.update(), problem(error)
        return
    if now is None or not now.lines:
        yield gr.update(), line([word("Stopped: the lines are as they were.")])
        return
    text = "\n".join([*now.lines, *_there(given["tile_prompts"], now.grid)[len(now.lines) :]])
    yield gr.update(value=text), _outcome(now.lines, now.total)


def _there(text: str, grid: RedrawGrid) -> list[str]:
    """The lines that there are, where they fit; else empty ones."""
    try:
        return lines_of(text, grid) or [""] * len(grid.tiles)
    except RequestError:
        return [""] * len(grid.tiles)


def _outcome(lines: Sequence[str], total: int) -> str:
    blank = sum(not text for text in lines)
    said = [f"{len(lines)} / {total}", word("tiles are described")]
    return line([" ".join(said), f"{blank} {word('without anything to see: the prompt above')}" if blank else ""])


# -- which line is which tile ------------------------------------------------------------------------------------------


def table_html(text: str, grid: RedrawGrid) -> str:
    """How many lines there can be, and, where there are some, which is which, as the tiles lie."""
    columns = len(grid.columns)
    lattice = f"{word('rows x columns')}: {len(grid.rows)} x {columns}"
    said = line([f"{word('tiles')}: {len(grid.tiles)}", lattice])
    try:
        lines = lines_of(text, grid)
    except RequestError as error:
        return said + problem(error)
    if not lines or len(lines) > _MOST_SHOWN:
        return said
    rows = [lines[first : first + columns] for first in range(0, len(lines), columns)]
    body = "".join(
        f"<tr>{''.join(_cell(row * columns + column + 1, each) for column, each in enumerate(cells))}</tr>"
        for row, cells in enumerate(rows)
    )
    caption = word("Which line is which tile")
    return f"{said}<div class='truescale-tiles'><table><caption>{caption}</caption><tbody>{body}</tbody></table></div>"


def _cell(number: int, text: str) -> str:
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return f"<td><b>{number}</b> {plain(short) if short else word('the prompt above')}</td>"
