"""What is to be done, and what was, picture by picture, in an SQLite file: whatever happens, a run goes on from there.

Rows are small and the plan lies on the disk: a folder of a million pictures takes no memory. Each result is committed
when its file is safely under its name, so a process that is killed between the two finds, by the mark in the file, that
it was written; no other result needs a look. One run at a time holds a journal; anybody may read it meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from ..errors import RequestError, StorageError, TrueScaleError
from .addresses import Place, as_place
from .task import Copied, Done, Result, Skipped, Task, in_words, reason_of

__all__ = ["Counts", "Journal", "journal_failed", "open_journal"]

_VERSION = 1
_CHUNK = 500
"""Rows read at a time."""

PLANNED, DONE, FAILED, SKIPPED = "planned", "done", "failed", "skipped"

_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pictures (
    number INTEGER PRIMARY KEY,
    there INTEGER,                         -- whether its result was there when it was planned
    source NOT NULL,                       -- as it was named; a BLOB where the name is no Unicode
    output NOT NULL,
    bytes INTEGER NOT NULL DEFAULT 0,      -- of the source's file
    state TEXT NOT NULL DEFAULT 'planned', -- planned, done, failed, skipped
    same_as INTEGER,                       -- the picture of the same bytes that is done in its place
    content TEXT,                          -- SHA-256 of the source, where identical pictures are done once
    size INTEGER,                          -- of the result's file, in bytes
    sha256 TEXT,                           -- of the result's file
    report TEXT,                           -- the line of JSON
    error TEXT,                            -- why it failed, in words
    reason TEXT,                           -- the same without its name
    ended REAL,                            -- seconds since 1970
    place BLOB,                            -- what no two sources share
    identity BLOB,                         -- of the source's file, whatever it is called
    taken BLOB                             -- what no two results share
);
CREATE UNIQUE INDEX IF NOT EXISTS places ON pictures (place);
CREATE INDEX IF NOT EXISTS identities ON pictures (identity);
CREATE UNIQUE INDEX IF NOT EXISTS names ON pictures (taken);
CREATE INDEX IF NOT EXISTS states ON pictures (state, number);
CREATE INDEX IF NOT EXISTS contents ON pictures (content) WHERE content IS NOT NULL;
"""


@dataclass(frozen=True)
class Counts:
    """Numbers of pictures by what became of them, and bytes of the sources that are still to be read."""

    planned: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    planned_bytes: int = 0

    @property
    def total(self) -> int:
        return self.planned + self.done + self.failed + self.skipped


