"""From a request to a result: size, passes, alpha, two models, and a statement of what was done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Union

import numpy as np
import torch
from PIL import Image

from .errors import Cancelled, MemoryLimitError, UnsupportedPictureError
from .geometry import Region, Size
from .models.library import ModelLibrary
from .models.loader import DEFAULT_CACHE_BYTES, ModelCache
from .models.network import UpscaleModel
from .pictures.pixels import (
    Pixels,
    bleed,
    compose,
    constant_alpha,
    decompose,
    flatten,
    is_nearly_opaque,
    mix,
    within_neighbours,
)
from .pictures.resample import lanczos
from .planning.job import Foreign, JobPlan, Resample, Run, Step, Where, alpha_route
from .progress import NO_PROGRESS, Progress, SubProgress
from .request import Enlarger, Model, UpscaleReport, UpscaleRequest, UpscaleResult
from .running.channels import from_network, to_network
from .running.device import find_device
from .running.engine import PassResult, Settings, device_lock, run
from .running.heap import can_steady_heap
from .running.limits import available_bytes, is_out_of_memory
from .running.peak import PeakMeter
from .running.speeds import PICTURES, learn, network_names

__all__ = ["FOREIGN", "Loaded", "Upscaler", "cut_most", "picture_limit"]


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

    def load(self, request: UpscaleRequest) -> Loaded:
        """What runs for the request, of all its stages. Raises ModelError."""
        started = time.perf_counter()
        stages = [[(self._chain(model), weight) for model, weight in stage.seen] for stage in request.stages]
        return Loaded(stages, time.perf_counter() - started)

    def _chain(self, model: Model) -> list[UpscaleModel | Enlarger]:
        if isinstance(model, (str, Path)):
            return [self.cache.get(entry) for entry in self.library.find_chain(model)]
        return [model]

    def upscale(self, image: Image.Image, request: UpscaleRequest, progress: Progress = NO_PROGRESS) -> UpscaleResult:
        """Upscale one picture.

        image: of the modes 1, L, LA, P, RGB or RGBA; EXIF orientation is the caller's (``reading`` applies it).

        Raises ModelError, UnsupportedPictureError, SizeError, RequestError, MemoryLimitError, DeviceError, Cancelled.
        """
        if 0 in image.size:
            raise UnsupportedPictureError("cannot upscale this picture", "it has no pixels", "choose another one")
        loaded = self.load(request)
        *before, last = zip(request.stages, loaded.stages)
        report = None
        for number, (stage, chains) in enumerate(before):
            part = SubProgress(progress, number * _BEFORE, (number + 1) * _BEFORE, f"{_names(chains[0][0])}: ")
            done = self._stage(image, stage, chains, part)
            image, report = done.image, done.report if report is None else done.report.after(report)
        result = self._stage(image, *last, SubProgress(progress, len(before) * _BEFORE, 1.0))
        told = result.report if report is None else result.report.after(report)
        progress.advance(1.0)
        return UpscaleResult(result.image, replace(told, load_seconds=round(loaded.seconds, 3)))

    def _stage(self, image: Image.Image, request: UpscaleRequest, chains: _Chains, progress: Progress) -> UpscaleResult:
        """One picture through one stage of the request."""
        started = time.perf_counter()
        try:
            with PeakMeter(self.device) as meter:
                job = _Job(chains, self.device, request, Size(*image.size), progress)
                done = job.result(decompose(image))
            seconds = time.perf_counter() - started
            job.learn(seconds)
            report = job.report(seconds, meter.bytes)
            if request.verify:
                largest, mean = job.verify()
                report = replace(report, verify_max=largest, verify_mean=mean)
        except MemoryError as error:
            raise MemoryLimitError(
                f"there is not enough memory for this picture of {image.size[0]}x{image.size[1]} px",
                str(error),
                "ask for a smaller size, or close other programs",
            ) from error
        return UpscaleResult(done, report)

    def release(self) -> None:
        """Drop all models, and give the device's cached memory back."""
        self.cache.release()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


_BEFORE = 0.25
"""The part of the progress of a stage before the last: at the picture's own size a network has about as much to do as
at the large one's start."""

FOREIGN = "foreign"
"""The device under which the speeds of others' upscalers are kept, in px of the result."""

_NO_PIXELS = np.empty((0, 0, 1), np.uint8)

_Chains = list[tuple[list[Union[UpscaleModel, Enlarger]], float]]
"""Networks one after the other, or one upscaler of another kind; and how much is seen of what they give."""


