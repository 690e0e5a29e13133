"""What jobs took is remembered, and what is expected of the next one follows from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lib_upscaler.running import speeds
from lib_upscaler.running.speeds import Speeds
from lib_upscaler.store import DiskCache
from reference import CPU


class Clock:
    """Seconds, moved by the test."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class CountingCache(DiskCache):
    """Counts how often the file is written."""

    writes = 0

    def put(self, key: str, value: dict) -> None:
        self.writes += 1
        super().put(key, value)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path) -> CountingCache:
    return CountingCache("speeds", folder=tmp_path)


@pytest.fixture
def known(cache: CountingCache, clock: Clock) -> Speeds:
    return Speeds(cache, clock)


def _next_process(folder: Path) -> Speeds:
    return Speeds(DiskCache("speeds", folder=folder))


# -- what is expected --------------------------------------------------------------------------------------------------


def test_nothing_is_expected_before_the_first_run(known: Speeds) -> None:
    assert known.expected("net", CPU, 1e9, ("kind", "all")) is None


@pytest.mark.parametrize("times", [0.5, 1, 2, 10])
def test_twice_the_work_takes_twice_the_time(times: float, known: Speeds) -> None:
    known.learn("net", CPU, 1e9, 3.0)

    assert known.expected("net", CPU, times * 1e9) == pytest.approx(times * 3.0)


def test_the_own_speed_counts_then_that_of_the_nearest_kind(known: Speeds) -> None:
    known.learn("slow", CPU, 1e9, 8.0, ("ESRGAN", "network"))
    known.learn("fast", CPU, 1e9, 2.0, ("Compact", "network"))

    assert known.expected("slow", CPU, 1e9, ("ESRGAN", "network")) == pytest.approx(8)
    assert known.expected("new", CPU, 1e9, ("Compact", "network")) == pytest.approx(2)
    assert 2 <= known.expected("new", CPU, 1e9, ("SwinIR", "network")) <= 8
    assert known.expected("new", CPU, 1e9, ("SwinIR",)) is None


def test_each_device_has_its_own_speed(known: Speeds) -> None:
    known.learn("net", "some card", 1e9, 1.0)
    known.learn("net", "another card", 1e9, 4.0)

    assert known.expected("net", "some card", 1e9) == pytest.approx(1)
    assert known.expected("net", "another card", 1e9) == pytest.approx(4)
    assert known.expected("net", CPU, 1e9) is None


def test_the_number_of_threads_makes_another_device(known: Speeds) -> None:
    before = torch.get_num_threads()
    known.learn("net", CPU, 1e9, 1.0)
    try:
        torch.set_num_threads(before + 1)
        assert known.expected("net", CPU, 1e9) is None
    finally:
        torch.set_num_threads(before)
    assert known.expected("net", CPU, 1e9) is not None


def test_one_odd_run_does_not_spoil_it(known: Speeds) -> None:
    for seconds in (2.0, 2.1, 60.0, 1.9):
        known.learn("net", CPU, 1e9, seconds)

    assert known.expected("net", CPU, 1e9) == pytest.approx(2.0, rel=0.1)


def test_a_machine_that_becomes_slower_is_noticed(known: Speeds) -> None:
    for seconds in (1.0,) * 20 + (3.0,) * 3:
        known.learn("net", CPU, 1e9, seconds)

    assert known.expected("net", CPU, 1e9) == pytest.approx(3.0)


def test_small_jobs_that_pay_for_more_than_their_work_say_nothing_of_large_ones(known: Speeds) -> None:
    # A constant of 0.2 s, and 1e9 of work a second.
    for work in (1e7, 1e10) + (1e7,) * 100:
        known.learn("net", CPU, work, 0.2 + work / 1e9)

    assert known.expected("net", CPU, 1e7) == pytest.approx(0.21, rel=0.05)
    assert known.expected("net", CPU, 1e10) == pytest.approx(10.2, rel=0.05)
    assert known.expected("net", CPU, 2e10) == pytest.approx(20.2, rel=0.05)


def test_a_job_that_ran_just_now_is_expected_to_take_as_long_again(known: Speeds) -> None:
    known.learn("net", CPU, 1e7, 0.2)
    known.learn("net", CPU, 8e7, 0.3)
    known.learn("net", CPU, 1e9, 1.2)

    assert known.expected("net", CPU, 1e9) == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("work", "seconds"), [(0, 1), (-1, 1), (1, 0), (1, -1), (float("nan"), 1), (1, float("inf")), (1, float("nan"))]
)
def test_what_is_no_run_is_left_out(work: float, seconds: float, known: Speeds) -> None:
    known.learn("net", CPU, work, seconds)

    assert known.expected("net", CPU, 1e9) is None


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_the_next_process_knows_it(known: Speeds, tmp_path: Path) -> None:
    known.learn("net", CPU, 1e9, 3.0, ("kind",))

    assert _next_process(tmp_path).expected("net", CPU, 1e9) == pytest.approx(3)
    assert _next_process(tmp_path).expected("other", CPU, 1e9, ("kind",)) == pytest.approx(3)


def test_a_thousand_small_pictures_hardly_touch_the_disk(known: Speeds, cache: CountingCache, clock: Clock) -> None:
    for number in range(1000):
        known.learn("net", CPU, 1e7, 0.01 * (1 + number % 7), ("kind",))  # as unsteady as short runs are
        clock.now += 0.01

    assert cache.writes <= 12


def test_a_change_reaches_the_disk_in_time(known: Speeds, clock: Clock, tmp_path: Path) -> None:
    for seconds in (1.0,) * 6 + (3.0,) * 6:
        known.learn("net", CPU, 1e9, seconds)
        clock.now += 60

    assert _next_process(tmp_path).expected("net", CPU, 1e9) == pytest.approx(3)


def test_a_steady_speed_is_not_written_again_and_again(known: Speeds, cache: CountingCache, clock: Clock) -> None:
    for number in range(100):
        known.learn("net", CPU, 1e9, 1.0 + 0.01 * (number % 3))
        clock.now += 60

    assert cache.writes <= 6


@pytest.mark.parametrize("entry", [{}, {"runs": 5}, {"runs": [1, "x", [2], [0, 1], [True, 1], [1e9, None]]}])
def test_a_damaged_file_counts_as_empty(entry: dict, known: Speeds, tmp_path: Path) -> None:
    known.learn("net", CPU, 1e9, 3.0)
    path = tmp_path / "speeds.json"
    path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()), entry)))
    later = _next_process(tmp_path)

    assert later.expected("net", CPU, 1e9) is None
    later.learn("net", CPU, 1e9, 4.0)
    assert later.expected("net", CPU, 1e9) == pytest.approx(4)


def test_others_keep_their_jobs_here_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRUESCALE_CACHE", str(tmp_path))
    assert speeds.expected("host: Lanczos", "a host", 6.3) is None
    speeds.learn("host: Lanczos", "a host", 6.3, 0.5)

    assert speeds.expected("host: Lanczos", "a host", 12.6) == pytest.approx(1.0)


def test_the_shortest_job_is_a_run_too(known: Speeds, tmp_path: Path) -> None:
    known.learn("net", CPU, 1.0, 1e-7)

    assert _next_process(tmp_path).expected("net", CPU, 1e7) == pytest.approx(1.0)
