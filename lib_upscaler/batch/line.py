"""An assembly line: while the network runs on one picture, the next are read and the last ones written.

The network runs in the caller's thread. How much waits is bounded: by number, and by the bytes of the pixels, so that
pictures too large to wait beside each other are done one after the other, as they would be without a line.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import psutil

from ..errors import Cancelled
from ..pictures.readers_warnings import kept_apart_by_thread
from ..progress import NO_PROGRESS, Progress
from .addresses import Address
from .picture import Enlarged, Pictures, Read
from .task import Failed, Result, Skipped, Task

__all__ = ["AHEAD", "FETCHED_AHEAD", "Line", "Room", "room_for_waiting"]

AHEAD = 2
"""Pictures that are read, or wait to be, while one is in the network."""

FETCHED_AHEAD = 12
"""The same where they come from addresses, each with a journey of its own."""

_WRITERS = max(2, min(4, os.cpu_count() or 1))
_SENDERS = 12
"""Pictures that are written, or sent to addresses, at a time."""

_SHARE = 1 / 8
"""Of the memory that may be used, what pictures may take that wait for the network, and those that wait behind it."""


class Room:
    """Bytes that may be held at a time; whoever wants more than all of it waits until nobody holds any."""

    def __init__(self, size: int) -> None:
        self._size, self._held, self._holders = size, 0, 0
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        with self._changed:
            while self._holders and self._held + size > self._size:
                self._changed.wait()
            self._held += size
            self._holders += 1

    def open(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._size = 1 << 62
            self._changed.notify_all()

    def give_back(self, size: int) -> None:
        with self._changed:
            self._held -= size
            self._holders -= 1
            self._changed.notify_all()


def room_for_waiting(memory: int | None, beside: int = 1) -> int:
    """Bytes. memory: that the job may take, None for what is there now. beside: workers here, this one included."""
    return int(min(memory or 1 << 62, psutil.virtual_memory().available // beside) * _SHARE)


@dataclass
class _Waiting:
    task: Task
    read: Future[Read | Skipped]


class Line:
    """Pictures through the three stages; each result is told once, in the order in which the pictures were fed.

    tell: called from the writing threads, one at a time. started: called when a picture's turn at the network comes.
    """

    def __init__(
        self,
        pictures: Pictures,
        tell: Callable[[Result], None],
        memory: int | None = None,
        started: Callable[[Task], None] = lambda task: None,
        elsewhere: bool = False,
        beside: int = 1,
    ) -> None:
        """elsewhere: whether there are addresses among the pictures and results. beside: see ``room_for_waiting``."""
        self._pictures, self._tell, self._started = pictures, tell, started
        size = room_for_waiting(memory, beside)
        self._before, self._behind = Room(size), Room(size)
        self._waiting: deque[_Waiting] = deque()
        self._ends: deque[Future[Result]] = deque()
        self._telling = threading.RLock()
        self._broken: BaseException | None = None
        self._apart = contextlib.ExitStack()
        self._apart.enter_context(kept_apart_by_thread())
        self._reader = ThreadPoolExecutor(1, "read")
        self._fetcher = ThreadPoolExecutor(FETCHED_AHEAD if elsewhere else 1, "fetch")
        self._writers = ThreadPoolExecutor(_SENDERS if elsewhere else _WRITERS, "write")
        self.ahead = FETCHED_AHEAD if elsewhere else AHEAD
        self._most_behind = 2 * (_SENDERS if elsewhere else _WRITERS)

    @property
    def waiting(self) -> int:
        """Pictures that were fed and have not had their turn."""
        return len(self._waiting)

    def feed(self, task: Task) -> None:
        """One more picture, to be read beside the network's work."""
        fetched = self._fetcher.submit(self._pictures.fetched, task) if isinstance(task.source, Address) else None
        self._waiting.append(_Waiting(task, self._reader.submit(self._read, task, fetched)))

    def turn(self, progress: Progress = NO_PROGRESS, around: Callable[[], object] = contextlib.nullcontext) -> None:
        """The oldest picture's turn at the network. around: makes the block around its work.

        Raises Cancelled, and what would fail for every picture: ModelError, DeviceError, RequestError.
        """
        self._raise_broken()
        waiting = self._waiting.popleft()
        task = waiting.task
        try:
            read = waiting.read.result()
            if isinstance(read, Skipped):
                self._end(read)
                return
            try:
                self._started(task)
                with around():  # type: ignore[attr-defined]
                    done = self._pictures.enlarge(read, progress)
            finally:
                self._before.give_back(read.bytes_held)
        except Cancelled:
            self._pictures.scratch.done(task)
            raise
        except Exception as error:
            result = self._pictures.outcome_of(task, error)
            self._end(result)
            if isinstance(result, Failed) and result.ends_all:
                raise result.error from error
            return
        size = done.bytes
        self._behind.take(size)
        self._follow(self._writers.submit(self._write, done, size))
        while len(self._ends) > self._most_behind:
            with contextlib.suppress(IndexError):  # told meanwhile
                wait([self._ends[0]])
        self._raise_broken()

    def close(self) -> None:
        """What is being written is finished; what was only read is dropped. Raises what ``turn`` does."""
        self._before.open()
        self._fetcher.shutdown(wait=False, cancel_futures=True)
        self._reader.shutdown(wait=True, cancel_futures=True)
        self._fetcher.shutdown(wait=True)
        self._writers.shutdown(wait=True)
        self._apart.close()
        self._tell_ended()
        self._raise_broken()

    def _read(self, task: Task, fetched: Future | None) -> Read | Skipped:
        file = self._pictures.fetched(task) if fetched is None else fetched.result()
        if isinstance(file, Skipped):
            return file
        size = self._pictures.bytes_to_read(file)
        self._before.take(size)
        try:
            read = self._pictures.read(task, file, size)
        except BaseException:
            self._before.give_back(size)
            raise
        read.bytes_held = size
        return read

    def _write(self, done: Enlarged, size: int) -> Result:
        try:
            return self._pictures.write(done)
        except Exception as error:  # noqa: BLE001 - as in ``turn``
            return self._pictures.outcome_of(done.task, error)
        finally:
            done.pixels = None
            self._behind.give_back(size)

    def _end(self, result: Result) -> None:
        future: Future[Result] = Future()
        future.set_result(result)
        self._follow(future)

    def _follow(self, end: Future[Result]) -> None:
        with self._telling:
            self._ends.append(end)
        end.add_done_callback(lambda _: self._tell_ended())

    def _tell_ended(self) -> None:
        """All results that are there, up to the first that is not."""
        with self._telling:
            while self._ends and self._ends[0].done():
                result = self._ends[0].result()
                self._pictures.scratch.done(result.task)
                try:
                    self._tell(result)
                except BaseException as error:  # noqa: BLE001 - raised again in the thread that feeds the line
                    self._broken = self._broken or error
                if isinstance(result, Failed) and result.ends_all:
                    self._broken = self._broken or result.error
                self._ends.popleft()

    def _raise_broken(self) -> None:
        if self._broken is not None:
            error, self._broken = self._broken, None
            raise error