@dataclass(frozen=True)
class Loaded:
    """What runs for a request: the chains of each of its stages. seconds: that loading took now."""

    stages: list[_Chains]
    seconds: float

    @property
    def scale(self) -> int | None:
        """The request's own, where it asks for no size: that of the chain that is seen first. None: it has none."""
        chain = self.stages[-1][0][0]
        return math.prod(one.scale for one in chain if isinstance(one, UpscaleModel)) if _known(chain)[0] else None


def _known(chain: list[UpscaleModel | Enlarger]) -> list[UpscaleModel | None]:
    return [one if isinstance(one, UpscaleModel) else None for one in chain]


def _names(chain: list[UpscaleModel | Enlarger]) -> str:
    return " > ".join(one.name for one in chain)


class _Job:
    """One picture on its way through one stage."""

    def __init__(
        self, chains: _Chains, device: torch.device, request: UpscaleRequest, source: Size, progress: Progress
    ) -> None:
        self.chains, self.device, self.request, self.source, self.progress = chains, device, request, source, progress
        where = Where(device.type, can_steady_heap(device), request.tile)
        known = [_known(chain) for chain, _ in chains]
        self.plan = JobPlan.of(source, request.size, known, where, request.always)
        self.plan.check(picture_limit(device, request.memory))
        self.walk = self.plan.walk(3, "none")  # until the picture is known
        self.done: list[tuple[UpscaleModel, PassResult]] = []
        self.foreign: list[Enlarger] = []
        self.network_seconds = 0.0
        self.verified: tuple[np.ndarray, np.ndarray] | None = None

    # -- the picture -------------------------------------------------------------------------------------------------

    def result(self, pixels: Pixels) -> Image.Image:
        color, alpha, mode = pixels.color, pixels.alpha, pixels.mode
        if alpha is not None and self.request.alpha == "drop":
            color, alpha = flatten(color, alpha), None
            mode = "L" if color.shape[2] == 1 else "RGB"
        same = constant_alpha(alpha) if alpha is not None else None
        choice = "fast" if alpha is not None and is_nearly_opaque(alpha) else self.request.alpha
        route = alpha_route(alpha is not None, same is not None, choice, color.shape[2], self.plan.chains)
        self.walk = self.plan.walk(color.shape[2], route)
        if route == "together" and alpha is not None:
            return self._placed(*self._with_alpha(color, alpha), mode)
        if alpha is not None and same is None:
            color = bleed(color, alpha)
        for_color, for_alpha = self._stretches()
        enlarged = self._enlarged(color, self.walk.color, self._carried_out, for_color)
        if self.request.verify:
            self.verified = color, enlarged
        if alpha is not None:
            alpha = self._alpha(alpha, same, for_alpha)
        return self._placed(enlarged, alpha, mode)

    def _with_alpha(self, color: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Through networks that take RGBA and give RGBA: colour and alpha in one."""
        picture = np.concatenate([color, alpha[:, :, None]], axis=2)
        enlarged = self._enlarged(picture, self.walk.color, self._carried_out, self.progress)
        if self.request.verify:
            self.verified = picture, enlarged
        return enlarged[:, :, :3], within_neighbours(enlarged[:, :, 3], alpha)

    def verify(self) -> tuple[float, float]:
        """The largest and the mean difference from the untiled float32 network, in levels.

        Of the colours; with networks that take RGBA, of all four channels.
        """
        assert self.verified is not None  # ``result`` comes first
        color, enlarged = self.verified
        silent = SubProgress(self.progress, 1, 1)
        return _difference(enlarged, self._enlarged(color, self.walk.color, self._reference, silent))

    def _stretches(self) -> tuple[Progress, Progress]:
        """The part of the progress that colour takes, and the part that alpha takes."""
        color, alpha = (sum(_work(chain) for chain in part) for part in (self.walk.color, self.walk.alpha))
        if not alpha:
            return self.progress, self.progress
        split = color / (color + alpha)
        return SubProgress(self.progress, 0, split), SubProgress(self.progress, split, 1, "alpha ", shown=False)

    def _alpha(self, alpha: np.ndarray, same: int | None, progress: Progress) -> np.ndarray:
        """Alpha at the enlarged size, ``(h, w)`` uint8."""
        size = self.plan.sizes.resized
        if same is not None:
            return np.full((size.height, size.width), same, np.uint8)
        enlarged = self._enlarged(alpha[:, :, None], self.walk.alpha, self._carried_out, progress)[:, :, 0]
        return within_neighbours(enlarged, alpha)

    def _placed(self, color: np.ndarray, alpha: np.ndarray | None, mode: str) -> Image.Image:
        """Cropped or padded to the output's size. Padding is transparent where the picture has alpha, else black."""
        crop, paste = self.plan.sizes.crop, self.plan.sizes.paste
        if crop is not None:
            rows, columns = crop.rows, crop.columns
            color, alpha = color[rows, columns], alpha[rows, columns] if alpha is not None else None
        if paste is not None:
            color = self._padded(color, paste)
            alpha = self._padded(alpha[:, :, None], paste)[:, :, 0] if alpha is not None else None
        return compose(np.ascontiguousarray(color), alpha, mode)

    def _padded(self, planes: np.ndarray, place: Region) -> np.ndarray:
        size = self.plan.sizes.output
        canvas = np.zeros((size.height, size.width, planes.shape[2]), planes.dtype)
        canvas[place.rows, place.columns] = planes
        return canvas

    # -- the steps ---------------------------------------------------------------------------------------------------

    def _enlarged(
        self, picture: np.ndarray, chains: tuple[tuple[Step, ...], ...], carried_out: _CarriedOut, progress: Progress
    ) -> np.ndarray:
        """``(H, W, C)`` uint8 through the steps of each chain to the planned size, mixed, ``(h, w, C)`` uint8."""
        works = [_work(chain) for chain in chains]
        total = sum(works) or 1.0
        results, before = [], 0.0
        for number, (steps, work) in enumerate(zip(chains, works)):
            prefix = f"{_names(self.chains[number][0])}: " if len(chains) > 1 else ""
            part = SubProgress(progress, before / total, (before + work) / total, prefix)
            results.append(self._through(picture, steps, carried_out, part))
            before += work
        return results[0] if len(results) == 1 else mix(results[0], results[1], self.chains[1][1])

    def _through(
        self, picture: np.ndarray, steps: tuple[Step, ...], carried_out: _CarriedOut, progress: Progress
    ) -> np.ndarray:
        total, before = _work(steps), 0.0
        for step in steps:
            after = before + _work([step])
            prefix = f"pass {step.nth} of {step.of} " if isinstance(step, Run) and step.of > 1 else ""
            picture = carried_out(step, picture, SubProgress(progress, before / total, after / total, prefix))
            before = after
        return picture

    def _carried_out(self, step: Step, picture: np.ndarray, progress: Progress) -> np.ndarray:
        if isinstance(step, Resample):
            return lanczos(picture, step.target, check=self._check, bits=step.bits)
        if isinstance(step, Foreign):
            return self._by_another(step, picture, progress)
        return self._run(step, picture, progress)

    def _run(self, step: Run, picture: np.ndarray, progress: Progress) -> np.ndarray:
        model, memory = self._network(step), self.request.memory
        if memory is not None and self.device.type == "cpu":
            memory = max(1, memory - self.plan.beside(step))
        settings = Settings(self.request.precision, self.request.tile, memory)
        started = time.perf_counter()
        done = run(model, picture, self.device, settings, progress, step.task, source=(self.source.area, 8))
        self.network_seconds += time.perf_counter() - started
        self.done.append((model, replace(done, pixels=_NO_PIXELS)))  # the canvas is not kept longer than it is needed
        return done.pixels

    def _network(self, step: Run) -> UpscaleModel:
        model = self.chains[step.chain][0][step.number]
        assert isinstance(model, UpscaleModel)  # as it was planned
        return model

    def _by_another(self, step: Foreign, picture: np.ndarray, progress: Progress) -> np.ndarray:
        """It gets RGB and gives some size; the exact one and grey are ours to see to."""
        enlarger = self.chains[step.chain][0][0]
        assert not isinstance(enlarger, UpscaleModel)
        channels, bits = picture.shape[2], 8 if len(self.chains) == 1 else 16
        progress.advance(0.0)
        self._check()
        started = time.perf_counter()
        rgb = picture if channels == 3 else np.repeat(picture, 3, axis=2)
        planes = enlarger.enlarge(rgb, step.target, progress)[:, :, :channels]
        if (planes.shape[1], planes.shape[0]) != (step.target.width, step.target.height):
            planes = lanczos(np.ascontiguousarray(planes), step.target, check=self._check)
        learn(enlarger.name, FOREIGN, step.target.area, time.perf_counter() - started)
        self.network_seconds += time.perf_counter() - started
        self.foreign.append(enlarger)
        return planes if bits == 8 else planes.astype(np.uint16) * 257

    def _reference(self, step: Step, picture: np.ndarray, progress: Progress) -> np.ndarray:
        """The same by the untiled float32 network on the CPU, in spandrel's own call."""
        if not isinstance(step, Run):
            return self._carried_out(step, picture, progress)
        model = self._network(step)
        levels = 255.0 if picture.dtype == np.uint8 else 65535.0
        planes = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1) / levels
        try:
            with device_lock(torch.device("cpu")):
                image = to_network(planes, model.card.input_channels).contiguous()
                output = from_network(model.reference(image, self._check), picture.shape[2])
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise MemoryLimitError(
                    "the result cannot be verified", "the untiled network does not fit into memory", "leave verify off"
                ) from error
            raise
        kind, top = (np.uint8, 255) if step.task.bits == 8 else (np.uint16, 65535)
        return (output.permute(1, 2, 0).numpy() * top + 0.5).astype(kind)

    def _check(self) -> None:
        if self.progress.cancelled():
            raise Cancelled

    # -- the statement -----------------------------------------------------------------------------------------------

    def learn(self, seconds: float) -> None:
        """Remember how long it took, for estimates. seconds: of the whole picture."""
        for model, done in self.done:
            name, kinds = network_names(model.card, done.precision.word)
            learn(name, self.device, done.work, done.seconds, kinds)
        learn(PICTURES, torch.device("cpu"), self.walk.handling, seconds - self.network_seconds)

    def report(self, seconds: float, peak_bytes: int) -> UpscaleReport:
        passes = [done for _, done in self.done]
        words = {done.precision.word for done in passes}
        decibels = [done.precision.decibels for done in passes if done.precision.decibels is not None]
        warnings = list(dict.fromkeys(text for done in passes for text in done.warnings))
        ran = [*(model.name for model, _ in self.done), *(enlarger.name for enlarger in self.foreign)]
        if not ran:
            warnings.append("at this size no network of more than 1x is needed; the picture was only resampled")
        strategy = cut_most(done.strategy for done in passes)
        if self.foreign and not passes:
            strategy, words = self.foreign[0].strategy, {"unknown"}
        return UpscaleReport(
            input_size=self.source,
            output_size=self.plan.sizes.output,
            models=tuple(dict.fromkeys(self._in_their_order(ran))),
            passes=len(self.plan.passes[0]) or int(bool(self.foreign)),
            strategy=strategy,
            tiles=max((done.tiles for done in passes), default=0),
            margin=max((done.margin for done in passes), default=0),
            seam_error=max((done.seam_error for done in passes), default=0.0),
            precision=" and ".join(sorted(words)) or "float32",
            precision_db=min(decibels) if decibels else None,
            device="" if self.foreign and not passes else str(self.device),
            seconds=round(seconds, 3),
            load_seconds=0.0,
            peak_bytes=peak_bytes,
            warnings=tuple(warnings),
        )

    def _in_their_order(self, ran: list[str]) -> list[str]:
        return [one.name for chain, _ in self.chains for one in chain if one.name in ran]


_CarriedOut = Callable[[Step, np.ndarray, Progress], np.ndarray]
"""Carries out one step on a picture."""


def _work(steps: Iterable[Step]) -> float:
    """For the progress. Of another's upscaler nothing is known: it counts as a network of a middling size."""
    return sum(
        step.work if isinstance(step, Run) else step.source.area * 1e6 if isinstance(step, Foreign) else 1.0
        for step in steps
    )


def cut_most(strategies: Iterable[str]) -> str:
    """The one of several passes that cut the most; "resampled" where there is none."""
    order = ("whole", "whole, in bands", "tiles")
    return max(strategies, key=order.index, default="resampled")


def picture_limit(device: torch.device, memory: int | None) -> int:
    """Bytes of main memory that pictures may take. memory: what the job may take on the device."""
    free = int(available_bytes(torch.device("cpu")) * 0.9)
    return min(free, memory) if memory and device.type == "cpu" else free


def _difference(ours: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Largest and mean absolute difference of two uint8 pictures, in levels."""
    difference = np.abs(ours.astype(np.int16) - true)
    return float(difference.max()), round(float(difference.mean()), 4)
