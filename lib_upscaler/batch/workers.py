"""One worker of several: a line on one device, in a process of its own, that is fed from outside."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import Cancelled, TrueScaleError
from ..models.library import ModelLibrary, shipped_models
from ..request import UpscaleRequest
from .line import Line
from .picture import BatchOptions, Pictures
from .scratch_files import Scratch
from .stopping import StopRequest
from .task import Failed, Result, Task

__all__ = ["Bench", "WorkerLost", "WorkerSettings", "share_of"]


class WorkerLost(Exception):  # noqa: N818 - what happened to it
    """The worker's process has ended, or cannot be reached. blames: whether a picture may be at fault for that."""

    def __init__(self, why: str, blames: bool = True) -> None:
        super().__init__(why, blames)
        self.why, self.blames = why, blames


@dataclass(frozen=True)
class WorkerSettings:
    """All that a worker needs to know, as plain values that can be sent to it.

    folders: of models. threads: of the processor, 0 for as many as it takes by itself. elsewhere: whether there are
    addresses among the pictures. beside: workers on the same machine, this one too.
    """

    folders: tuple[str, ...]
    request: UpscaleRequest
    options: BatchOptions
    device: str
    elsewhere: bool
    threads: int = 0
    beside: int = 1

    @classmethod
    def of(
        cls, library: ModelLibrary, request: UpscaleRequest, options: BatchOptions, device: str, elsewhere: bool
    ) -> WorkerSettings:
        folders = tuple(str(folder) for folder in library.folders)
        return cls(folders, request, replace(options, report=None, journalled=True), device, elsewhere)


def share_of(devices: Sequence[str], memory: int | None) -> tuple[int, int]:
    """Threads for each of the workers on these devices, and the memory in bytes for each of those on the processor."""
    on_processor = sum(device.startswith("cpu") for device in devices)
    if memory is None:
        import psutil

        memory = int(psutil.virtual_memory().available * 0.7)
    return max(1, (os.cpu_count() or 1) // (on_processor or len(devices))), memory // max(1, on_processor)


class Bench:
    """Takes tasks from any thread and gives futures of their results. ``run`` is the thread that the network runs in.

    Lost with the process: whoever feeds it sees to that.
    """

    def __init__(self, settings: WorkerSettings, upscaler: Any = None) -> None:
        """upscaler: in place of one that is made of the settings."""
        self._settings, self._upscaler = settings, upscaler
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._futures: dict[int, Future[Result]] = {}
        self._guard = threading.Lock()
        self._stop = StopRequest()
        self._error: Exception | None = None

    def give(self, task: Task) -> Future[Result]:
        """One more picture; its result, or what ends all."""
        future: Future[Result] = Future()
        with self._guard:
            if self._error is not None:
                future.set_exception(self._error)
                return future
            self._futures[task.number] = future
        self._tasks.put(task)
        return future

    def finish(self) -> None:
        """No more pictures will come; ``run`` ends when the last one is done."""
        self._tasks.put(None)

    def cancel(self) -> None:
        """Stop as soon as possible; what is being written is finished."""
        self._stop.requested = True
        self.finish()

    def run(self) -> None:
        """Work until ``finish`` or ``cancel``. What ends all is told to everybody who waits."""
        try:
            with closing(Scratch()) as scratch:
                self._work(scratch)
        except Exception as error:  # noqa: BLE001 - told to everybody who waits, who raises it again
            self._fail(error)
        else:
            self._fail(Cancelled())

    def _work(self, scratch: Scratch) -> None:
        settings = self._settings
        pictures = Pictures(self._upscaler or _upscaler(settings), settings.request, settings.options, scratch)
        line = Line(pictures, self._tell, settings.request.memory, elsewhere=settings.elsewhere, beside=settings.beside)
        with closing(line):
            for task in iter(lambda: self._next(line), None):
                line.feed(task)
            while line.waiting and not self._stop.requested:
                line.turn(self)

    def _next(self, line: Line) -> Task | None:
        """The next task; while none is there, or enough are waiting, the line goes on."""
        while not self._stop.requested:
            if line.waiting <= line.ahead:
                try:
                    return self._tasks.get(block=not line.waiting)
                except queue.Empty:
                    pass
            line.turn(self)
        return None

    def advance(self, fraction: float, note: str = "") -> None:
        """As a progress; nobody looks at it from here."""

    def cancelled(self) -> bool:
        return self._stop.requested

    def _tell(self, result: Result) -> None:
        if isinstance(result, Failed) and not isinstance(result.error, TrueScaleError):
            result = replace(result, error=_plain(result.error))  # others may not be possible to send
        with self._guard:
            future = self._futures.pop(result.task.number)
        future.set_result(result)

    def _fail(self, error: Exception) -> None:
        with self._guard:
            self._error = error if isinstance(error, TrueScaleError) else _plain(error)
            waiting, self._futures = list(self._futures.values()), {}
        for future in waiting:
            future.set_exception(self._error)


def _plain(error: Exception) -> Exception:
    """The same in words, of a class that every process knows."""
    return RuntimeError(f"{type(error).__name__}: {error}".rstrip(": "))


def _upscaler(settings: WorkerSettings) -> Any:
    """Raises DeviceError."""
    import torch

    from ..pipeline import Upscaler

    if settings.threads:
        torch.set_num_threads(settings.threads)
    library = ModelLibrary([Path(folder) for folder in settings.folders], builtin=shipped_models())
    return Upscaler(library, settings.device, cache_bytes=sys.maxsize)
