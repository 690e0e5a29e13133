"""Identical pictures are done once: found before the work, and their results copied behind it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ..errors import PictureError, PictureReadError, PictureWriteError
from ..pictures.publishing import publishing
from .addresses import Address, Place, bring, put
from .journal import Journal
from .picture import BatchOptions, file_digest, make_folder
from .scratch_files import Scratch
from .task import Copied, Failed, Result, Skipped, Task

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


def copy_results(journal: Journal, note: Callable[[Result], None], options: BatchOptions) -> None:
    """Give every picture that was put off the result of the one that was done in its place."""
    with closing(Scratch()) as scratch:
        for task, of, why in journal.copies():
            if of is None and why is None:
                continue  # it was not done either: cancelled
            try:
                note(_copied(task, of, why, scratch, options))
            except PictureError as error:
                note(Failed(task, error))
            finally:
                scratch.done(task)


def _copied(task: Task, of: Task | None, why: str | None, scratch: Scratch, options: BatchOptions) -> Result:
    """Raises PictureWriteError, PictureReadError."""
    if of is None:
        raise PictureReadError(f"cannot upscale '{task.source}'", f"a picture of the same bytes failed ({why})")
    overwrite = options.existing == "overwrite"
    try:
        result = _here(of.output, of, scratch)
        if isinstance(task.output, Address):
            put(result, task.output, overwrite)
        else:
            make_folder(task.output)
            with publishing(task.output, overwrite, durable=True) as file, result.open("rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)
        return Copied(task, of, *file_digest(result))
    except PictureWriteError as error:
        if isinstance(error.__cause__, FileExistsError) and options.existing == "skip":
            return Skipped(task)
        raise
    finally:
        scratch.done(of)


def _here(place: Place, task: Task, scratch: Scratch) -> Path:
    """The file on this disk. Raises PictureReadError."""
    return bring(place, scratch.folder_for(task) / place.name) if isinstance(place, Address) else place
