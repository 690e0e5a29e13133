"""What the file of each result is called. No torch, nothing is written."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path

from ..errors import RequestError
from ..pictures.formats import GIF, output_format, suffix_of
from ..pictures.frames.kinds import kind_of_frames
from ..pictures.origin import fingerprint, origin_of
from .addresses import Address, Place, as_place, is_folder
from .journal import Journal, hashed
from .task import Task

__all__ = [
    "ANOTHERS",
    "RESULT_STEM",
    "RESULT_SUFFIX",
    "Destination",
    "Source",
    "destination_of",
    "identities",
    "name_results",
    "place_of",
    "real",
]

RESULT_SUFFIX = "-upscaled"
RESULT_STEM = re.compile(f".+{re.escape(RESULT_SUFFIX)}" + r"(-\d+)?", re.DOTALL)

ANOTHERS = "it is the result of another picture, or of this one before it was changed", "choose another name"
"""Why a file that was named is neither skipped nor replaced, and what to do."""


@dataclass(frozen=True)
class Source:
    """A picture, and the folder that was asked for where it was found in one. bytes: of its file, 0 where unknown."""

    path: Place
    root: Place | None = None
    bytes: int = 0


@dataclass(frozen=True)
class Destination:
    """Where results go: into one file, into a folder, or (neither given) beside the inputs.

    suffix: of the files to write, with its dot. by_kind: files of several frames or pages stay what they are instead.
    """

    suffix: str
    file: Place | None = None
    folder: Place | None = None
    by_kind: bool = False

    def suffix_for(self, source: Place) -> str:
        """Of the result of a picture; ``by_kind``, its first bytes are looked at; elsewhere than here, its name."""
        if not self.by_kind:
            return self.suffix
        if isinstance(source, Address):
            return ".gif" if source.suffix.lower() == suffix_of(GIF) else self.suffix
        kind = kind_of_frames(source) if source.is_file() else None
        return self.suffix if kind is None else suffix_of(kind)

    def wanted(self, source: Source) -> Place:
        """The file for the result as long as no other wants it."""
        if self.file is not None:
            return self.file
        own_folder, suffix = source.path.parent, self.suffix_for(source.path)
        stem = source.path.stem
        if self.folder is None:
            return own_folder / f"{stem}{RESULT_SUFFIX}{suffix}"
        if isinstance(source.path, Address) and isinstance(self.folder, Path):
            stem = _plain(stem)
        folder = self.folder / _below(own_folder, source.root)
        mark = RESULT_SUFFIX if _is_same_folder(folder, own_folder) else ""
        return folder / f"{stem}{mark}{suffix}"


def destination_of(
    inputs: Sequence[Place], output: str | None, format: str | None, all_frames: bool = True, several: bool = False
) -> Destination:
    """Where the results go. Raises RequestError.

    output: a folder where there are several inputs or a folder among them, where it is one, ends like one, or has no
    suffix; else a file, whose suffix says the format. format: such as ``jpg``; PNG where nothing says one, and for
    several frames or pages (where ``all_frames`` are wanted) their own format. several: whether there may be more
    inputs than these.
    """
    if format is not None:
        output_format(f"x.{format}")
    suffix, by_kind = f".{(format or 'png').lower()}", all_frames and format is None
    if output is None:
        return Destination(suffix, by_kind=by_kind)
    if output in ("", "-"):
        raise RequestError(f"cannot write to '{output}'", "it is no name of a file or folder", "check -o")
    path = as_place(output)
    several = several or len(inputs) > 1 or _is_folder(inputs[0])
    ends_as_folder = output.endswith(("/", os.sep))
    if several or ends_as_folder or not path.suffix or _is_folder(path):
        if isinstance(path, Path) and os.path.lexists(path) and not path.is_dir():
            why = "there are several inputs, and this is a file" if several else "there is a file of that name"
            raise RequestError(f"cannot write into '{output}'", why, "name a folder with -o")
        return Destination(suffix, folder=path, by_kind=by_kind)
    try:
        output_format(path.name, format)
    except RequestError as error:
        raise RequestError(error.what, error.why, f"{error.todo}; a folder's name ends with /") from error
    if any(_is_same_file(path, source) for source in inputs):
        raise RequestError(f"cannot write to '{output}'", "it is the input", "choose another name with -o")
    return Destination(path.suffix, file=path)


def name_results(journal: Journal, destination: Destination, recognise: bool) -> None:
    """Give the planned pictures that have none yet the files of their results.

    No result has the name of an input, nor that of another result in any letter case: later ones get ``-2``, ``-3`` ...
    behind it; who comes first has the plain name, whatever numbers the others get.

    recognise: whether results that are there already are found by the mark in them (``pictures.origin``), under
    whatever number; a file that is marked as another picture's result then keeps its name.
    """
    names = _Names(journal, recognise)
    names.check_new()
    if destination.file is not None:
        names.give(names.the_only)
        return
    if recognise:
        names.give(names.own_result)
    names.give(lambda task: task.output if names.is_free(task.output) else None)
    names.give(names.numbered)


class _Names:
    """Which names are free."""

    def __init__(self, journal: Journal, recognise: bool) -> None:
        self._journal, self._recognise = journal, recognise
        self._numbers: dict[bytes, Iterator[int]] = {}

    def give(self, name: Callable[[Task], Place | None]) -> None:
        """To each picture without one the name that ``name`` finds for it, where it does."""
        for tasks in self._journal.unnamed():
            with self._journal.changing():
                for task in tasks:
                    if (path := name(task)) is not None:
                        self._journal.name_result(task.number, path, _folded(path))

    def check_new(self) -> None:
        """Raises RequestError where a picture that has joined the plan is what another's result is to replace."""
        for tasks in self._journal.unnamed():
            for task in tasks:
                if self._journal.plans_to_write(_folded(task.source)):
                    raise RequestError(
                        f"'{task.source}' cannot join the plan",
                        "a result is to be written there",
                        "begin another journal",
                    )

    def the_only(self, task: Task) -> Place:
        """The file that was named for the result. Raises RequestError where it is another's."""
        if self._is_taken(task.output):
            what = f"cannot write '{task.output}' for '{task.source}'"
            raise RequestError(what, "it is the result of another picture", "name a folder with -o")
        return task.output

    def is_free(self, path: Place) -> bool:
        """Whether the name is neither another result's, nor an input's, nor (where results are recognised) marked."""
        if self._is_taken(path) or self._is_input(path):
            return False
        return not self._recognise or isinstance(path, Address) or origin_of(path) is None

    def numbered(self, task: Task) -> Place:
        numbers = self._numbers.setdefault(_folded(task.output), count(2))
        return next(filter(self.is_free, (_numbered(task.output, number) for number in numbers)))

    def own_result(self, task: Task) -> Place | None:
        """The file that is marked as this source's result, under the name that it wants or a numbered one."""
        wanted, source = task.output, task.source
        if isinstance(wanted, Address) or isinstance(source, Address):
            return None
        digits = fingerprint(source) if os.path.lexists(wanted) else None
        path = wanted
        for number in count(2):
            if digits is None or not os.path.lexists(path):
                return None
            if not self._is_taken(path) and origin_of(path) == digits:
                return path
            path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
        return None

    def _is_taken(self, path: Place) -> bool:
        return self._journal.has("taken", [_folded(path)])

    def _is_input(self, path: Place) -> bool:
        if isinstance(path, Address):
            return self._journal.has("place", [place_of(path)])
        return self._journal.has("identity", identities(path))


