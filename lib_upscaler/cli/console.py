"""What a person in front of a console sees: results on one stream; progress, warnings and errors on the other."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from ..batch.pace import Pace

if TYPE_CHECKING:
    from ..batch.ledger import Outcome
    from ..batch.task import Record, Task
    from ..catalogue import Entry
    from ..models.card import ModelCard

__all__ = ["CARD_HEAD", "ENTRY_HEAD", "Console", "card_lines", "card_row", "entry_row", "table"]

_NAME_WIDTH = 32

_TELL_EVERY = 60.0
"""Seconds between two lines on how far a batch is."""

_MOST_REASONS = 10


class Console:
    """Listens to a batch. A bar for each picture where errors go to a terminal, else a line when it is done.

    out, err: streams; None where the program has no console.
    """

    def __init__(self, out: TextIO | None, err: TextIO | None, quiet: bool = False, debug: bool = False) -> None:
        self._out, self._err, self._quiet, self._debug = out, err, quiet, debug
        self._has_bars = not quiet and err is not None and err.isatty()
        self._bar: Any = None
        self._lock = threading.RLock()  # results are told from other threads than progress is
        self._count, self._pace = 1, Pace(1, 0)
        self._told = time.monotonic()
        for stream in (out, err):
            if stream is not None and hasattr(
                stream, "reconfigure"
            ):  # names that the console's character set lacks must not end the program
                stream.reconfigure(errors="backslashreplace")

    # -- lines -------------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """A result."""
        self._write(self._out, text)

    def inform(self, text: str) -> None:
        """A remark, for people only."""
        if not self._quiet:
            self._write(self._err, text)

    def warn(self, text: str) -> None:
        self._write(self._err, f"warning: {text}")

    def complain(self, text: str, error: BaseException | None = None) -> None:
        """An error; with --debug also where ``error`` came from."""
        self._write(self._err, f"error: {text}")
        if self._debug and error is not None:
            trace = traceback.format_exception(type(error), error, error.__traceback__)
            self._write(self._err, "".join(trace).rstrip())

    def _write(self, stream: TextIO | None, text: str) -> None:
        if stream is None:
            return
        with self._lock:
            if self._bar is not None:
                self._bar.clear()
            try:
                stream.write(f"{text}\n")
                stream.flush()
            except OSError:  # who listened has gone, as `head` does; the work goes on
                _silence(stream)
            if self._bar is not None:
                self._bar.refresh()

    # -- a batch -----------------------------------------------------------------------------------------------------

    def expect(self, count: int, planned: int, size: int) -> None:
        """Before a batch. count: of all pictures. planned, size: of those to do, and the bytes of their files."""
        self._count, self._pace = count, Pace(planned, size)

    def started(self, task: Task, number: int, count: int) -> None:
        with self._lock:
            self.close()
            self._begin_bar(f"{self._place(task)}{_shortened(task.source.name)}")

    def _place(self, task: Task) -> str:
        return f"[{task.number}/{self._count}] " if self._count > 1 else ""

    def began(self, title: str) -> None:
        """A job that is no picture; ``advanced`` and ``close`` follow."""
        self._begin_bar(_shortened(title))

    def _begin_bar(self, title: str) -> None:
        if self._has_bars and self._err is not None:
            self._bar = _bar(title, self._err)

    def advanced(self, fraction: float, note: str) -> None:
        if self._bar is None:
            return
        with self._lock:
            if self._bar is not None:
                self._bar.set_postfix_str("; ".join(filter(None, (note, self._pace_in_words()))), refresh=False)
                self._bar.update(fraction - self._bar.n)

    def _pace_in_words(self) -> str:
        return self._pace.in_words() if self._count > 1 else ""

    def finished(self, record: Record) -> None:
        for text in record.warnings:
            self.warn(f"{record.task.source}: {text}")
        if not self._quiet:
            self.say(f"{self._place(record.task)}{result_line(record)}")

    def copied(self, task: Task, of: Task) -> None:
        if not self._quiet:
            self.say(f"{self._place(task)}{task.source} -> {task.output}: a copy of {of.output}")

    def skipped(self, task: Task) -> None:
        if not self._quiet:
            self.say(f"{self._place(task)}{task.source}: skipped, {task.output} exists")

    def planned(self, line: str) -> None:
        """What a picture would take."""
        if not self._quiet:
            self.say(line)

    def failed(self, task: Task, error: Exception) -> None:
        from ..batch.task import in_words

        self.complain(f"{task.source}: {in_words(error)}", error)

    def stopped(self, error: Exception) -> None:
        self.complain(str(error), error)

    def warned(self, text: str) -> None:
        self.warn(text)

    def told(self, outcome: Outcome, task: Task, skipped: bool) -> None:
        """How far a long batch is, now and then, where no bar shows it."""
        self._pace.ended(task.bytes, skipped)
        if self._bar is not None or time.monotonic() - self._told < _TELL_EVERY:
            return
        self._told = time.monotonic()
        self.inform(f"{outcome.ended} done, {outcome.failed} failed; {self._pace.in_words()}")

    def ended(self, outcome: Outcome, count: int) -> None:
        """The sum of a batch of ``count`` pictures, where there is more to say than was said."""
        self.close()
        if outcome.cancelled:
            self._write(
                self._err, f"cancelled: {outcome.finished} of {count} pictures finished, nothing half-done is left"
            )
        elif count > 1 or outcome.failed:
            parts = [f"{outcome.finished} of {count} upscaled"]
            parts += [f"{outcome.skipped} skipped"] if outcome.skipped else []
            parts += [f"{outcome.failed} failed"] if outcome.failed else []
            self.inform(", ".join(parts))
            if self._pace.worked_on > 1:
                self.inform(f"{self._pace.rate_in_words()}, {self._pace.seconds:.0f} s in all")
        if outcome.failed > 1:
            for reason, number in outcome.reasons.most_common(_MOST_REASONS):
                self.inform(f"  {number} failed: {reason}")
            if (others := len(outcome.reasons) - _MOST_REASONS) > 0:
                self.inform(f"  and {others} other reasons")

    def close(self) -> None:
        """Take the bar away."""
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None


def _bar(title: str, stream: TextIO) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=1.0,
        desc=title,
        file=stream,
        leave=False,
        dynamic_ncols=True,
        miniters=0,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
    )


def _silence(stream: TextIO) -> None:
    """Send all further output, also what Python flushes at its end, nowhere."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_WIDTH else f"{name[: _NAME_WIDTH // 2 - 1]}...{name[-_NAME_WIDTH // 2 + 2 :]}"


def result_line(record: Record) -> str:
    """All that matters of one result, in one line."""
    done = record.report
    how = [done.strategy]
    if done.strategy == "tiles":
        how = [f"{done.tiles} tiles, margin {done.margin} px, seams within {done.seam_error:.2g} levels"]
    if done.precision != "float32" and done.precision_db is not None:
        how.append(f"{done.precision} ({done.precision_db:.1f} dB)")
    else:
        how.append(done.precision)
    how.append(done.device)
    if done.verify_max is not None:
        how.append(f"verified: at most {done.verify_max:g}, on average {done.verify_mean:g} levels off")
    sizes = f"{done.input_size} -> {done.output_size} px{f', {done.frames} frames' if done.frames > 1 else ''}"
    return f"{record.task.source} -> {record.task.output}: {sizes}, {record.seconds:.1f} s, {', '.join(how)}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the columns below each other; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


CARD_HEAD = ("NAME", "ARCHITECTURE", "SCALE", "CHANNELS", "PURPOSE", "SIZE", "TILES")
_TILES = {"none": "exact", "bounded": "checked at the seams", "changes the result": "change the result"}


def card_row(card: ModelCard) -> tuple[str, ...]:
    """A model's row in the table below ``CARD_HEAD``."""
    return (
        card.name,
        card.architecture,
        f"{card.scale}x",
        _channels(card),
        card.purpose,
        _megabytes(card.file_size),
        _TILES[card.tiling_effect],
    )


def card_lines(card: ModelCard) -> list[str]:
    """The whole card, one fact a line."""
    needs = [f"at least {card.minimum} px"] if card.minimum > 1 else []
    needs += [f"multiples of {card.multiple_of} px"] if card.multiple_of > 1 else []
    needs += ["square"] if card.square else []
    facts = (
        ("name", card.name),
        ("file", str(card.path)),
        ("architecture", " ".join((card.architecture, *(f"({tag})" for tag in card.tags)))),
        ("purpose", card.purpose),
        ("scale", f"{card.scale}x"),
        ("channels", _channels(card)),
        ("precision", ", ".join(("float32", *card.precision))),
        ("tiles", card.tiling_sentence),
        ("input", f"{', '.join(needs)} (pictures are padded to it)" if needs else "any size"),
        ("parameters", f"{card.parameters:,}"),
        ("file size", f"{_megabytes(card.file_size)} ({card.file_size:,} bytes)"),
        ("sha256", card.sha256),
        *((name, said) for name, said in (("licence", card.license), ("description", card.description)) if said),
        *(("" if number else "figures", line) for number, line in enumerate(_figures(card))),
    )
    width = max(len(name) for name, _ in facts) + 1
    return [f"{name + ':' if name else '':{width}} {value}" for name, value in facts]


ENTRY_HEAD = ("NAME", "ARCHITECTURE", "SCALE", "SIZE", "LICENCE", "FOR")


def entry_row(entry: Entry) -> tuple[str, ...]:
    """A model of the catalogue, in the table below ``ENTRY_HEAD``."""
    purposes = ", ".join(entry.purposes)
    return (
        entry.id,
        entry.architecture,
        f"{entry.scale}x",
        _megabytes(entry.size),
        entry.license or "not stated",
        purposes if entry.downloadable else f"{purposes} (by hand from {entry.page})",
    )


def _figures(card: ModelCard) -> list[str]:
    """What the file's maker measured, one figure a line."""
    return [f"{name}: {value if isinstance(value, str) else f'{value:g}'}" for name, value in card.figures.items()]


def _channels(card: ModelCard) -> str:
    names = {1: "grey", 3: "RGB", 4: "RGBA"}
    into, out = (names.get(number, str(number)) for number in (card.input_channels, card.output_channels))
    return into if into == out else f"{into} to {out}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
