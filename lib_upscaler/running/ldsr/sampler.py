"""LDSR, from a picture to one four times as large."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ...errors import MemoryLimitError
from ...geometry import Size
from ...models.ldsr.network import LdsrNetwork
from ...models.ldsr.samplers import sample_ddim, sample_dpmpp_2m
from ...models.ldsr.schedule import Level, even_levels, host_levels, karras_levels
from ...models.ldsr.settings import SMALLEST_TILE, LdsrSettings
from ...models.ldsr.vq import FirstStage
from ...planning.ldsr import HOST_PATCH, LdsrPlan, not_enough
from ...progress import NO_PROGRESS, Progress, SubProgress, Tracker, preview_of
from ..device import device_lock
from ..heap import steady_heap
from ..limits import free_cache, is_out_of_memory, memory_budget
from ..precision import ChosenPrecision, exact_arithmetic
from .decoding import Decode, decode_as_webui, decode_in_tiles, decode_whole
from .denoiser import TiledDenoiser
from .forecast import LdsrForecast, forecast, notes_on, plan_for
from .noise import CanvasNoise
from .precision import choose_precision

__all__ = ["LdsrResult", "LdsrSampler"]

DECODED_IN_TILES = "there was not enough memory to decode the picture as a whole: it was decoded in tiles"
_PREVIEW_SIDE = 96  # latent px
_STEADY = 2.0
"""Times what a batch takes otherwise."""


@dataclass(frozen=True)
class LdsrResult:
    """picture: ``(3, H * scale, W * scale)`` float32 in [0, 1] on the CPU. plan: that was gone by in the end.

    steps: that were run. warnings: what the user should know.
    """

    picture: Tensor
    plan: LdsrPlan
    precision: ChosenPrecision
    steps: int
    warnings: tuple[str, ...]


class LdsrSampler:
    """Runs the networks.

    decode: makes the picture of the latent, in place of the whole decoder here. The WebUI's arithmetic has its own.
    """

    def __init__(self, network: LdsrNetwork, decode: Decode | None = None) -> None:
        self.network, self.decode = network, decode

    def forecast(
        self, size: Size, settings: LdsrSettings, device: torch.device, memory: int | None = None
    ) -> LdsrForecast:
        """As the function of this name."""
        return forecast(self.network.layout, size, settings, device, memory)

    def upscale(
        self,
        picture: Tensor,
        settings: LdsrSettings,
        device: torch.device,
        memory: int | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> LdsrResult:
        """picture: ``(3, H, W)`` float in [0, 1]; any size. memory: bytes that may be taken at most.

        progress: one with ``preview`` is offered what the picture is thought to be after each step, small.

        Raises Cancelled, MemoryLimitError, BrokenModelError, RequestError.
        """
        try:
            return self._upscale(picture, settings.complete, device, memory, progress)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise not_enough(memory_budget(device, memory)) from error

    def _upscale(
        self, picture: Tensor, settings: LdsrSettings, device: torch.device, memory: int | None, progress: Progress
    ) -> LdsrResult:
        with torch.inference_mode(), device_lock(device), exact_arithmetic():
            precision = choose_precision(settings.precision, self.network, device, Tracker(progress, 0.0).check)
            run = _Run(self, picture, settings, device, memory, progress, precision)
            # A steady heap is quicker and takes more, which is dear where the tensors have hundreds of megabytes.
            with steady_heap() if run.plan.tile_bytes * _STEADY < run.budget else nullcontext():
                return run.result()


class _Run:
    """One picture."""

    def __init__(
        self,
        sampler: LdsrSampler,
        picture: Tensor,
        settings: LdsrSettings,
        device: torch.device,
        memory: int | None,
        progress: Progress,
        precision: ChosenPrecision,
    ) -> None:
        self.network, self.custom_decode = sampler.network, sampler.decode
        self.picture, self.settings, self.device, self.precision = picture, settings, device, precision
        self.size = Size(picture.shape[2], picture.shape[1])
        layout, self.memory = self.network.layout, memory
        self.network.unet_for(device, precision.dtype)  # what it takes there is gone before room for the rest is told
        self.budget = memory_budget(device, memory)
        self.plan = plan_for(layout, self.size, settings, device, memory, precision.item_size)
        self.warnings = [*self.network.notes, *notes_on(settings, self.plan.steps)]
        share = self.plan.work / (self.plan.work + self.plan.decoder_work)
        self.progress = progress
        self.sampling, self.decoding = SubProgress(progress, 0.0, share), SubProgress(progress, share, 1.0)

    def result(self) -> LdsrResult:
        tracker = Tracker(self.sampling, self.plan.pixel_steps)
        condition = self._condition().to(self.device)
        denoiser = TiledDenoiser(self.network, condition, self.plan, self.precision.dtype, tracker, self.budget)
        latent = self._sampled(denoiser)
        self.plan = denoiser.plan
        self.warnings += denoiser.warnings
        steps = self.plan.steps
        del denoiser, condition
        free_cache(self.device)
        decoded = self._decoded(latent / self.network.scale_factor)
        output = self.plan.output
        picture = decoded[0, :, : output.height, : output.width].float().cpu()
        picture = picture.clamp(-1, 1).add_(1).div_(2)
        self.progress.advance(1.0)
        return LdsrResult(picture, self.plan, self.precision, steps, tuple(self.warnings))

    def _condition(self) -> Tensor:
        """The picture on the canvas, ``(1, C, H, W)`` in [-1, 1]."""
        canvas = self.plan.canvas
        grown = (_repeated if self.plan.as_webui else _mirrored)(self.picture.float()[None], canvas)
        return grown * 2 - 1

    def _sampled(self, denoiser: TiledDenoiser) -> Tensor:
        settings, alphas = self.settings, self.network.alphas
        noise = CanvasNoise(settings.seed, self.network.layout.unet.outputs, self.plan.canvas)
        levels = _levels(settings, alphas)
        x = noise.next().to(self.device)
        if settings.sampler == "dpmpp_2m":
            return sample_dpmpp_2m(denoiser, x, levels, self._show)
        return sample_ddim(denoiser, x, levels, settings.eta or 0.0, lambda: noise.next().to(self.device), self._show)

    def _show(self, step: int, clean: Tensor) -> None:
        """Offer what the picture is thought to be."""
        show = preview_of(self.sampling)
        if show is not None:
            show(lambda: self._small_picture(clean))

    def _small_picture(self, latent: Tensor) -> Image.Image:
        latent = latent[:, :, : self.size.height, : self.size.width] / self.network.scale_factor
        by = max(1.0, max(latent.shape[2:]) / _PREVIEW_SIDE)
        sides = [max(1, round(side / by)) for side in latent.shape[2:]]
        with torch.inference_mode():
            small = self._first_stage()(F.interpolate(latent.float(), sides, mode="area"))
        levels = small[0].float().clamp(-1, 1).add(1).mul(127.5).round().byte()
        return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())

    def _first_stage(self) -> FirstStage:
        return self.network.first_stage_for(self.device)

    def _decoded(self, latent: Tensor) -> Tensor:
        if self.plan.as_webui:
            return decode_as_webui(self._first_stage(), latent, self.decoding)
        if self.custom_decode is not None:
            return self.custom_decode(latent, self.decoding)
        first_stage = self._first_stage()
        self.budget = memory_budget(self.device, self.memory)
        if self.plan.decoder_bytes() <= self.budget:
            try:
                return decode_whole(first_stage, latent, self.decoding)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
        free_cache(self.device)
        self.warnings.append(DECODED_IN_TILES)
        return self._decoded_in_tiles(latent)

    def _decoded_in_tiles(self, latent: Tensor) -> Tensor:
        """In the largest tiles that fit, up to those of the WebUI."""
        for tile in range(HOST_PATCH, SMALLEST_TILE - 1, -16):
            if self.plan.decoder_bytes(Size(tile, tile)) > self.budget and tile > SMALLEST_TILE:
                continue
            try:
                return decode_in_tiles(self._first_stage(), latent, tile, self.decoding)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            free_cache(self.device)
        raise MemoryLimitError(
            "there is not enough memory to decode the picture", "", "allow more memory, or close other programs"
        )


def _levels(settings: LdsrSettings, alphas: np.ndarray) -> list[Level]:
    assert settings.steps is not None
    if settings.mode == "webui":
        return host_levels(settings.steps, alphas)
    return (karras_levels if settings.sampler == "dpmpp_2m" else even_levels)(settings.steps, alphas)


def _mirrored(picture: Tensor, canvas: Size) -> Tensor:
    """Grown to the canvas on the right and below, mirrored as often as need be."""
    for dimension, length in ((2, canvas.height), (3, canvas.width)):
        side = picture.shape[dimension]
        place = torch.arange(length) % max(1, 2 * (side - 1))
        picture = picture.index_select(dimension, torch.minimum(place, 2 * (side - 1) - place).clamp(min=0))
    return picture


def _repeated(picture: Tensor, canvas: Size) -> Tensor:
    """Grown by its last column and row, as the WebUI does it."""
    right, below = canvas.width - picture.shape[3], canvas.height - picture.shape[2]
    return F.pad(picture, (0, right, 0, below), mode="replicate")