class Journal:
    """The pictures of one run, and of those that go on with it. Safe to use from several threads.

    path: of the file; None for one that is gone with the object (it takes to the disk when it grows).
    """

    def __init__(self, path: Path | None = None, resume: bool = True) -> None:
        """Raises RequestError where the file cannot be used, or another run uses it.

        Without ``resume`` there must be none: that of an earlier run is not overwritten.
        """
        self.path = path
        self._guard = threading.RLock()
        self._lock = None if path is None else FileLock(f"{path}.lock")
        what = f"cannot use the journal '{path}'"
        try:
            if self._lock is not None:
                self._lock.acquire(timeout=0)
            self._is_new = path is None or not os.path.lexists(path)
            if path is not None and not self._is_new:
                _check_file(path, what, resume)
            self._base = _connected(path)
        except Timeout:
            raise RequestError(what, "another run uses it", "wait for that, or name another one") from None
        except RequestError:
            self._unlock()
            raise
        except (OSError, sqlite3.Error, ValueError) as error:
            self._unlock()
            raise RequestError(what, _why(error), "name another file with --journal") from error

    def close(self) -> None:
        with self._guard:
            is_left = self.path is not None and self._is_new and self._is_empty()
            self._base.close()
            if is_left and self.path is not None:  # the same command is not to stumble over it
                for end in ("", "-wal", "-shm", ".lock"):
                    with contextlib.suppress(OSError):
                        os.unlink(f"{self.path}{end}")
        self._unlock()

    def _is_empty(self) -> bool:
        try:
            return self._base.execute("SELECT 1 FROM pictures LIMIT 1").fetchone() is None
        except sqlite3.Error:
            return False

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what it is the journal of -----------------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """What was noted of the run: plain values by name."""
        with self._guard:
            rows = self._base.execute("SELECT name, value FROM about").fetchall()
        return {name: json.loads(value) for name, value in rows}

    def note_about(self, values: Mapping[str, Any]) -> None:
        with self.changing() as base:
            rows = [(name, json.dumps(value)) for name, value in values.items()]
            base.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", rows)

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        with self._guard, self._base:
            self._base.execute("BEGIN IMMEDIATE")
            yield self._base

    # -- what there is to do -----------------------------------------------------------------------------------------

    def counts(self) -> Counts:
        with self._guard:
            rows = self._base.execute("SELECT state, COUNT(*), SUM(bytes) FROM pictures GROUP BY state").fetchall()
        numbers = {state: number for state, number, _ in rows}
        left = sum(size or 0 for state, _, size in rows if state == PLANNED)
        return Counts(**{name: numbers.get(name, 0) for name in (PLANNED, DONE, FAILED, SKIPPED)}, planned_bytes=left)

    def tasks(self, state: str | None = PLANNED, largest_first: bool = False) -> Iterator[Task]:
        """The pictures in this state, in order, read a few at a time; those that wait for another's result are not.

        largest_first: by the size of their files. None: all pictures.
        """
        where = "same_as IS NULL" + ("" if state is None else " AND state = :state")
        if largest_first:
            after, order = "(bytes, number) < (:bytes, :number)", "bytes DESC, number DESC"
        else:
            after, order = "number > :number", "number"
        place = {"state": state, "bytes": 1 << 62, "number": 0}  # where the last chunk ended
        if largest_first:
            with self._guard:
                self._base.execute("CREATE INDEX IF NOT EXISTS sizes ON pictures (state, bytes, number)")
        while True:
            query = (
                f"SELECT number, source, output, bytes, there FROM pictures WHERE {where} AND {after} ORDER BY {order}"
            )
            with self._guard:
                rows = self._base.execute(f"{query} LIMIT {_CHUNK}", place).fetchall()
            for number, source, output, size, there in rows:
                yield Task(_place(source), _place(output), number, size, None if there is None else bool(there))
            if len(rows) < _CHUNK:
                return
            place.update(number=rows[-1][0], bytes=rows[-1][3])

    def has_addresses(self) -> bool:
        """Whether a source or a result lies elsewhere than on this machine."""
        query = "SELECT 1 FROM pictures WHERE source LIKE '__%://%' OR output LIKE '__%://%' LIMIT 1"
        with self._guard:
            return self._base.execute(query).fetchone() is not None

    def folders(self) -> Iterator[Path]:
        """Folders here that results go into, each once in a row."""
        last = None
        for task in self._in_order("1"):
            if isinstance(task.output, Path) and task.output.parent != last:
                last = task.output.parent
                yield last

    def unnamed(self) -> Iterator[list[Task]]:
        """The pictures whose results have no names of their own yet, in order; ``output`` is what each wants."""
        last = 0
        while True:
            with self._guard:
                rows = self._base.execute(
                    "SELECT number, source, output, bytes FROM pictures WHERE taken IS NULL AND number > ?"
                    f" ORDER BY number LIMIT {_CHUNK}",
                    (last,),
                ).fetchall()
            if not rows:
                return
            yield [Task(_place(source), _place(output), number, size) for number, source, output, size in rows]
            last = rows[-1][0]

    def forget_unnamed(self) -> None:
        """Pictures that were to join the plan, and cannot."""
        with self.changing() as base:
            base.execute("DELETE FROM pictures WHERE taken IS NULL")

    def name_result(self, number: int, output: Place, taken: bytes) -> None:
        """Within ``changing``. taken: what no two results share."""
        self._base.execute(
            "UPDATE pictures SET output = ?, taken = ?, there = ? WHERE number = ?",
            (_stored(output), taken, os.path.lexists(output) if isinstance(output, Path) else None, number),
        )

    def plans_to_write(self, taken: bytes) -> bool:
        """Whether a picture that is not done yet is to have its result under this name."""
        with self._guard:
            query = "SELECT 1 FROM pictures WHERE taken = ? AND state IN ('planned', 'failed')"
            return self._base.execute(query, (taken,)).fetchone() is not None

    def note_process(self, process: tuple[str, int]) -> None:
        """One that writes results: a machine's name, and the number there."""
        before = {tuple(each) for each in self.about().get("processes", [])}
        self.note_about({"processes": sorted(before | {process})})

    def has(self, column: Literal["taken", "place", "identity"], values: Sequence[bytes]) -> bool:
        """Whether a picture has one of these values there."""
        with self._guard:
            return any(
                self._base.execute(f"SELECT 1 FROM pictures WHERE {column} = ?", (value,)).fetchone()
                for value in values
            )

    def try_failed_again(self) -> int:
        """Take the failed pictures for planned ones; how many."""
        with self.changing() as base:
            changed = base.execute(
                "UPDATE pictures SET state = 'planned', error = NULL, reason = NULL, report = NULL"
                " WHERE state = 'failed'"
            )
            return changed.rowcount

    # -- identical pictures ------------------------------------------------------------------------------------------

    def put_off(self, task: Task, content: str, suffix: str) -> bool:
        """Whether another picture of the same bytes, with a result of the same kind, is done in this one's place.

        content: SHA-256 of the source. The first to ask is the one that is done.
        """
        kind = f"{content}{suffix.lower()}"
        with self.changing() as base:
            found = base.execute(
                "SELECT number FROM pictures WHERE content = ? AND number != ? AND same_as IS NULL"
                " AND state IN ('planned', 'done')",
                (kind, task.number),
            ).fetchone()
            base.execute(
                "UPDATE pictures SET content = ?, same_as = ? WHERE number = ?",
                (kind, found and found[0], task.number),
            )
        return found is not None

    def of_one_length(self) -> Iterator[Task]:
        """The planned pictures whose files are as long as another's, in order."""
        where = (
            "state = 'planned' AND content IS NULL AND bytes IN"
            " (SELECT bytes FROM pictures GROUP BY bytes HAVING COUNT(*) > 1)"
        )
        return self._in_order(where)

    def copies(self) -> Iterator[tuple[Task, Task | None]]:
        """The pictures that were put off, each with the one done in its place; None where that has no result."""
        for task in self._in_order("state = 'planned' AND same_as IS NOT NULL"):
            with self._guard:
                row = self._base.execute(
                    "SELECT other.number, other.source, other.output, other.bytes, other.state FROM pictures AS mine"
                    " JOIN pictures AS other ON other.number = mine.same_as WHERE mine.number = ?",
                    (task.number,),
                ).fetchone()
            if row is None or row[4] == FAILED:
                yield task, None
            elif row[4] != PLANNED:  # else the run was cancelled
                yield task, Task(_place(row[1]), _place(row[2]), row[0], row[3])

    def set_free(self, task: Task) -> None:
        """A picture that was put off is to be done itself."""
        with self.changing() as base:
            base.execute("UPDATE pictures SET same_as = NULL, content = NULL WHERE number = ?", (task.number,))

    def _in_order(self, where: str) -> Iterator[Task]:
        """Pictures, a few at a time; what changes meanwhile is as it is when it is read."""
        last = 0
        while True:
            with self._guard:
                rows = self._base.execute(
                    f"SELECT number, source, output, bytes, there FROM pictures WHERE {where} AND number > ?"
                    f" ORDER BY number LIMIT {_CHUNK}",
                    (last,),
                ).fetchall()
            for number, source, output, size, there in rows:
                yield Task(_place(source), _place(output), number, size, None if there is None else bool(there))
            if len(rows) < _CHUNK:
                return
            last = rows[-1][0]

    def report_of(self, number: int) -> dict[str, Any] | None:
        """The line of JSON of a picture."""
        with self._guard:
            row = self._base.execute("SELECT report FROM pictures WHERE number = ?", (number,)).fetchone()
        return None if row is None or row[0] is None else json.loads(row[0])

    # -- what was done -----------------------------------------------------------------------------------------------

    def note(self, result: Result) -> None:
        """What became of a picture; durable when this returns, but for a power cut, after which it is found again."""
        values: dict[str, Any] = {"error": None, "reason": None, "report": None, "size": None, "sha256": None}
        if isinstance(result, Done):
            record = result.record
            values.update(state=DONE, size=record.size, sha256=record.digest, report=_json(record.to_json()))
        elif isinstance(result, Copied):
            values.update(state=DONE, size=result.size, sha256=result.digest)
        elif isinstance(result, Skipped):
            values.update(state=DONE if result.is_ours else SKIPPED, size=result.size, sha256=result.digest)
        else:
            if result.ends_all:
                return  # no fault of the picture's
            values.update(state=FAILED, error=_plain(in_words(result.error)), reason=_plain(reason_of(result.error)))
        with self.changing() as base:
            names = ", ".join(f"{name} = :{name}" for name in values)
            base.execute(
                f"UPDATE pictures SET {names}, ended = :ended WHERE number = :number",
                {**values, "ended": time.time(), "number": result.task.number},
            )

    def reasons(self) -> list[tuple[str, int]]:
        """Why pictures failed, most frequent first, and how many for each."""
        query = (
            "SELECT reason, COUNT(*) AS n FROM pictures WHERE state = 'failed' GROUP BY reason ORDER BY n DESC, reason"
        )
        with self._guard:
            return [(str(reason), number) for reason, number in self._base.execute(query).fetchall()]

    def add(self, rows: Iterable[tuple[Place, Place, int, bytes, bytes | None]]) -> None:
        """Plan pictures: source, the result that it wants, bytes, and hashes of place and identity; each place once."""
        with self.changing() as base:
            base.executemany(
                "INSERT OR IGNORE INTO pictures (source, output, bytes, place, identity) VALUES (?, ?, ?, ?, ?)",
                ((_stored(source), _stored(output), *more) for source, output, *more in rows),
            )


