"""The composition of the whole picture for tiles that each see a part of it, in the early steps.

Where there is much noise a tile does not know what it is a part of, and the subject of the prompt comes up in each.
So while there is, the whole latent is denoised once more at low resolution, and the tiles' prediction gets its low
frequencies from there: ``x0 = x0_tiles + weight * up(x0_low - down(x0_tiles))``; what is finer is the tiles' own. The
weight falls along half a cosine wave and is 0 where the noise no longer hides the composition.

Kin: DemoFusion (Du et al. 2024) denoises dilated samples of the whole besides its tiles and fades its guidance along a
cosine; HiDiffusion (Zhang et al. 2024) and ScaleCrafter (He et al. 2024) make the network itself see more of the
picture in the early steps. Those reach into the network; this needs nothing but its predictions.

The noise fits without any being added: the mean of ``f * f`` px of white noise is white noise of a standard deviation
``f`` times smaller, so the shrunk latent is one of the shrunk picture at a lower noise level, which the denoiser is
told (Hoogeboom et al. 2023, "simple diffusion": the same noise hides less at a higher resolution).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import RequestError
from ..geometry import Size
from .canvas_grid import UNIT
from .noise_levels import NoiseLevels

__all__ = ["Composition", "LowPass", "shrunk"]


@dataclass(frozen=True)
class Composition:
    """levels: what the sampler means by a noise level. fades, full: noise over signal (k-diffusion's sigma) up to which
    there is no pass at low resolution, and from which on its weight is 1. SD's sampling starts at 14.6 for a denoising
    strength of 1, at about 3.5 for 0.7 and 1.5 for 0.5. Raises RequestError."""

    levels: NoiseLevels
    fades: float = 1.0
    full: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.fades < self.full:
            what = f"the whole cannot fade from {self.full} to {self.fades}"
            raise RequestError(what, "the first must be the larger, and both above 0")

    def weight(self, ratio: float) -> float:
        """Of the pass at low resolution, 0 to 1, where noise over signal is ``ratio``."""
        if ratio <= self.fades:
            return 0.0
        if ratio >= self.full:
            return 1.0
        share = math.log(ratio / self.fades) / math.log(self.full / self.fades)
        return 0.5 - 0.5 * math.cos(math.pi * share)


class LowPass:
    """The pass at low resolution for one canvas.

    factor: px of the canvas that become one, across and down: the least for which the whole has about as many px as a
    tile. size: what the denoiser gets: sides are multiples of 8, the canvas is extended by reflection to their
    multiple.
    """

    def __init__(self, canvas: Size, tile: int, composition: Composition) -> None:
        self._composition = composition
        self.factor = max(2, math.ceil(math.sqrt(canvas.area) / tile))
        self.size = Size(*(_cells(length, self.factor) for length in (canvas.width, canvas.height)))

    def wanted(self, level: Tensor) -> bool:
        """Whether there is a pass at this level, ``(B,)``."""
        return self._weight(level) > 0

    def __call__(
        self, denoise: Callable[[Tensor, Tensor], Tensor], x: Tensor, level: Tensor, predicted: Tensor
    ) -> Tensor:
        """denoise: ``(B, C, h, w)`` of ``size`` at a level ``(B,)`` -> its prediction. x: the canvas, ``(B, C, H, W)``.
        predicted: of the tiles put together. Gives the prediction with the composition of the whole."""
        levels = self._composition.levels
        signal, noise = (_planes(part, predicted) for part in levels.parts(level))
        low_level = levels.at(self._ratio(level) / self.factor)
        low_signal, low_noise = (_planes(part, predicted) for part in levels.parts(low_level))

        x_low = shrunk(x, self.factor) * (low_signal / signal.clamp_min(_TINY)).to(x.dtype)
        low = denoise(x_low, low_level.to(level.dtype)).to(predicted.dtype)
        tiles = predicted
        if levels.predicts_noise:
            low = (x_low - low_noise * low) / low_signal
            tiles = (x - noise * predicted) / signal
        missing = low - shrunk(tiles, self.factor)
        change = F.interpolate(missing, scale_factor=float(self.factor), mode="bilinear", align_corners=False)
        change = change[:, :, : x.shape[2], : x.shape[3]] * self._weight(level)
        return predicted - change * (signal / noise) if levels.predicts_noise else predicted + change

    def _ratio(self, level: Tensor) -> Tensor:
        signal, noise = self._composition.levels.parts(level)
        return noise / signal.clamp_min(_TINY)

    def _weight(self, level: Tensor) -> float:
        return self._composition.weight(float(self._ratio(level).max()))


_TINY = 1e-4
"""A latent that is nothing but noise has no signal to scale by."""


def shrunk(planes: Tensor, factor: int, unit: int = UNIT) -> Tensor:
    """Means of ``factor * factor`` px: ``(B, C, H, W)`` -> ``(B, C, h, w)``, sides multiples of ``unit``, extended by
    reflection on the right and below. As it is for a factor of 1."""
    if factor == 1:
        return planes
    for axis in (3, 2):
        target = _cells(planes.shape[axis], factor, unit) * factor
        while planes.shape[axis] < target:
            length = planes.shape[axis]
            back = planes.flip(axis).narrow(axis, 0, min(length, target - length))
            planes = torch.cat([planes, back], dim=axis)
    return F.avg_pool2d(planes, factor)


def _cells(length: int, factor: int, unit: int = UNIT) -> int:
    return -(-length // (factor * unit)) * unit


def _planes(values: Tensor, like: Tensor) -> Tensor:
    """``(B,)`` to multiply planes by."""
    return values.to(like)[:, None, None, None]
