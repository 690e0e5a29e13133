"""The upscalers that can be chosen: the host's list, and what only we can run; each by its name."""

from __future__ import annotations

import difflib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...errors import ModelNotFoundError, TrueScaleError
from ...fields import NO_UPSCALER, in_sequence
from ...models.entry import ModelEntry, entry_of
from ...models.library import SHIPPED_MODEL
from ...models.recipe import as_models, recipe_of, stages_of
from ...request import Model
from .. import host
from ..upscaling.host_upscaler import HostUpscaler
from ..upscaling.service import service
from .registry import scaler_for
from .scaler import Scaler, is_ours

__all__ = [
    *("NO_UPSCALER", "default_name", "file_of", "find", "is_gone", "is_here", "name_of", "names", "peek", "stages"),
    "state",
]


def names() -> list[str]:
    """All, in the host's order; those that only we can run behind. Without "None"."""
    return list(_names(*state()))


def state() -> tuple[tuple[tuple[str, str | None], ...], tuple[ModelEntry, ...]]:
    """What is listed by the host, names and paths, and what files there are; differs as soon as that changes."""
    return tuple((entry.name, entry.data_path) for entry in host.upscalers()), service().library.models()


@lru_cache(maxsize=4)
def _names(listed: tuple[tuple[str, str | None], ...], own: tuple[ModelEntry, ...]) -> tuple[str, ...]:
    """Remembered: while a page is built it is asked for often, and each time all links would be followed."""
    paths = {_key(path) for _, path in listed if path}
    mine = (entry.name for entry in own if _key(str(entry.path)) not in paths)
    return tuple(dict.fromkeys([*(name for name, _ in listed if name != NO_UPSCALER), *mine]))


def default_name() -> str:
    """The model that ships; without it the first one whose file is there, else the first of all."""
    there = names()
    if SHIPPED_MODEL in there or not there:
        return SHIPPED_MODEL
    return next((name for name in there if os.path.isfile(file_of(name) or "")), there[0])


def find(name: Any) -> Model | None:
    """The upscaler of a name (or, as in the host's older scripts, a place in its list), or those of a recipe; None
    for none.

    A model whose file is still to be fetched is fetched. Raises ModelNotFoundError, RequestError.
    """
    return _find(name, fetch=True)


def peek(name: Any) -> Model | None:
    """As ``find``, for a look before a run: nothing is fetched, and a file may not be there yet."""
    return _find(name, fetch=False)


def _find(name: Any, fetch: bool) -> Model | None:
    if isinstance(name, int) and not isinstance(name, bool):
        entries = host.upscalers()
        if not 0 <= name < len(entries):
            raise ModelNotFoundError(f"there is no upscaler number {name}", f"there are {len(entries)}", "give a name")
        name = entries[name].name
    if not name or name == NO_UPSCALER:
        return None
    return in_sequence(as_models(stages_of(str(name), lambda one: _upscaler(str(one), fetch))))


def stages(name: str) -> list[list[str]]:
    """The names in a recipe as the lists have them, by its stages; a name alone where it is none, or not known."""
    if not any(sign in name for sign in ">&@"):
        return [[name]]  # at once: lists ask for each of their names
    listed = set(names())

    def known(one: Any) -> str:
        if one not in listed:
            raise ModelNotFoundError(f"there is no upscaler '{one}'")
        return one

    try:
        return [[one for one, _ in stage] for stage in stages_of(name, known)]
    except TrueScaleError:
        return [[name]]


def _parts(name: str) -> list[str]:
    return [one for stage in stages(name) for one in stage]


def name_of(model: Model) -> str:
    """The name by which it can be found."""
    if isinstance(model, tuple):
        return recipe_of(model)
    return str(getattr(model, "name", model))


def _upscaler(name: str, fetch: bool) -> ModelEntry | HostUpscaler:
    """Raises ModelNotFoundError."""
    for same in (lambda known: known == name, lambda known: known.casefold() == name.casefold()):
        entry = next((entry for entry in host.upscalers() if same(entry.name)), None)
        if entry is not None:
            return _of_entry(entry, fetch)
        model = next((model for model in service().library.models() if same(model.name)), None)
        if model is not None:
            return model
    known = names()
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    todo = f"perhaps you mean {' or '.join(repr(one) for one in close)}" if close else "refresh the list"
    raise ModelNotFoundError(f"there is no upscaler '{name}'", f"{len(known)} are known", todo)


def is_here(name: str) -> bool:
    """Whether it can be used without fetching anything. Others' upscalers count as here: they alone know."""

    def here(one: str) -> bool:
        file = file_of(one)
        return one in names() if file is None else os.path.isfile(file)

    return all(map(here, _parts(name)))


def is_gone(name: str) -> bool:
    """Whether there is none of this name, or no more file of it: the host's list keeps those that were deleted."""

    def gone(one: str) -> bool:
        file = file_of(one)
        return one not in names() if file is None else not os.path.isfile(file) and "://" not in file

    return any(map(gone, _parts(name)))


def file_of(name: str) -> str | None:
    """The file that our engine runs under this name, its address where it is still to be fetched; None for others."""
    entry = next((entry for entry in host.upscalers() if entry.name == name), None)
    if entry is None:
        model = next((model for model in service().library.models() if model.name == name), None)
        return str(model.path) if model is not None else None
    ours = entry.scaler if is_ours(entry.scaler) else scaler_for(entry)
    return ours.path if ours is not None else None


def _of_entry(entry: Any, fetch: bool) -> ModelEntry | HostUpscaler:
    ours: Scaler | None = entry.scaler if is_ours(entry.scaler) else scaler_for(entry)
    if ours is None:
        return HostUpscaler(entry.name, entry.scaler, entry.data_path)
    file = ours.file() if fetch else ours.path
    if not fetch and not os.path.isfile(file):
        return ModelEntry(entry.name, Path(file), 0, 0)
    return entry_of(Path(file), entry.name)


def _key(path: str) -> str:
    return os.path.normcase(os.path.realpath(path))
