"""A model of the catalogue into a folder: whole and checked by size and SHA-256, or not at all; it can be resumed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import Cancelled, DownloadError, ModelError, NoNetworkError, StorageError
from ..models.card import file_sha256
from ..models.entry import entry_of
from ..progress import NO_PROGRESS, Progress
from .catalogue import Entry, safe_file_name
from .part_file import PartFile, locked, stored
from .transfer import FAILURES, Opener, content_range, has_network, in_words, open_https, request_for

__all__ = ["download", "has_network", "offline_reason"]

OFFLINE_VARIABLES = ("TRUESCALE_OFFLINE", "HF_HUB_OFFLINE")
"""Environment variables by which a user says that the network is not to be used."""

_TIMEOUT = 20.0  # seconds for a connection, and for each wait for more bytes
_BLOCK = 1 << 16  # bytes
_RESUMES = 5  # times that a connection may be lost before one gives up, if something came each time

_Report = Callable[[int], None]
"""Takes how many bytes there are; raises Cancelled."""


class _CutShortError(Exception):
    """The connection ended before the file did."""


class _AnewError(Exception):
    """The server does not go on where we stopped."""


def offline_reason(environment: Mapping[str, str] = os.environ) -> str:
    """The variable that forbids the network; "" where none does."""
    said = ((name, environment.get(name, "").strip().lower()) for name in OFFLINE_VARIABLES)
    return next((name for name, value in said if value not in ("", "0", "false", "no", "off")), "")


def download(
    entry: Entry,
    folder: Path,
    progress: Progress = NO_PROGRESS,
    opener: Opener = open_https,
    environment: Mapping[str, str] = os.environ,
) -> Path:
    """The model's file in ``folder``, which is made where it is not there; fetched unless it is there already.

    A file of its name that is another one stays: the new one gets the model's id into its name. A download that is
    stopped or cut off leaves a hidden file to go on from.

    Raises DownloadError, NoNetworkError, StorageError or Cancelled.
    """
    folder = Path(os.path.abspath(folder))
    target = _target(entry, folder)
    if _is_there(entry, target):
        progress.advance(1.0)
        return target
    if not entry.downloadable:
        raise DownloadError(
            f"'{entry.label}' cannot be downloaded from here",
            "no address is known that leads to the file itself",
            f"fetch it by hand from {entry.page} and put it into {folder}",
        )
    if offline_reason(environment):
        raise NoNetworkError(
            f"'{entry.label}' was not downloaded",
            f"the environment variable {offline_reason(environment)} says that the network is not to be used",
            f"fetch it by hand from {entry.page}, or take the variable away",
        )
    _make_folder(folder, entry)
    with locked(folder, target.name):
        if not _is_there(entry, target):  # else another program has just finished it
            _download(entry, target, progress, opener)
    return target


def _make_folder(folder: Path, entry: Entry) -> None:
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"'{entry.label}' was not downloaded", f"'{folder}' is no folder", "choose another place")
    with stored(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _target(entry: Entry, folder: Path) -> Path:
    """Its place: free, or taken by this very file. Raises StorageError."""
    plain = safe_file_name(entry.file, entry.id)
    stem, dot, suffix = plain.rpartition(".")
    for name in (plain, safe_file_name(f"{stem} [{entry.id}]{dot}{suffix}", entry.id)):
        path = folder / name
        if not os.path.lexists(path) or _is_there(entry, path):
            return path
    raise StorageError(
        f"'{entry.label}' was not downloaded", f"other files have its names in {folder}", f"rename '{path.name}'"
    )


def _is_there(entry: Entry, path: Path) -> bool:
    try:
        found = entry_of(path)
        return found.size_bytes == entry.size and file_sha256(found) == entry.sha256
    except ModelError:  # not there, or not to be read
        return False


def _download(entry: Entry, target: Path, progress: Progress, opener: Opener) -> None:
    def report(size: int) -> None:
        if progress.cancelled():
            words = "start it again to go on where it stopped"
            raise Cancelled(f"the download of '{entry.label}' was stopped", "", words)
        progress.advance(size / entry.size, f"{size / 1e6:.1f} of {entry.size / 1e6:.1f} MB")

    part = PartFile(target.parent, target.name, entry.sha256, entry.size)
    try:
        part.recall(report)
        _check_room(entry, part, target.parent)
        _from_any(entry, part, report, opener)
    finally:
        part.close()
        if part.size == 0:
            part.remove()
    part.become(target)


def _check_room(entry: Entry, part: PartFile, folder: Path) -> None:
    with stored(folder):
        free = shutil.disk_usage(folder).free
    needed = entry.size - part.size
    if free < needed:
        raise StorageError(
            f"'{entry.label}' was not downloaded",
            f"it needs {needed / 1e6:.0f} MB, and the disk of {folder} has {free / 1e6:.0f} MB left",
            "make room, or choose another folder",
        )


def _from_any(entry: Entry, part: PartFile, report: _Report, opener: Opener) -> None:
    """Fill the part from the first address that has the file."""
    failed: list[DownloadError] = []
    for url in entry.urls:
        try:
            _from_one(url, entry, part, report, opener)
            return
        except StorageError:
            raise
        except DownloadError as error:
            failed.append(error)
    last = failed[-1]
    if len(failed) == 1:
        raise last
    kind = NoNetworkError if all(isinstance(error, NoNetworkError) for error in failed) else DownloadError
    why = "; ".join(f"{error.what}, {error.why}" for error in failed)
    raise kind(f"'{entry.label}' was not downloaded", why, last.todo)


def _from_one(url: str, entry: Entry, part: PartFile, report: _Report, opener: Opener) -> None:
    """Until the part is the right file. Raises DownloadError."""
    anew, lost = False, 0
    while True:
        resumed = part.size > 0
        before = part.size
        try:
            if part.size < entry.size:
                _receive(url, entry, part, report, opener)
        except _CutShortError as error:
            lost += 1
            if part.size > before and lost <= _RESUMES:
                continue
            raise _stopped_short(url, entry, part, error) from error
        except _AnewError as error:
            part.clear()
            if anew:
                raise _stopped_short(url, entry, part, error) from error
            anew = True
            continue
        if part.is_right:
            return
        part.clear()
        if not resumed or anew:
            raise _other_file(entry, "its checksum is another one")
        anew = True  # the beginning may have been of an older state of the file


def _receive(url: str, entry: Entry, part: PartFile, report: _Report, opener: Opener) -> None:
    """What this one connection gives."""
    try:
        response = opener(_request(url, part), _TIMEOUT)
    except FAILURES as error:
        if getattr(error, "code", None) == 416:  # nothing behind what we have
            raise _AnewError("the server has no more of it") from error
        raise in_words(error, url) from error
    with response:
        _check_answer(response, entry, part)
        part.comes_from(url, response.headers.get("ETag"))
        while part.size < entry.size:
            report(part.size)
            try:
                block = response.read1(min(_BLOCK, entry.size - part.size))
            except FAILURES as error:
                raise _CutShortError(str(error)) from error
            if not block:
                raise _CutShortError("the server ended it")
            part.write(block)
        report(part.size)
        _check_end(response, entry, part)


def _request(url: str, part: PartFile) -> Any:
    if part.size == 0:
        return request_for(url)
    validator = part.validator(url)
    return request_for(url, Range=f"bytes={part.size}-", **({"If_Range": validator} if validator else {}))


def _check_answer(response: Any, entry: Entry, part: PartFile) -> None:
    """Whether these are the bytes that are missing; the part is emptied where all come again."""
    if response.status == 206:
        first, whole = content_range(response.headers.get("Content-Range")) or (-1, None)
        if whole not in (None, entry.size):
            part.clear()
            raise _other_file(entry, f"it has {whole} bytes, not {entry.size}")
        if first != part.size:
            raise _AnewError("the server goes on at another place")
        return
    part.clear()
    announced = response.headers.get("Content-Length")
    if announced is not None and announced != str(entry.size):
        raise _other_file(entry, f"it has {announced} bytes, not {entry.size}")


def _check_end(response: Any, entry: Entry, part: PartFile) -> None:
    """Nothing may follow."""
    try:
        more = response.read1(1)
    except FAILURES:  # all that was announced is there
        return
    if more:
        part.clear()
        raise _other_file(entry, "it is larger")


def _other_file(entry: Entry, why: str) -> DownloadError:
    return DownloadError(
        f"'{entry.label}' was not kept",
        f"the file at the address has changed, or was damaged on its way: {why}",
        f"try again later, or look at {entry.page}",
    )


def _stopped_short(url: str, entry: Entry, part: PartFile, error: Exception) -> DownloadError:
    reason = in_words(error.__cause__, url).why if isinstance(error.__cause__, FAILURES) else str(error)
    return DownloadError(
        f"the download of '{entry.label}' was cut off after {part.size / 1e6:.1f} of {entry.size / 1e6:.1f} MB",
        reason,
        "start it again to go on from there",
    )
