"""A process for each device of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from ..errors import TrueScaleError
from .crew import Worker, carry_out, in_hands
from .ledger import Ledger
from .run import Work
from .stopping import StopRequest
from .task import Result, Task
from .workers import Bench, WorkerLost, WorkerSettings, share_of

__all__ = ["on_devices"]

_LAST_SECONDS = 20.0
"""What a worker has to finish what it writes, when the process that feeds it is gone."""


def on_devices(
    settings: WorkerSettings, devices: Sequence[str], stop: StopRequest, warn: Callable[[str], None]
) -> Work:
    """A worker for each of these devices, the same one twice included."""
    threads, memory = share_of(devices, settings.request.memory)
    settings = replace(settings, threads=threads, beside=len(devices))
    shared = replace(settings.request, memory=memory)
    each = [
        replace(settings, device=device, request=shared if device.startswith("cpu") else settings.request)
        for device in devices
    ]

    def work(tasks: Iterator[Task], ledger: Ledger) -> None:
        crew = _Processes(each, warn, ledger.began)
        carry_out(crew, tasks, ledger, stop, in_hands(settings.elsewhere))

    return work


class _Processes:
    """The crew."""

    patience = 0.0

    def __init__(
        self, each: Sequence[WorkerSettings], warn: Callable[[str], None], began: Callable[[int], None]
    ) -> None:
        self._each, self._warn, self._began = each, warn, began

    def workers(self) -> list[Worker]:
        return [self._made(settings) for settings in self._each]

    def _made(self, settings: WorkerSettings) -> _Process:
        worker = _Process(settings)
        if worker.process is not None:
            self._began(worker.process)
        return worker

    def replacement(self, lost: Worker) -> Worker | None:
        assert isinstance(lost, _Process)
        self._warn(f"the worker on {lost.name} ended ({lost.why}); another takes its place")
        return self._made(lost.settings)

    def arrived(self) -> list[Worker]:
        return []


class _Process:
    """A worker as its maker sees it."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings, self.name, self.why = settings, settings.device, ""
        context = multiprocessing.get_context("spawn")  # CUDA and threads do not survive a fork
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, settings), daemon=True)
        self._process.start()
        self.process = self._process.pid
        theirs.close()
        self._futures: dict[int, Future[Result]] = {}
        self._guard = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def give(self, task: Task) -> Future[Result]:
        future: Future[Result] = Future()
        with self._guard:
            self._futures[task.number] = future
        if self.why or not self._send(task):
            self._lose()
        return future

    def cancel(self) -> None:
        self._send("cancel")

    def close(self) -> None:
        self._send(None)
        self._process.join(_LAST_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _send(self, message: object) -> bool:
        try:
            self._pipe.send(message)
        except OSError:  # the listener will hear of it
            return False
        return True

    def _listen(self) -> None:
        while True:
            try:
                number, result, error = self._pipe.recv()
            except (EOFError, OSError):
                break
            with self._guard:
                future = self._futures.pop(number, None)
            if future is not None and error is None:
                future.set_result(result)
            elif future is not None:
                future.set_exception(error)
        self._lose()

    def _lose(self) -> None:
        self._process.join(5)
        code = self._process.exitcode
        self.why = _end_in_words(code)
        with self._guard:
            waiting, self._futures = list(self._futures.values()), {}
        for future in waiting:
            future.set_exception(WorkerLost(self.why))


def _end_in_words(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            return f"{name}, which the system sends where memory runs out" if name == "SIGKILL" else name
    return f"exit status {code}"


# -- in the worker's process -------------------------------------------------------------------------------------------


def _work(pipe: Connection, settings: WorkerSettings) -> None:
    """The process's whole life."""
    for name in ("SIGINT", "SIGBREAK"):  # Ctrl-C reaches all processes of a console; the one that feeds us decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    bench, sending = Bench(settings), threading.Lock()
    threading.Thread(target=_receive, args=(pipe, bench, sending), daemon=True).start()
    bench.run()


def _receive(pipe: Connection, bench: Bench, sending: threading.Lock) -> None:
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):  # who fed us is gone: nothing may be written behind its back for long
            bench.cancel()
            threading.Event().wait(_LAST_SECONDS)
            os._exit(1)
        if message is None:
            bench.finish()
        elif message == "cancel":
            bench.cancel()
        else:
            _answer(pipe, bench, sending, message)


def _answer(pipe: Connection, bench: Bench, sending: threading.Lock, task: Task) -> None:
    def send(future: Future[Result]) -> None:
        error: Any = future.exception()
        if error is not None and not isinstance(error, TrueScaleError):
            error = RuntimeError(str(error))
        answer = (task.number, None if error is not None else future.result(), error)
        with sending:
            try:
                pipe.send(answer)
            except OSError:  # nobody is there any more
                pass
            except Exception as unsent:  # noqa: BLE001 - whatever pickle raises: who waits must hear something
                pipe.send((task.number, None, RuntimeError(f"its result could not be sent: {unsent}")))

    bench.give(task).add_done_callback(send)
