"""From noise to a latent, given what says which noise is in it.

``sample_ddim``: "Denoising Diffusion Implicit Models" (Song et al., 2021), eq. 12, as in CompVis/latent-diffusion's
``ldm/models/diffusion/ddim.py`` (MIT). ``sample_dpmpp_2m``: "DPM-Solver++" (Lu et al., 2022), algorithm 2, for the
prediction of the clean latent, as in https://github.com/crowsonkb/k-diffusion (MIT).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from .schedule import Level

__all__ = ["Denoise", "Seen", "sample_ddim", "sample_dpmpp_2m"]

Denoise = Callable[[Tensor, Level], Tensor]
"""The noise that is in a latent of this level."""

Seen = Callable[[int, Tensor], None]
"""Told after each step, from 0, what the clean latent is thought to be."""


def sample_ddim(
    denoise: Denoise,
    x: Tensor,
    levels: Sequence[Level],
    eta: float = 0.0,
    noise: Callable[[], Tensor] | None = None,
    seen: Seen = lambda step, clean: None,
) -> Tensor:
    """The latent at the last of these levels. x: one at the first of them.

    eta: how much of the noise is drawn anew at each step, 0 to 1. noise: draws it; not asked where eta is 0.
    """
    for step, (level, after) in enumerate(zip(levels, levels[1:])):
        eps = denoise(x, level)
        clean = _clean(x, eps, level)
        seen(step, clean)
        fresh = eta * math.sqrt((1 - after.a) / (1 - level.a) * (1 - level.a / after.a))
        x = math.sqrt(after.a) * clean + math.sqrt(max(0.0, 1 - after.a - fresh**2)) * eps
        if fresh and noise is not None:
            x = x + fresh * noise()
    return x


def sample_dpmpp_2m(
    denoise: Denoise, x: Tensor, levels: Sequence[Level], seen: Seen = lambda step, clean: None
) -> Tensor:
    """The latent at the last of these levels, of second order. x: one at the first of them."""
    before: Tensor | None = None
    h_before = 0.0
    for step, (level, after) in enumerate(zip(levels, levels[1:])):
        clean = _clean(x, denoise(x, level), level)
        seen(step, clean)
        if after.a >= 1:
            return clean
        h = _half_log_snr(after) - _half_log_snr(level)
        straight = clean
        if before is not None:
            share = h / (2 * h_before)
            straight = (1 + share) * clean - share * before
        x = math.sqrt((1 - after.a) / (1 - level.a)) * x - math.sqrt(after.a) * math.expm1(-h) * straight
        before, h_before = clean, h
    return x


def _clean(x: Tensor, eps: Tensor, level: Level) -> Tensor:
    return (x - math.sqrt(1 - level.a) * eps) / math.sqrt(level.a)


def _half_log_snr(level: Level) -> float:
    return 0.5 * math.log(level.a / (1 - level.a))
