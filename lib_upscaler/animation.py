"""An animation, or a file of several pages, through an upscaler: frame by frame into a file of the same kind."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from PIL import Image

from .errors import BrokenModelError, Cancelled, MemoryLimitError, PictureError, RequestError, SizeError
from .geometry import Size
from .pictures.formats import PNG, OutputFormat, check_format, output_format
from .pictures.frames.source import Frame, FrameSource
from .pictures.frames.writing import write_frames
from .pictures.metadata import Metadata
from .pictures.pixels import Pixels
from .progress import NO_PROGRESS, Progress
from .request import UpscaleReport, UpscaleResult

__all__ = ["Enlarging", "carries", "check_frames", "upscale_frames"]


_MOST_BYTES = 2**32 - 2**26
"""Of all pages of a TIFF, not packed: offsets of 32 bits, less what else is in the file."""


class Enlarging(Protocol):
    """What enlarges one picture, such as ``pipeline.Upscaler.upscale`` with its request."""

    def __call__(self, image: Image.Image | Pixels, progress: Progress) -> UpscaleResult:
        """Raises TrueScaleError."""


def carries(target: OutputFormat, kind: OutputFormat) -> bool:
    """Whether a file of the format ``target`` holds all that one of ``kind`` does: frames, or pages as only a TIFF."""
    return target.pages if kind.pages else target.frames


def check_frames(outputs: Sequence[Size], target: OutputFormat, channels: int) -> None:
    """Refuse, before any work, results that the format cannot hold.

    outputs: of each frame. channels: bytes per pixel. Raises SizeError.
    """
    for size in dict.fromkeys(outputs):
        check_format(size, target.name, channels)
    if target.pages and sum(size.area for size in outputs) * channels > _MOST_BYTES:
        raise SizeError(
            f"cannot store {len(outputs)} pages as {target.name}",
            "this format holds at most 4 GB",
            "ask for a smaller size, or for the first page alone",
        )


def upscale_frames(
    source: FrameSource,
    enlarge: Enlarging,
    path: str | os.PathLike[str],
    progress: Progress = NO_PROGRESS,
    *,
    metadata: Metadata | None = None,
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    durable: bool = False,
) -> tuple[UpscaleReport, tuple[str, ...]]:
    """Enlarge every frame of ``source`` and write them to ``path`` as they are made; what was done, and warnings.

    A frame that is the same as the one before is enlarged once. At most two enlarged frames are in memory. The report
    is of all of them: ``frames``, the sum of the seconds, the peak, the worst of what was measured. metadata: in place
    of the source's. All else as ``pictures.frames.writing.write_frames``; on any error, a cancel included, no file is
    left. Raises what ``enlarge`` does (with the number of the frame), PictureReadError, PictureWriteError,
    RequestError, SizeError, Cancelled.
    """
    target = output_format(path, format)
    if not carries(target, source.kind):
        things = "pages" if source.kind.pages else "frames"
        raise RequestError(
            f"cannot write {Path(path).name!r}", f"{target.name} holds no {things}", "take the first alone"
        )
    if os.path.exists(path) and os.path.samefile(path, source.path):
        raise RequestError(f"cannot write {Path(path).name!r}", "it is the input", "choose another name")
    run = _Run(source, enlarge, progress, hidden=target is PNG)
    notes = write_frames(
        run.frames(),
        path,
        source.metadata if metadata is None else metadata,
        count=len(source),
        plays=source.plays,
        format=format,
        quality=quality,
        overwrite=overwrite,
        durable=durable,
    )
    assert run.report is not None  # a source has frames
    progress.advance(1.0)
    warnings = (*source.warnings, *run.warnings, *run.report.warnings, *notes)
    if source.hidden and not run.hidden:
        warnings += ("its still picture, which is none of its frames, was left out",)
    return replace(run.report, frames=len(source)), tuple(dict.fromkeys(warnings))


@dataclass
class _Run:
    """One pass through the frames. hidden: whether the picture that is no frame is enlarged as well."""

    source: FrameSource
    enlarge: Enlarging
    progress: Progress
    hidden: bool
    report: UpscaleReport | None = None
    warnings: list[str] = field(default_factory=list)

    def frames(self) -> Iterator[Frame]:
        """Enlarged."""
        hidden = self.hidden and self.source.hidden
        count = self.source.repeats.count(False) + hidden
        number = done = 0
        large: Pixels | None = None
        for frame in self.source.frames(hidden=hidden):
            if self.progress.cancelled():
                raise Cancelled
            number += frame.shown
            if large is None or not frame.repeats:
                large = None  # what is written now needs the room
                name = self._name(number) if frame.shown else "its still picture"
                large = self._enlarged(frame.image, name, done / count, (done + 1) / count)
                done += 1
            self.warnings += frame.warnings
            yield replace(frame, image=large)

    def _name(self, number: int) -> str:
        return f"{'frame' if self.source.is_animation else 'page'} {number} of {len(self.source)}"

    def _enlarged(self, image: Image.Image | Pixels, name: str, start: float, end: float) -> Pixels:
        try:
            result = self.enlarge(image, _FrameProgress(self.progress, name, start, end))
        except (PictureError, MemoryLimitError, BrokenModelError) as error:
            raise type(error)(error.what, f"{name}: {error.why}" if error.why else name, error.todo) from error
        self.report = result.report if self.report is None else _together(self.report, result.report)
        return result.pixels


@dataclass
class _FrameProgress:
    """One frame's stretch of the whole."""

    whole: Progress
    name: str
    start: float
    end: float

    def advance(self, fraction: float, note: str = "") -> None:
        done = self.start + (self.end - self.start) * min(1.0, max(0.0, fraction))
        self.whole.advance(done, ", ".join(filter(None, (self.name, note))))

    def cancelled(self) -> bool:
        return self.whole.cancelled()

    @property
    def preview(self) -> object:
        return getattr(self.whole, "preview", None)


def _together(before: UpscaleReport, now: UpscaleReport) -> UpscaleReport:
    """Of both: the worse of what was measured, the sum of the seconds; sizes of the first."""
    worse = max(before, now, key=lambda report: (report.seam_error, report.tiles))
    decibels = [one.precision_db for one in (before, now) if one.precision_db is not None]
    largest = [one.verify_max for one in (before, now) if one.verify_max is not None]
    means = [one.verify_mean for one in (before, now) if one.verify_mean is not None]
    return replace(
        before,
        models=tuple(dict.fromkeys((*before.models, *now.models))),
        strategy=worse.strategy,
        tiles=worse.tiles,
        margin=worse.margin,
        seam_error=worse.seam_error,
        precision_db=min(decibels, default=None),
        seconds=round(before.seconds + now.seconds, 3),
        load_seconds=round(before.load_seconds + now.load_seconds, 3),
        peak_bytes=max(before.peak_bytes, now.peak_bytes),
        warnings=tuple(dict.fromkeys((*before.warnings, *now.warnings))),
        verify_max=max(largest, default=None),
        verify_mean=max(means, default=None),
        bits=max(before.bits, now.bits),
    )
