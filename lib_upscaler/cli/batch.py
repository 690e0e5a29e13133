"""One picture file after the other through an upscaler: errors told apart, each result stated."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from PIL import Image

from ..animation import carries
from ..errors import (
    Cancelled,
    DeviceError,
    MemoryLimitError,
    ModelError,
    PictureReadError,
    PictureWriteError,
    RequestError,
    SizeError,
    TrueScaleError,
)
from ..geometry import Size
from ..models.entry import SUFFIXES
from ..pictures import exrs
from ..pictures.alpha import NEARLY_OPAQUE, is_nearly_opaque
from ..pictures.formats import EXR, OutputFormat, check_format, is_picture_path, output_format
from ..pictures.frames.kinds import kind_of_frames
from ..pictures.frames.source import read_frames
from ..pictures.origin import fingerprint, is_anothers
from ..pictures.pixels import Pixels
from ..pictures.reading import read_picture
from ..pictures.writing import write_picture
from ..pipeline import Plan, Upscaler
from ..request import UpscaleReport, UpscaleRequest
from ..running.limits import is_out_of_memory
from ..running.peak import PeakMeter, resident_bytes
from .files import ANOTHERS, Task
from .fitting import check_memory, in_depth_of
from .frames import frames_written
from .leftovers import remove_leftovers
from .stopping import CANCELLED, FAILED, StopRequest, exit_code

__all__ = ["BatchListener", "BatchOptions", "Outcome", "Record", "in_words", "run_batch"]

_REPORT_FIELDS = (
    *("input_size", "output_size", "frames", "models", "strategy", "tiles", "margin", "seam_error"),
    *("precision", "precision_db", "device", "bits"),
)
_VERIFY_FIELDS = ("verify_max", "verify_mean")


Existing = Literal["refuse", "skip", "overwrite"]


@dataclass(frozen=True)
class BatchOptions:
    """How results are written.

    quality: 1 to 100, for formats that take one. existing: what to do about a file that is there already: "refuse",
    "skip" or "overwrite". report: a file that gets a line of JSON for each picture. all_frames: of an animation, and
    all pages, where the format of the result holds them; else the first alone.
    """

    quality: int | None = None
    existing: Existing = "refuse"
    report: Path | None = None
    all_frames: bool = True


@dataclass(frozen=True)
class Record:
    """What was done with one picture.

    seconds: from read to written, without loading models. load_seconds: of the models loaded for this picture.
    peak_bytes: memory taken above what was taken with the models loaded; decoding and encoding included.
    """

    task: Task
    report: UpscaleReport
    seconds: float
    load_seconds: float
    peak_bytes: int
    warnings: tuple[str, ...]

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


class BatchListener(Protocol):
    """Who is told how the batch goes on."""

    def started(self, task: Task, number: int, count: int) -> None:
        """Work on picture ``number`` of ``count`` begins."""

    def advanced(self, fraction: float, note: str) -> None:
        """``fraction`` of the picture is done, 0 to 1."""

    def finished(self, record: Record) -> None:
        """The picture is written."""

    def skipped(self, task: Task) -> None:
        """Its result was there already."""

    def failed(self, task: Task, error: Exception) -> None:
        """Nothing was written for this picture."""

    def stopped(self, error: TrueScaleError) -> None:
        """No picture can be worked on any more."""

    def warned(self, text: str) -> None:
        """Something that concerns no picture in particular."""


@dataclass
class Outcome:
    """Numbers of pictures, and what ended the batch early."""

    finished: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: bool = False
    error: TrueScaleError | None = None
    report_failed: bool = False

    @property
    def exit_code(self) -> int:
        if self.cancelled:
            return CANCELLED
        if self.error is not None:
            return exit_code(self.error)
        return FAILED if self.failed or self.report_failed else 0


def run_batch(
    upscaler: Upscaler,
    request: UpscaleRequest,
    tasks: Sequence[Task],
    listener: BatchListener,
    options: BatchOptions,
    stop: StopRequest,
) -> Outcome:
    """Upscale the pictures one after the other; models are loaded when the first one needs them.

    A picture that fails is told to the listener and the next one follows; a model, a device or a setting that fails
    ends the batch. Raises RequestError, before any work, where the report cannot be written.
    """
    if options.report is not None:
        _check_report(options.report, tasks)
    batch = _Batch(upscaler, request, listener, options, stop)
    batch.there_before = {task.output for task in tasks if os.path.lexists(task.output)}
    folders = [task.output.parent for task in tasks]
    remove_leftovers(folders)
    try:
        for number, task in enumerate(tasks, 1):
            listener.started(task, number, len(tasks))
            batch.work_on(task)
            if stop.requested and number < len(tasks):
                raise Cancelled
    except (Cancelled, KeyboardInterrupt):
        batch.outcome.cancelled = True
    except (ModelError, DeviceError, RequestError) as error:
        batch.outcome.error = error
        listener.stopped(error)
    remove_leftovers(folders)  # of a run that was killed just before this one, too: by now they are old
    return batch.outcome


class _Batch:
    """What lasts from picture to picture."""

    def __init__(
        self,
        upscaler: Upscaler,
        request: UpscaleRequest,
        listener: BatchListener,
        options: BatchOptions,
        stop: StopRequest,
    ) -> None:
        self.upscaler, self.request = upscaler, request
        self.listener, self.options, self.stop = listener, options, stop
        self.outcome = Outcome()
        self.is_loaded = False
        self.load_seconds = 0.0
        self.resting = 0
        self.there_before: set[Path] = set()  # results; others have come from another run on the same pictures

    def work_on(self, task: Task) -> None:
        """One picture. Raises Cancelled, ModelError, DeviceError, and RequestError unless it is a SizeError."""
        try:
            if self._is_done(task):
                self._skipped(task)
                return
            self._load()
            with self.stop.gently():
                record = self._upscaled(task)
        except Cancelled:
            raise
        except Exception as error:
            # One bad picture must not cost the others, whatever a decoder or a network raises on it.
            if self._was_done_meanwhile(task, error):
                self._skipped(task)
                return
            cause = _named(error)
            ends_all = isinstance(cause, (ModelError, DeviceError, RequestError)) and not isinstance(cause, SizeError)
            if not (ends_all and not self.is_loaded):  # else the models did not load, which is no fault of the picture
                self._failed(task, cause, tell=not ends_all)
            if ends_all:
                raise
            return
        self.outcome.finished += 1
        self.listener.finished(record)
        self._report(record.to_json())

    def _skipped(self, task: Task) -> None:
        self.outcome.skipped += 1
        self.listener.skipped(task)

    def _was_done_meanwhile(self, task: Task, error: Exception) -> bool:
        """Whether another run on the same pictures has written this result while we were about to."""
        may_be_another_s = self.options.existing != "overwrite" and task.output not in self.there_before
        return isinstance(error, PictureWriteError) and may_be_another_s and task.output.is_file()

    def _failed(self, task: Task, error: Exception, tell: bool) -> None:
        self.outcome.failed += 1
        if tell:
            self.listener.failed(task, error)
        self._report({"input": str(task.source), "output": None, "error": in_words(error)})

    def _is_done(self, task: Task) -> bool:
        """Whether the result is to be skipped. Raises PictureReadError or PictureWriteError for what cannot work."""
        if not os.path.lexists(task.source):
            raise PictureReadError(f"cannot read '{task.source}'", "there is no such file", "check the name")
        if _exists(task.output):
            what = f"cannot write '{task.output}'"
            if task.output.is_dir():
                raise PictureWriteError(what, "there is a folder of that name", "choose another name")
            if self.options.existing == "refuse" and task.output in self.there_before:
                raise PictureWriteError(what, "it exists", "use --overwrite or --skip-existing")
            if self.options.existing == "skip" and is_anothers(task.output, task.source):
                raise PictureWriteError(what, *ANOTHERS)
            return self.options.existing != "overwrite"
        _check_folder(task.output)
        return False

    def _load(self) -> None:
        if not self.is_loaded:
            started = time.perf_counter()
            self.upscaler.load(self.request)
            self.is_loaded, self.load_seconds = True, time.perf_counter() - started
            self.resting = resident_bytes()

    def _upscaled(self, task: Task) -> Record:
        started = time.perf_counter()
        with PeakMeter(self.upscaler.device, self.resting) as meter:
            report, warnings = self._written(task)
        # Loaded within the picture: only where a model's file has changed meanwhile.
        seconds = time.perf_counter() - started - report.load_seconds
        loading, self.load_seconds = self.load_seconds + report.load_seconds, 0.0
        peak = max(meter.bytes, report.peak_bytes)
        return Record(task, report, round(seconds, 3), round(loading, 3), peak, warnings)

    def _written(self, task: Task) -> tuple[UpscaleReport, tuple[str, ...]]:
        """Read, upscale and write one picture, or all of its frames; what was done, and all warnings."""
        target = output_format(task.output)
        kind = kind_of_frames(task.source) if self.options.all_frames else None
        if kind is not None and carries(target, kind) and (frames := read_frames(task.source)):
            _make_folder(task.output)
            progress, overwrite = _PictureProgress(self.listener, self.stop), self.options.existing == "overwrite"
            return frames_written(
                self.upscaler, self.request, task, frames, progress, self.options.quality, overwrite=overwrite
            )
        source = read_picture(task.source)
        image, notes = source.image, list(source.warnings)
        metadata = replace(source.metadata, origin=fingerprint(task.source))
        plan = self._planned(image, task, target, notes)
        del source
        progress = _PictureProgress(self.listener, self.stop)
        result = self.upscaler.upscale(image, plan.request, progress, plan)
        del image  # what is encoded now needs the room
        notes += result.report.warnings
        _make_folder(task.output)
        quality = self.options.quality if target.quality else None
        overwrite = self.options.existing == "overwrite"
        notes += write_picture(result.pixels, task.output, metadata, quality=quality, overwrite=overwrite)
        return result.report, tuple(dict.fromkeys(notes))

    def _planned(self, image: Image.Image | Pixels, task: Task, target: OutputFormat, notes: list[str]) -> Plan:
        """The plan, with what the format of the result asks for. Raises SizeError before any work."""
        request = self.request
        source_bits = image.bits if isinstance(image, Pixels) else 8
        may_have_alpha = image.mode.endswith("A") or (not isinstance(image, Pixels) and "transparency" in image.info)
        keeps_alpha = may_have_alpha and target.alpha and request.alpha != "drop"
        if may_have_alpha and not target.alpha and request.alpha != "drop":
            if _is_transparent(image):
                notes.append(f"{target.name} stores no transparency; the picture was put on white")
            request = replace(request, alpha="drop")
        request, note = in_depth_of(request, target, source_bits)
        notes += [note] if note else []
        folder = existing_folder(task.output)
        plan = self.upscaler.plan(Size(*image.size), request, source_bits, folder)
        check_memory(plan, target)
        if target is EXR:
            exrs.check_writer()
        check_format(plan.output, target.name, (1 if image.mode in ("1", "L", "LA") else 3) + keeps_alpha)
        return plan

    def _report(self, line: dict[str, Any]) -> None:
        """Append a line to the report. Its failure is told once, and costs no picture."""
        if self.options.report is None or self.outcome.report_failed:
            return
        try:
            # A name that is not Unicode is kept as JSON's own escape.
            with self.options.report.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:
            self.outcome.report_failed = True
            self.listener.warned(f"the report '{self.options.report}' cannot be written on ({error})")


@dataclass
class _PictureProgress:
    """What the pipeline sees of the listener."""

    listener: BatchListener
    stop: StopRequest

    def advance(self, fraction: float, note: str = "") -> None:
        self.listener.advanced(fraction, note)

    def cancelled(self) -> bool:
        return self.stop.requested


def in_words(error: Exception) -> str:
    """The error for a user: our own in its words, any other with its class."""
    if isinstance(error, TrueScaleError):
        return str(error)
    return f"unexpected error, {type(error).__name__}: {error}".rstrip(": ")


def _named(error: Exception) -> Exception:
    """Memory that ran out, in whichever words, as our own error."""
    if isinstance(error, TrueScaleError) or not is_out_of_memory(error):
        return error
    return MemoryLimitError(
        "the picture was not upscaled", "memory ran out", "allow less with --memory, or close other programs"
    )


def _is_transparent(image: Image.Image | Pixels) -> bool:
    """Whether any pixel shows what is behind it, as an eye can tell; a transparent colour is taken to be used."""
    if isinstance(image, Pixels):
        return image.alpha is not None and not is_nearly_opaque(image.alpha)
    return not image.mode.endswith("A") or image.getextrema()[-1][0] < NEARLY_OPAQUE


def _exists(path: Path) -> bool:
    """Also for broken links. Raises PictureWriteError where there can be no such file."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise PictureWriteError(f"cannot write '{path}'", why, "choose another name or folder") from error
    return True


