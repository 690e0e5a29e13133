"""Progress never falls, ends at 1, and carries the wish to stop."""

from __future__ import annotations

import time

import pytest

from lib_upscaler.errors import Cancelled
from lib_upscaler.progress import NO_PROGRESS, SubProgress, Tracker, eta_seconds


class Recorder:
    def __init__(self, cancel_after: int = 10**9) -> None:
        self.seen: list[tuple[float, str]] = []
        self.cancel_after = cancel_after

    def advance(self, fraction: float, note: str = "") -> None:
        self.seen.append((fraction, note))

    def cancelled(self) -> bool:
        return len(self.seen) >= self.cancel_after


def test_a_part_of_a_job_fills_its_stretch() -> None:
    recorder = Recorder()
    part = SubProgress(recorder, 0.2, 0.6, "alpha ")
    for fraction in (-1, 0, 0.5, 1, 7):
        part.advance(fraction, "tile 1 of 2")

    assert [fraction for fraction, _ in recorder.seen] == pytest.approx([0.2, 0.2, 0.4, 0.6, 0.6])
    assert {note for _, note in recorder.seen} == {"alpha tile 1 of 2"}


def test_a_part_of_a_part() -> None:
    recorder = Recorder()
    SubProgress(SubProgress(recorder, 0.5, 1.0), 0.5, 1.0).advance(0.5)

    assert recorder.seen[0][0] == pytest.approx(0.875)


def test_work_counts_by_its_cost() -> None:
    recorder = Recorder()
    tracker = Tracker(recorder, 8.0)
    for work in (1, 3, 4):
        tracker.add(work)

    assert [fraction for fraction, _ in recorder.seen] == [0.125, 0.5, 1.0]


def test_work_done_again_does_not_move_the_bar_back_nor_beyond_its_end() -> None:
    recorder = Recorder()
    tracker = Tracker(recorder, 10.0)
    tracker.add(5)
    tracker.done = 0.0
    tracker.add(2)
    tracker.total = 20.0
    tracker.add(50)

    assert [fraction for fraction, _ in recorder.seen] == [0.5, 0.5, 1.0]


def test_a_cancel_is_heard() -> None:
    recorder = Recorder(cancel_after=2)
    tracker = Tracker(SubProgress(recorder, 0.0, 0.5), 10.0)
    tracker.add(1)

    with pytest.raises(Cancelled):
        tracker.add(1)
    with pytest.raises(Cancelled):
        tracker.check()


def test_nobody_listening() -> None:
    tracker = Tracker(NO_PROGRESS, 0.0)
    tracker.add(1)
    tracker.check()

    assert not NO_PROGRESS.cancelled()


def test_time_left() -> None:
    # A quarter took 10 s, so the rest takes 30 s.
    assert eta_seconds(time.monotonic() - 10, 0.25) == pytest.approx(30, abs=0.1)
    assert eta_seconds(time.monotonic() - 10, 0.0) is None
    assert eta_seconds(time.monotonic(), 0.5) is None
