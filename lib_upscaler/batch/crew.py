"""Hands pictures to several workers, and takes their results back; lost workers cost no picture.

Where a worker is lost, each picture that it had is under suspicion, the oldest most, and is tried again alone, with
nothing else in a worker's hands: one that takes its worker with it for the second time is set aside and named, and all
others are done.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..errors import Cancelled, DeviceError, PictureError
from .line import AHEAD, FETCHED_AHEAD
from .stopping import StopRequest
from .task import Failed, Result, Task
from .workers import WorkerLost

__all__ = ["Crew", "Worker", "carry_out", "in_hands"]


def in_hands(elsewhere: bool) -> int:
    """Pictures in one worker's hands: one in its network, the others brought, read or written meanwhile."""
    return (FETCHED_AHEAD if elsewhere else AHEAD) + 1


_LOOK = 0.5
"""Seconds between looks at whether to stop."""

_MOST_BLAMED = 2
_BLAMED_TWICE = "its worker's process ended while it was in work ({why}), twice, the last time with nothing beside it"


class Notes(Protocol):
    """Where results go."""

    lost_processes: set[int]

    def note(self, result: Result) -> None: ...


class Worker(Protocol):
    """Somebody who takes pictures."""

    name: str
    process: int | None
    """Its number, where it is one of this machine."""

    def give(self, task: Task) -> Future[Result]:
        """The result to come; raises in it WorkerLost, Cancelled, or what ends all."""

    def cancel(self) -> None:
        """Stop as soon as possible."""

    def close(self) -> None:
        """Nothing more will come."""


class Crew(Protocol):
    """Who makes workers."""

    patience: float
    """Seconds to wait for a worker where there is none."""

    def workers(self) -> list[Worker]:
        """Those to begin with; none where all of them arrive later."""

    def replacement(self, lost: Worker) -> Worker | None:
        """For one that was lost, None where there can be none."""

    def arrived(self) -> list[Worker]:
        """Workers that have become possible meanwhile."""


@dataclass
class _Hands:
    """What one worker has. alone: whether it has one picture, to see whether that is at fault."""

    worker: Worker
    tasks: dict[Future[Result], Task] = field(default_factory=dict)
    """In the order in which they were given."""
    alone: bool = False


def carry_out(crew: Crew, tasks: Iterator[Task], ledger: Notes, stop: StopRequest, at_once: int = AHEAD + 1) -> None:
    """Do all tasks. Raises Cancelled, what ends all, and DeviceError where no worker is left."""
    run = _Run(crew, tasks, ledger, stop, at_once)
    try:
        run.work()
    finally:
        for hands in run.hands:
            hands.worker.close()


class _Run:
    def __init__(self, crew: Crew, tasks: Iterator[Task], ledger: Notes, stop: StopRequest, at_once: int) -> None:
        self._crew, self._tasks, self._ledger, self._stop = crew, tasks, ledger, stop
        self._at_once = at_once
        self.hands = [_Hands(worker) for worker in crew.workers()]
        self._suspects: deque[Task] = deque()
        self._blamed: Counter[int] = Counter()
        self._again: deque[Task] = deque()  # of workers that were lost through no picture's fault
        self._error: Exception | None = None
        self._cancelled = False
        self._losses = 0  # in a row, without a result between them

    def work(self) -> None:
        with self._stop.gently():
            waiting_since = time.monotonic()
            while True:
                self._hand_out()
                if any(hands.tasks for hands in self.hands):
                    self._take_back()
                    waiting_since = time.monotonic()
                elif self._cancelled or not self._left():
                    break
                elif not self.hands and time.monotonic() - waiting_since > self._crew.patience:
                    todo = "the same command with --journal and --resume goes on"
                    self._cancel(DeviceError("there is no worker", "none has come, or all were lost", todo))
                else:
                    time.sleep(_LOOK / 5)
                if self._stop.requested and not self._cancelled:
                    self._cancel(Cancelled())
        if self._error is not None:
            raise self._error

    def _left(self) -> bool:
        """Whether there is more to do."""
        if not self._suspects and not self._again and (task := next(self._tasks, None)) is not None:
            self._again.append(task)
        return bool(self._suspects or self._again)

    # -- out ---------------------------------------------------------------------------------------------------------

    def _hand_out(self) -> None:
        if self._error is not None or self._cancelled:
            return
        self.hands += [_Hands(worker) for worker in self._crew.arrived()]
        for number in range(self._at_once):  # one for each, then the second ones
            for hands in self.hands:
                if len(hands.tasks) <= number and not hands.alone:
                    self._give(hands)

    def _give(self, hands: _Hands) -> None:
        if self._suspects and not hands.tasks:
            task, hands.alone = self._suspects.popleft(), True
        elif self._again:
            task = self._again.popleft()
        elif self._suspects and len(self._suspects) >= len(self.hands):
            return  # let this one's hands become empty
        else:
            following = next(self._tasks, None)
            if following is None:
                return
            task = following
        hands.tasks[hands.worker.give(task)] = task

    # -- back --------------------------------------------------------------------------------------------------------

    def _take_back(self) -> None:
        futures = [future for hands in self.hands for future in hands.tasks]
        done, _ = wait(futures, timeout=_LOOK, return_when=FIRST_COMPLETED)
        for hands in list(self.hands):
            for future in [future for future in hands.tasks if future in done]:
                if future in hands.tasks:
                    self._took(hands, future)

    def _took(self, hands: _Hands, future: Future[Result]) -> None:
        given = [each.number for each in hands.tasks.values()]
        task = hands.tasks.pop(future)
        try:
            result = future.result()
        except WorkerLost as lost:
            self._lost(hands, sorted([task, *hands.tasks.values()], key=lambda each: given.index(each.number)), lost)
            return
        except Cancelled:
            pass
        except Exception as error:  # noqa: BLE001 - what ends all, raised when the others have stopped
            self._cancel(error)
        else:
            self._losses = 0
            self._ledger.note(result)
            if isinstance(result, Failed) and result.ends_all:
                self._cancel(result.error)
        hands.alone = hands.alone and bool(hands.tasks)

    def _lost(self, hands: _Hands, tasks: list[Task], lost: WorkerLost) -> None:
        self._losses += 1
        self.hands.remove(hands)
        hands.tasks.clear()
        if hands.worker.process is not None:
            self._ledger.lost_processes.add(hands.worker.process)
        tasks = [replace(task, again=True) for task in tasks]
        if not lost.blames:
            self._again.extend(tasks)
        else:
            self._suspect(tasks, hands.alone, lost.why)
        if self._cancelled or self._error is not None:
            return
        if self._losses > 2 * max(1, len(self.hands)) + 4:
            self._cancel(DeviceError(f"the workers on {hands.worker.name} end one after the other", lost.why))
            return
        replacement = self._crew.replacement(hands.worker)
        hands.worker.close()
        if replacement is not None:
            self.hands.append(_Hands(replacement))

    def _suspect(self, tasks: list[Task], alone: bool, why: str) -> None:
        oldest = tasks[0]
        self._blamed[oldest.number] += 1
        if alone and self._blamed[oldest.number] >= _MOST_BLAMED:
            what = f"cannot upscale '{oldest.source}'"
            error = PictureError(what, _BLAMED_TWICE.format(why=why), "look at this picture")
            self._ledger.note(Failed(oldest, error))
        else:
            self._suspects.extend(tasks)

    def _cancel(self, error: Exception) -> None:
        self._error = self._error or error
        self._cancelled = True
        for hands in self.hands:
            hands.worker.cancel()
