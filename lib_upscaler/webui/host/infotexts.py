"""The host's text of how a picture was made, in its own form: ``name: value, name: value``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .access import module

__all__ = ["line_of", "values_of"]

_MODULES = ("infotext_utils", "generation_parameters_copypaste")  # the second before 1.9


def line_of(said: Mapping[str, Any]) -> str:
    """What is None is left out."""
    quote = _function("quote") or str
    pairs = ((key, value) for key, value in said.items() if value is not None)
    return ", ".join(key if key == value else f"{key}: {quote(value)}" for key, value in pairs)


def values_of(text: str) -> dict[str, Any]:
    """What a generation's text says, by the host's names, such as "Seed" and "Prompt"; {} where it says nothing."""
    parse = _function("parse_generation_parameters")
    if parse is None or not text:
        return {}
    try:
        return dict(parse(text, []))  # nothing is left out, whatever the user leaves out when pasting
    except TypeError:
        return dict(parse(text))  # before 1.10


def _function(name: str) -> Callable[..., Any] | None:
    return next((found for one in _MODULES if (found := getattr(module(one), name, None)) is not None), None)
