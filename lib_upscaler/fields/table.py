"""What can be asked for, in one table: it makes the panels' widgets, what pictures say of how they were made, the API's
schema, the command line's options, the axes of an X/Y/Z plot, and the checks of all of them.

A new field is one more entry at the end of ``LATER``, and a line in ``asking.as_request`` for what it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import RequestError
from .field import Field, Place
from .models_and_size import MODELS_AND_SIZE
from .redrawing import REDRAWING, TILES
from .running import LATER, LDSR, RUNNING

__all__ = ["FIELDS", "by_key", "checked", "default_of", "fields_of"]

FIELDS: tuple[Field, ...] = (*MODELS_AND_SIZE, *TILES, *RUNNING, *LDSR, *REDRAWING, *LATER)
"""In the order of positional arguments: those of the API's ``script_args`` hold to it. New ones come last."""


def fields_of(place: Place) -> list[Field]:
    """Those that can be asked for there, in order."""
    return [one for one in FIELDS if place in one.at]


def default_of(name: str, place: Place) -> Any:
    """Raises KeyError where there is no such field in that place."""
    return {one.name: one.default_at(place) for one in fields_of(place)}[name]


def by_key(place: Place, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the names of their fields, of values by the keys of that place."""
    return {one.name: given[one.at[place].key] for one in fields_of(place) if one.at[place].key in given}


def checked(place: Place, given: Mapping[str, Any]) -> dict[str, Any]:
    """All values of a place by the names of their fields; what is not given, or None, is as by default.

    Raises RequestError.
    """
    unknown = sorted(set(given) - {one.name for one in fields_of(place)})
    if unknown:
        known = ", ".join(one.name for one in fields_of(place))
        raise RequestError(f"there is nothing called '{unknown[0]}' to ask for", "", f"use some of {known}")
    return {one.name: one.checked(given.get(one.name), place) for one in fields_of(place)}
