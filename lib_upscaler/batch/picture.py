"""One picture through its three stages: read, enlarged, written."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from PIL import Image

from ..animation import carries
from ..errors import (
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
from ..pictures import exrs
from ..pictures.alpha import NEARLY_OPAQUE, is_nearly_opaque
from ..pictures.formats import EXR, OutputFormat, check_format, output_format
from ..pictures.frames.kinds import kind_of_frames
from ..pictures.frames.source import FrameSource, read_frames
from ..pictures.metadata import Metadata
from ..pictures.origin import fingerprint, is_anothers, origin_of
from ..pictures.pixels import Pixels
from ..pictures.reading import SourcePicture, read_header, read_picture
from ..pictures.writing import write_picture
from ..pipeline import Plan, Upscaler
from ..progress import Progress
from ..request import UpscaleReport, UpscaleRequest
from ..running.limits import is_out_of_memory
from ..running.peak import PeakMeter, resident_bytes
from .addresses import Address, bring, is_there, put
from .fitting import check_memory, in_depth_of
from .frames import frames_written
from .naming import ANOTHERS
from .places import check_folder, existing_folder, exists, file_digest, make_folder, may_be_result_of
from .scratch_files import Scratch
from .task import Done, Failed, Record, Result, Skipped, Task

__all__ = ["BatchOptions", "Enlarged", "Existing", "Pictures", "Read"]

Existing = Literal["refuse", "skip", "overwrite"]


@dataclass(frozen=True)
class BatchOptions:
    """How results are written.

    quality: 1 to 100, for formats that take one. existing: what to do about a file that is there already: "refuse",
    "skip" or "overwrite". report: a file that gets a line of JSON for each picture. all_frames: of an animation, and
    all pages, where the format of the result holds them; else the first alone. journalled: whether results are to be on
    the disk before they are told, with their digests. resumed: whether an earlier run may have written some of them.
    """

    quality: int | None = None
    existing: Existing = "refuse"
    report: Path | Address | None = None
    all_frames: bool = True
    journalled: bool = False
    resumed: bool = False


@dataclass
class Read:
    """A picture in memory, or the frames of one that are read as they are used.

    file: of the source, on this disk. metadata: for the result.
    """

    task: Task
    file: Path
    picture: SourcePicture | FrameSource
    metadata: Metadata
    seconds: float
    peak_bytes: int
    bytes_held: int = 0


@dataclass
class Enlarged:
    """A result in memory, to be written; or in ``file`` already, to be given its name elsewhere."""

    task: Task
    pixels: Pixels | None
    metadata: Metadata | None
    report: UpscaleReport
    notes: tuple[str, ...]
    seconds: float
    load_seconds: float
    peak_bytes: int
    file: Path

    @property
    def bytes(self) -> int:
        return 0 if self.pixels is None else bytes_of(self.pixels)


class Pictures:
    """What is done with each picture of one run; ``read`` and ``write`` may run in threads beside ``enlarge``."""

    def __init__(self, upscaler: Upscaler, request: UpscaleRequest, options: BatchOptions, scratch: Scratch) -> None:
        self.upscaler, self.request, self.options = upscaler, request, options
        self.scratch = scratch
        self.is_loaded = False
        self._load_seconds = 0.0
        self._resting = 0

    # -- the stages --------------------------------------------------------------------------------------------------

    def fetched(self, task: Task) -> Path | Skipped:
        """The source on this disk; or that there is nothing to do. Raises PictureReadError, PictureWriteError."""
        if (skipped := self._skipped(task)) is not None:
            return skipped
        if not isinstance(task.source, Address):
            return task.source
        return bring(task.source, self.scratch.file_for(task, task.source.name))

    def bytes_to_read(self, file: Path) -> int:
        """What the pixels of a file will take, roughly, by its header; 0 where that cannot be told."""
        try:
            header = read_header(file)
        except TrueScaleError:  # reading it will say why
            return 0
        return header.size.area * (header.channels + header.alpha) * header.bits // 8

    def read(self, task: Task, file: Path, size: int) -> Read:
        """size: of its pixels in bytes, roughly. Raises PictureReadError, UnsupportedPictureError."""
        with self._measured(_is_large(size)) as took:
            frames = self._frames_of(task, file)
            picture = read_picture(file) if frames is None else frames
            metadata = replace(picture.metadata, origin=fingerprint(file))
        return Read(task, file, picture, metadata, took.seconds, took.bytes)

    def enlarge(self, read: Read, progress: Progress) -> Enlarged:
        """Raises what ``Upscaler.upscale`` does, and PictureWriteError for frames, which are written as they come."""
        self._load()
        file = self._file_to_write(read.task)
        pixels, metadata = None, None
        with self._measured(peak=True, network=True) as took:
            if isinstance(read.picture, FrameSource):
                report, notes = self._frames_written(read, read.picture, file, progress)
            else:
                metadata = read.metadata
                pixels, report, notes = self._upscaled(read, progress)
        seconds = took.seconds - report.load_seconds + read.seconds
        loading, self._load_seconds = self._load_seconds + report.load_seconds, 0.0
        peak = max(took.bytes, report.peak_bytes, read.peak_bytes)
        return Enlarged(read.task, pixels, metadata, report, notes, seconds, loading, peak, file)

    def write(self, done: Enlarged) -> Done:
        """Raises PictureWriteError, RequestError, SizeError."""
        notes, output = [*done.notes], done.task.output
        overwrite = self.options.existing == "overwrite"
        with self._measured(_is_large(done.bytes)) as took:
            if done.pixels is not None and done.metadata is not None:
                make_folder(done.file)
                quality = self.options.quality if output_format(done.file.name).quality else None
                into_scratch = isinstance(output, Address)
                notes += write_picture(
                    done.pixels,
                    done.file,
                    done.metadata,
                    quality=quality,
                    overwrite=overwrite or into_scratch,
                    durable=self.options.journalled and not into_scratch,
                )
                done.pixels = None
            size, digest = file_digest(done.file) if self.options.journalled else (0, "")
            if isinstance(output, Address):
                put(done.file, output, overwrite)
        seconds, peak = round(done.seconds + took.seconds, 3), max(done.peak_bytes, took.bytes)
        warnings = tuple(dict.fromkeys(notes))
        return Done(Record(done.task, done.report, seconds, round(done.load_seconds, 3), peak, warnings, size, digest))

    # -- what goes wrong ---------------------------------------------------------------------------------------------

    def outcome_of(self, task: Task, error: Exception) -> Result:
        """What a picture's error comes to."""
        if self._was_done_meanwhile(task, error):
            if (ours := self._as_ours(task)) is not None:
                return ours
            if not self.options.journalled:
                return Skipped(task)
        cause = _named(error)
        ends_all = isinstance(cause, (ModelError, DeviceError, RequestError)) and not isinstance(cause, SizeError)
        return Failed(task, cause, ends_all, counts=not ends_all or self.is_loaded)

    def _was_done_meanwhile(self, task: Task, error: Exception) -> bool:
        """Whether another run on the same pictures has written this result while we were about to."""
        may_be_another_s = self.options.existing != "overwrite" and not task.there_before
        if not isinstance(error, PictureWriteError) or not may_be_another_s:
            return False
        return isinstance(error.__cause__, FileExistsError) or (isinstance(task.output, Path) and task.output.is_file())

    # -- before the work ---------------------------------------------------------------------------------------------

    def _skipped(self, task: Task) -> Skipped | None:
        """Whether the result is to be skipped. Raises PictureReadError or PictureWriteError for what cannot work."""
        if isinstance(task.source, Path) and not os.path.lexists(task.source):
            raise PictureReadError(f"cannot read '{task.source}'", "there is no such file", "check the name")
        if isinstance(task.output, Address):
            return self._skipped_elsewhere(task, task.output)
        if exists(task.output):
            what = f"cannot write '{task.output}'"
            if task.output.is_dir():
                raise PictureWriteError(what, "there is a folder of that name", "choose another name")
            if (ours := self._as_ours(task)) is not None:
                return ours
            if self.options.journalled and not task.there_before and self.options.existing != "overwrite":
                self._check_half(task.output, what)
                return None
            if self.options.existing == "refuse" and task.there_before:
                todo = "move it away, and go on with --retry-failed" if self.options.journalled else _WAYS
                raise PictureWriteError(what, "it exists", todo)
            source = task.source
            if self.options.existing == "skip" and isinstance(source, Path) and is_anothers(task.output, source):
                raise PictureWriteError(what, *ANOTHERS)
            return None if self.options.existing == "overwrite" else Skipped(task)
        check_folder(task.output)
        return None

    def _check_half(self, output: Path, what: str) -> None:
        """Of a file that has come since the plan was made and is not this picture's result.

        An empty one is a name that a run had taken when it was killed, where files have no second names: it goes.
        Raises PictureWriteError for all others.
        """
        if output.is_file() and not output.is_symlink() and output.stat().st_size == 0:
            output.unlink()
            return
        why = "a file of that name has come, which is no result of this picture as it is now"
        raise PictureWriteError(what, why, "move it away, and go on with --retry-failed")

    def _as_ours(self, task: Task) -> Skipped | None:
        """Where a run with a journal finds a result that has come since it was planned, made of this very source."""
        output = task.output
        if not self.options.journalled or task.there_before or not isinstance(output, Path):
            return None
        try:
            return Skipped(task, True, *file_digest(output)) if may_be_result_of(output, task) else None
        except (PictureReadError, OSError):
            return None

    def _skipped_elsewhere(self, task: Task, output: Address) -> Skipped | None:
        """The same where the result goes to an address."""
        if self.options.existing == "overwrite" or not is_there(output):
            return None
        if self.options.resumed or task.again:
            copy = bring(output, self.scratch.file_for(task, f"there{output.suffix}"))
            source = task.source
            if isinstance(source, Address):
                source = bring(source, self.scratch.file_for(task, source.name))
            if origin_of(copy) == fingerprint(source):
                return Skipped(task, True, *file_digest(copy))
        if self.options.existing == "refuse":
            raise PictureWriteError(f"cannot write '{output}'", "it exists", _WAYS)
        return Skipped(task)

    def _load(self) -> None:
        if not self.is_loaded:
            started = time.perf_counter()
            self.upscaler.load(self.request)
            self.is_loaded, self._load_seconds = True, time.perf_counter() - started
            self._resting = resident_bytes()

    # -- reading, the network ----------------------------------------------------------------------------------------

    def _frames_of(self, task: Task, file: Path) -> FrameSource | None:
        """The frames or pages of a file, where its result holds them."""
        kind = kind_of_frames(file) if self.options.all_frames else None
        if kind is None or not carries(output_format(task.output.name), kind):
            return None
        return read_frames(file) or None

    def _frames_written(
        self, read: Read, frames: FrameSource, file: Path, progress: Progress
    ) -> tuple[UpscaleReport, tuple[str, ...]]:
        make_folder(file)
        overwrite = self.options.existing == "overwrite" or isinstance(read.task.output, Address)
        quality, durable = self.options.quality, self.options.journalled
        return frames_written(
            self.upscaler, self.request, read.file, file, frames, progress, quality, overwrite, durable
        )

    def _upscaled(self, read: Read, progress: Progress) -> tuple[Pixels, UpscaleReport, tuple[str, ...]]:
        assert isinstance(read.picture, SourcePicture)
        image, notes = read.picture.image, list(read.picture.warnings)
        plan = self._planned(image, read.task, output_format(read.task.output.name), notes)
        read.picture = replace(read.picture, image=Image.new("L", (1, 1)))  # the network needs the room
        result = self.upscaler.upscale(image, plan.request, progress, plan)
        return result.pixels, result.report, (*notes, *result.report.warnings)

    def _file_to_write(self, task: Task) -> Path:
        if isinstance(task.output, Address):
            return self.scratch.file_for(task, f"result{task.output.suffix}")
        return task.output

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
        folder = existing_folder(self._file_to_write(task))
        plan = self.upscaler.plan(Size(*image.size), request, source_bits, folder)
        check_memory(plan, target)
        if target is EXR:
            exrs.check_writer()
        check_format(plan.output, target.name, (1 if image.mode in ("1", "L", "LA") else 3) + keeps_alpha)
        return plan

    @contextmanager
    def _measured(self, peak: bool, network: bool = False) -> Iterator[_Took]:
        """How long a stage takes, and, where ``peak``, how much memory. network: whether it uses the device."""
        took, started = _Took(), time.perf_counter()
        if not peak or (self.upscaler.device.type == "cuda" and not network):  # its count is one for all threads
            yield took
        else:
            with PeakMeter(self.upscaler.device, self._resting or None) as meter:
                yield took
            took.bytes = meter.bytes
        took.seconds = time.perf_counter() - started


@dataclass
class _Took:
    seconds: float = 0.0
    bytes: int = 0


_WAYS = "use --overwrite or --skip-existing"

_LARGE = 1 << 24
"""Bytes of pixels from which reading and writing are measured by themselves; of smaller ones the network's time is."""


def _is_large(size: int) -> bool:
    return size >= _LARGE


def bytes_of(image: Image.Image | Pixels) -> int:
    """What the pixels take in memory, in bytes, roughly."""
    if isinstance(image, Pixels):
        return image.color.nbytes + (image.alpha.nbytes if image.alpha is not None else 0)
    return image.width * image.height * len(image.getbands())


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
