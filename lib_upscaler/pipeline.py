"""From a request to a result: size, passes, alpha, two models, and a statement of what was done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from .errors import Cancelled, MemoryLimitError, RequestError, UnsupportedPictureError
from .geometry import Size
from .models.library import ModelLibrary
from .models.loader import DEFAULT_CACHE_BYTES, ModelCache
from .models.network import UpscaleModel
from .pictures.mixing import mix
from .pictures.pixels import Pixels, bleed, compose, constant_alpha, decompose, flatten, restore_flat_alpha
from .pictures.resample import lanczos, lanczos_plane
from .planning.job import JobPlan, Run, alpha_route
from .planning.sizing import SizeRequest
from .progress import NO_PROGRESS, Progress, SubProgress
from .running.channels import from_network, to_network
from .running.device import find_device
from .running.engine import PassResult, Settings, device_lock, run
from .running.memory import PeakMeter, available_bytes, is_out_of_memory
from .running.precision import PRECISIONS
from .running.speeds import PICTURES, learn, network_names

__all__ = ["UpscaleReport", "UpscaleRequest", "UpscaleResult", "Upscaler", "picture_limit"]

ALPHA_CHOICES = ("network", "fast", "drop")

_ALPHA_CONTEXT = 16
"""px of the source. Alpha that is 0 or 255 throughout this far around stays exactly so; the networks' influence
beyond is far below a level."""


@dataclass(frozen=True)
class UpscaleRequest:
    """What to do with a picture. Checked when it is made.

    model, model2: names in the library or paths of files. visibility: of model2, 0 to 1; at 0 or 1 only the model
        that is seen runs.
    size: how large; None for the own scale of the (first) model that is seen.
    precision: "auto", "exact" (float32), "fp16" or "bf16". tile: "auto", "none", or the side of a tile's core in px
        of the input, its margin on top.
    memory: bytes that the job may take on the device, None for a share of what is free.
    alpha: "network" (through the network as well), "fast" (resampled) or "drop" (flattened on white).
    verify: also run the untiled float32 network, on the CPU, and report the difference.
    always: run the network once also where the size asks for none of more than 1x.

    Raises RequestError.
    """

    model: str | Path
    model2: str | Path | None = None
    visibility: float = 0.0
    size: SizeRequest | None = None
    precision: str = "auto"
    tile: int | str = "auto"
    memory: int | None = None
    alpha: str = "network"
    verify: bool = False
    always: bool = False

    def __post_init__(self) -> None:
        if self.precision not in ("auto", *PRECISIONS):
            raise RequestError(
                f"there is no precision '{self.precision}'", "", f"choose one of auto, {', '.join(PRECISIONS)}"
            )
        if self.alpha not in ALPHA_CHOICES:
            raise RequestError(
                f"there is no way of treating alpha called '{self.alpha}'", "", f"choose {', '.join(ALPHA_CHOICES)}"
            )
        if not _is_number(self.visibility) or not 0 <= self.visibility <= 1:
            raise RequestError(f"a visibility of {self.visibility} is not possible", "", "choose one from 0 to 1")
        whole = isinstance(self.tile, int) and not isinstance(self.tile, bool)
        if self.tile not in ("auto", "none") and not (whole and self.tile >= 16):
            raise RequestError(f"a tile of {self.tile!r} is not possible", "", "choose auto, none, or at least 16 px")
        if self.memory is not None and not (_is_number(self.memory) and self.memory > 0):
            raise RequestError(f"a memory limit of {self.memory!r} is not possible", "", "give it in bytes, above 0")
        if self.visibility > 0 and self.model2 is None:
            raise RequestError("a visibility is given, but no second model", "", "name the second model as well")

    @property
    def seen(self) -> list[tuple[str | Path, float]]:
        """The models that are seen, with the weight of each."""
        wanted = [(self.model, 1 - self.visibility)] if self.visibility < 1 else []
        if self.model2 is not None and self.visibility > 0:
            wanted.append((self.model2, self.visibility))
        return wanted


@dataclass(frozen=True)
class UpscaleReport:
    """What was done.

    models: names of those that ran. passes: of the first of them.
    strategy: "whole", "whole, in bands", "tiles", or "resampled" where no network ran; that of the pass that was cut
        most, as are tiles and margin (px of context around each).
    seam_error: largest difference between neighbouring tiles along their common line, in 8-bit levels.
    precision: "float32", "float16", "bfloat16". precision_db: its measured PSNR against float32, None where exact or
        not measured.
    seconds: without loading. load_seconds: of the models loaded for this picture, 0.0 when they were there.
    peak_bytes: memory taken above what was taken before. verify_max, verify_mean: difference from the untiled float32
        network in 8-bit levels, None where not asked for.
    """

    input_size: Size
    output_size: Size
    models: tuple[str, ...]
    passes: int
    strategy: str
    tiles: int
    margin: int
    seam_error: float
    precision: str
    precision_db: float | None
    device: str
    seconds: float
    load_seconds: float
    peak_bytes: int
    warnings: tuple[str, ...] = ()
    verify_max: float | None = None
    verify_mean: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values that JSON can hold; sizes as [width, height]."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        for name in ("input_size", "output_size"):
            size = getattr(self, name)
            plain[name] = [size.width, size.height]
        return plain


@dataclass(frozen=True)
class UpscaleResult:
    """image: L, LA, RGB or RGBA, of exactly the size asked for."""

    image: Image.Image
    report: UpscaleReport


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

        image: of the modes 1, L, LA, P, RGB or RGBA; EXIF orientation is the caller's (``picture_file`` applies it).

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
        if route == "together":
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
            color = self._padded(color)
            alpha = self._padded(alpha[:, :, None])[:, :, 0] if alpha is not None else None
        return compose(np.ascontiguousarray(color), alpha, mode)

    def _padded(self, planes: np.ndarray) -> np.ndarray:
        size, place = self.plan.sizes.output, self.plan.sizes.paste
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


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
