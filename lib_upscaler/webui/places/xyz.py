"""Axes of the host's X/Y/Z plot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...fields import NO_UPSCALER, Field, Place, fields_of
from .. import host
from ..takeover import choices
from .hires_fix.prepare import AXES

__all__ = ["add_axes"]

PLACE: Place = "xyz"
_PREFIX = "[TrueScale]"


def add_axes() -> None:
    """Once for each load of the plot's script; nothing where the host has none."""
    for data in getattr(host.module("scripts"), "scripts_data", ()):
        if data.script_class.__module__ not in ("xyz_grid.py", "scripts.xyz_grid"):
            continue
        options = getattr(data.module, "axis_options", None)
        make = getattr(data.module, "AxisOptionTxt2Img", None) or getattr(data.module, "AxisOption", None)
        if options is not None and make is not None and not any(o.label.startswith(_PREFIX) for o in options):
            options.extend(_axes(make))


def _axes(make: Any) -> list[Any]:
    """One for each field that has one."""
    return [_axis(make, field) for field in fields_of(PLACE)]


def _axis(make: Any, field: Field) -> Any:
    label, kinds = f"{_PREFIX} {field.at[PLACE].key}", {"number": int if field.whole else float}
    listed: dict[str, Any] = {}
    if field.kind == "model":
        listed["choices"] = lambda: [NO_UPSCALER, *choices.names()]
    elif field.choices_at(PLACE):
        listed["choices"] = lambda: list(field.choices_at(PLACE))
    return make(label, kinds.get(field.kind, str), _sets(field.name), **listed)


def _sets(name: str) -> Callable[[Any, Any, Any], None]:
    def apply(p: Any, value: Any, _values: Any) -> None:
        setattr(p, AXES, {**getattr(p, AXES, {}), name: value})  # a new one: the plot copies ``p`` shallowly

    return apply
