"""A whole run in this process: the pictures through the line, each result into the ledger."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import Cancelled, DeviceError, ModelError, RequestError
from ..pipeline import Upscaler
from ..request import UpscaleRequest
from .addresses import Address
from .identical import copy_results
from .journal import Journal, journal_failed
from .ledger import BatchListener, Ledger, Outcome
from .leftovers import remove_leftovers
from .line import Line
from .picture import BatchOptions, Pictures
from .report import Report, check_report
from .scratch_files import Scratch
from .stopping import StopRequest
from .task import Task

__all__ = ["Work", "keep_ledger", "run_batch", "run_journal"]

Work = Callable[[Iterator[Task], Ledger], None]
"""Carries out tasks and notes every result. Raises Cancelled, and what ends all."""


def run_batch(
    upscaler: Upscaler,
    request: UpscaleRequest,
    tasks: Sequence[Task],
    listener: BatchListener,
    options: BatchOptions,
    stop: StopRequest,
) -> Outcome:
    """Upscale a few pictures; models are loaded when the first one needs them.

    A picture that fails is told to the listener and the next one follows; a model, a device or a setting that fails
    ends the batch. Raises RequestError, before any work, where the report cannot be written.
    """
    numbered = [
        replace(task, number=number, there_before=os.path.lexists(str(task.output)))
        for number, task in enumerate(tasks, 1)
    ]
    places = (place for task in tasks for place in (task.source, task.output))
    work = in_this_process(upscaler, request, listener, options, stop, len(tasks), _elsewhere(numbered))
    folders = [task.output.parent for task in tasks if isinstance(task.output, Path)]
    return keep_ledger(work, numbered, listener, options, places, lambda: folders)


def run_journal(
    work: Work,
    journal: Journal,
    listener: BatchListener,
    options: BatchOptions,
    stop: StopRequest,
    largest_first: bool = False,
) -> Outcome:
    """Work on what is planned in the journal; then copy the results of those whose pictures others share.

    Raises RequestError, before any work, where the report cannot be written.
    """
    ended = _processes_before(journal)
    remove_leftovers(journal.folders(), ended)
    tasks = journal.tasks(largest_first=largest_first)

    def all_of_it(tasks: Iterator[Task], ledger: Ledger) -> None:
        work(tasks, ledger)
        if copy_results(journal, ledger.note, options, stop):
            work(journal.tasks(largest_first=largest_first), ledger)

    return keep_ledger(all_of_it, tasks, listener, options, (), journal.folders, journal)


def keep_ledger(
    work: Work,
    tasks: Iterable[Task],
    listener: BatchListener,
    options: BatchOptions,
    places: Iterable[Path | Address],
    folders: Callable[[], Iterable[Path]],
    journal: Journal | None = None,
) -> Outcome:
    """Do the work, and tell how it ended. places: what the report may not be. folders: that results go into."""
    report = None
    if options.report is not None:
        check_report(options.report, places)
        report = Report(options.report)
    ledger = Ledger(listener, journal, report)
    remove_leftovers(folders())
    try:
        with closing(ledger):
            work(iter(tasks), ledger)
    except (Cancelled, KeyboardInterrupt):
        ledger.outcome.cancelled = True
    except (ModelError, DeviceError, RequestError) as error:
        ledger.outcome.error = error
        listener.stopped(error)
    except sqlite3.Error as error:
        ledger.outcome.error = journal_failed(error)
        listener.stopped(ledger.outcome.error)
    # Of a run that was killed just before this one, too: by now they are old.
    remove_leftovers(folders(), frozenset(ledger.lost_processes))
    return ledger.outcome


def in_this_process(
    upscaler: Upscaler,
    request: UpscaleRequest,
    listener: BatchListener,
    options: BatchOptions,
    stop: StopRequest,
    count: int,
    elsewhere: bool,
) -> Work:
    """On one device: the pictures in order through one line. count: for the listener."""

    def work(tasks: Iterator[Task], ledger: Ledger) -> None:
        with closing(Scratch()) as scratch:
            pictures = Pictures(upscaler, request, options, scratch)
            begun = _Begun(listener, count)
            line = Line(pictures, ledger.note, request.memory, begun, elsewhere)
            progress = _PictureProgress(listener, stop)
            with closing(line):
                for task in tasks:
                    line.feed(task)
                    if line.waiting > line.ahead:
                        _turn(line, progress, stop)
                while line.waiting:
                    _turn(line, progress, stop)

    return work


def _turn(line: Line, progress: _PictureProgress, stop: StopRequest) -> None:
    if stop.requested:
        raise Cancelled
    line.turn(progress, stop.gently)


@dataclass
class _Begun:
    """Tells the listener whose turn at the network it is."""

    listener: BatchListener
    count: int

    def __call__(self, task: Task) -> None:
        self.listener.started(task, task.number, self.count)


@dataclass
class _PictureProgress:
    """What the pipeline sees of the listener."""

    listener: BatchListener
    stop: StopRequest

    def advance(self, fraction: float, note: str = "") -> None:
        self.listener.advanced(fraction, note)

    def cancelled(self) -> bool:
        return self.stop.requested


def _elsewhere(tasks: Iterable[Task]) -> bool:
    return any(isinstance(place, Address) for task in tasks for place in (task.source, task.output))


def _processes_before(journal: Journal) -> frozenset[int]:
    """The numbers of the processes of earlier runs on this machine, which hold the journal no more; ours is noted."""
    host = socket.gethostname()
    before = {tuple(each) for each in journal.about().get("processes", [])}
    journal.note_process((host, os.getpid()))
    return frozenset(number for name, number in before if name == host) - {os.getpid()}
