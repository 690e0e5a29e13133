"""What becomes of a picture whose upscaling failed or was stopped, by who asked for it.

    Hires Fix            a Lanczos picture, a warning, a note in the infotext: the first pass must not be lost
    Extras, one picture  an error, with a status code for the API
    Extras, several      the picture is left out, a warning; the others go on; all missing ones are named at the end
    others               an error

A model, a device or a package that fails would fail for every picture of a batch: it ends the batch.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from PIL import Image

from ...errors import Cancelled, DeviceError, MemoryLimitError, ModelError, ModelNotFoundError, TrueScaleError
from .. import host
from ..host.batch import problem_of
from ..host.callers import Caller
from ..host.lives import SCRIPTS
from . import cache

__all__ = [
    "HIRES_NOTE",
    "answer",
    "as_error",
    "batch_begins",
    "batch_ends",
    "drop_notes",
    "note_picture",
    "status_code",
]

HIRES_NOTE = "TrueScale"
"""Key in the infotext."""


def status_code(error: TrueScaleError) -> int:
    """HTTP's number for it."""
    kinds = ((ModelNotFoundError, 404), (Cancelled, 409), (MemoryLimitError, 413))
    return next((code for kind, code in kinds if isinstance(error, kind)), 422)


def as_error(error: Exception, name: str) -> TrueScaleError:
    """Any exception of the upscaler ``name`` as one in words, with what the host's API reads of it."""
    if isinstance(error, ImportError):
        cause, todo = f"a package is missing or damaged ({error})", "restart the WebUI with the network up"
        error = ModelError(f"'{name}' cannot run", cause, todo)
    elif not isinstance(error, TrueScaleError):
        host.log.error("TrueScale: unexpected error with '%s'", name, exc_info=error)
        error = TrueScaleError(f"'{name}' failed", f"{type(error).__name__}: {error}", "the console has the details")
    error.status_code, error.detail = status_code(error), str(error)
    return error


def answer(error: TrueScaleError, caller: Caller, image: Image.Image, scale: float, name: str) -> Image.Image:
    """A picture in place of the one that failed, or the error raised.

    image: what was to be enlarged by ``scale``. name: of the upscaler.
    """
    stopped = isinstance(error, Cancelled)
    if caller.kind == "hires":
        return _lanczos_instead(error, caller, image, scale, name)
    if caller.kind == "extras" and stopped:
        host.state().skipped = True  # else the host would save what it has
    if caller.kind != "batch" or (isinstance(error, (ModelError, DeviceError)) and not stopped):
        # Hosts print the way to an error in full; that through our code and torch would bury the words.
        raise error.with_traceback(None) from None
    host.state().skipped = True
    if not stopped:
        SCRIPTS.of(_Batch).miss(caller.position, caller.picture, str(error))
    # The host mixes and crops it before it looks at ``skipped``.
    return cache.never_keep(_enlarged(image, scale, Image.NEAREST))


# -- batches -----------------------------------------------------------------------------------------------------------


class _Batch:
    """The batch of the Extras that is under way; the host runs one at a time.

    missing: position -> name. number: tells it from another one. position: of the last picture that came to us.
    last: position of the last picture that can be read, 0 where that was not looked for yet.
    """

    def __init__(self) -> None:
        self.missing: dict[int, str] = {}
        self.number = self.position = self.last = 0

    def reach(self, caller: Caller) -> None:
        """Those between this picture and the last one could not be read by the host, which says nothing."""
        if caller.batch != self.number or caller.position < self.position:
            self.missing.clear()
            self.number, self.position, self.last = caller.batch, 0, 0
        self.miss_unread(caller, range(self.position + 1, caller.position))
        self.position = caller.position

    def miss_unread(self, caller: Caller, positions: range) -> None:
        for position in positions:
            picture, name = caller.pictures[position - 1]
            self.miss(position, str(name or ""), problem_of(picture) or "the WebUI cannot read it")

    def miss(self, position: int, name: str, reason: str) -> None:
        if position not in self.missing:
            self.missing[position] = Path(name).name or f"picture {position}"
            host.warn(f"{self.missing[position]} is left out: {reason}")

    def is_at_end(self, caller: Caller) -> bool:
        """Looked for from the end, and once: to look at what comes next would decode each picture of a folder twice."""
        if not self.last:
            later = range(len(caller.pictures), caller.position, -1)
            self.last = next((one for one in later if not problem_of(caller.pictures[one - 1][0])), caller.position)
        return caller.position >= self.last

    def end(self, caller: Caller) -> None:
        """Tell which ones are missing."""
        self.miss_unread(caller, range(caller.position + 1, len(caller.pictures) + 1))
        if self.missing and len(caller.pictures) > 1:
            verb = "is" if len(self.missing) == 1 else "are"
            names = ", ".join(self.missing.values())
            host.warn(f"{len(self.missing)} of {len(caller.pictures)} pictures {verb} missing: {names}")
        self.missing.clear()


def batch_begins(caller: Caller) -> None:
    """Before a picture."""
    if caller.kind == "batch":
        SCRIPTS.of(_Batch).reach(caller)


def batch_ends(caller: Caller) -> None:
    """After a picture; the batch has ended with the last one that can be read."""
    if caller.kind == "batch" and SCRIPTS.of(_Batch).is_at_end(caller):
        SCRIPTS.of(_Batch).end(caller)


# -- Hires Fix ---------------------------------------------------------------------------------------------------------


def _lanczos_instead(error: TrueScaleError, caller: Caller, image: Image.Image, scale: float, name: str) -> Image.Image:
    reason = "interrupted" if isinstance(error, Cancelled) else "failed"
    words = "it was interrupted" if reason == "interrupted" else str(error)
    host.warn(f"Hires Fix took Lanczos instead of '{name}': {words}")
    if caller.processing is not None:
        if hasattr(caller.processing, "comment"):
            caller.processing.comment(f"TrueScale: Lanczos instead of '{name}': {words}")
        note_picture(caller.processing, caller.position, f"Lanczos instead of {name} ({reason})")
    return _enlarged(image.convert("RGB"), scale, Image.LANCZOS)


def note_picture(p: Any, number: int, words: str) -> None:
    """Into the infotext of this one picture. number: of it in its batch, from 1."""
    parameters = dict(p.extra_generation_params)  # a new one: copies of ``p`` (X/Y/Z plot) share it
    if not _takes_one_for_each_picture():
        parameters[HIRES_NOTE] = words
    else:
        known = parameters.get(HIRES_NOTE)
        # The host looks in the list for the place in the batch, whichever batch it is.
        notes = list(known) if isinstance(known, list) else [None] * p.batch_size
        notes += [None] * (number - len(notes))
        notes[max(0, number - 1)] = words
        parameters[HIRES_NOTE] = notes
    p.extra_generation_params = parameters


def drop_notes(p: Any) -> None:
    """Before a batch: what is noted is of the one before."""
    if HIRES_NOTE in p.extra_generation_params:
        p.extra_generation_params = {k: v for k, v in p.extra_generation_params.items() if k != HIRES_NOTE}


def _takes_one_for_each_picture() -> bool:
    """Whether the host's infotext knows lists of values (1.9 and later): its function then asks for the type list."""
    create = getattr(host.module("processing"), "create_infotext", None)
    return "list" in getattr(getattr(create, "__code__", None), "co_names", ())


def _enlarged(image: Image.Image, scale: float, resample: int) -> Image.Image:
    width, height = (max(1, math.floor(side * scale + 0.5)) for side in image.size)
    return image.resize((width, height), resample)
