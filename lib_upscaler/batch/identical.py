"""Identical pictures are done once: found before the work, and their results copied behind it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ..errors import Cancelled, PictureError
from ..pictures.origin import fingerprint, origin_of
from ..pictures.publishing import publishing
from .addresses import Address, Place, bring, is_there, put
from .journal import Journal
from .picture import BatchOptions
from .places import file_digest, make_folder
from .scratch_files import Scratch
from .stopping import StopRequest
from .task import Copied, Result, Skipped, Task

__all__ = ["copy_results", "put_off_identical"]


def put_off_identical(journal: Journal) -> int:
    """Let of planned pictures of the same bytes, with results of the same format, one stand for all; how many wait.

    Only files of one length are read. What cannot be read is left to fail as it would.
    """
    waiting = 0
    with closing(Scratch()) as scratch:
        for task in journal.of_one_length():
            try:
                _, digest = file_digest(_here(task.source, task, scratch))
            except PictureError:
                continue
            finally:
                scratch.done(task)
            waiting += journal.put_off(task, digest, task.output.suffix)
    return waiting


def copy_results(journal: Journal, note: Callable[[Result], None], options: BatchOptions, stop: StopRequest) -> int:
    """Give every picture that was put off the result of the one that was done in its place; how many cannot have it.

    Those are planned to be upscaled themselves: where the other has failed or its result is gone, where either file has
    changed since they were found to be the same, and where something lies under the result's name. Raises Cancelled.
    """
    free = 0
    with closing(Scratch()) as scratch:
        for task, of in journal.copies():
            if stop.requested:
                raise Cancelled
            try:
                result = None if of is None else _copied(task, of, scratch, options)
            except (PictureError, OSError):
                result = None
            finally:
                scratch.done(task)
            if result is None:
                journal.set_free(task)
                free += 1
            else:
                note(result)
    return free


def _copied(task: Task, of: Task, scratch: Scratch, options: BatchOptions) -> Result | None:
    """None where there is nothing that can be copied. Raises PictureError, OSError."""
    digits = fingerprint(_here(task.source, task, scratch))
    result = _here(of.output, of, scratch)
    try:
        if digits is None or origin_of(result) != digits:  # of another picture, or of a format that does not tell
            return None
        overwrite = options.existing == "overwrite"
        if isinstance(task.output, Address):
            if not overwrite and is_there(task.output):
                return None
            put(result, task.output, overwrite)
        else:
            if not overwrite and os.path.lexists(task.output):
                is_ours = not task.there_before and origin_of(task.output) == digits
                return Skipped(task, True, *file_digest(task.output)) if is_ours else None
            make_folder(task.output)
            with result.open("rb") as source, publishing(task.output, overwrite, durable=True) as file:
                shutil.copyfileobj(source, file, 1 << 20)
        return Copied(task, of, *file_digest(result))
    finally:
        scratch.done(of)


def _here(place: Place, task: Task, scratch: Scratch) -> Path:
    """The file on this disk. Raises PictureReadError."""
    return bring(place, scratch.file_for(task, place.name)) if isinstance(place, Address) else place
