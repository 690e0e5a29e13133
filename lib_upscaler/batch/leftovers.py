"""What a killed run has left beside its results: hidden, unfinished files, which nobody else would ever remove."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

__all__ = ["may_be_writing", "remove_leftovers"]

_UNFINISHED = re.compile(r"\.truescale-(\d{1,10})-[0-9a-f]{8}\.tmp")
"""As ``pictures.writing`` calls them, by the process that writes."""

_UNTOUCHED = 60.0
"""Seconds without a change. The process may be another machine's, or in another container, and not be seen from here;
but who writes a picture writes on it all the time."""


def remove_leftovers(folders: Iterable[Path], ended: frozenset[int] = frozenset()) -> int:
    """Remove the unfinished files in these folders whose writer is no more; how many. Never fails.

    ended: numbers of processes of this machine that are known to have written here and to be at their end.
    """
    removed = 0
    for folder in dict.fromkeys(folders):
        try:
            with os.scandir(folder) as entries:
                found = [entry for entry in entries if _UNFINISHED.fullmatch(entry.name)]
        except OSError:  # not there yet, or not to be read
            continue
        for entry in found:
            with contextlib.suppress(OSError):
                if _is_left(entry, ended):
                    os.unlink(entry.path)
                    removed += 1
    return removed


def _is_left(entry: os.DirEntry, ended: frozenset[int]) -> bool:
    """Raises OSError where it has gone meanwhile."""
    status = entry.stat(follow_symlinks=False)
    match = _UNFINISHED.fullmatch(entry.name)
    if match is None or not stat.S_ISREG(status.st_mode):
        return False
    process = int(match.group(1))
    if time.time() - status.st_mtime < _UNTOUCHED and process not in ended:
        return False
    return not may_be_writing(process, status.st_mtime)


def may_be_writing(process: int, changed: float) -> bool:
    """Whether there is a process of that number that is old enough to have written then: numbers come again."""
    try:
        return psutil.Process(process).create_time() <= changed + 1
    except (psutil.NoSuchProcess, OverflowError, ValueError):
        return False
    except psutil.Error:  # there is one, and it does not tell
        return True
