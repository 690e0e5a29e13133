"""What a model file says of itself: licence, description, figures. Strangers' text, made harmless. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ModelTexts", "model_texts"]

_LICENSE_KEYS = ("license", "licence", "modelspec.license")
_DESCRIPTION_KEYS = ("description", "modelspec.description")
_LONGEST = 500  # characters
_MOST_FIGURES = 30
_LONGEST_JSON = 20_000  # characters; more is no list of figures


@dataclass(frozen=True)
class ModelTexts:
    """license, description: one line each, "" where there is none. figures: name -> number or short text."""

    license: str = ""
    description: str = ""
    figures: Mapping[str, float | str] = field(default_factory=dict)


def model_texts(metadata: Mapping[str, str]) -> ModelTexts:
    """What can be shown of a safetensors file's metadata.

    Known keys: license (or licence, modelspec.license), description (or modelspec.description), figures (an object in
    JSON; what is no number and no text in it is left out).
    """
    return ModelTexts(
        _first(metadata, _LICENSE_KEYS), _first(metadata, _DESCRIPTION_KEYS), _figures(metadata.get("figures", ""))
    )


def _first(metadata: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next(filter(None, (_one_line(metadata.get(key, "")) for key in keys)), "")


def _one_line(text: str) -> str:
    """Without what is not printed: control characters, escapes of terminals, marks that turn the direction of text."""
    printed = "".join(letter if letter.isprintable() else " " for letter in text[: 10 * _LONGEST])
    return " ".join(printed.split())[:_LONGEST].rstrip()


def _figures(text: str) -> dict[str, float | str]:
    try:
        found = json.loads(text) if len(text) <= _LONGEST_JSON else None
    except (ValueError, RecursionError):
        found = None
    pairs = ((_one_line(name), _figure(value)) for name, value in found.items()) if isinstance(found, dict) else ()
    return dict([(name, value) for name, value in pairs if name and value is not None][:_MOST_FIGURES])


def _figure(value: object) -> float | str | None:
    """None for what is no figure."""
    if isinstance(value, str):
        return _one_line(value) or None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) < 1e15 and math.isfinite(value) else None
