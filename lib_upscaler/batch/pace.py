"""How fast a run goes, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Pace", "time_in_words"]

_EACH = 50_000
"""Bytes of a file that cost as much as what every picture costs, whatever its size."""


class Pace:
    """Counts pictures, weighted by the length of their files: the large ones may all come first, or last."""

    def __init__(self, count: int, size: int, now: Callable[[], float] = time.monotonic) -> None:
        """count, size: of the pictures planned, and the bytes of their files together."""
        self._now, self._started = now, now()
        self._left, self._done = count * _EACH + size, 0
        self.worked_on = 0

    def ended(self, size: int, skipped: bool) -> None:
        """Something became of a picture. size: bytes of its file. skipped: without any work."""
        weight = _EACH + size
        self._left = max(0, self._left - weight)
        if not skipped:
            self._done += weight
            self.worked_on += 1

    @property
    def seconds(self) -> float:
        return self._now() - self._started

    @property
    def per_second(self) -> float:
        """Pictures that were worked on."""
        return self.worked_on / max(self.seconds, 1e-6)

    @property
    def seconds_left(self) -> float | None:
        """None as long as that cannot be told."""
        if self.worked_on < 2 or self.seconds < 1:
            return None
        return self._left / self._done * self.seconds

    def in_words(self) -> str:
        """Such as "3.2 pictures per second, about 4 min left"."""
        left = self.seconds_left
        said = (self.rate_in_words(), "" if left is None else f"{time_in_words(left)} left")
        return ", ".join(filter(None, said))

    def rate_in_words(self) -> str:
        rate = self.per_second
        return f"{rate:.3g} pictures per second" if rate >= 1 else f"{1 / rate:.3g} s per picture" if rate else ""


def time_in_words(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    if seconds < 100:
        return f"about {seconds:.0f} s"
    if seconds < 100 * 60:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
