"""Which pictures a command means: files, folders, patterns, lists of names, here or at addresses. No torch."""

from __future__ import annotations

import codecs
import contextlib
import glob
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from ..errors import PictureReadError, RequestError
from ..pictures.formats import is_picture_path, kind_by_name
from ..pictures.plugins import KINDS, advice
from .addresses import Address, Place, as_place, entries_of, is_folder, matching, read_text, size_of
from .journal import Journal
from .naming import RESULT_STEM, RESULT_SUFFIX, Destination, Source, identities, name_results, place_of, real
from .task import Task

__all__ = ["BatchPlan", "Inputs", "named_inputs", "plan_batch"]

_AT_A_TIME = 1000


@dataclass
class BatchPlan:
    """What there is to do, and what was left out.

    unreadable: folders that could not be looked into. empty: folders that hold no pictures. left_out: how many files
    of folders are no pictures that can be read, by kind. results: how many are results of earlier runs, by their
    names. closed: how many sub-folders were not looked into.
    """

    journal: Journal
    unreadable: list[tuple[Place, PictureReadError]] = field(default_factory=list)
    empty: list[Place] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    results: int = 0
    closed: int = 0

    @property
    def tasks(self) -> Iterator[Task]:
        """All pictures, in order."""
        return self.journal.tasks(None)

    def remainder(self) -> str:
        """What of the folders is not among the tasks, in a line; empty where all is.

        Where a reader can be installed for it, the line says how.
        """
        parts = []
        if self.left_out:
            kinds = sorted(self.left_out.items(), key=lambda item: (-item[1], item[0]))
            parts.append(f"{_counted(sum(self.left_out.values()), 'file')} ({', '.join(f'{n} {k}' for k, n in kinds)})")
        if self.results:
            parts.append(f"{_counted(self.results, 'result')} of earlier runs (named ...{RESULT_SUFFIX})")
        if self.closed:
            parts.append(f"{_counted(self.closed, 'sub-folder')} (--recursive looks into them)")
        line = f"left out: {', '.join(parts)}" if parts else ""
        readable = [kind for kind in KINDS if kind.package and kind.word in self.left_out]
        if readable:
            line += (
                f"; to read {', '.join(kind.word for kind in readable)}: {advice(*(kind.package for kind in readable))}"
            )
        return line


@dataclass(frozen=True)
class Inputs:
    """What the user named.

    places: files and folders, each once. lists: files of names, read when they are used; None is standard input.
    """

    places: tuple[Place, ...]
    lists: tuple[Place | None, ...] = ()

    @property
    def may_be_several(self) -> bool:
        return len(self.places) != 1 or bool(self.lists)

    def all(self, stdin: BinaryIO | None = None) -> Iterator[Place]:
        """The files and folders, those in lists behind the others. Raises RequestError for a list that is not there."""
        yield from self.places
        for each in self.lists:
            for line in _lines(each, stdin):
                yield from _named(line, expand=False)


def named_inputs(words: Sequence[str], expand: bool = os.name == "nt") -> Inputs:
    """The files, folders and lists that the user named.

    words: paths, addresses, patterns in addresses, ``@FILE`` for a list of such names, one in a line, and ``-`` for
    one on standard input. expand: whether patterns of paths are expanded here; on Windows the shell does not.
    Raises RequestError, PictureReadError.
    """
    places: dict[bytes, Place] = {}
    lists: dict[str, Place | None] = {}
    for word in words:
        if not word:
            raise RequestError("an input has an empty name", "", "name a file or a folder")
        if word == "-":
            lists[word] = None
        elif word.startswith("@") and not os.path.lexists(word):
            lists[word] = _list_file(word[1:])
        else:
            for path in _named(word, expand):
                places.setdefault(place_of(path), path)
    if not places and not lists:
        raise RequestError("no picture was named", "", "name files or folders")
    return Inputs(tuple(places.values()), tuple(lists.values()))


def plan_batch(
    inputs: Iterable[Place],
    destination: Destination,
    recursive: bool = False,
    recognise: bool = False,
    journal: Journal | None = None,
) -> BatchPlan:
    """The pictures in ``inputs`` (files and folders) in order, each once, with the file for each result.

    A folder stands for the pictures in it, sorted; its sub-folders count with ``recursive`` and are kept below the
    destination. Results that go into their input's own folder are called ``<stem>-upscaled``, and files called so are
    left out there, as is the destination below a folder. How results are named: ``naming.name_results``.

    journal: where the plan is kept, and may already hold pictures; None for one that is gone with the plan.
    """
    plan = BatchPlan(journal or Journal())
    found = _sources(inputs, destination, recursive, plan)
    rows = (
        (each.path, destination.wanted(each), each.bytes, place_of(each.path), next(iter(identities(each.path)), None))
        for each in found
    )
    while chunk := list(islice(rows, _AT_A_TIME)):
        plan.journal.add(chunk)
    try:
        name_results(plan.journal, destination, recognise)
    except RequestError:
        plan.journal.forget_unnamed()
        raise
    return plan


# -- names -------------------------------------------------------------------------------------------------------------


def _named(word: str, expand: bool) -> list[Place]:
    """What a word stands for. Raises RequestError, PictureReadError."""
    path = as_place(word)
    if isinstance(path, Address):
        return list(matching(path)) if glob.has_magic(word) and size_of(path) is None else [path]
    if expand and glob.has_magic(word) and not os.path.lexists(word):
        return [Path(name) for name in sorted(glob.glob(word, recursive=True), key=_sorted_by_name)] or [path]
    return [path]


