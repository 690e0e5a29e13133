"""How a long job tells how far it is, and is told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from .errors import Cancelled

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["NO_PROGRESS", "Progress", "ShowPicture", "SubProgress", "Tracker", "eta_seconds", "preview_of"]

ShowPicture = Callable[[Callable[[], "Image.Image"]], None]
"""Takes a function that makes a small picture of what is finished so far; it need not call it."""


class Progress(Protocol):
    """What the caller of a job provides. Every method is called often and must be cheap.

    One that wants to see the picture grow also has ``preview``, a ``ShowPicture``.
    """

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


def preview_of(progress: Progress) -> ShowPicture | None:
    """Where pictures of what is finished go; None where nobody wants to see them."""
    return getattr(progress, "preview", None)


@dataclass
class SubProgress:
    """The stretch from ``start`` to ``end`` of another progress, as a whole job of its own.

    shown: whether what grows in it is worth a look (alpha is not).
    """

    parent: Progress
    start: float
    end: float
    prefix: str = ""
    shown: bool = True

    @property
    def preview(self) -> ShowPicture | None:
        return preview_of(self.parent) if self.shown else None

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
