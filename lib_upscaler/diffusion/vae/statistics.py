"""Mean and variance of the groups of a plane, gathered part by part."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Affine", "Moments", "Statistics", "merged"]


@dataclass(frozen=True)
class Affine:
    """What a GroupNorm does once its statistics are known: ``x * scale + shift``, each ``(B, C)`` float32."""

    scale: Tensor
    shift: Tensor

    def to(self, device: torch.device) -> Affine:
        return Affine(self.scale.to(device), self.shift.to(device))


@dataclass(frozen=True)
class Statistics:
    """Of each group of channels: mean and variance (of the population), ``(B, G)`` float64 on the CPU."""

    mean: Tensor
    variance: Tensor

    def affine(self, norm: nn.GroupNorm) -> Affine:
        channels = norm.num_channels // norm.num_groups
        inverse = (self.variance.clamp(min=0) + norm.eps).rsqrt().repeat_interleave(channels, 1)
        mean = self.mean.repeat_interleave(channels, 1)
        weight = torch.ones(1) if norm.weight is None else norm.weight.detach().cpu()
        bias = torch.zeros(1) if norm.bias is None else norm.bias.detach().cpu()
        scale = inverse * weight.double()
        return Affine(scale.float(), (bias.double() - mean * scale).float())


class Moments:
    """Sums over the parts of a plane that have been added, in float32 within a part and in float64 between parts.

    The sums are of what is left when a value near the mean is taken away: where the mean is large beside the variation,
    squares would cancel.
    """

    def __init__(self, groups: int) -> None:
        self._groups = groups
        self._pixels = 0
        self._near: Tensor | None = None  # (B, C) float32 on the device
        self._sum: Tensor | None = None  # (B, C) float64 on the CPU
        self._squares: Tensor | None = None

    def add(self, part: Tensor) -> bool:
        """Another part, ``(B, C, h, w)``. False, and nothing is added, where it is not finite."""
        near = part.mean((2, 3), dtype=torch.float32) if self._near is None else self._near
        rest = part.float() - near[:, :, None, None]
        one = rest.sum((2, 3)).cpu()
        two = rest.square_().sum((2, 3)).cpu()
        if not bool(torch.isfinite(two).all()):  # a square is finite only where the value is
            return False
        self._near = near
        self._sum = one.double() if self._sum is None else self._sum + one
        self._squares = two.double() if self._squares is None else self._squares + two
        self._pixels += part.shape[2] * part.shape[3]
        return True

    def statistics(self) -> Statistics:
        """Of all that was added; at least one part was."""
        assert self._near is not None
        assert self._sum is not None
        assert self._squares is not None
        near = self._near.cpu().double()
        total = near * self._pixels + self._sum
        count = self._pixels * (total.shape[1] // self._groups)
        mean = self._grouped(total) / count
        away = near - mean.repeat_interleave(total.shape[1] // self._groups, 1)
        spread = self._squares + 2 * away * self._sum + self._pixels * away.square()
        return Statistics(mean, self._grouped(spread) / count)

    def _grouped(self, channels: Tensor) -> Tensor:
        return channels.reshape(channels.shape[0], self._groups, -1).sum(2)


def merged(first: Statistics, second: Statistics) -> Statistics:
    """Of two samples of the same size together."""
    mean = (first.mean + second.mean) / 2
    variance = (first.variance + second.variance) / 2 + ((first.mean - second.mean) / 2).square()
    return Statistics(mean, variance)
