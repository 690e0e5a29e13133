"""Carries out a walk: a picture through the steps of its plan, colours and alpha, to exactly the size asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Union

import numpy as np
import torch

from . import scratch
from .depths import bits_of, converted, rounded, top_of, type_of
from .diffusion.ldsr import SAMPLED, sample
from .errors import Cancelled, MemoryLimitError
from .geometry import Region
from .models.ldsr.model import LdsrModel
from .models.ldsr.settings import LARGEST_TILE
from .models.loader import Loaded
from .models.network import UpscaleModel
from .pictures.alpha import bleed, constant_alpha, flatten, is_nearly_opaque, within_neighbours
from .pictures.beyond import beyond, is_mostly_beyond, put_back
from .pictures.mixing import mix
from .pictures.pixels import Pixels
from .pictures.resample import lanczos
from .pictures.wrapping import cut, wrapped
from .planning.job import Foreign, JobPlan, Resample, Run, Sample, Step, Walk, alpha_route
from .planning.passes import PassTask
from .progress import Progress, SubProgress
from .request import Enlarger, UpscaleRequest
from .running.channels import from_network, to_network
from .running.engine import PassOptions, PassResult, device_lock, run
from .running.limits import available_bytes, is_out_of_memory
from .running.speeds import PICTURES, learn, network_names, sampler_names
from .running.views import VIEWS, as_seen, averaged, seen_back

__all__ = ["FOREIGN", "Chains", "Record", "Walker", "cut_most", "names_of", "picture_limit"]

Chains = list[tuple[list[Union[Loaded, Enlarger]], float]]
"""Models one after the other, or one upscaler of another kind; and the weight of their result."""

FOREIGN = "foreign"
"""The device under which the speeds of others' upscalers are kept, in px of the result."""

_ROWS = 256  # of planes copied at a time

_NO_PIXELS = np.empty((0, 0, 1), np.uint8)

_BEYOND = "what lies beyond black and white went past the networks: it was resampled, and added to their result"
_BEYOND_CUT = "what lies beyond black and white was cut off"
_MOSTLY_BEYOND = "most of it is brighter than white, which is 1 here: if its white is another number, divide it by that"


@dataclass
class Record:
    """What ran. passes: without their pixels. others: upscalers of another kind. seconds: of all of these.
    notes: on the pixels, for people.
    """

    passes: list[tuple[Loaded, PassResult]] = field(default_factory=list)
    others: list[Enlarger] = field(default_factory=list)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def learn(self, device: torch.device, seconds: float, handling: float) -> None:
        """Remember how long it took, for estimates. seconds: of the whole picture. handling: as ``Walk`` has it."""
        for model, done in self.passes:
            names = sampler_names if isinstance(model, LdsrModel) else network_names
            name, kinds = names(model.card, done.precision.word)
            learn(name, device, done.work, done.seconds, kinds)
        learn(PICTURES, torch.device("cpu"), handling, seconds - self.seconds)


@dataclass(frozen=True)
class Walked:
    """pixels: the result. source, enlarged: planes before and after the steps for colours. walk: what was done."""

    pixels: Pixels
    source: np.ndarray
    enlarged: np.ndarray
    walk: Walk


