"""From a request to a result: its plan, its stages, and a statement of what was done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image

from .depths import Bits, depth_of
from .errors import MemoryLimitError, RequestError, UnsupportedPictureError
from .geometry import Size
from .models.entry import ModelEntry
from .models.ldsr.model import LdsrModel
from .models.library import ModelLibrary
from .models.loader import DEFAULT_CACHE_BYTES, Loaded, ModelCache, describe
from .models.network import UpscaleModel
from .pictures.pixels import Pixels, decompose
from .planning.job import Chain, JobPlan, Where
from .progress import NO_PROGRESS, Progress, SubProgress
from .request import Enlarger, Model, UpscaleReport, UpscaleRequest, UpscaleResult
from .running.device import find_device
from .running.heap import can_steady_heap
from .running.peak import PeakMeter
from .scratch import free_bytes
from .walker import Chains, Record, Walker, cut_most, names_of, picture_limit

__all__ = ["Plan", "Upscaler"]


@dataclass(frozen=True)
class Plan:
    """All that is done for a request to pictures of one size and depth. What an estimate tells is what is carried out.

    stages: each with its plan, one after the other. scratch: the folder for pictures that lie on the disk.
    """

    source: Size
    request: UpscaleRequest
    stages: tuple[tuple[UpscaleRequest, JobPlan], ...]
    source_bits: Bits = 8
    scratch: Path | None = None

    @property
    def output(self) -> Size:
        """The exact size of the result."""
        return self.stages[-1][1].sizes.output


class Upscaler:
    """Upscales pictures with the models of a library; keeps them loaded between pictures."""

    def __init__(
        self,
        library: ModelLibrary,
        device: str | torch.device = "auto",
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        """Raises DeviceError."""
        self.library = library
        self.device = find_device(device)
        self.cache = ModelCache(cache_bytes)

    def plan(self, source: Size, request: UpscaleRequest, source_bits: Bits = 8, scratch: Path | None = None) -> Plan:
        """What will be done with a picture of this size and depth. A model that was never seen here is read once.

        scratch: a folder for what memory cannot hold: the result's planes lie in a file then, for who can write them
        piece by piece. None: such pictures are refused.

        Raises ModelError, RequestError, SizeError.
        """

        def known(model: Model) -> Chain:
            return [None if entry is None else describe(entry) for entry in self._entries(model)]

        return self._plan(source, source_bits, request, known, scratch)

    def _plan(
        self,
        source: Size,
        source_bits: Bits,
        request: UpscaleRequest,
        known: Callable[[Model], Chain],
        scratch: Path | None = None,
    ) -> Plan:
        stages, size, bits, steady = [], source, source_bits, can_steady_heap(self.device)
        for stage in request.stages(source_bits):
            steps = stage.sampling.complete.steps or 1
            where = Where(self.device.type, steady, stage.tile, 8 if stage.tta else 1, steps, stage.axes)
            chains = [known(model) for model, _ in stage.weighted_models]
            depths = bits, depth_of(stage.depth, bits)
            job = JobPlan.of(size, stage.size, chains, where, stage.always, depths)
            if scratch is not None:
                job = job.with_disk(picture_limit(self.device, stage.memory), free_bytes(scratch))
            stages.append((stage, job))
            size, bits = job.sizes.output, job.bits
        return Plan(source, request, tuple(stages), source_bits, scratch)

    def _entries(self, model: Model) -> list[ModelEntry | None]:
        """The files of its networks, in order; None for an upscaler of another kind. Raises ModelError."""
        if isinstance(model, (str, Path)):
            return [*self.library.find_chain(model)]
        if isinstance(model, ModelEntry):
            return [model]
        return [*model] if isinstance(model, tuple) else [None]

    def load(self, request: UpscaleRequest) -> dict[Model, list[Loaded | Enlarger]]:
        """What runs for the request, by its models. Raises ModelError."""
        models = [model for stage in request.stages(8) for model, _ in stage.weighted_models]
        return {model: self._loaded(model) for model in models}

    def _loaded(self, model: Model) -> list[Loaded | Enlarger]:
        if isinstance(model, (str, Path, ModelEntry, tuple)):
            return [self.cache.get(entry) for entry in self._entries(model) if entry is not None]
        return [model]

    def upscale(
        self,
        image: Image.Image | Pixels,
        request: UpscaleRequest,
        progress: Progress = NO_PROGRESS,
        plan: Plan | None = None,
    ) -> UpscaleResult:
        """Upscale one picture.

        image: of the modes 1, L, LA, P, RGB or RGBA, or planes; EXIF orientation is the caller's (``reading`` applies
            it).
        plan: one that was made for this request, size and depth, None for a new one.

        Raises ModelError, UnsupportedPictureError, SizeError, RequestError, MemoryLimitError, DeviceError, Cancelled.
        """
        if 0 in image.size:
            raise UnsupportedPictureError("cannot upscale this picture", "it has no pixels", "choose another one")
        started, loads = time.perf_counter(), self.cache.loads
        loaded = self.load(request)
        load_seconds = time.perf_counter() - started if self.cache.loads > loads else 0.0
        pixels = decompose(image)
        plan = plan or self._plan(Size(*pixels.size), pixels.bits, request, lambda model: _known(loaded[model]))
        if (plan.source, plan.source_bits, plan.request) != (Size(*pixels.size), pixels.bits, request):
            raise RequestError("this plan is for another picture or request", "", "make one for this picture")
        report = None
        *before, _ = plan.stages
        for number, (stage, job) in enumerate(plan.stages):
            chains = [(loaded[model], weight) for model, weight in stage.weighted_models]
            last = number == len(before)
            part = SubProgress(
                progress,
                number * _BEFORE,
                1.0 if last else (number + 1) * _BEFORE,
                "" if last else f"{names_of(chains[0][0])}: ",
            )
            done = self._stage(pixels, stage, job, chains, part, plan.scratch)
            pixels, report = done.pixels, done.report if report is None else done.report.after(report)
        assert report is not None  # a request has a stage
        progress.advance(1.0)
        return UpscaleResult(pixels, replace(report, load_seconds=round(load_seconds, 3)))

    def _stage(
        self,
        pixels: Pixels,
        request: UpscaleRequest,
        job: JobPlan,
        chains: Chains,
        progress: Progress,
        scratch: Path | None,
    ) -> UpscaleResult:
        """One picture through one stage of the request."""
        started = time.perf_counter()
        try:
            job.check(picture_limit(self.device, request.memory))
            with PeakMeter(self.device) as meter:
                walker = Walker(job, chains, self.device, request, progress, scratch)
                done = walker.result(pixels)
            seconds = time.perf_counter() - started
            walker.record.learn(self.device, seconds, done.walk.handling)
            report = _report(walker.record, job, chains, self.device, seconds, meter.bytes)
            if request.verify:
                largest, mean = walker.difference(done)
                report = replace(report, verify_max=largest, verify_mean=mean)
        except MemoryError as error:
            raise MemoryLimitError(
                f"there is not enough memory for this picture of {pixels.size[0]}x{pixels.size[1]} px",
                str(error),
                "ask for a smaller size, or close other programs",
            ) from error
        return UpscaleResult(done.pixels, report)

    def release(self) -> None:
        """Drop all models, and give the device's cached memory back."""
        self.cache.release()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


