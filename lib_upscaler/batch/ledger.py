"""Where every result of a run arrives: counted, journalled, reported, told."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import TrueScaleError
from .journal import Journal
from .report import Report
from .stopping import CANCELLED, FAILED, exit_code
from .task import Copied, Done, Failed, Record, Result, Skipped, Task, in_words, reason_of

__all__ = ["BatchListener", "Ledger", "Outcome"]


class BatchListener(Protocol):
    """Who is told how the batch goes on. Called from several threads, not at the same time but for ``advanced``."""

    def started(self, task: Task, number: int, count: int) -> None:
        """Work on picture ``number`` of ``count`` begins."""

    def advanced(self, fraction: float, note: str) -> None:
        """``fraction`` of the picture is done, 0 to 1."""

    def finished(self, record: Record) -> None:
        """The picture is written."""

    def copied(self, task: Task, of: Task) -> None:
        """The result of a picture of the same bytes was copied."""

    def skipped(self, task: Task) -> None:
        """Its result was there already."""

    def failed(self, task: Task, error: Exception) -> None:
        """Nothing was written for this picture."""

    def stopped(self, error: TrueScaleError) -> None:
        """No picture can be worked on any more."""

    def warned(self, text: str) -> None:
        """Something that concerns no picture in particular."""

    def told(self, outcome: Outcome, task: Task, skipped: bool) -> None:
        """A picture's result has arrived, ``skipped`` without any work; ``outcome`` so far."""


@dataclass
class Outcome:
    """Numbers of pictures, and what ended the batch early. reasons: why pictures failed, without their names."""

    finished: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: bool = False
    error: TrueScaleError | None = None
    report_failed: bool = False
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def exit_code(self) -> int:
        if self.cancelled:
            return CANCELLED
        if self.error is not None:
            return exit_code(self.error)
        return FAILED if self.failed or self.report_failed else 0

    @property
    def ended(self) -> int:
        """Pictures that something became of."""
        return self.finished + self.failed + self.skipped


class Ledger:
    """Takes one result at a time, from any thread."""

    def __init__(self, listener: BatchListener, journal: Journal | None = None, report: Report | None = None) -> None:
        self.outcome = Outcome()
        self.lost_processes: set[int] = set()
        """Of this machine: they wrote results, and have ended before their time."""
        self._listener, self._journal, self._report = listener, journal, report
        self._guard = threading.RLock()

    def note(self, result: Result) -> None:
        """Raises sqlite3.Error where the journal cannot be written on."""
        with self._guard:
            if self._journal is not None:
                self._journal.note(result)
            self._tell(result)
            self._listener.told(self.outcome, result.task, isinstance(result, (Skipped, Copied)))

    def _tell(self, result: Result) -> None:
        if isinstance(result, Done):
            self.outcome.finished += 1
            self._listener.finished(result.record)
            self._add(result.record.to_json())
        elif isinstance(result, Copied):
            self.outcome.finished += 1
            self._listener.copied(result.task, result.of)
            task, of = result.task, result.of
            self._add({"input": str(task.source), "output": str(task.output), "copy_of": str(of.output)})
        elif isinstance(result, Skipped):
            self.outcome.skipped += 1
            self._listener.skipped(result.task)
        elif result.counts:
            self._failed(result)

    def _failed(self, result: Failed) -> None:
        self.outcome.failed += 1
        self.outcome.reasons[reason_of(result.error)] += 1
        if not result.ends_all:  # that is told once, as the end of all
            self._listener.failed(result.task, result.error)
        self._add({"input": str(result.task.source), "output": None, "error": in_words(result.error)})

    def _add(self, line: dict[str, Any]) -> None:
        if self._report is not None and (said := self._report.add(line)):
            self._report_failed(said)

    def close(self) -> None:
        if self._report is not None and (said := self._report.close()):
            self._report_failed(said)

    def _report_failed(self, said: str) -> None:
        """Told once."""
        if not self.outcome.report_failed:
            self.outcome.report_failed = True
            self._listener.warned(said)

    def began(self, process: int) -> None:
        """A process of this machine that writes results."""
        if self._journal is not None:
            self._journal.note_process((socket.gethostname(), process))