def journal_failed(error: sqlite3.Error) -> TrueScaleError:
    """The error in words."""
    todo = "free some space, or wait for who looks into it; the same command with --resume goes on"
    return StorageError("the journal cannot be written on", str(error), todo)


def open_journal(path: Path, resume: bool) -> Journal:
    """The journal in this file, a new one where there is none; one without pictures goes when it is closed.

    Raises RequestError.
    """
    if not path.absolute().parent.is_dir():
        what = f"cannot use the journal '{path}'"
        raise RequestError(what, f"there is no folder '{path.parent}'", "create it first")
    return Journal(path, resume)


def _check_file(path: Path, what: str, resume: bool) -> None:
    """Raises RequestError where it is no journal of ours, or one that is not to be gone on with."""
    if not path.exists():
        raise RequestError(what, "it is a link that leads nowhere", "name another file with --journal")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise RequestError(what, error.strerror or str(error), "name another file with --journal") from error
    if head and not head.startswith(b"SQLite format 3"):
        raise RequestError(what, "it is a file of another kind", "name another file with --journal")
    if not resume:
        raise RequestError(what, "it is that of an earlier run", "go on with --resume, or name another one")


def _connected(path: Path | None) -> sqlite3.Connection:
    base = sqlite3.connect("" if path is None else path, check_same_thread=False, isolation_level=None, timeout=30)
    try:
        # A commit outlives the process at once, and a power cut all but the last ones: those are found by their marks.
        base.execute("PRAGMA journal_mode = WAL" if path is not None else "PRAGMA journal_mode = MEMORY")
        base.execute("PRAGMA synchronous = NORMAL" if path is not None else "PRAGMA synchronous = OFF")
        (version,) = base.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if version not in (0, _VERSION) or (version == 0 and tables):
            raise ValueError("it is a database of another program, or of another version of this one")
        base.executescript(_TABLES)
        base.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        base.close()
        raise
    return base


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _stored(place: Place) -> str | bytes:
    """As SQLite keeps it: text, or the bytes of a name that is no Unicode."""
    text = str(place)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text


def _place(stored: str | bytes) -> Place:
    return as_place(os.fsdecode(stored) if isinstance(stored, bytes) else stored)


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _json(line: dict[str, Any]) -> str:
    return _plain(json.dumps(line, ensure_ascii=False))


def hashed(text: str) -> bytes:
    """16 bytes in place of a long name."""
    return hashlib.blake2b(os.fsencode(text), digest_size=16).digest()
