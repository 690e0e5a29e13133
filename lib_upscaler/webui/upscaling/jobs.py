"""One picture by one or two upscalers, ours or the host's, to the exact size."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from ...errors import Cancelled, RequestError, TrueScaleError, UnsupportedPictureError
from ...geometry import Size
from ...pictures.pixels import bleed, compose, decompose, flatten
from ...pictures.resample import lanczos, lanczos_plane
from ...planning.sizing import ByScale, SizePlan, SizeRequest, plan_size
from ...progress import Progress, SubProgress
from ...request import UpscaleReport, UpscaleRequest, UpscaleResult
from ...running.speeds import learn
from ..host.progress import is_stopped
from .service import service

__all__ = ["BY_HOST", "Choice", "Job", "requests_of", "run"]


BY_HOST = "webui"
"""The device under which the speeds of others' upscalers are kept, in px of the result."""


@dataclass(frozen=True)
class Choice:
    """An upscaler. model: file of one that our engine runs; else scaler, path: of the host's or another extension's."""

    name: str
    model: str | None = None
    scaler: Any = None
    path: str | None = None


@dataclass(frozen=True)
class Job:
    """first, second: upscalers. visibility: of the second, 0 to 1.

    size: None for the first one's own scale (models of ours only). The rest as in UpscaleRequest.
    clean_up: runs before them, at the picture's own size: a 1x network that repairs, or any other, made small again.
    """

    first: Choice
    second: Choice | None = None
    visibility: float = 0.0
    size: SizeRequest | None = None
    precision: str = "auto"
    tile: int | str = "auto"
    memory: int | None = None
    alpha: str = "network"
    always: bool = False
    clean_up: Choice | None = None

    def seen(self) -> list[tuple[Choice, float]]:
        """The upscalers that are seen, with the weight of each. Raises RequestError."""
        if not 0 <= self.visibility <= 1:
            raise RequestError(f"a visibility of {self.visibility} is not possible", "", "choose one from 0 to 1")
        if self.second is None or self.visibility == 0:
            return [(self.first, 1.0)]
        if self.visibility == 1:
            return [(self.second, 1.0)]
        return [(self.first, 1 - self.visibility), (self.second, self.visibility)]


def run(image: Image.Image, job: Job, progress: Progress) -> UpscaleResult:
    """The picture of exactly the size asked for. Raises TrueScaleError and its kinds."""
    if job.clean_up is not None:
        return _cleaned_up_first(image, job, progress)
    seen = job.seen()
    if all(choice.model is not None for choice, _ in seen):
        return _as_chosen(service().upscale(image, _request(job, seen), progress), seen)
    parts, done = [], 0.0
    for choice, weight in seen:
        part = SubProgress(progress, done, done + 1 / len(seen), f"{choice.name}: " if len(seen) > 1 else "")
        alone = replace(job, first=choice, second=None, visibility=0.0)
        ours = choice.model is not None
        parts.append((run(image, alone, part) if ours else _by_host(image, alone, part), weight))
        done += 1 / len(seen)
    return _mixed(parts)


def _as_chosen(result: UpscaleResult, seen: list[tuple[Choice, float]]) -> UpscaleResult:
    """The models under the names by which they were chosen: the host has names of its own for some files."""
    if len(result.report.models) != len(seen):  # none ran, or one file under two names
        return result
    return replace(result, report=replace(result.report, models=tuple(choice.name for choice, _ in seen)))


_CLEANING = 0.25
"""Its part of the progress: at the picture's own size a network has about as much to do as at the large one's start."""


def requests_of(job: Job) -> list[UpscaleRequest]:
    """What the core is asked for, step by step; for jobs of models of ours only. Raises RequestError."""
    return [_request(step, step.seen()) for step in _steps(job)]


def _steps(job: Job) -> list[Job]:
    if job.clean_up is None:
        return [job]
    plain = replace(job, clean_up=None)
    repair = replace(plain, first=job.clean_up, second=None, visibility=0.0, size=ByScale(1), always=True)
    return [repair, plain]


def _cleaned_up_first(image: Image.Image, job: Job, progress: Progress) -> UpscaleResult:
    repair, plain = _steps(job)
    clean = run(image, repair, SubProgress(progress, 0.0, _CLEANING, f"{repair.first.name}: "))
    result = run(clean.image, plain, SubProgress(progress, _CLEANING, 1.0))
    before, after = clean.report, result.report
    worse = max(before, after, key=lambda report: (report.seam_error, report.tiles))
    return UpscaleResult(
        result.image,
        replace(
            after,
            input_size=before.input_size,
            models=tuple(dict.fromkeys((*before.models, *after.models))),
            tiles=worse.tiles,
            margin=worse.margin,
            seam_error=worse.seam_error,
            strategy=worse.strategy if worse.tiles > 1 else after.strategy,
            seconds=round(before.seconds + after.seconds, 3),
            load_seconds=before.load_seconds + after.load_seconds,
            peak_bytes=max(before.peak_bytes, after.peak_bytes),
            warnings=tuple(dict.fromkeys((*before.warnings, *after.warnings))),
        ),
    )


