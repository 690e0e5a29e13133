"""One picture to upscale, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

from ..errors import TrueScaleError
from ..request import UpscaleReport
from .addresses import Place

__all__ = ["Copied", "Done", "Failed", "Record", "Result", "Skipped", "Task", "in_words", "reason_of"]

_REPORT_FIELDS = (
    *("input_size", "output_size", "frames", "models", "strategy", "tiles", "margin", "seam_error"),
    *("precision", "precision_db", "device", "bits"),
)
_VERIFY_FIELDS = ("verify_max", "verify_mean")


@dataclass(frozen=True)
class Task:
    """One picture to read, and the file to write.

    number: its place in the plan, from 1. bytes: of the source's file, 0 where that is not known. there_before: whether
    the result was there when the run began. named: source and output as the user named them, where these are others.
    again: whether a worker was lost with it, which may have written the result and told nobody.
    """

    source: Place
    output: Place
    number: int = 0
    bytes: int = 0
    there_before: bool | None = None
    named: tuple[Place, Place] | None = None
    again: bool = False


@dataclass(frozen=True)
class Record:
    """What was done with one picture.

    seconds: from read to written, without loading models and without waiting for a turn. load_seconds: of the models
    loaded for this picture. peak_bytes: memory taken above what was taken with the models loaded; decoding and encoding
    included, of neighbours that were in work meanwhile as well. size, digest: of the written file, its bytes and its
    SHA-256 (where a journal keeps them; else 0 and "").
    """

    task: Task
    report: UpscaleReport
    seconds: float
    load_seconds: float
    peak_bytes: int
    warnings: tuple[str, ...]
    size: int = 0
    digest: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values that JSON can hold; ``verify_max`` and ``verify_mean`` only where the result was verified."""
        plain = self.report.to_json()
        verified = _VERIFY_FIELDS if self.report.verify_max is not None else ()
        return {
            "input": str(self.task.source),
            "output": str(self.task.output),
            **{name: plain[name] for name in _REPORT_FIELDS},
            "seconds": self.seconds,
            "load_seconds": self.load_seconds,
            "peak_bytes": self.peak_bytes,
            "warnings": list(self.warnings),
            **{name: plain[name] for name in verified},
        }


@dataclass(frozen=True)
class Done:
    """The picture is written."""

    record: Record

    @property
    def task(self) -> Task:
        return self.record.task


@dataclass(frozen=True)
class Skipped:
    """Its result was there already. is_ours: known to be this picture's, by the mark in it; size, digest: of it."""

    task: Task
    is_ours: bool = False
    size: int = 0
    digest: str = ""


@dataclass(frozen=True)
class Failed:
    """Nothing was written.

    ends_all: what would fail for every picture: a model, the device, a setting. counts: whether it is this picture's
    failure as well; a model that does not load is not.
    """

    task: Task
    error: Exception
    ends_all: bool = False
    counts: bool = True


@dataclass(frozen=True)
class Copied:
    """Its bytes are those of another picture, whose result was copied. size, digest: of it."""

    task: Task
    of: Task
    size: int = 0
    digest: str = ""


Result = Union[Done, Copied, Skipped, Failed]


def in_words(error: Exception) -> str:
    """The error for a user: our own in its words, any other with its class."""
    if isinstance(error, TrueScaleError):
        return str(error)
    return f"unexpected error, {type(error).__name__}: {error}".rstrip(": ")


def reason_of(error: Exception) -> str:
    """What pictures that failed alike have in common, without their names."""
    if isinstance(error, TrueScaleError):
        return error.why or error.what
    return f"unexpected error, {type(error).__name__}"
