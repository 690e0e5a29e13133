"""Several workers: no picture is lost with one of them, and one that kills its worker twice is set aside."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

import pytest

from lib_upscaler.batch.crew import carry_out, in_hands
from lib_upscaler.batch.stopping import StopRequest
from lib_upscaler.batch.task import Failed, Result, Skipped, Task
from lib_upscaler.batch.workers import WorkerLost
from lib_upscaler.errors import Cancelled, DeviceError, ModelFileError


class Ledger:
    def __init__(self) -> None:
        self.results: list[Result] = []
        self.lost_processes: set[int] = set()

    def note(self, result: Result) -> None:
        self.results.append(result)


class Worker:
    """Answers each task after a while, one after the other, in a thread. deadly: names that end it."""

    def __init__(self, name: str, deadly: frozenset[str], seen: Counter[str]) -> None:
        self.name, self.process = name, None
        self._deadly, self._seen = deadly, seen
        self._queue: list[tuple[Task, Future]] = []
        self._changed = threading.Condition()
        self._dead = self._closed = False
        self.most = 0
        threading.Thread(target=self._work, daemon=True).start()

    def give(self, task: Task) -> Future:
        future: Future = Future()
        with self._changed:
            self._queue.append((task, future))
            self.most = max(self.most, len(self._queue))
            self._changed.notify()
        if self._dead:
            self._die()
        return future

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    if self._closed:
                        return
                    self._changed.wait(0.1)
                task, future = self._queue[0]
            self._seen[task.source.name] += 1
            time.sleep(0.003)
            if task.source.name in self._deadly:
                self._die()
                return
            with self._changed:
                if self._dead:
                    return
                self._queue.pop(0)
            future.set_result(Skipped(task))

    def _die(self) -> None:
        with self._changed:
            self._dead = True
            waiting, self._queue = self._queue, []
        for _, future in waiting:
            future.set_exception(WorkerLost("SIGSEGV"))

    def cancel(self) -> None:
        with self._changed:
            waiting, self._queue = self._queue[1:], self._queue[:1]
        for _, future in waiting:
            future.set_exception(Cancelled())

    def close(self) -> None:
        self._closed = True


class Crew:
    patience = 0.0

    def __init__(self, count: int, *deadly: str, replaces: bool = True) -> None:
        self._deadly, self._replaces = frozenset(deadly), replaces
        self.seen: Counter[str] = Counter()
        self.made = [Worker(f"w{number}", self._deadly, self.seen) for number in range(count)]

    def workers(self) -> list[Worker]:
        return list(self.made)

    def replacement(self, lost: Worker) -> Worker | None:
        if not self._replaces:
            return None
        self.made.append(Worker(lost.name, self._deadly, self.seen))
        return self.made[-1]

    def arrived(self) -> list[Worker]:
        return []


def tasks(count: int) -> list[Task]:
    return [Task(Path(f"in/{number:03}"), Path(f"out/{number:03}"), number) for number in range(1, count + 1)]


def names(results: list[Result]) -> list[str]:
    return sorted(result.task.source.name for result in results)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_picture_is_done_once(workers: int) -> None:
    ledger, crew = Ledger(), Crew(workers)
    carry_out(crew, iter(tasks(60)), ledger, StopRequest())
    assert names(ledger.results) == [f"{number:03}" for number in range(1, 61)]
    assert set(crew.seen.values()) == {1}
    assert max(worker.most for worker in crew.made) <= 3, "what waits with a worker is bounded"


@pytest.mark.parametrize("seed", range(5))
def test_pictures_that_kill_their_workers_twice_are_set_aside_and_all_others_done(seed: int) -> None:
    chance = random.Random(seed)
    deadly = {f"{number:03}" for number in chance.sample(range(1, 41), 4)}
    ledger, crew = Ledger(), Crew(chance.randint(1, 4), *deadly)
    carry_out(crew, iter(tasks(40)), ledger, StopRequest())
    assert names(ledger.results) == [f"{number:03}" for number in range(1, 41)]
    failed = [result for result in ledger.results if isinstance(result, Failed)]
    assert {result.task.source.name for result in failed} == deadly
    assert all("SIGSEGV" in str(result.error) and result.task.source.name in str(result.error) for result in failed)
    assert all(crew.seen[name] == 2 for name in deadly)


def test_a_lost_worker_that_nobody_replaces_leaves_its_pictures_to_the_others() -> None:
    class Once(Crew):
        """Its first worker ends at its third picture, which is not the picture's fault."""

        def __init__(self) -> None:
            super().__init__(2, replaces=False)
            first, give, count = self.made[0], self.made[0].give, iter(range(100))

            def mortal(task: Task) -> Future:
                if next(count) == 3:
                    first._die()
                return give(task)

            first.give = mortal  # type: ignore[method-assign]

    ledger = Ledger()
    carry_out(Once(), iter(tasks(30)), ledger, StopRequest())
    assert names(ledger.results) == [f"{number:03}" for number in range(1, 31)]
    assert not any(isinstance(result, Failed) for result in ledger.results)


def test_where_no_worker_is_left_it_says_so() -> None:
    ledger, crew = Ledger(), Crew(2, "001", "002", replaces=False)
    with pytest.raises(DeviceError, match="there is no worker"):
        carry_out(crew, iter(tasks(30)), ledger, StopRequest())


def test_workers_that_end_one_after_the_other_end_the_run() -> None:
    ledger, crew = Ledger(), Crew(2, *(f"{number:03}" for number in range(1, 400)))
    with pytest.raises(DeviceError, match="one after the other"):
        carry_out(crew, iter(tasks(300)), ledger, StopRequest())
    assert len(crew.made) < 20


def test_what_would_fail_for_every_picture_ends_all() -> None:
    class Broken(Crew):
        def __init__(self) -> None:
            super().__init__(2)
            self.made[1].give = self.give  # type: ignore[method-assign]

        def give(self, task: Task) -> Future:
            future: Future = Future()
            future.set_exception(ModelFileError("the model is broken"))
            return future

    ledger = Ledger()
    with pytest.raises(ModelFileError):
        carry_out(Broken(), iter(tasks(300)), ledger, StopRequest())
    assert len(ledger.results) < 50


def test_a_wish_to_stop_is_heard_and_what_is_finished_is_kept() -> None:
    stop, ledger, crew = StopRequest(), Ledger(), Crew(2)
    threading.Timer(0.05, lambda: setattr(stop, "requested", True)).start()
    with pytest.raises(Cancelled):
        carry_out(crew, iter(tasks(2000)), ledger, stop)
    assert 0 < len(ledger.results) < 2000
    assert len(names(ledger.results)) == len(set(names(ledger.results)))


def test_more_are_in_a_workers_hands_where_each_has_a_journey() -> None:
    ledger, crew = Ledger(), Crew(1)
    carry_out(crew, iter(tasks(60)), ledger, StopRequest(), in_hands(elsewhere=True))
    assert crew.made[0].most > 6
    assert len(ledger.results) == 60