def _check_folder(output: Path) -> None:
    """Before any work: whether the file's folder is there or can be made. Raises PictureWriteError."""
    folder = existing_folder(output)
    if folder is None:  # a drive that is not there
        raise PictureWriteError(f"cannot write '{output}'", "there is no such place", "choose another folder")
    if not folder.is_dir():
        raise PictureWriteError(f"cannot write '{output}'", f"'{folder}' is no folder", "choose another folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PictureWriteError(f"cannot write '{output}'", f"no writing into '{folder}'", "choose another folder")
    _exists(folder / output.name)  # a name that is too long is told by any folder


def existing_folder(output: Path) -> Path | None:
    """The folder of the file, or the closest one above it that is there; None for a drive that is not."""
    return next((parent for parent in Path(os.path.abspath(output)).parents if os.path.lexists(parent)), None)


def _make_folder(output: Path) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"the folder cannot be made: {error.strerror or error}"
        raise PictureWriteError(f"cannot write '{output}'", why, "choose another folder") from error


def _check_report(report: Path, tasks: Sequence[Task]) -> None:
    """Before any work: whether the report can be written; it is not made yet. Raises RequestError."""
    what = f"cannot write the report '{report}'"
    path = os.path.realpath(report)
    pictures = (os.path.realpath(file) for task in tasks for file in (task.source, task.output))
    if is_picture_path(report) or report.name.lower().endswith(SUFFIXES) or path in pictures:
        raise RequestError(what, "that is the name of a picture or a model", "choose one such as report.jsonl")
    folder = Path(path).parent
    try:
        if report.exists():
            report.open("a").close()
        elif not folder.is_dir():
            raise RequestError(what, f"there is no folder '{folder}'", "create it first")
        elif not os.access(folder, os.W_OK | os.X_OK):
            raise RequestError(what, f"no writing into '{folder}'", "choose another place with --report")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise RequestError(what, why, "choose another place with --report") from error
