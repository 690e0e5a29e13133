"""How many random jobs a test does: a fifth of the full number, or all of it with ``pytest --long``."""

from __future__ import annotations

__all__ = ["is_long", "jobs", "rounds", "set_long"]

_FEWEST = 50
_is_long = False


def set_long(is_long: bool) -> None:
    """Before the tests are imported, since those of hypothesis ask when they are."""
    global _is_long
    _is_long = is_long


def is_long() -> bool:
    return _is_long


def rounds(full: int) -> int:
    """The like for what takes a good part of a second each time."""
    return full if _is_long else max(3, full // 8)


def jobs(full: int) -> int:
    return full if _is_long else max(min(_FEWEST, full), full // 5)