class Walker:
    """One picture on its way through one stage of a request."""

    def __init__(
        self,
        plan: JobPlan,
        chains: Chains,
        device: torch.device,
        request: UpscaleRequest,
        progress: Progress,
        folder: Path | None = None,
    ) -> None:
        """folder: for the files of a plan whose pictures lie on the disk."""
        self.plan, self.chains, self.request, self.progress = plan, chains, request, progress
        self.record = Record()
        self._folder = folder if plan.on_disk else None
        self._steps = _Steps(plan, chains, device, request, self.record, self._folder)

    def result(self, pixels: Pixels) -> Walked:
        """The picture of exactly the size that was planned. Raises what ``Upscaler.upscale`` does."""
        color, alpha, mode = pixels.color, pixels.alpha, pixels.mode
        if alpha is not None and self.request.alpha == "drop":
            color, alpha = flatten(color, alpha), None
            mode = "L" if color.shape[2] == 1 else "RGB"
        (color, rest), seen = beyond(color), alpha
        same = constant_alpha(alpha) if alpha is not None else None
        choice = "fast" if alpha is not None and is_nearly_opaque(alpha) else self.request.alpha
        route = alpha_route(alpha is not None, same is not None, choice, color.shape[2], self.plan.chains)
        walk = self.plan.walk(color.shape[2], route)
        for_color, for_alpha = _stretches(walk, self.progress)
        if route == "together" and alpha is not None:  # networks that take RGBA and give RGBA
            color = np.concatenate([color, alpha[:, :, None]], axis=2)
        elif alpha is not None and same is None:
            color = self._bled(color, alpha)
        enlarged = planes = self._enlarged(color, walk.color, self._steps, for_color)
        if route == "together" and alpha is not None:
            planes, alpha = enlarged[:, :, :3], self._within(enlarged[:, :, 3], alpha)
        elif alpha is not None:
            alpha = self._alpha(alpha, same, walk, for_alpha)
        if rest is not None:
            planes = put_back(planes, rest, self.wrap, self._folder, seen)
            self.record.notes.append(_BEYOND if self.plan.bits == 32 else _BEYOND_CUT)
            self.record.notes += [_MOSTLY_BEYOND] if is_mostly_beyond(rest) else []
        return Walked(self._placed(planes, alpha, mode), color, enlarged, walk)

    @property
    def wrap(self) -> tuple[bool, bool]:
        return self.plan.where.wrap

    def difference(self, done: Walked) -> tuple[float, float]:
        """The largest and the mean difference from the untiled float32 network, in levels of 255.

        Of the colours; with networks that take RGBA, of all four channels.
        """
        untiled = _UntiledSteps(self.plan, self.chains, self._steps.device, self.request, Record())
        true = self._enlarged(done.source, done.walk.color, untiled, SubProgress(self.progress, 1, 1))
        difference = np.abs(done.enlarged.astype(np.float64) - true) * (255 / top_of(bits_of(true)))
        return round(float(difference.max()), 4), round(float(difference.mean()), 4)

    def _bled(self, color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """Colours beneath what is transparent; those of the other side count where the picture goes on there."""
        height, width = alpha.shape
        beside = (width // 2 * self.wrap[0], height // 2 * self.wrap[1])
        return cut(bleed(wrapped(color, beside), wrapped(alpha, beside)), beside)

    def _alpha(self, alpha: np.ndarray, same: np.generic | None, walk: Walk, progress: Progress) -> np.ndarray:
        """Alpha at the enlarged size, ``(h, w)``."""
        size = self.plan.sizes.resized
        if same is not None:
            value = converted(np.full((1, 1), same, alpha.dtype), self.plan.bits)
            return np.broadcast_to(value, (size.height, size.width))
        enlarged = self._enlarged(alpha[:, :, None], walk.alpha, self._steps, progress)[:, :, 0]
        return self._within(enlarged, alpha)

    def _within(self, enlarged: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        return within_neighbours(enlarged, converted(alpha, self.plan.bits), wrap=self.wrap)

    def _placed(self, color: np.ndarray, alpha: np.ndarray | None, mode: str) -> Pixels:
        """Cropped or padded to the output's size. Padding is transparent where the picture has alpha, else black."""
        crop, paste = self.plan.sizes.crop, self.plan.sizes.paste
        if crop is not None:
            rows, columns = crop.rows, crop.columns
            color, alpha = color[rows, columns], alpha[rows, columns] if alpha is not None else None
        if paste is not None:
            color = self._padded(color, paste)
            alpha = self._padded(alpha[:, :, None], paste)[:, :, 0] if alpha is not None else None
        return Pixels(color, alpha, mode)

    def _padded(self, planes: np.ndarray, place: Region) -> np.ndarray:
        size = self.plan.sizes.output
        canvas = scratch.planes((size.height, size.width, planes.shape[2]), planes.dtype, self._folder)
        for top in range(0, size.height, _ROWS):
            rows = slice(top, min(size.height, top + _ROWS))
            canvas[rows] = 0
            first, last = max(top, place.y), min(rows.stop, place.bottom)
            if first < last:
                canvas[first:last, place.columns] = planes[first - place.y : last - place.y]
            scratch.let_go(canvas)
            scratch.let_go(planes)
        return canvas

    def _enlarged(
        self, picture: np.ndarray, chains: tuple[tuple[Step, ...], ...], steps: _Steps, progress: Progress
    ) -> np.ndarray:
        """``(H, W, C)`` through the steps of each chain to the planned size, mixed: ``(h, w, C)`` of its depth."""
        works = [_work(chain) for chain in chains]
        total = sum(works) or 1.0
        results, before = [], 0.0
        for number, (chain, work) in enumerate(zip(chains, works)):
            prefix = f"{names_of(self.chains[number][0])}: " if len(chains) > 1 else ""
            part = SubProgress(progress, before / total, (before + work) / total, prefix)
            results.append(steps.through(picture, chain, part))
            before += work
        return (
            results[0]
            if len(results) == 1
            else mix(results[0], results[1], self.chains[1][1], self.plan.bits, self._folder)
        )


class _Steps:
    """Carries out single steps by our engine, and records what ran."""

    def __init__(
        self,
        plan: JobPlan,
        chains: Chains,
        device: torch.device,
        request: UpscaleRequest,
        record: Record,
        folder: Path | None = None,
    ) -> None:
        self.plan, self.chains, self.device, self.request, self.record = plan, chains, device, request, record
        self._folder = folder

    def through(self, picture: np.ndarray, steps: tuple[Step, ...], progress: Progress) -> np.ndarray:
        """``(H, W, C)`` through all of these, one after the other."""
        total, before = _work(steps), 0.0
        for step in steps:
            after = before + _work([step])
            prefix = f"pass {step.nth} of {step.of} " if isinstance(step, (Run, Sample)) and step.of > 1 else ""
            picture = self._carried_out(step, picture, SubProgress(progress, before / total, after / total, prefix))
            before = after
        return picture

    def _carried_out(self, step: Step, picture: np.ndarray, progress: Progress) -> np.ndarray:
        if isinstance(step, Resample):
            shape = step.target.height, step.target.width, picture.shape[2]
            output = scratch.planes(shape, type_of(step.bits), self._folder)
            wrap = self.plan.where.wrap
            return lanczos(picture, step.target, check=lambda: _check(progress), output=output, wrap=wrap)
        one = self.chains[step.chain][0][0 if isinstance(step, Foreign) else step.number]
        if isinstance(step, Run) and isinstance(one, UpscaleModel):
            return self._by_network(step, one, picture, progress)
        if isinstance(step, Sample) and isinstance(one, LdsrModel):
            return self._by_sampling(step, one, picture, progress)
        assert isinstance(step, Foreign)
        assert not isinstance(one, (UpscaleModel, LdsrModel))  # as it was planned
        return self._by_another(step, one, picture, progress)

    def _by_network(self, step: Run, model: UpscaleModel, picture: np.ndarray, progress: Progress) -> np.ndarray:
        memory = self.request.memory
        if memory is not None and self.device.type == "cpu":
            memory = max(1, memory - self.plan.reserved_bytes(step))
        options = PassOptions(self.request.precision, self.request.tile, memory, scratch=self._folder)
        started = time.perf_counter()
        source = self.plan.source.area, max(self.plan.source_bits, self.plan.bits)
        picture = wrapped(picture, step.beside)

        def one(planes: np.ndarray, task: PassTask, part: Progress) -> PassResult:
            return run(model, planes, self.device, options, part, task, source=source)

        if step.views == 1:
            done = one(picture, step.task, progress)
        else:
            done = averaged(picture, (step.task, step.turned), step.bits, progress, one)
        self.record.seconds += time.perf_counter() - started
        # The canvas is not kept longer than it is needed.
        self.record.passes.append((model, replace(done, pixels=_NO_PIXELS)))
        return cut(done.pixels, tuple(side * step.task.scale for side in step.beside))

    def _by_sampling(self, step: Sample, model: LdsrModel, picture: np.ndarray, progress: Progress) -> np.ndarray:
        started = time.perf_counter()
        settings, memory = self.request.sampling, self._memory_beside(step)
        done = sample(model, picture, settings, self.device, memory, progress, step.bits)
        done.seconds = time.perf_counter() - started
        self.record.seconds += done.seconds
        self.record.passes.append((model, replace(done, pixels=_NO_PIXELS)))
        return done.pixels

    def _memory_beside(self, step: Sample) -> int | None:
        """Bytes that it may take, where the user has set a limit."""
        memory = self.request.memory
        if memory is None or self.device.type != "cpu":
            return memory
        return max(1, memory - step.bytes)

    def _by_another(self, step: Foreign, enlarger: Enlarger, picture: np.ndarray, progress: Progress) -> np.ndarray:
        """It gets RGB of 8 bits and gives some size; the exact one and grey are ours to see to."""
        channels = picture.shape[2]
        if self.plan.source_bits > 8 or self.plan.bits > 8:
            self.record.notes.append(f"'{enlarger.name}' works with 8 bits per channel")
        progress.advance(0.0)
        _check(progress)
        started = time.perf_counter()
        seen = wrapped(converted(picture, 8), step.beside)
        rgb = seen if channels == 3 else np.repeat(seen, 3, axis=2)
        planes = enlarger.enlarge(rgb, step.target, progress)[:, :, :channels]
        if (planes.shape[1], planes.shape[0]) != (step.target.width, step.target.height):
            planes = lanczos(np.ascontiguousarray(planes), step.target, check=lambda: _check(progress))
        beside = [side * new // old for side, new, old in zip(step.beside, step.target.sides, step.source.sides)]
        planes = cut(planes, (beside[0], beside[1]))
        seconds = time.perf_counter() - started
        learn(enlarger.name, FOREIGN, step.target.area, seconds)
        self.record.seconds += seconds
        self.record.others.append(enlarger)
        return converted(planes, step.bits)


class _UntiledSteps(_Steps):
    """The same by the untiled float32 network on the CPU, in spandrel's own call."""

    def _by_network(self, step: Run, model: UpscaleModel, picture: np.ndarray, progress: Progress) -> np.ndarray:
        views = VIEWS[: step.views]
        try:
            with device_lock(torch.device("cpu")):
                around = wrapped(picture, step.beside)
                seen = (seen_back(self._true(model, as_seen(around, view), progress), view) for view in views)
                mean = np.asarray(sum(one / len(views) for one in seen))
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise MemoryLimitError(
                    "the result cannot be verified", "the untiled network does not fit into memory", "leave verify off"
                ) from error
            raise
        beside = tuple(side * step.task.scale for side in step.beside)
        return np.ascontiguousarray(rounded(cut(mean, beside), step.bits))

    def _by_sampling(self, step: Sample, model: LdsrModel, picture: np.ndarray, progress: Progress) -> np.ndarray:
        settings = self.request.sampling
        whole = replace(settings, precision="exact", tile=LARGEST_TILE if settings.mode == "auto" else "auto")
        return sample(model, picture, whole, torch.device("cpu"), None, progress, step.bits).pixels

    def _true(self, model: UpscaleModel, picture: np.ndarray, progress: Progress) -> np.ndarray:
        """``(h, w, C)`` float32 in [0, 1]."""
        planes = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1) / float(top_of(bits_of(picture)))
        image = to_network(planes, model.card.input_channels).contiguous()
        output = from_network(model.reference(image, lambda: _check(progress)), picture.shape[2])
        return output.permute(1, 2, 0).numpy()


def names_of(chain: list[Loaded | Enlarger]) -> str:
    return " > ".join(one.name for one in chain)


def _check(progress: Progress) -> None:
    if progress.cancelled():
        raise Cancelled


def _stretches(walk: Walk, progress: Progress) -> tuple[Progress, Progress]:
    """The part of the progress that colour takes, and the part that alpha takes."""
    color, alpha = (sum(_work(chain) for chain in part) for part in (walk.color, walk.alpha))
    if not alpha:
        return progress, progress
    split = color / (color + alpha)
    return SubProgress(progress, 0, split), SubProgress(progress, split, 1, "alpha ", shown=False)


def _work(steps: Iterable[Step]) -> float:
    """For the progress. Of another's upscaler nothing is known: it counts as a network of a middling size."""
    return sum(
        step.work if isinstance(step, (Run, Sample)) else step.source.area * 1e6 if isinstance(step, Foreign) else 1.0
        for step in steps
    )


def cut_most(strategies: Iterable[str]) -> str:
    """The one of several passes that cut the most; "resampled" where there is none."""
    order = ("whole", "whole, in bands", "tiles", *SAMPLED)
    return max(strategies, key=order.index, default="resampled")


def picture_limit(device: torch.device, memory: int | None) -> int:
    """Bytes of main memory that pictures may take. memory: what the job may take on the device."""
    free = int(available_bytes(torch.device("cpu")) * 0.9)
    return min(free, memory) if memory and device.type == "cpu" else free
