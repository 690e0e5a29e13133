"""The accordion "Get models": the catalogue to choose from, a download with its progress, and the folder of models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from ...catalogue import PURPOSES, Entry, entries, offline_reason
from ...errors import Cancelled, DownloadError
from ...models.library import shipped_models
from .. import host
from ..host.markup import line, plain, problem, word
from ..upscaling.service import service
from . import pieces
from .downloads import Download, downloads, folder, installed_as
from .own_page import only_own_page

__all__ = ["WORDS", "ui"]

WORDS = PURPOSES
"""Words of the card that are no literals here."""

_EVERYTHING, _ANY_SCALE = "Everything", "any"
_EVERY = 0.4  # seconds between two looks at a download

# The hosts' style sheets take the colour off <progress>.
_TROUGH = "overflow: hidden; border: 1px solid var(--border-color-primary); border-radius: var(--radius-md)"
_BAR = "height: var(--spacing-lg); background: var(--color-accent)"


def ui(elem_id: str, refreshed: Callable[[], Sequence[Any]], outputs: Sequence[Any]) -> None:
    """Closed at first. Never raises.

    elem_id: of the panel around it. refreshed: looks for new files, and gives an update for each of ``outputs``.
    """
    own = f"{elem_id}_catalogue"
    with gr.Accordion("Get models", open=False, elem_id=own):
        try:
            known = entries()
        except DownloadError as error:
            gr.HTML(problem(error), elem_id=f"{own}_problem")
            return
        _Panel(own, known).connect(refreshed, outputs)


class _Panel:
    """The widgets, and what ties them together."""

    def __init__(self, own: str, known: Sequence[Entry]) -> None:
        self._own, self._known = own, known
        self._empty = gr.HTML(_empty_html, elem_id=f"{own}_empty")
        with pieces.form_row():
            self._purpose = _dropdown("For", [_EVERYTHING, *_purposes(known)], _EVERYTHING, f"{own}_for")
            self._scale = _dropdown("Scale of the model", [_ANY_SCALE, *_scales(known)], _ANY_SCALE, f"{own}_of_scale")
        self._model = _dropdown("Model", [entry.label for entry in known], None, f"{own}_model")
        self._card = gr.HTML(_card_html(None), elem_id=f"{own}_card")
        with gr.Row():
            self._get = gr.Button("Download", variant="primary", interactive=False, elem_id=f"{own}_download")
            self._stop = gr.Button("Stop", interactive=False, elem_id=f"{own}_stop")
            self._again = gr.Button(
                "Look for the network again", visible=downloads().network_is_lost(), elem_id=f"{own}_again"
            )
        self._progress = gr.HTML("", elem_id=f"{own}_progress")
        _folder(own)

    def connect(self, refreshed: Callable[[], Sequence[Any]], outputs: Sequence[Any]) -> None:
        for filtering in (self._purpose, self._scale):
            filtering.change(
                fn=self._filtered,
                inputs=[self._purpose, self._scale, self._model],
                outputs=[self._model],
                show_progress=False,
            )
        chosen = [self._card, self._get, self._stop, self._again, self._empty]
        self._model.change(fn=self._chosen, inputs=[self._model], outputs=chosen, show_progress=False)
        # Without a queue gradio runs no generators: then the end is shown only.
        fetch = self._at_once if host.command_option("no_gradio_queue") else self._bit_by_bit
        during = [self._progress, self._get, self._stop, self._again]

        def after(label: str | None) -> list[Any]:
            updates = refreshed()  # first: it finds the new file
            return [*self._chosen(label), *updates]

        self._get.click(
            fn=only_own_page(self._begin), inputs=[self._model], outputs=[], show_progress=False, queue=False
        ).then(fn=fetch, inputs=[self._model], outputs=during, show_progress=False).then(
            fn=after, inputs=[self._model], outputs=[*chosen, *outputs], show_progress=False
        )
        self._stop.click(fn=only_own_page(lambda: downloads().stop()), inputs=[], outputs=[], queue=False)
        self._again.click(
            fn=only_own_page(self._look_again),
            inputs=[self._model],
            outputs=[self._progress, self._get, self._again],
            show_progress=False,
            queue=False,
        )

    # -- what happens --------------------------------------------------------------------------------------------------

    def _entry(self, label: str | None) -> Entry | None:
        return next((entry for entry in self._known if entry.label == label), None)

    def _filtered(self, purpose: str | None, scale: str | None, label: str | None) -> Any:
        fitting = [
            entry.label
            for entry in self._known
            if purpose in (None, _EVERYTHING, *entry.purposes) and scale in (None, _ANY_SCALE, f"{entry.scale}x")
        ]
        return gr.update(choices=fitting, value=label if label in fitting else None)

    def _chosen(self, label: str | None) -> list[Any]:
        entry = self._entry(label)
        able = gr.update(interactive=downloads().possible(entry))
        return [_card_html(entry), able, *self._others(), _empty_html()]

    @staticmethod
    def _others() -> list[Any]:
        """The other two buttons, as things are."""
        running = downloads().current() is not None
        return [gr.update(interactive=running), gr.update(visible=downloads().network_is_lost())]

    def _begin(self, label: str | None) -> None:
        entry = self._entry(label)
        if entry is not None:
            downloads().begin(entry)

    def _bit_by_bit(self, label: str | None) -> Iterator[list[Any]]:
        """Updates of the progress and the three buttons, until the download has ended; ``_chosen`` follows."""
        entry, job = self._entry(label), downloads().latest()
        if entry is None:
            yield [line([word("Choose a model first")], "problem"), gr.update(), *self._others()]
            return
        if job is None:
            yield ["", gr.update(), *self._others()]
            return
        if job.entry != entry:
            busy = [word("One download at a time; this one is under way"), plain(job.entry.label)]
            yield [line(busy, "problem"), gr.update(), *self._others()]
            return
        while True:
            yield [self._bar_html(job), gr.update(interactive=False), gr.update(interactive=True), gr.update()]
            if job.ended.wait(_EVERY):
                break
        yield [_end_html(job), gr.update(), *self._others()]

    def _at_once(self, label: str | None) -> list[Any]:
        return list(self._bit_by_bit(label))[-1]

    def _look_again(self, label: str | None) -> list[Any]:
        entry = self._entry(label)
        some = entry if entry is not None and entry.urls else next(one for one in self._known if one.urls)
        if not downloads().look_for_network(some.urls):
            return [line([word("There is no network yet")], "problem"), gr.update(), gr.update()]
        able = gr.update(interactive=downloads().possible(entry))
        return [line([word("The network is there again")]), able, gr.update(visible=False)]

    def _bar_html(self, job: Download) -> str:
        """The text names the bar for those who do not see it."""
        done, size = job.fraction * job.entry.size / 1e6, job.entry.size / 1e6
        name = f"{self._own}_doing"
        facts = [plain(job.entry.label), f"{done:.1f} / {size:.1f} MB", f"{job.fraction:.0%}"]
        text = line([f"<span id='{name}'>{word('Downloading')}</span>", *facts])
        bar = f"<div style='width: {job.fraction:.1%}; {_BAR}'></div>"
        value = f"aria-valuemin='0' aria-valuemax='100' aria-valuenow='{round(job.fraction * 100)}'"
        return f"{text}<div role='progressbar' {value} aria-labelledby='{name}' style='{_TROUGH}'>{bar}</div>"


def _dropdown(label: str, choices: list[str], value: str | None, elem_id: str) -> Any:
    made = gr.Dropdown(label=label, choices=choices, value=value, elem_id=elem_id)
    made.do_not_save_to_config = True  # the host would keep the choice as a default
    return made


def _purposes(known: Sequence[Entry]) -> list[str]:
    return [purpose for purpose in PURPOSES if any(purpose in entry.purposes for entry in known)]


def _scales(known: Sequence[Entry]) -> list[str]:
    return [f"{scale}x" for scale in sorted({entry.scale for entry in known})]


# -- what the page says ------------------------------------------------------------------------------------------------


def _card_html(entry: Entry | None) -> str:
    """All that one should know before a download."""
    if entry is None:
        return line([word("Choose a model to see its licence and its size.")])
    purposes = ", ".join(word(purpose) for purpose in entry.purposes)
    facts = [
        f"{word('author')}: {plain(', '.join(entry.authors))}",
        f"{word('licence')}: {plain(entry.license) if entry.license else word('not stated')}",
        f"{plain(entry.architecture)} {entry.scale}x",
        f"{entry.size / 1e6:.1f} MB",
        plain(entry.date),
    ]
    link = (
        f"<a href='{plain(entry.page)}' target='_blank' rel='noopener noreferrer'>{word('Its page, with examples')}</a>"
    )
    return line(facts) + line([f"{word('made for')}: {purposes}", link]) + _state_html(entry)


def _state_html(entry: Entry) -> str:
    """Why it cannot be downloaded, where it cannot."""
    there = installed_as(entry)
    if there is not None:
        return line([word("installed"), plain(there.name)])
    if not entry.downloadable:
        hint = word("It cannot be downloaded from here. Fetch it from its page, and put the file into the folder")
        return line([hint, _code(folder())])
    goes = line([word("goes into the folder"), _code(folder())])
    if offline_reason():
        off = word("Downloads are switched off by the environment variable")
        return line([off, _code(offline_reason())]) + goes
    return goes


def _end_html(job: Download) -> str:
    if isinstance(job.error, Cancelled):
        return line([word("Stopped; the next download of it goes on from there"), plain(job.entry.label)])
    if job.error is not None:
        return problem(job.error)
    return line([word("Downloaded, checked, and in the lists now"), plain(job.path.name if job.path else "")])


def _empty_html() -> str:
    """What to do while there is nothing but the model that ships."""
    ours = {path.absolute() for path in shipped_models()}
    if any(model.path.absolute() not in ours for model in service().library.models()):
        return ""
    sentences = (
        word("There are no models but the one that comes with TrueScale."),
        word("Put a model file into this folder, and press the refresh button beside the list of upscalers."),
        word("Or get one here."),
    )
    return line([" ".join(sentences), _code(folder())])


def _folder(own: str) -> None:
    """A button where the user sits at this computer; the path alone is in the card."""
    opener = host.folder_opener()
    if opener is None:
        return
    note = gr.HTML("", elem_id=f"{own}_folder_note")

    def show() -> str:
        try:
            folder().mkdir(parents=True, exist_ok=True)
            opener(str(folder()))
        except OSError as error:  # no such file manager
            return line([word("The folder cannot be shown"), plain(error)], "problem")
        return ""

    button = gr.Button("Open models folder", elem_id=f"{own}_open_folder")
    button.click(fn=only_own_page(show), inputs=[], outputs=[note], show_progress=False, queue=False)


def _code(text: object) -> str:
    return f"<code style='overflow-wrap: anywhere'>{plain(text)}</code>"