def _numbered(path: Place, number: int) -> Place:
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


def place_of(path: Place) -> bytes:
    """The same bytes for the same name in the same folder; a link is another name than the file behind it."""
    if isinstance(path, Address):
        return hashed(str(path))
    folder, name = os.path.split(os.path.abspath(path))
    return hashed(os.path.join(real(folder), os.path.normcase(name)))


def identities(path: Place) -> list[bytes]:
    """What marks the file that is there, whatever it is called; empty where there is none."""
    if isinstance(path, Address):
        return []
    try:
        status = path.stat()
    except (OSError, ValueError):
        return []
    # 0: the file system has no numbers
    return [hashed(f"{status.st_dev}:{status.st_ino}") if status.st_ino else place_of(path)]


def real(folder: str | os.PathLike[str]) -> str:
    """The same text for the same folder, however it is reached."""
    return _real(os.path.abspath(folder))


@lru_cache(maxsize=256)
def _real(folder: str) -> str:
    """Asked for every picture of a folder, and each time a look at all that leads there."""
    return os.path.normcase(os.path.realpath(folder))


def _below(folder: Place, root: Place | None) -> str:
    """What leads from the folder that was asked for to this one."""
    if root is None:
        return ""
    if isinstance(folder, Address) or isinstance(root, Address):
        inner = str(folder)[len(str(root)) :].strip("/")
        return "/".join(_plain(name) for name in inner.split("/") if name)
    return folder.relative_to(root).as_posix()


def _plain(name: str) -> str:
    """A part of an object's key as a name that leads nowhere else, on any system."""
    plain = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", name).rstrip(". ")
    return plain or "_"


def _folded(path: Place) -> bytes:
    """The same for names that some file system takes for one."""
    text = str(path) if isinstance(path, Address) else os.path.abspath(path)
    return hashed(text if isinstance(path, Address) else unicodedata.normalize("NFC", text).casefold())


def _is_same_folder(one: Place, other: Place) -> bool:
    if isinstance(one, Address) or isinstance(other, Address):
        return one == other
    return real(one) == real(other)


def _is_folder(path: Place) -> bool:
    return is_folder(path) if isinstance(path, Address) else path.is_dir()


def _is_same_file(one: Place, other: Place) -> bool:
    if isinstance(one, Address) or isinstance(other, Address):
        return one == other
    return bool(set(identities(one)) & set(identities(other)))
