"""Axes of the host's X/Y/Z plot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import host
from ..host.settings import PRECISIONS
from ..takeover import choices
from .hires import AXES

__all__ = ["add_axes"]

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
    return [
        make(
            f"{_PREFIX} Hires upscaler 2",
            str,
            _sets("upscaler_2"),
            choices=lambda: [choices.NO_UPSCALER, *choices.names()],
        ),
        make(f"{_PREFIX} Hires upscaler 2 visibility", float, _sets("visibility")),
        make(f"{_PREFIX} Hires precision", str, _sets("precision"), choices=lambda: list(PRECISIONS)),
    ]


def _sets(name: str) -> Callable[[Any, Any, Any], None]:
    def apply(p: Any, value: Any, _values: Any) -> None:
        setattr(p, AXES, {**getattr(p, AXES, {}), name: value})  # a new one: the plot copies ``p`` shallowly

    return apply
