"""A run of the host's that no page waits for: what it says is kept for whoever began it, and told there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["apart", "is_apart", "tell"]

_NOTES: ContextVar[list[str] | None] = ContextVar("truescale_notes", default=None)


@contextmanager
def apart(notes: list[str]) -> Iterator[None]:
    """Inside, what is told in this thread comes into ``notes``."""
    token = _NOTES.set(notes)
    try:
        yield
    finally:
        _NOTES.reset(token)


def is_apart() -> bool:
    """Whether this thread is in such a run."""
    return _NOTES.get() is not None


def tell(text: str) -> None:
    """Words for the user, if this thread is in such a run."""
    notes = _NOTES.get()
    if notes is not None and text not in notes:
        notes.append(text)
