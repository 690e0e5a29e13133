"""The upscalers that can be chosen: the host's list, and what only we can run; each by its name."""

from __future__ import annotations

import difflib
import os
from typing import Any

from ...errors import ModelNotFoundError
from ...models.library import SHIPPED_MODEL
from .. import host
from ..upscaling.jobs import Choice
from ..upscaling.service import service
from .registry import scaler_for
from .scaler import Scaler, is_ours

__all__ = ["NO_UPSCALER", "default_name", "file_of", "find", "is_gone", "is_here", "names", "peek"]

NO_UPSCALER = "None"
"""The host's name for none at all."""


def names() -> list[str]:
    """All, in the host's order; those that only we can run behind. Without "None"."""
    listed = [entry.name for entry in host.upscalers() if entry.name != NO_UPSCALER]
    paths = {_key(entry.data_path) for entry in host.upscalers() if entry.data_path}
    own = [entry.name for entry in service().library.models() if _key(str(entry.path)) not in paths]
    return list(dict.fromkeys([*listed, *own]))


def default_name() -> str:
    """The model that ships; without it the first one whose file is there, else the first of all."""
    there = names()
    if SHIPPED_MODEL in there or not there:
        return SHIPPED_MODEL
    return next((name for name in there if os.path.isfile(file_of(name) or "")), there[0])


def find(name: str | int | None) -> Choice | None:
    """The upscaler of a name (or, as in the host's older scripts, a place in its list); None for none.

    A model whose file is still to be fetched is fetched. Raises ModelNotFoundError.
    """
    entries = host.upscalers()
    if isinstance(name, int) and not isinstance(name, bool):
        if not 0 <= name < len(entries):
            raise ModelNotFoundError(f"there is no upscaler number {name}", f"there are {len(entries)}", "give a name")
        name = entries[name].name
    if not name or name == NO_UPSCALER:
        return None
    for same in (lambda known: known == name, lambda known: known.casefold() == str(name).casefold()):
        entry = next((entry for entry in entries if same(entry.name)), None)
        if entry is not None:
            return _of_entry(entry)
        model = next((model for model in service().library.models() if same(model.name)), None)
        if model is not None:
            return Choice(model.name, model=str(model.path))
    known = names()
    close = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
    todo = f"perhaps you mean {' or '.join(repr(one) for one in close)}" if close else "refresh the list"
    raise ModelNotFoundError(f"there is no upscaler '{name}'", f"{len(known)} are known", todo)


def peek(name: str | None) -> Choice | None:
    """As ``find``, for a look before a run: nothing is fetched. Raises ModelNotFoundError."""
    if not name or name == NO_UPSCALER:
        return None
    file = file_of(name)
    if file is not None:
        return Choice(name, model=file)
    if name not in names():
        raise ModelNotFoundError(f"there is no upscaler '{name}'", "", "refresh the list")
    return Choice(name)


def is_here(name: str) -> bool:
    """Whether it can be used without fetching anything. Others' upscalers count as here: they alone know."""
    file = file_of(name)
    return name in names() if file is None else os.path.isfile(file)


def is_gone(name: str) -> bool:
    """Whether there is none of this name, or no more file of it: the host's list keeps those that were deleted."""
    file = file_of(name)
    if file is None:
        return name not in names()
    return not os.path.isfile(file) and "://" not in file


def file_of(name: str) -> str | None:
    """The file that our engine runs under this name, its address where it is still to be fetched; None for others."""
    entry = next((entry for entry in host.upscalers() if entry.name == name), None)
    if entry is None:
        model = next((model for model in service().library.models() if model.name == name), None)
        return str(model.path) if model is not None else None
    ours = entry.scaler if is_ours(entry.scaler) else scaler_for(entry)
    return ours.path if ours is not None else None


def _of_entry(entry: Any) -> Choice:
    ours: Scaler | None = entry.scaler if is_ours(entry.scaler) else scaler_for(entry)
    if ours is not None:
        return Choice(entry.name, model=ours.file())
    return Choice(entry.name, scaler=entry.scaler, path=entry.data_path)


def _key(path: str) -> str:
    return os.path.normcase(os.path.realpath(path))
