"""The settings of a job of the queue, in words of the panel that the host or we have translations for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...fields import NO_UPSCALER, WAYS, fields_of

__all__ = ["settings_in_words"]

_SWITCHES = ("enable", "enabled")


def settings_in_words(values: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(word, value) for each step of the Extras that would do something; a step's name with "" where it is just on.

    values: by the names of the host's scripts, and of their inputs.
    """
    told: list[tuple[str, str]] = []
    for script, given in values.items():
        if script == "TrueScale":
            told += _ours(given)
        elif script == "Upscale":
            told += _hosts(given)
        elif script in ("GFPGAN", "CodeFormer"):
            visibility = given.get(f"{script.lower()}_visibility")
            if given.get("enable", True) and visibility:
                told.append((script, f"{visibility:g}"))
        elif any(given.get(name) is True for name in _SWITCHES):
            told.append((script, ""))
    return told


def _ours(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The model and the size always, anything else where it is not as it is by default."""
    if not given.get("enabled"):
        return []
    way = given.get("size_by") or "Scale by"
    elsewhere = {name for other, names in WAYS.items() if other != way for name in names}
    elsewhere |= {"size_by"} | (set() if way == "Scale to" else {"fit"})
    elsewhere |= {"upscaler_1"} if given.get("recipe") else set()
    if given.get("upscaler_2") in (None, NO_UPSCALER):
        elsewhere |= {"upscaler_2", "visibility"}
    always = {"upscaler_1", *WAYS.get(way, ())}
    told = [("TrueScale", "")]
    for field in fields_of("extras"):
        value = given.get(field.name)
        is_told = field.name in always or value not in (None, "", field.default_at("extras"))
        if is_told and field.name not in elsewhere:
            told.append((field.label, _plain(value)))
    return told


def _hosts(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    upscaler = given.get("upscaler_1_name")
    if not given.get("upscale_enabled", True) or upscaler in (None, "", NO_UPSCALER):
        return []
    if given.get("upscale_mode") == 1:
        size = f"{_plain(given.get('upscale_to_width'))} x {_plain(given.get('upscale_to_height'))}"
    else:
        size = f"{_plain(given.get('upscale_by'))}x"
    second = given.get("upscaler_2_name")
    names = upscaler if second in (None, "", NO_UPSCALER) else f"{upscaler} + {second}"
    return [("Upscale", f"{names}, {size}")]


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return ""
    return f"{value:g}" if isinstance(value, (int, float)) and abs(value) < 10**6 else str(value)
