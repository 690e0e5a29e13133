"""The queue of the Extras: jobs with their settings, run one after the other while the page is used for the next.

It belongs to the process, not to a page: it goes on when the page is closed or loaded anew.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from ...errors import Cancelled
from .. import host
from ..host.extras_run import Asked, Ran, Turn, run
from ..host.lives import PROCESS

__all__ = ["ENDED", "Job", "Queue", "queue"]

State = Literal["waiting", "running", "done", "failed", "interrupted"]
ENDED: tuple[State, ...] = ("done", "failed", "interrupted")


@dataclass
class Job:
    """settings: (word, value) pairs. ran: what became of it, once it has ended. turn: in the host, while it runs.

    is_withdrawn: it waits again when its turn comes. is_interrupted: in its turn.
    """

    number: int
    asked: Asked
    settings: list[tuple[str, str]]
    state: State = "waiting"
    ran: Ran = field(default_factory=Ran)
    turn: Literal["before", "now", "after"] = "before"
    is_withdrawn: bool = False
    is_interrupted: bool = False


class Queue:
    """Safe to use from several threads. results_revision: of what ``results`` gives; it grows with each change."""

    def __init__(self, run_job: Callable[[Asked, Turn], Ran] = run) -> None:
        self._run = run_job
        self._lock = threading.RLock()
        self._jobs: list[Job] = []
        self._numbers = itertools.count(1)
        self._thread: threading.Thread | None = None
        self._is_held = False
        self.is_paused = False
        self.results_revision = 0

    # -- what is there -------------------------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """In their order."""
        with self._lock:
            return list(self._jobs)

    def results(self) -> list[str]:
        """The files that the jobs of the list have saved, in its order."""
        return [file for job in self.jobs() for file in job.ran.files]

    # -- what can be done ----------------------------------------------------------------------------------------------

    def add(self, asked: Asked, settings: list[tuple[str, str]]) -> Job:
        """At the end; it runs when all before it have, unless the queue is paused."""
        with self._lock:
            job = Job(next(self._numbers), asked, settings)
            self._jobs.append(job)
            self._go_on()
            return job

    def remove(self, number: int) -> None:
        """One that is not running."""
        with self._lock:
            self._keep(lambda job: job.number != number or job.state == "running")

    def clear_ended(self) -> None:
        """Those that wait stay."""
        with self._lock:
            self._keep(lambda job: job.state not in ENDED)

    def move(self, number: int, step: int) -> None:
        """A waiting one past the waiting one before (-1) or after it (1)."""
        with self._lock:
            waiting = [place for place, job in enumerate(self._jobs) if job.state == "waiting"]
            here = next((n for n, place in enumerate(waiting) if self._jobs[place].number == number), None)
            if here is None or not 0 <= here + step < len(waiting):
                return
            a, b = waiting[here], waiting[here + step]
            self._jobs[a], self._jobs[b] = self._jobs[b], self._jobs[a]

    def again(self, number: int) -> None:
        """One that has failed or was interrupted waits once more, at its place."""
        with self._lock:
            for job in self._jobs:
                if job.number == number and job.state in ("failed", "interrupted"):
                    job.state, job.ran = "waiting", Ran()
                    self.results_revision += 1
            self._go_on()

    def pause(self) -> None:
        """The job that is running goes on to its end."""
        self.is_paused = True

    def resume(self) -> None:
        with self._lock:
            self.is_paused = False
            self._go_on()

    def interrupt(self) -> None:
        """The job that is running stops as one of the Extras does, and the queue is paused; one that waits for its turn
        goes back into the list. Others' jobs are not touched: neither before the job's turn nor after it."""
        with self._lock:
            self.is_paused = True
            for job in self._jobs:
                if job.state == "running" and job.turn == "now":
                    job.is_interrupted = True
                    host.state().interrupt()
                elif job.state == "running" and job.turn == "before":
                    job.is_withdrawn = True

    def hold(self) -> None:
        """No job begins until ``release``: the host has no page, and does not know what its inputs are."""
        with self._lock:
            self._is_held = True

    def release(self) -> None:
        with self._lock:
            self._is_held = False
            self._go_on()

    def wait(self, seconds: float) -> bool:
        """Until nothing runs; whether that was so in time."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return thread is None or not thread.is_alive()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _keep(self, wanted: Callable[[Job], bool]) -> None:
        self._jobs = [job for job in self._jobs if wanted(job)]
        self.is_paused &= bool(self._jobs)  # with the last job its pause is over: there is no button any more
        self.results_revision += 1

    def _go_on(self) -> None:
        if self._thread is None and self._upcoming() is not None:
            self._thread = threading.Thread(target=self._work, name="truescale-queue", daemon=True)
            self._thread.start()

    def _upcoming(self) -> Job | None:
        if self.is_paused or self._is_held:
            return None
        return next((job for job in self._jobs if job.state == "waiting"), None)

    def _next(self) -> Job | None:
        with self._lock:
            job = self._upcoming()
            if job is None:
                self._thread = None
                return None
            job.state, job.turn, job.is_withdrawn, job.is_interrupted = "running", "before", False, False
            return job

    def _work(self) -> None:
        while (job := self._next()) is not None:
            ran = self._ran(job)
            with self._lock:
                self._ended(job, ran)

    def _ran(self, job: Job) -> Ran:
        """Never raises: this thread has the next job to run."""
        try:
            return self._run(job.asked, lambda: self._turn(job))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this job's
            host.log.error("TrueScale: a job of the queue has failed", exc_info=error)
            return Ran(error=str(error) or type(error).__name__)

    @contextmanager
    def _turn(self, job: Job) -> Iterator[Callable[[], bool]]:
        """As of ``extras_run.Turn``."""
        with self._lock:
            job.is_withdrawn |= self._is_held
            if job.is_withdrawn:
                raise Cancelled("the job was taken back before its turn")
            job.turn = "now"
        try:
            yield lambda: job.is_interrupted
        finally:
            with self._lock:
                job.turn = "after"

    def _ended(self, job: Job, ran: Ran) -> None:
        if job.turn == "before" and job.is_withdrawn:
            job.state = "waiting"
            return
        job.ran = ran
        if ran.is_stopped:
            job.state, self.is_paused = "interrupted", True
        else:
            job.state = "failed" if ran.error else "done"
        if job.state == "done":  # others may be asked for again
            job.asked.release()
        self.results_revision += 1


def queue() -> Queue:
    """The process's."""
    return PROCESS.of(Queue)
