"""How fast the samplings of this session were, so that the next one's time can be told before it runs."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from .. import host
from ..host.lives import PROCESS
from ..host.progress import stop_kind
from .checkpoint import name_of_checkpoint

__all__ = ["note", "seconds_for", "timed"]

_KEPT = 5
"""Of a checkpoint: the last few, since the first may have had to load much, and settings change."""


class _Speeds:
    """By the names of checkpoints."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, deque[float]] = {}

    def add(self, checkpoint: str, speed: float) -> None:
        with self._lock:
            self._known.setdefault(checkpoint, deque(maxlen=_KEPT)).append(speed)

    def of(self, checkpoint: str) -> float | None:
        """The median."""
        with self._lock:
            known = self._known.get(checkpoint)
            return statistics.median(known) if known else None


@contextmanager
def timed(px: float) -> Iterator[None]:
    """One sampling of the host by the checkpoint that is loaded; noted, if it comes to its end.

    px: of the latent that the network works on in each step: all pictures, or all tiles.
    """
    checkpoint, started = name_of_checkpoint(), time.perf_counter()
    yield
    if stop_kind() is None:
        note(px, getattr(host.state(), "sampling_steps", 0), time.perf_counter() - started, checkpoint)


def note(px: float, steps: int, seconds: float, checkpoint: str | None = None) -> None:
    """A sampling of so many steps took so long. px: as for ``timed``. checkpoint: its name; None: the loaded one's."""
    if px > 0 and steps > 0 and seconds > 0:
        PROCESS.of(_Speeds).add(checkpoint or name_of_checkpoint(), px * steps / seconds)


def seconds_for(px: float, steps: int) -> float | None:
    """What such a sampling by the loaded checkpoint will take; None where none is known yet."""
    speed = PROCESS.of(_Speeds).of(name_of_checkpoint())
    return None if speed is None else px * steps / speed
