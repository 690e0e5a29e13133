"""The row of a panel in which presets are chosen, saved, renamed and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from ...errors import TrueScaleError
from ..host.markup import line, plain, problem, word
from . import pieces, presets
from .own_page import only_own_page

__all__ = ["WORDS", "PresetsBar"]

SAVE, RENAME, DELETE = WORDS = ("Save", "Rename", "Delete")
"""What the button in the second row does; it says which."""


class PresetsBar:
    """Built on top of the panel; ``connect`` ties it to the widgets below.

    place: the panel whose presets these are, as in ``presets.PresetStore``.
    """

    def __init__(self, elem_id: str, place: str) -> None:
        self._place = place
        with pieces.form_row(elem_id=f"{elem_id}_presets"):
            self._chosen = gr.Dropdown(
                label="Preset", choices=self._names(), value=None, elem_id=f"{elem_id}_preset", allow_custom_value=False
            )
            save = pieces.tool_button("\U0001f4be", f"{elem_id}_preset_save", "Save these settings as a preset")
            rename = pieces.tool_button("✏️", f"{elem_id}_preset_rename", "Rename this preset of yours")
            delete = pieces.tool_button("\U0001f5d1️", f"{elem_id}_preset_delete", "Delete this preset of yours")
        with pieces.form_row(visible=False, elem_id=f"{elem_id}_preset_row") as self._row:
            self._name = gr.Textbox(label="Name of the preset", elem_id=f"{elem_id}_preset_name", max_lines=1)
            self._do = gr.Button(SAVE, elem_id=f"{elem_id}_preset_do")
            self._cancel = gr.Button("Cancel", elem_id=f"{elem_id}_preset_cancel")
        self._note = gr.HTML("", elem_id=f"{elem_id}_preset_note")
        for button, action in ((save, SAVE), (rename, RENAME), (delete, DELETE)):
            self._opens(button, action)
        outputs = [self._row, self._note]
        self._cancel.click(fn=lambda: (gr.update(visible=False), ""), outputs=outputs, show_progress=False)

    def connect(self, parts: Mapping[str, Any], source: Any) -> None:
        """parts: argument -> component, of those that a preset sets and keeps.

        source: what the page's script writes when the panel is opened; the list is then as it is now, not as it was
        when the host built its page.
        """

        def listed() -> Any:
            return gr.update(choices=self._names())

        source.change(fn=listed, inputs=[], outputs=[self._chosen], show_progress=False)
        names, components = list(parts), list(parts.values())

        def apply(chosen: str | None) -> list[Any]:
            return self._applied(chosen, names)

        self._chosen.input(fn=apply, inputs=[self._chosen], outputs=[*components, self._note], show_progress=False)

        def act(action: str, chosen: str | None, name: str, *values: Any) -> list[Any]:
            return self._done(action, chosen, name, dict(zip(names, values)))

        inputs = [self._do, self._chosen, self._name, *components]
        outputs = [self._chosen, self._row, self._note]
        for does in (self._do.click, self._name.submit):
            does(fn=only_own_page(act), inputs=inputs, outputs=outputs, show_progress=False, queue=False)

    # -- what happens --------------------------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        return presets.store().names(self._place)

    def _opens(self, button: Any, action: str) -> None:
        """The button shows the second row, ready for ``action``."""

        def show(chosen: str | None) -> list[Any]:
            own = chosen if not presets.is_built_in(chosen) else None
            if action != SAVE and own is None:
                text = line([word("Choose one of your own presets in the list first")], "problem")
                return [gr.update(visible=False), gr.update(), gr.update(), text]
            name = gr.update(value=own or "", interactive=action != DELETE)
            return [gr.update(visible=True), name, gr.update(value=action), ""]

        outputs = [self._row, self._name, self._do, self._note]
        button.click(fn=show, inputs=[self._chosen], outputs=outputs, show_progress=False)

    def _applied(self, chosen: str | None, names: list[str]) -> list[Any]:
        preset = presets.store().get(self._place, chosen)
        if preset is None:
            text = line([word("There is no such preset any more")], "problem") if chosen else ""
            return [*(gr.update() for _ in names), text]
        values, missing = presets.resolved(preset)
        note_html = line(
            [word("Model not found, so that another one is used"), *(plain(name) for name in missing)]
            if missing
            else []
        )
        return [*(gr.update(value=values[name]) if name in values else gr.update() for name in names), note_html]

    def _done(self, action: str, chosen: str | None, name: str, values: dict[str, Any]) -> list[Any]:
        """Updates of the list, the second row and the note."""
        kept = presets.store()
        try:
            if action == DELETE:
                kept.delete(self._place, chosen)
                now, note_html = None, line([word("Deleted"), plain(chosen)])
            elif action == RENAME:
                now = kept.rename(self._place, chosen, name)
                note_html = line([word("Renamed"), plain(now)])
            else:
                now = kept.save(self._place, name, {key: value for key, value in values.items() if value is not None})
                note_html = line([word("Saved"), plain(now)])
        except TrueScaleError as error:
            return [gr.update(), gr.update(), problem(error)]
        return [gr.update(choices=self._names(), value=now), gr.update(visible=False), note_html]
