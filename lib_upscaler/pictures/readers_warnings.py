"""What Pillow and other readers warn of, as notes on the picture that they read."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from PIL import Image

__all__ = ["collected_warnings", "kept_apart_by_thread"]

# Python's warning filters are shared by all threads; one reader at a time changes them.
_filters = threading.Lock()
_own = threading.local()
_READERS = r"(PIL|pillow_\w+|tifffile|imagecodecs)(\.|$)"

_apart = 0
"""How many now want each thread's warnings apart."""


@contextlib.contextmanager
def collected_warnings(notes: list[str]) -> Iterator[None]:
    """Readers' warnings become ``notes``, except that about large pictures: what fits into memory is looked at."""
    if _apart:
        caught = _own.caught = []
        try:
            yield
        finally:
            del _own.caught
        _add(caught, notes)
        return
    with _filters, warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        yield
    _add([(one.message, one.category) for one in recorded], notes)


@contextlib.contextmanager
def kept_apart_by_thread() -> Iterator[None]:
    """While this lasts, what one thread reads changes no filter of Python's.

    A network may run, or be loaded, in another thread, and must neither find the filters changed nor have its own
    warnings taken for a picture's.

    For a program of our own; in somebody else's process it would stand in the way of what they have set.
    """
    global _apart
    with _filters:
        plain = warnings.showwarning
        warnings.filterwarnings("always", module=_READERS)
        added = warnings.filters[0]
        warnings.showwarning = told = _telling(plain)
        _apart += 1
    try:
        yield
    finally:
        with _filters:
            _apart -= 1
            if warnings.showwarning is told:
                warnings.showwarning = plain
            with contextlib.suppress(ValueError):
                warnings.filters.remove(added)  # type: ignore[attr-defined]


def _telling(plain: Any) -> Any:
    def show(message: Any, category: type[Warning], *more: Any) -> None:
        caught = getattr(_own, "caught", None)
        if caught is None:
            plain(message, category, *more)
        else:
            caught.append((message, category))

    return show


def _add(caught: list[tuple[Any, type[Warning]]], notes: list[str]) -> None:
    for message, category in caught:
        text = " ".join(str(message).split()).rstrip(".")
        # Pillow's notes on its own future are for programmers.
        if not issubclass(category, (Image.DecompressionBombWarning, DeprecationWarning)) and text not in notes:
            notes.append(text)
