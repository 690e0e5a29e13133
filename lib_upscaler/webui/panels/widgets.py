"""The widgets of a panel, made from the table of fields."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ...fields import Field, Place, fields_of
from ..takeover import choices
from . import pieces
from .lists import Lists, cleaners, networks_or_none, offered, offered_or_none

__all__ = ["Widgets"]

_ID_ENDS = {"visibility": "upscaler_2_visibility", "longest_side": "longest"}
"""Of names whose ids are others."""


class Widgets:
    """Each field's widget is made where it is first asked for, ``rest`` makes those that were not."""

    def __init__(self, place: Place, elem_id: str, lists: Lists) -> None:
        self._place, self._elem_id, self._lists = place, elem_id, lists
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            field = next(field for field in fields_of(self._place) if field.name == name)
            self._made[name] = self._make(field)
        return self._made[name]

    def has(self, name: str) -> bool:
        """Whether there is such a field in this place."""
        return any(field.name == name for field in fields_of(self._place))

    def rest(self, *groups: str) -> None:
        """A row for each of these groups' fields that has no widget yet; all groups where none is named."""
        for field in fields_of(self._place):
            if field.name not in self._made and (not groups or field.group in groups):
                with pieces.form_row():
                    self[field.name]

    @property
    def parts(self) -> dict[str, Any]:
        """Name -> component, in the order of the table."""
        return {field.name: self._made[field.name] for field in fields_of(self._place)}

    def _make(self, field: Field) -> Any:
        at = field.at[self._place]
        elem_id = f"{self._elem_id}_{_ID_ENDS.get(field.name, field.name)}"
        default = field.default_at(self._place)
        common: dict[str, Any] = {"label": field.label, "value": default, "elem_id": elem_id}
        if not at.shown:
            common["visible"] = False
        about = field.about_at(self._place)
        if field.lines > 1:  # many words are gone from a placeholder when the first one is typed
            return gr.Textbox(lines=field.lines, info=about, **common)
        if field.kind == "text" or field.name == "recipe":
            return gr.Textbox(lines=1, placeholder=about, **common)
        common["info"] = about or None
        if field.kind == "model":
            return self._drop_down(field, common)
        if field.kind == "choice":
            return gr.Radio(choices=list(field.choices_at(self._place)), **common)
        if field.kind == "switch":
            return gr.Checkbox(**common)
        if field.slider is None:
            return gr.Number(precision=0 if field.whole else None, **common)
        low, high, step = field.slider
        return gr.Slider(minimum=low, maximum=high, step=step, **common)

    def _drop_down(self, field: Field, common: dict[str, Any]) -> Any:
        """Of upscalers. Nothing else can be typed: gradio 3 would show it, and keep the one before."""
        listed = {"clean_up": cleaners, "followed_by": networks_or_none}.get(field.name)
        if listed is not None:
            return self._lists.dropdown(listed, **common)
        if common["value"] is None:
            common["value"] = choices.default_name()
        # With SD Upscale the picture may also be resampled.
        first = field.name == "upscaler_1" and self._place == "extras"
        return self._lists.dropdown(offered if first else offered_or_none, **common)
