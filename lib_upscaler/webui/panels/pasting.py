"""What pictures say of how they were made, for the fields of a panel, and back again when that is pasted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from ...fields import NO_UPSCALER, Field, Place, fields_of

__all__ = ["noted", "paste_pairs"]


def noted(place: Place, values: Mapping[str, Any]) -> dict[str, Any]:
    """Key -> value of what is not as by default."""
    said = {}
    for field in fields_of(place):
        key, value = field.at[place].key, values.get(field.name)
        if key and value is not None and value not in (field.default_at(place), NO_UPSCALER):
            said[key] = value
    return said


def paste_pairs(place: Place, parts: Mapping[str, Any]) -> list[tuple[Any, Callable[[dict[str, Any]], Any]]]:
    """(component, what it becomes), for the host. One that a text does not name was at its default; an upscaler that
    has none stays as it is.
    """
    return [(parts[field.name], _pasted(field, place)) for field in fields_of(place)]


def _pasted(field: Field, place: Place) -> Callable[[dict[str, Any]], Any]:
    def value(found: dict[str, Any]) -> Any:
        text, default = found.get(field.at[place].key), field.default_at(place)
        if text is None:
            return gr.update() if default is None else default
        return field.read(str(text), place)

    return value
