"""The host's progress bar, live preview, Interrupt and Skip, as the core's Progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from .. import host

__all__ = ["HostProgress", "is_ending", "is_stopped", "shown_as_job", "stop_kind"]

_STEPS = 1000
"""The bar's resolution: the host counts whole sampling steps."""

_PREVIEW_SECONDS = 1.0


def stop_kind() -> str | None:
    """What the user pressed: "interrupt" or "skip"; None where the job goes on.

    ``stopping_generation`` is not looked at: it is the host's word that the picture under way will be finished.
    """
    state = host.state()
    if getattr(state, "interrupted", False):
        return "interrupt"
    return "skip" if getattr(state, "skipped", False) else None


def is_stopped() -> bool:
    return stop_kind() is not None


def is_ending() -> bool:
    """Whether the run is to end: at once, or with the picture under way."""
    return stop_kind() == "interrupt" or bool(getattr(host.state(), "stopping_generation", False))


class HostProgress:
    """Tells the host; see ``progress.Progress``.

    bar: move the host's bar as well; without it, as within a generation, whose steps the bar counts, only the words.
    """

    def __init__(self, bar: bool, label: str = "") -> None:
        self._state = host.state()
        self._bar = bar
        self._label = label
        self._looked = 0.0

    def advance(self, fraction: float, note: str = "") -> None:
        if self._bar:
            self._state.sampling_step = round(fraction * _STEPS)
        share = "" if self._bar else f"{fraction:.0%}"  # with the bar, the host puts it behind the words
        words = ", ".join(filter(None, (self._label, note, share)))
        self._state.textinfo = f"TrueScale: {words}"

    def cancelled(self) -> bool:
        return is_stopped()

    def preview(self, picture: Callable[[], Image.Image]) -> None:
        """Show it as the host's live preview, where the user wants one, at most once a second."""
        now = time.monotonic()
        if now - self._looked < _PREVIEW_SECONDS or not host.option("live_previews_enable", True):
            return
        self._looked = now
        assign = getattr(self._state, "assign_current_image", None)
        if assign is not None:
            assign(picture())


@contextmanager
def shown_as_job(progress_label: str = "", bar: bool = True) -> Iterator[HostProgress]:
    """The host's state for the time of one picture, and as it was afterwards.

    The Extras count a picture as done when it begins, so that the bar would stand at 100 % from the start. Those of 1.6
    count nothing, and the bar would go below 0.
    """
    state: Any = host.state()
    names = ("job_count", "job_no", "sampling_step", "sampling_steps", "textinfo") if bar else ("textinfo",)
    before = {name: getattr(state, name, None) for name in names}
    if bar:
        state.job_count = max(1, before["job_count"] or 0)
        state.job_no = max(0, (before["job_no"] or 0) - 1)
        state.sampling_steps, state.sampling_step = _STEPS, 0
    try:
        yield HostProgress(bar, progress_label)
    finally:
        for name, value in before.items():
            setattr(state, name, value)
