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

__all__ = ["remove_leftovers"]

_UNFINISHED = re.compile(r"\.truescale-(\d{1,10})-[0-9a-f]{8}\.tmp")
"""As ``pictures.writing`` calls them, by the process that writes."""

_UNTOUCHED = 60.0
"""Seconds without a change. The process may be another machine's, or in another container, and not be seen from here;
but who writes a picture writes on it all the time."""


def remove_leftovers(folders: Iterable[Path]) -> int:
    """Remove the unfinished files in these folders whose writer is no more; how many. Never fails."""
    removed = 0
    for folder in dict.fromkeys(folders):
        try:
            with os.scandir(folder) as entries:
                found = [entry for entry in entries if _UNFINISHED.fullmatch(entry.name)]
        except OSError:  # not there yet, or not to be read
            continue
        for entry in found:
            with contextlib.suppress(OSError):
                if _is_left(entry):
                    os.unlink(entry.path)
                    removed += 1
    return removed


def _is_left(entry: os.DirEntry) -> bool:
    """Raises OSError where it has gone meanwhile."""
    status = entry.stat(follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode) or time.time() - status.st_mtime < _UNTOUCHED:
        return False
    match = _UNFINISHED.fullmatch(entry.name)
    return match is not None and not _may_be_writing(int(match.group(1)), status.st_mtime)


def _may_be_writing(process: int, changed: float) -> bool:
    """Whether there is a process of that number that is old enough to have written then: numbers come again."""
    try:
        return psutil.Process(process).create_time() <= changed + 1
    except (psutil.NoSuchProcess, OverflowError, ValueError):
        return False
    except psutil.Error:  # there is one, and it does not tell
        return True
