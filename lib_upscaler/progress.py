"""How a long job tells how far it is, and is told to stop."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from .errors import Cancelled

__all__ = ["NO_PROGRESS", "Progress", "SubProgress", "Tracker", "eta_seconds"]


class Progress(Protocol):
    """What the caller of a job provides. Every method is called often and must be cheap."""

    def advance(self, fraction: float, note: str = "") -> None:
        """``fraction`` of the job is done, 0 to 1, never falling; ``note``: such as "tile 3 of 12"."""

    def cancelled(self) -> bool:
        """Whether the job should stop as soon as it can."""


class _NoProgress:
    def advance(self, fraction: float, note: str = "") -> None:
        pass

    def cancelled(self) -> bool:
        return False


NO_PROGRESS: Progress = _NoProgress()
"""Listens to nobody and never cancels."""


@dataclass
class SubProgress:
    """The stretch from ``start`` to ``end`` of another progress, as a whole job of its own."""

    parent: Progress
    start: float
    end: float
    prefix: str = ""

    def advance(self, fraction: float, note: str = "") -> None:
        done = self.start + (self.end - self.start) * min(1.0, max(0.0, fraction))
        self.parent.advance(done, f"{self.prefix}{note}")

    def cancelled(self) -> bool:
        return self.parent.cancelled()


@dataclass
class Tracker:
    """Counts work of unequal cost, and raises when the job is cancelled.

    total: the work of the whole job, in any unit of cost.
    """

    progress: Progress
    total: float
    note: str = ""
    done: float = 0.0
    _highest: float = field(default=0.0, repr=False)

    def check(self) -> None:
        """Raise Cancelled if the user asked for it."""
        if self.progress.cancelled():
            raise Cancelled

    def add(self, work: float) -> None:
        """``work`` more is done. Raises Cancelled."""
        self.done += work
        # Work that is done again (after a failure, or with a wider margin) must not move the bar back.
        self._highest = max(self._highest, min(1.0, self.done / self.total) if self.total > 0 else 1.0)
        self.progress.advance(self._highest, self.note)
        self.check()


def eta_seconds(started: float, fraction: float) -> float | None:
    """Seconds left, from ``time.monotonic()`` at the start and the fraction done; None while unknown."""
    elapsed = time.monotonic() - started
    return elapsed * (1 - fraction) / fraction if fraction > 0.01 and elapsed > 0.5 else None
