"""Which picture files a command means, and what the file of each result is called. No torch, nothing is written."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from ..errors import PictureReadError, RequestError
from ..pictures.formats import is_picture_path, kind_by_name, output_format, suffix_of
from ..pictures.frames.kinds import kind_of_frames
from ..pictures.origin import fingerprint, origin_of
from ..pictures.plugins import KINDS, advice

__all__ = ["ANOTHERS", "BatchPlan", "Destination", "Task", "destination_of", "named_paths", "plan_batch"]

RESULT_SUFFIX = "-upscaled"
_RESULT_STEM = re.compile(f".+{re.escape(RESULT_SUFFIX)}" + r"(-\d+)?", re.DOTALL)

ANOTHERS = "it is the result of another picture, or of this one before it was changed", "choose another name"
"""Why a file that was named is neither skipped nor replaced, and what to do."""


@dataclass(frozen=True)
class Task:
    """One picture to read, and the file to write."""

    source: Path
    output: Path


@dataclass(frozen=True)
class Destination:
    """Where results go: into one file, into a folder, or (neither given) beside the inputs.

    suffix: of the files to write, with its dot. by_kind: files of several frames or pages stay what they are instead.
    """

    suffix: str
    file: Path | None = None
    folder: Path | None = None
    by_kind: bool = False

    def suffix_for(self, source: Path) -> str:
        """Of the result of a picture; ``by_kind``, its first bytes are looked at."""
        kind = kind_of_frames(source) if self.by_kind else None
        return self.suffix if kind is None else suffix_of(kind)


@dataclass
class BatchPlan:
    """What there is to do.

    unreadable: folders that could not be looked into. empty: folders that hold no pictures. left_out: how many files
    of folders are no pictures that can be read, by kind. results: how many are results of earlier runs, by their
    names. closed: how many sub-folders were not looked into.
    """

    tasks: list[Task] = field(default_factory=list)
    unreadable: list[tuple[Path, PictureReadError]] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    results: int = 0
    closed: int = 0

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
class _Found:
    """A picture, and the folder that was asked for where it was found in one."""

    path: Path
    root: Path | None = None


def named_paths(words: Sequence[str], expand: bool = os.name == "nt") -> list[Path]:
    """The files and folders that the user named, each once.

    expand: whether patterns are expanded here; on Windows the shell does not. Raises RequestError.
    """
    paths: dict[str, Path] = {}
    for word in words:
        if word == "-":
            raise RequestError("cannot read a picture from '-'", "standard input is not supported", "name a file")
        if not word:
            raise RequestError("an input has an empty name", "", "name a file or a folder")
        matches = []
        if expand and glob.has_magic(word) and not os.path.lexists(word):
            matches = sorted(glob.glob(word, recursive=True), key=_sorted_by_name)
        for path in map(Path, matches or [word]):
            paths.setdefault(_place(path), path)
    if not paths:
        raise RequestError("no picture was named", "", "name files or folders")
    return list(paths.values())


def destination_of(
    inputs: Sequence[Path], output: str | None, format: str | None, all_frames: bool = True
) -> Destination:
    """Where the results go. Raises RequestError.

    output: a folder where there are several inputs or a folder among them, where it is one, ends like one, or has no
    suffix; else a file, whose suffix says the format. format: such as ``jpg``; PNG where nothing says one, and for
    several frames or pages (where ``all_frames`` are wanted) their own format.
    """
    if format is not None:
        output_format(f"x.{format}")
    suffix, by_kind = f".{(format or 'png').lower()}", all_frames and format is None
    if output is None:
        return Destination(suffix, by_kind=by_kind)
    if output in ("", "-"):
        raise RequestError(f"cannot write to '{output}'", "it is no name of a file or folder", "check -o")
    path = Path(output)
    several = len(inputs) > 1 or inputs[0].is_dir()
    ends_as_folder = output.endswith(("/", os.sep))
    if path.is_dir() or several or ends_as_folder or not path.suffix:
        if os.path.lexists(path) and not path.is_dir():
            why = "there are several inputs, and this is a file" if several else "there is a file of that name"
            raise RequestError(f"cannot write into '{output}'", why, "name a folder with -o")
        return Destination(suffix, folder=path, by_kind=by_kind)
    try:
        output_format(path, format)
    except RequestError as error:
        raise RequestError(error.what, error.why, f"{error.todo}; a folder's name ends with /") from error
    if any(_is_same_file(path, source) for source in inputs):
        raise RequestError(f"cannot write to '{output}'", "it is the input", "choose another name with -o")
    return Destination(path.suffix, file=path)


def plan_batch(
    inputs: Sequence[Path], destination: Destination, recursive: bool = False, recognise: bool = False
) -> BatchPlan:
    """The pictures in ``inputs`` (files and folders) in order, each once, with the file for each result.

    A folder stands for the pictures in it, sorted; its sub-folders count with ``recursive`` and are kept below the
    destination. Results that go into their input's own folder are called ``<stem>-upscaled``, and files called so are
    left out there, as is the destination below a folder. No result has the name of an input, nor that of another
    result in any letter case: later ones get ``-2``, ``-3`` ... behind it.

    recognise: whether results that are there already are found by the mark in them (``pictures.origin``), under
    whatever number; a file that is marked as another picture's result then keeps its name.
    """
    plan = BatchPlan()
    found: dict[str, _Found] = {}
    for path in inputs:
        if path.is_dir():
            inside = [_Found(file, path) for file in _scan(path, destination, recursive, plan)]
            if not inside and not any(folder == path for folder, _ in plan.unreadable):
                plan.empty.append(path)
        else:
            inside = [_Found(path)]
        for each in inside:
            found.setdefault(_place(each.path), each)
    sources = list(found.values())
    outputs = [destination.file] if destination.file is not None else _outputs(sources, destination, recognise)
    plan.tasks = [Task(source.path, output) for source, output in zip(sources, outputs)]
    return plan


def _scan(folder: Path, destination: Destination, recursive: bool, plan: BatchPlan) -> Iterator[Path]:
    """The pictures in a folder, those of a folder before its sub-folders. Hidden ones and links to folders are not."""

    def note(error: OSError) -> None:
        at = Path(error.filename or folder)
        reason = PictureReadError(f"cannot look into the folder '{at}'", error.strerror or str(error))
        plan.unreadable.append((at, reason))

    output = None if destination.folder is None else _real(destination.folder)
    results_come_here = output in (None, _real(folder))
    for current, folders, files in os.walk(folder, onerror=note):
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=_sorted_by_name)
        if output is not None:
            folders[:] = [name for name in folders if _real(os.path.join(current, name)) != output]
        if not recursive:
            plan.closed += len(folders)
            folders.clear()
        for name in sorted(files, key=_sorted_by_name):
            is_result = results_come_here and _RESULT_STEM.fullmatch(Path(name).stem) is not None
            if not is_picture_path(name):
                plan.left_out.update([] if name.startswith(".") else [kind_by_name(name)])
            elif is_result:
                plan.results += 1
            else:
                yield Path(current, name)


def _outputs(sources: Sequence[_Found], destination: Destination, recognise: bool) -> list[Path]:
    """A file for each result, all different from each other and from all sources."""
    protected = {identity for source in sources for identity in _identities(source.path)}
    wanted = [_natural_output(source, destination) for source in sources]
    taken: set[str] = set()
    own = [_own_result(source, path, taken) if recognise else None for source, path in zip(sources, wanted)]

    def is_free(path: Path) -> bool:
        if _folded(path) in taken or protected & _identities(path):
            return False
        return not recognise or origin_of(path) is None

    wanted = [result or path for result, path in zip(own, wanted)]
    has_plain_name = []
    for result, path in zip(own, wanted):  # who comes first has the plain name, whatever numbers the others get
        has_plain_name.append(result is not None or is_free(path))
        if has_plain_name[-1]:
            taken.add(_folded(path))
    numbers: dict[str, Iterator[int]] = {}
    outputs = []
    for path, is_plain in zip(wanted, has_plain_name):
        if not is_plain:
            numbered = numbers.setdefault(_folded(path), count(2))
            path = next(filter(is_free, (_numbered(path, number) for number in numbered)))
            taken.add(_folded(path))
        outputs.append(path)
    return outputs


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


def _own_result(source: _Found, wanted: Path, taken: set[str]) -> Path | None:
    """The file that is marked as this source's result, under the name that it wants or a numbered one; now taken."""
    digits = fingerprint(source.path) if os.path.lexists(wanted) else None
    path = wanted
    for number in count(2):
        if digits is None or not os.path.lexists(path):
            return None
        if _folded(path) not in taken and origin_of(path) == digits:
            taken.add(_folded(path))
            return path
        path = _numbered(wanted, number)
    return None


