"""From a request to a result: size, passes, alpha, two models, and a statement of what was done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image

from .errors import Cancelled, MemoryLimitError, UnsupportedPictureError
from .geometry import Region, Size
from .models.library import ModelLibrary
from .models.loader import DEFAULT_CACHE_BYTES, ModelCache
from .models.network import UpscaleModel
from .pictures.pixels import Pixels, bleed, compose, constant_alpha, decompose, flatten, mix, restore_flat_alpha
from .pictures.resample import lanczos, lanczos_plane
from .planning.job import JobPlan, Run, alpha_route
from .progress import NO_PROGRESS, Progress, SubProgress
from .request import UpscaleReport, UpscaleRequest, UpscaleResult
from .running.channels import from_network, to_network
from .running.device import find_device
from .running.engine import PassResult, Settings, device_lock, run
from .running.limits import available_bytes, is_out_of_memory
from .running.peak import PeakMeter
from .running.speeds import PICTURES, learn, network_names

__all__ = ["Upscaler", "picture_limit"]

_ALPHA_CONTEXT = 16
"""px of the source. Alpha that is 0 or 255 throughout this far around stays exactly so; the networks' influence
beyond is far below a level."""


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

    def load(self, request: UpscaleRequest) -> tuple[list[tuple[UpscaleModel, float]], float]:
        """The models that are seen with the weight of each, and the seconds that loading took now.

        Raises ModelError.
        """
        started = time.perf_counter()
        return [(self.cache.get(self.library.find(name)), weight) for name, weight in request.seen], (
            time.perf_counter() - started
        )

    def upscale(self, image: Image.Image, request: UpscaleRequest, progress: Progress = NO_PROGRESS) -> UpscaleResult:
        """Upscale one picture.

        image: of the modes 1, L, LA, P, RGB or RGBA; EXIF orientation is the caller's (``reading`` applies it).

        Raises ModelError, UnsupportedPictureError, SizeError, RequestError, MemoryLimitError, DeviceError, Cancelled.
        """
        if 0 in image.size:
            raise UnsupportedPictureError("cannot upscale this picture", "it has no pixels", "choose another one")
        models, load_seconds = self.load(request)
        started = time.perf_counter()
        try:
            with PeakMeter(self.device) as meter:
                job = _Job(models, self.device, request, Size(*image.size), progress)
                result = job.result(decompose(image))
            seconds = time.perf_counter() - started
            job.learn(seconds)
            report = job.report(seconds, load_seconds, meter.bytes)
            if request.verify:
                largest, mean = job.verify()
                report = replace(report, verify_max=largest, verify_mean=mean)
        except MemoryError as error:
            raise MemoryLimitError(
                f"there is not enough memory for this picture of {image.size[0]}x{image.size[1]} px",
                str(error),
                "ask for a smaller size, or close other programs",
            ) from error
        progress.advance(1.0)
        return UpscaleResult(result, report)

    def release(self) -> None:
        """Drop all models, and give the device's cached memory back."""
        self.cache.release()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


_NO_PIXELS = np.empty((0, 0, 1), np.uint8)

_Runner = Callable[[UpscaleModel, np.ndarray, int, int, Progress], np.ndarray]
"""(model, picture, bits of the result, area of the source, progress) -> the network's output."""


