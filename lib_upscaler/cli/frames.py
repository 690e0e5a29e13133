"""All frames or pages of one file: what they would take, and the same done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from PIL import Image

from ..animation import check_frames, upscale_frames
from ..geometry import Size
from ..pictures.formats import output_format
from ..pictures.frames.source import FrameSource
from ..pictures.origin import fingerprint
from ..pipeline import Plan, Upscaler
from ..progress import Progress
from ..request import UpscaleReport, UpscaleRequest, UpscaleResult
from .files import Task

__all__ = ["frames_written", "plans_for"]


def plans_for(upscaler: Upscaler, request: UpscaleRequest, sizes: Iterable[Size]) -> dict[Size, Plan]:
    """One plan for each size. Raises ModelError, RequestError, SizeError."""
    return {size: upscaler.plan(size, request) for size in dict.fromkeys(sizes)}


def frames_written(
    upscaler: Upscaler,
    request: UpscaleRequest,
    task: Task,
    frames: FrameSource,
    progress: Progress,
    quality: int | None,
    overwrite: bool,
) -> tuple[UpscaleReport, tuple[str, ...]]:
    """Upscale and write all of ``frames``; what was done, and all warnings. Raises what ``upscale_frames`` does."""
    target, plans = output_format(task.output), plans_for(upscaler, request, frames.sizes)
    alpha = frames.alpha and request.alpha != "drop"
    check_frames([plans[size].output for size in frames.sizes], target, frames.channels + alpha)

    def enlarge(image: Image.Image, progress: Progress) -> UpscaleResult:
        return upscaler.upscale(image, request, progress, plans[Size(*image.size)])

    return upscale_frames(
        frames,
        enlarge,
        task.output,
        progress,
        metadata=replace(frames.metadata, origin=fingerprint(task.source)),
        quality=quality if target.quality else None,
        overwrite=overwrite,
    )