def _natural_output(source: _Found, destination: Destination) -> Path:
    """The file for the result as long as no other wants it."""
    own_folder, suffix = source.path.parent, destination.suffix_for(source.path)
    if destination.folder is None:
        return own_folder / f"{source.path.stem}{RESULT_SUFFIX}{suffix}"
    below = own_folder.relative_to(source.root) if source.root is not None else Path()
    folder = destination.folder / below
    mark = RESULT_SUFFIX if _real(folder) == _real(own_folder) else ""
    return folder / f"{source.path.stem}{mark}{suffix}"


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _real(folder: str | os.PathLike[str]) -> str:
    """The same text for the same folder, however it is reached."""
    return os.path.normcase(os.path.realpath(folder))


def _place(path: str | os.PathLike[str]) -> str:
    """The same text for the same name in the same folder; a link is another name than the file behind it."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(_real(folder), os.path.normcase(name))


def _folded(path: Path) -> str:
    """The same text for names that some file system takes for one."""
    return os.path.abspath(path).casefold()


def _identities(path: Path) -> set[object]:
    """What marks the file that is there, whatever it is called; empty where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return set()
    return {(status.st_dev, status.st_ino)} if status.st_ino else {_place(path)}  # 0: the file system has no numbers


def _is_same_file(one: Path, other: Path) -> bool:
    return bool(_identities(one) & _identities(other))


def _sorted_by_name(name: str) -> tuple[str, str]:
    return name.casefold(), name
