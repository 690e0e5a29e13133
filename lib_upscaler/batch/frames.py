"""All frames or pages of one file: what they would take, and the same done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ..animation import check_frames, upscale_frames
from ..depths import Bits
from ..geometry import Size
from ..pictures.formats import OutputFormat, output_format
from ..pictures.frames.source import FrameSource
from ..pictures.origin import fingerprint
from ..pictures.pixels import Pixels
from ..pictures.reading import PictureHeader
from ..pipeline import Plan, Upscaler
from ..progress import Progress
from ..request import UpscaleReport, UpscaleRequest, UpscaleResult
from .fitting import in_depth_of

__all__ = ["frames_written", "plans_for"]

Plans = dict[tuple[Size, Bits], Plan]
"""By the size and depth of the frame."""


def plans_for(
    upscaler: Upscaler,
    request: UpscaleRequest,
    target: OutputFormat,
    headers: Sequence[PictureHeader],
    folder: Path | None,
) -> tuple[Plans, str]:
    """A plan for each kind of frame, in a depth that the format holds, and what is to be said of that, or "".

    folder: of the result, for pages that memory cannot hold; frames of an animation must fit into it. Raises
    ModelError, RequestError, SizeError.
    """
    plans: Plans = {}
    said = ""
    scratch = folder if target.pages else None
    for header in headers:
        if (header.size, header.bits) not in plans:
            fitting, note = in_depth_of(request, target.of_frames, header.bits)
            plans[header.size, header.bits] = upscaler.plan(header.size, fitting, header.bits, scratch)
            said = said or note
    alpha = request.alpha != "drop" and any(header.alpha for header in headers)
    samples = max(header.channels for header in headers) + alpha
    bits = max(plan.stages[-1][1].bits for plan in plans.values())
    check_frames([plans[header.size, header.bits].output for header in headers], target, samples * bits // 8)
    return plans, said


def frames_written(
    upscaler: Upscaler,
    request: UpscaleRequest,
    source: Path,
    output: Path,
    frames: FrameSource,
    progress: Progress,
    quality: int | None,
    overwrite: bool,
    durable: bool = False,
) -> tuple[UpscaleReport, tuple[str, ...]]:
    """Upscale and write all of ``frames``; what was done, and all warnings. Raises what ``upscale_frames`` does."""
    target = output_format(output)
    plans, said = plans_for(upscaler, request, target, frames.headers, output.parent)

    def enlarge(image: Image.Image | Pixels, progress: Progress) -> UpscaleResult:
        plan = plans[Size(*image.size), image.bits if isinstance(image, Pixels) else 8]
        return upscaler.upscale(image, plan.request, progress, plan)

    report, warnings = upscale_frames(
        frames,
        enlarge,
        output,
        progress,
        metadata=replace(frames.metadata, origin=fingerprint(source)),
        quality=quality if target.quality else None,
        overwrite=overwrite,
        durable=durable,
    )
    return report, ((said, *warnings) if said else warnings)
