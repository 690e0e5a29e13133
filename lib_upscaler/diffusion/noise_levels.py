"""What a sampler means by a noise level: how much of the picture and how much noise there is in its latent.

``x = signal * x0 + noise * n`` with ``n`` of variance 1. Samplers differ in what they write for it, and denoisers in
what they predict; a pass at low resolution (``composition``) must know both.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

__all__ = ["FlowLevels", "NoiseLevels", "SigmaLevels", "TimestepLevels"]


class NoiseLevels(Protocol):
    """A way to write noise levels. ``level``: ``(B,)``, as the denoiser gets it."""

    @property
    def predicts_noise(self) -> bool:
        """Whether the denoiser gives the noise ``n`` (eps), not the picture ``x0``."""

    def parts(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """(signal, noise), ``(B,)`` each."""

    def at(self, ratio: Tensor) -> Tensor:
        """The level at which noise / signal is ``ratio``, ``(B,)``, or the nearest that there is."""


class SigmaLevels:
    """k-diffusion: ``x = x0 + sigma * n``, level ``sigma``, and its denoisers give ``x0`` whatever the network predicts
    (eps or v: ``CompVisDenoiser``, ``CompVisVDenoiser``). Also Forge's ``apply_model``."""

    predicts_noise = False

    def parts(self, level: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(level), level

    def at(self, ratio: Tensor) -> Tensor:
        return ratio


class FlowLevels:
    """Rectified flow (SD3, Flux): ``x = (1 - sigma) * x0 + sigma * n``, level ``sigma`` in (0, 1], gives ``x0``.

    That a level means another one at another resolution is the shift of Esser et al. 2024 (SD3), section 5.3.2.
    """

    predicts_noise = False

    def parts(self, level: Tensor) -> tuple[Tensor, Tensor]:
        return 1 - level, level

    def at(self, ratio: Tensor) -> Tensor:
        return ratio / (1 + ratio)


class TimestepLevels:
    """DDIM, PLMS and UniPC of the WebUI: ``x = sqrt(a) * x0 + sqrt(1 - a) * n`` with ``a = alphas_cumprod[level]``,
    level the timestep; the denoiser gives ``n`` (for v-models too: ``CompVisTimestepsVDenoiser``).

    alphas_cumprod: ``(T,)``, falling.
    """

    predicts_noise = True

    def __init__(self, alphas_cumprod: Tensor) -> None:
        self._alphas = alphas_cumprod.float()

    def parts(self, level: Tensor) -> tuple[Tensor, Tensor]:
        alphas = self._alphas.to(level.device)[level.round().long().clamp(0, len(self._alphas) - 1)]
        return alphas.sqrt(), (1 - alphas).sqrt()

    def at(self, ratio: Tensor) -> Tensor:
        ratios = ((1 - self._alphas) / self._alphas).sqrt().to(ratio.device)
        distances = (ratios.log()[None, :] - ratio.float().log()[:, None]).abs()
        return distances.argmin(dim=1).to(ratio.dtype)
