"""Which model files there are, and what they are called. No torch."""

from __future__ import annotations

import difflib
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

from ..errors import ModelNotFoundError, UnsupportedModelError
from .entry import SUFFIXES, ModelEntry, entry_of, split_name
from .foreign import is_half_of_ncnn, refuse_foreign_name
from .ldsr.naming import ADDRESS, listed_name
from .ldsr.naming import NAME as LDSR
from .recipe import as_models, stages_of

__all__ = ["SHIPPED_MODEL", "ModelEntry", "ModelLibrary", "entry_of", "shipped_models"]


class ModelLibrary:
    """The model files in some folders and their sub-folders, and those that ship with the program (``builtin``).

    Built-in ones come first, then the folders in the order given, each in case-insensitive order, its own files before
    its sub-folders. Hidden files and folders are left out; links to folders are followed; a file that can be reached
    twice is listed once.

    A name is the file's stem (of ".pth.tar", both suffixes are off); that of a file of LDSR is "LDSR". Of several files
    of one stem, the first has the plain name, and the later ones their folder (and, within one folder, their suffix) in
    brackets behind it. A file keeps its name for as long as it is there and this object lives.

    Safe to use from several threads.
    """

    def __init__(self, folders: Sequence[Path], builtin: Sequence[Path] = ()) -> None:
        self._folders = tuple(Path(os.path.abspath(folder)) for folder in folders)
        self._builtin = tuple(Path(os.path.abspath(file)) for file in builtin)
        self._lock = threading.Lock()
        self._models: tuple[ModelEntry, ...] = ()
        self.refresh()

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where is looked, absolute."""
        return self._folders

    def models(self) -> tuple[ModelEntry, ...]:
        """What the last refresh found."""
        return self._models

    def refresh(self) -> None:
        """Look again. Folders and files that cannot be reached are left out."""
        with self._lock:
            before = {entry.path: entry for entry in self._models}
            found = _unique(chain(_status_of(self._builtin), *(_scan(folder) for folder in self._folders)))
            taken = {before[path].name.casefold(): path for path, _ in found if path in before}
            entries = []
            for path, status in found:
                name = before[path].name if path in before else self._new_name(path, status, taken)
                taken[name.casefold()] = path
                entries.append(ModelEntry(name, path, status.st_size, status.st_mtime_ns))
            self._models = tuple(entries)

    def find(self, name_or_path: str | Path) -> ModelEntry:
        """The model of this name, or of this name in other letter case, or the file of this name or path.

        A path may lead out of the folders. Raises ModelNotFoundError, ModelFileError or UnsupportedModelError.
        """
        wanted = str(name_or_path)
        models = self.models()
        for key in (
            lambda entry: entry.name == wanted,
            lambda entry: entry.name.casefold() == wanted.casefold(),
            lambda entry: entry.path.name == wanted,
        ):
            hits = [entry for entry in models if key(entry)]
            if len(hits) == 1:
                return hits[0]
        path = Path(os.path.abspath(os.path.expanduser(wanted)))
        if wanted and os.path.exists(path):
            return self._file(path)
        raise self._not_found(wanted)

    def find_chain(self, names: str | Path) -> list[ModelEntry]:
        """The models of "A > B", in order; of the name of one, that one; see ``recipe``.

        Raises what ``find`` does, and RequestError.
        """
        return as_models(stages_of(names, self.find))

    def _file(self, path: Path) -> ModelEntry:
        entry = entry_of(path)
        refuse_foreign_name(path)
        if not path.name.lower().endswith(SUFFIXES):
            raise UnsupportedModelError(
                f"cannot use the model '{path.name}'",
                f"models are {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} files",
                "get the model in one of these formats",
            )
        listed = next((known for known in self.models() if _identity(known.path) == _identity(path)), None)
        return replace(entry, name=listed.name) if listed else entry

    def _new_name(self, path: Path, status: os.stat_result, taken: dict[str, Path]) -> str:
        """The first of the possible names that is free. ``taken``: names in lower case, and whose they are."""
        folder, dotted = self._folder_name(path), split_name(path.name)[1]
        stem = listed_name(path, status.st_size, status.st_mtime_ns)
        suffix = dotted[1:].lower()
        holder = taken.get(stem.casefold())
        same_folder = holder is not None and holder.parent == path.parent
        bracketed = [] if same_folder else [f"{stem} [{folder}]"]
        for name in (stem, *bracketed, f"{stem} [{folder}, {suffix}]"):
            if name.casefold() not in taken:
                return name
        numbered = (f"{stem} [{folder}, {suffix}, {number}]" for number in count(2))
        return next(name for name in numbered if name.casefold() not in taken)

    def _folder_name(self, path: Path) -> str:
        """The sub-folder as the user sees it, or the name of the folder itself."""
        for folder in self._folders:
            if folder in path.parents:
                inner = path.parent.relative_to(folder).as_posix()
                return folder.name if inner == "." else inner
        return path.parent.name

    def _not_found(self, wanted: str) -> ModelNotFoundError:
        places = ", ".join(str(folder) for folder in self._folders) or "no folder"
        models = self.models()
        if wanted.casefold() == LDSR.casefold():
            where = f"into {self._folders[0]}" if self._folders else "into a folder of models"
            todo = f"get its model.ckpt (2 GB) from {ADDRESS} and put it {where}; it is not fetched by itself"
            return ModelNotFoundError(f"there is no model '{wanted}'", f"looked in {places}", todo)
        if not models:
            where = f"into {self._folders[0]}" if self._folders else "into a folder and name that folder"
            return ModelNotFoundError(
                f"there is no model '{wanted}'",
                f"no model at all was found in {places}",
                f"put a model file ({', '.join(SUFFIXES)}) {where}",
            )
        names = {entry.name.casefold(): entry.name for entry in models}
        close = [
            names[key]
            for key in difflib.get_close_matches(split_name(Path(wanted).name)[0].casefold(), names, n=3, cutoff=0.5)
        ]
        suggestion = " or ".join(f"'{name}'" for name in close) if close else ", ".join(sorted(names.values())[:10])
        return ModelNotFoundError(
            f"there is no model '{wanted}'",
            f"looked in {places}",
            f"perhaps you mean {suggestion}" if close else f"choose one of: {suggestion}",
        )


_Found = tuple[Path, os.stat_result]


def _identity(path: Path) -> str:
    """The same text for two paths to the same file."""
    return os.path.normcase(os.path.realpath(path))


def _unique(found: Iterator[_Found]) -> list[_Found]:
    """Each file once: by its own path rather than by a link, else by the path that comes first. Order stays."""
    identified = [(_identity(path), path, status) for path, status in found]
    own = {identity for identity, path, _ in identified if identity == os.path.normcase(path)}
    seen: set[str] = set()
    unique: list[_Found] = []
    for identity, path, status in identified:
        is_link_to_listed = identity in own and identity != os.path.normcase(path)
        if identity not in seen and not is_link_to_listed:
            seen.add(identity)
            unique.append((path, status))
    return unique


def _status_of(paths: Sequence[Path]) -> Iterator[_Found]:
    """The ordinary files among ``paths``. Broken links and files that have just gone drop out."""
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            yield path, status


def _scan(folder: Path) -> Iterator[_Found]:
    """The model files in ``folder`` and below, in order of their paths; those of a folder before its sub-folders."""
    visited: set[str] = set()
    files: list[Path] = []
    linked = [folder]
    while linked:  # linked folders last, so that a file shows where it really lies
        waiting = [linked.pop(0)]
        while waiting:
            current = waiting.pop()
            identity = _identity(current)
            if identity in visited:
                continue
            visited.add(identity)
            for entry in _listing(current):
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    (linked if entry.is_symlink() else waiting).append(Path(entry.path))
                elif entry.name.lower().endswith(SUFFIXES) and not is_half_of_ncnn(entry.path):
                    files.append(Path(entry.path))
    return _status_of(sorted(files, key=lambda path: (_folded(path.relative_to(folder)), str(path))))


def _folded(path: Path) -> tuple[list[str], str]:
    """For sorting without regard to letter case."""
    return [part.casefold() for part in path.parent.parts], path.name.casefold()


def _listing(folder: Path) -> list[os.DirEntry]:
    """Sorted. Empty where the folder is not there or may not be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


SHIPPED_MODEL = "TrueScale 4x"
"""Its name in every list."""

_WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


def shipped_models() -> list[Path]:
    """Its file, for ``ModelLibrary(folders, builtin=...)``; empty where somebody has deleted it."""
    return [path for path in (_WEIGHTS / f"{SHIPPED_MODEL}.safetensors",) if path.is_file()]