def _request(job: Job, seen: list[tuple[Choice, float]]) -> UpscaleRequest:
    two = len(seen) == 2
    return UpscaleRequest(
        model=seen[0][0].model,
        model2=seen[1][0].model if two else None,
        visibility=job.visibility if two else 0.0,
        size=job.size,
        precision=job.precision,
        tile=job.tile,
        memory=job.memory,
        alpha=job.alpha,
        always=job.always,
    )


# -- upscalers of the host ---------------------------------------------------------------------------------------------


def _by_host(image: Image.Image, job: Job, progress: Progress) -> UpscaleResult:
    """By another's upscaler: it gets RGB and gives some size; the exact one, alpha and grey are ours to see to."""
    if 0 in image.size:
        raise UnsupportedPictureError("cannot upscale this picture", "it has no pixels", "choose another one")
    if job.size is None:
        raise RequestError(f"'{job.first.name}' has no scale of its own", "", "say how large the picture shall be")
    started = time.perf_counter()
    plan = plan_size(Size(*image.size), job.size)
    pixels = decompose(image)
    color, alpha, mode = pixels.color, pixels.alpha, pixels.mode
    if alpha is not None:
        drop = job.alpha == "drop"
        color, alpha = (flatten(color, alpha), None) if drop else (bleed(color, alpha), alpha)
        mode = mode if not drop else ("L" if color.shape[2] == 1 else "RGB")
    progress.advance(0.0)
    if progress.cancelled():
        raise Cancelled
    enlarged = _enlarged(compose(color, None, "L" if color.shape[2] == 1 else "RGB"), job.first, plan)
    if is_stopped():
        raise Cancelled  # the host's upscalers then give whatever they have
    if alpha is not None:
        alpha = lanczos_plane(alpha, plan.resized)
    result = _placed(enlarged[:, :, : color.shape[2]], alpha, plan, mode)
    progress.advance(1.0)
    seconds = time.perf_counter() - started
    learn(job.first.name, BY_HOST, plan.resized.area, seconds)
    return UpscaleResult(result, _report(job, image, result, seconds))


def _enlarged(picture: Image.Image, choice: Choice, plan: SizePlan) -> np.ndarray:
    """``(h, w, 3)`` uint8 of the planned size."""
    try:
        done = choice.scaler.upscale(picture.convert("RGB"), float(plan.scale), choice.path)
    except TrueScaleError:
        raise
    except Exception as error:
        raise TrueScaleError(f"'{choice.name}' failed", f"{type(error).__name__}: {error}") from error
    planes = np.asarray(done.convert("RGB"))
    return planes if Size(*done.size) == plan.resized else lanczos(planes, plan.resized)


def _placed(color: np.ndarray, alpha: np.ndarray | None, plan: SizePlan, mode: str) -> Image.Image:
    picture = compose(np.ascontiguousarray(color), alpha, mode)
    if plan.crop is not None:
        return picture.crop((plan.crop.x, plan.crop.y, plan.crop.right, plan.crop.bottom))
    if plan.paste is None:
        return picture
    canvas = Image.new(picture.mode, (plan.output.width, plan.output.height))
    canvas.paste(picture, (plan.paste.x, plan.paste.y))
    return canvas


def _report(job: Job, image: Image.Image, result: Image.Image, seconds: float) -> UpscaleReport:
    return UpscaleReport(
        input_size=Size(*image.size),
        output_size=Size(*result.size),
        models=(job.first.name,),
        passes=1,
        strategy="by the WebUI",
        tiles=0,
        margin=0,
        seam_error=0.0,
        precision="unknown",
        precision_db=None,
        device="",
        seconds=round(seconds, 3),
        load_seconds=0.0,
        peak_bytes=0,
    )


def _mixed(parts: list[tuple[UpscaleResult, float]]) -> UpscaleResult:
    """Two results of one size in one; one alone as it is."""
    (first, weight), *rest = parts
    if not rest:
        return first
    (second, other_weight) = rest[0]
    levels = weight * np.asarray(first.image, np.float32) + other_weight * np.asarray(second.image, np.float32)
    image = Image.fromarray(np.floor(levels + 0.5).clip(0, 255).astype(np.uint8), first.image.mode)
    ours = next((part.report for part, _ in parts if part.report.precision != "unknown"), first.report)
    return UpscaleResult(
        image,
        replace(
            ours,
            models=(*first.report.models, *second.report.models),
            seconds=round(first.report.seconds + second.report.seconds, 3),
            warnings=tuple(dict.fromkeys((*first.report.warnings, *second.report.warnings))),
        ),
    )