def _list_file(word: str) -> Place:
    """Raises RequestError."""
    path = as_place(word)
    there = size_of(path) is not None if isinstance(path, Address) else path.is_file()
    if not there:
        raise RequestError(f"cannot read the list '{word}'", "there is no such file", "check the name behind @")
    return path


def _lines(path: Place | None, stdin: BinaryIO | None) -> Iterator[str]:
    """The names in a list, one in a line, without empty ones. Raises RequestError."""
    if isinstance(path, Address):
        yield from filter(None, (line.rstrip("\r") for line in (read_text(path) or "").split("\n")))
        return
    named = "standard input" if path is None else str(path)
    try:
        with contextlib.nullcontext(stdin or _stdin()) if path is None else path.open("rb") as file:
            for number, line in enumerate(file):
                if not number and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    why = "it is UTF-16, as some consoles write it"
                    raise RequestError(f"cannot read the list on {named}", why, "save it as UTF-8")
                name = line.rstrip(b"\r\n").removeprefix(b"" if number else codecs.BOM_UTF8)
                if name:
                    yield os.fsdecode(name)
    except OSError as error:
        raise RequestError(f"cannot read the list on {named}", error.strerror or str(error), "") from error


def _stdin() -> BinaryIO:
    """Raises RequestError where nobody writes there."""
    if sys.stdin is None or sys.stdin.isatty():
        what, why = "cannot read a list from standard input", "it is a terminal, or there is none"
        raise RequestError(what, why, "pipe one in, or name a file with @FILE")
    return sys.stdin.buffer


# -- folders -----------------------------------------------------------------------------------------------------------


def _sources(inputs: Iterable[Place], destination: Destination, recursive: bool, plan: BatchPlan) -> Iterator[Source]:
    for path in inputs:
        inside = _inside(path, destination, recursive, plan)
        if inside is None:
            yield Source(path, None, _bytes(path))
            continue
        is_empty = True
        for source in inside:
            is_empty = False
            yield source
        if is_empty and not any(folder == path for folder, _ in plan.unreadable):
            plan.empty.append(path)


def _inside(path: Place, destination: Destination, recursive: bool, plan: BatchPlan) -> Iterator[Source] | None:
    """The pictures in a folder; None for what is none."""
    if isinstance(path, Path):
        return _scan(path, destination, recursive, plan) if path.is_dir() else None
    try:
        looks = size_of(path) is None and is_folder(path)
    except PictureReadError:  # reading it will say why, and costs no other
        return None
    return _scan_elsewhere(path, destination, recursive, plan) if looks else None


def _scan(folder: Path, destination: Destination, recursive: bool, plan: BatchPlan) -> Iterator[Source]:
    """The pictures in a folder, those of a folder before its sub-folders. Hidden ones and links to folders are not."""

    def note(error: OSError) -> None:
        at = Path(error.filename or folder)
        reason = PictureReadError(f"cannot look into the folder '{at}'", error.strerror or str(error))
        plan.unreadable.append((at, reason))

    output = real(destination.folder) if isinstance(destination.folder, Path) else None
    results_come_here = destination.folder is None or output == real(folder)
    for current, folders, files in os.walk(folder, onerror=note):
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=_sorted_by_name)
        if output is not None:
            folders[:] = [name for name in folders if real(os.path.join(current, name)) != output]
        if not recursive:
            plan.closed += len(folders)
            folders.clear()
        for name in sorted(files, key=_sorted_by_name):
            if _is_wanted(name, results_come_here, plan):
                path = Path(current, name)
                yield Source(path, folder, _bytes(path))


def _scan_elsewhere(folder: Address, destination: Destination, recursive: bool, plan: BatchPlan) -> Iterator[Source]:
    """The same of a folder at an address."""
    results_come_here = destination.folder in (None, folder)
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            entries = sorted(entries_of(current), key=lambda entry: _sorted_by_name(entry[0].name))
        except PictureReadError as error:
            plan.unreadable.append((current, error))
            continue
        folders = [at for at, is_dir, _ in entries if is_dir and not at.name.startswith(".")]
        folders = [at for at in folders if at != destination.folder]
        if recursive:
            waiting += reversed(folders)
        else:
            plan.closed += len(folders)
        for at, is_dir, size in entries:
            if not is_dir and _is_wanted(at.name, results_come_here, plan):
                yield Source(at, folder, size)


def _is_wanted(name: str, results_come_here: bool, plan: BatchPlan) -> bool:
    """Whether a file of a folder is a picture to upscale; what is not is counted."""
    if not is_picture_path(name):
        plan.left_out.update([] if name.startswith(".") else [kind_by_name(name)])
        return False
    if results_come_here and RESULT_STEM.fullmatch(Path(name).stem) is not None:
        plan.results += 1
        return False
    return True


def _bytes(path: Place) -> int:
    """Of a file; 0 where that cannot be told."""
    try:
        return path.stat().st_size if isinstance(path, Path) else size_of(path) or 0
    except (OSError, ValueError, PictureReadError):
        return 0


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _sorted_by_name(name: str) -> tuple[str, str]:
    return name.casefold(), name