_BEFORE = 0.25
"""The part of the progress of a stage before the last: at the picture's own size a network has about as much to do as
at the large one's start."""


def _known(chain: list[Loaded | Enlarger]) -> list[Loaded | None]:
    return [one if isinstance(one, (UpscaleModel, LdsrModel)) else None for one in chain]


def _report(
    record: Record, job: JobPlan, chains: Chains, device: torch.device, seconds: float, peak_bytes: int
) -> UpscaleReport:
    """What was done. seconds, peak_bytes: of this stage."""
    passes = [done for _, done in record.passes]
    words = {done.precision.word for done in passes}
    decibels = [done.precision.decibels for done in passes if done.precision.decibels is not None]
    warnings = list(dict.fromkeys((*(text for done in passes for text in done.warnings), *record.notes)))
    ran = [*(model.name for model, _ in record.passes), *(enlarger.name for enlarger in record.others)]
    if not ran:
        warnings.append("at this size no network of more than 1x is needed; the picture was only resampled")
    if job.where.views > 1:
        once = [one.name for one in record.others]
        once += [model.name for model, _ in record.passes if isinstance(model, LdsrModel)]
        warnings += [f"'{name}' ran once: only networks of one pass are averaged over views" for name in once]
    strategy, only_others = cut_most(done.strategy for done in passes), bool(record.others and not passes)
    if only_others:
        strategy, words = record.others[0].strategy, {"unknown"}
    return UpscaleReport(
        input_size=job.source,
        output_size=job.sizes.output,
        models=tuple(dict.fromkeys(one.name for chain, _ in chains for one in chain if one.name in ran)),
        passes=len(job.passes[0]) or int(bool(record.others)),
        strategy=strategy,
        tiles=max((done.tiles for done in passes), default=0),
        margin=max((done.margin for done in passes), default=0),
        seam_error=max((done.seam_error for done in passes), default=0.0),
        precision=" and ".join(sorted(words)) or "float32",
        precision_db=min(decibels) if decibels else None,
        device="" if only_others else str(device),
        seconds=round(seconds, 3),
        load_seconds=0.0,
        peak_bytes=peak_bytes,
        warnings=tuple(warnings),
        bits=job.bits,
    )