@dataclass
class _Job:
    """One picture on its way."""

    models: list[tuple[UpscaleModel, float]]
    device: torch.device
    request: UpscaleRequest
    source: Size
    progress: Progress
    plan: JobPlan = field(init=False)

    def __post_init__(self) -> None:
        scales = [model.scale for model, _ in self.models]
        self.plan = JobPlan.of(self.source, self.request.size, scales, self.request.always)
        self.plan.check(picture_limit(self.device, self.request.memory))
        self.done: list[tuple[UpscaleModel, PassResult]] = []
        self.engine_seconds = 0.0

    # -- the picture -------------------------------------------------------------------------------------------------

    def result(self, pixels: Pixels) -> Image.Image:
        color, alpha, mode = pixels.color, pixels.alpha, pixels.mode
        if alpha is not None and self.request.alpha == "drop":
            color, alpha = flatten(color, alpha), None
            mode = "L" if color.shape[2] == 1 else "RGB"
        same = constant_alpha(alpha) if alpha is not None else None
        takes_alpha = all(model.card.takes_alpha for model, _ in self.models)
        route = alpha_route(alpha is not None, same is not None, self.request.alpha, color.shape[2], takes_alpha)
        steps = self.plan.steps(color.shape[2], route)
        self.handling = self.plan.handling(color.shape[2], route)
        self.runs: Iterator[Run] = (step for step in steps if isinstance(step, Run))
        if route == "together" and alpha is not None:
            return self._placed(*self._with_alpha(color, alpha), mode)
        if alpha is not None and same is None:
            color = bleed(color, alpha)
        stretches = self._stretches(color.shape[2], route == "apart")
        enlarged = self._enlarge(color, self._run, stretches[0])
        if self.request.verify:
            self.to_verify = color, enlarged
        if alpha is not None:
            alpha = self._alpha(alpha, same, route == "apart", stretches[-1])
        return self._placed(enlarged, alpha, mode)

    def _with_alpha(self, color: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Through networks that take RGBA and give RGBA: colour and alpha in one."""
        picture = np.concatenate([color, alpha[:, :, None]], axis=2)
        enlarged = self._enlarge(picture, self._run, self.progress)
        if self.request.verify:
            self.to_verify = picture, enlarged
        return enlarged[:, :, :3], restore_flat_alpha(enlarged[:, :, 3], alpha, _ALPHA_CONTEXT)

    def verify(self) -> tuple[float, float]:
        """The largest and the mean difference from the untiled float32 network, in levels.

        Of the colours; with networks that take RGBA, of all four channels.
        """
        color, enlarged = self.to_verify
        return _difference(enlarged, self._enlarge(color, self._reference, SubProgress(self.progress, 1, 1)))

    def _stretches(self, channels: int, alpha_too: bool) -> list[Progress]:
        """The part of the progress that colour takes, and the part that alpha takes."""
        if not alpha_too:
            return [self.progress]
        color_work = 3 if channels == 3 and all(m.card.input_channels == 1 for m, _ in self.models) else 1
        split = color_work / (color_work + 1)
        return [SubProgress(self.progress, 0, split), SubProgress(self.progress, split, 1, "alpha ", shown=False)]

    def _alpha(self, alpha: np.ndarray, same: int | None, through_network: bool, progress: Progress) -> np.ndarray:
        """Alpha at the enlarged size, ``(h, w)`` uint8."""
        size = self.plan.sizes.resized
        if same is not None:
            return np.full((size.height, size.width), same, np.uint8)
        if not through_network:
            return lanczos_plane(alpha, size, check=self._check)
        enlarged = self._enlarge(alpha[:, :, None], self._run, progress)[:, :, 0]
        return restore_flat_alpha(enlarged, alpha, _ALPHA_CONTEXT)

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

    # -- networks ----------------------------------------------------------------------------------------------------

    def _enlarge(self, picture: np.ndarray, runner: _Runner, progress: Progress) -> np.ndarray:
        """``(H, W, C)`` uint8 through the models to the planned size, ``(h, w, C)`` uint8."""
        if len(self.models) == 1:
            return self._through(0, picture, runner, progress, 8)
        (first, _), (second, visibility) = self.models
        work = [self._work(number) for number in (0, 1)]
        middle = work[0] / sum(work)
        a = self._through(0, picture, runner, SubProgress(progress, 0, middle, f"{first.name}: "), 16)
        b = self._through(1, picture, runner, SubProgress(progress, middle, 1, f"{second.name}: "), 16)
        return mix(a, b, visibility)

    def _work(self, number: int) -> float:
        """Of all passes of one of the models, in multiply-accumulates; 1 where it does not run."""
        model, count = self.models[number][0], self.plan.passes[number]
        return 1.0 + sum(self.source.area * model.scale ** (2 * n) for n in range(count)) * model.facts.work_per_pixel

    def _through(self, chosen: int, picture: np.ndarray, runner: _Runner, progress: Progress, bits: int) -> np.ndarray:
        """As many passes of one of the models as the scale needs, then one resample to the exact size."""
        target = self.plan.sizes.resized
        model, count = self.models[chosen][0], self.plan.passes[chosen]
        work = [model.scale ** (2 * number) for number in range(count)]
        for number, result_bits in enumerate(self.plan.bits_of_passes(chosen, bits)):
            part = SubProgress(progress, sum(work[:number]) / sum(work), sum(work[: number + 1]) / sum(work))
            if count > 1:
                part.prefix = f"pass {number + 1} of {count} "
            picture = runner(model, picture, result_bits, self.source.area, part)
        if (picture.shape[1], picture.shape[0]) == (target.width, target.height) and picture.dtype.itemsize * 8 == bits:
            return picture
        return lanczos(picture, target, check=self._check, bits=bits)

    def _run(self, model: UpscaleModel, picture: np.ndarray, bits: int, area: int, progress: Progress) -> np.ndarray:
        memory = self.request.memory
        beside = self.plan.beside(next(self.runs))
        if memory is not None and self.device.type == "cpu":
            memory = max(1, memory - beside)
        settings = Settings(self.request.precision, self.request.tile, memory)
        started = time.perf_counter()
        done = run(model, picture, self.device, settings, progress, bits, source=(area, 8))
        self.engine_seconds += time.perf_counter() - started
        self.done.append((model, replace(done, pixels=_NO_PIXELS)))  # the canvas is not kept longer than it is needed
        return done.pixels

    def _reference(
        self, model: UpscaleModel, picture: np.ndarray, bits: int, area: int, progress: Progress
    ) -> np.ndarray:
        """The untiled float32 network on the CPU, by spandrel's own call."""
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
        kind, top = (np.uint8, 255) if bits == 8 else (np.uint16, 65535)
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
        learn(PICTURES, torch.device("cpu"), self.handling, seconds - self.engine_seconds)

    def report(self, seconds: float, load_seconds: float, peak_bytes: int) -> UpscaleReport:
        passes = [done for _, done in self.done]
        words = {done.precision.word for done in passes}
        decibels = [done.precision.decibels for done in passes if done.precision.decibels is not None]
        warnings = list(dict.fromkeys(text for done in passes for text in done.warnings))
        if not passes:
            warnings.append("at this size no network of more than 1x is needed; the picture was only resampled")
        return UpscaleReport(
            input_size=self.source,
            output_size=self.plan.sizes.output,
            models=tuple(dict.fromkeys(model.name for model, _ in self.done)),
            passes=self.plan.passes[0],
            strategy=cut_most(done.strategy for done in passes),
            tiles=max((done.tiles for done in passes), default=0),
            margin=max((done.margin for done in passes), default=0),
            seam_error=max((done.seam_error for done in passes), default=0.0),
            precision=" and ".join(sorted(words)) or "float32",
            precision_db=min(decibels) if decibels else None,
            device=str(self.device),
            seconds=round(seconds, 3),
            load_seconds=round(load_seconds, 3),
            peak_bytes=peak_bytes,
            warnings=tuple(warnings),
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
