"""The U-Net of Stable Diffusion 1.x at full width with random weights: 859,520,964 of them, as the original has.

Rombach et al. 2022. Only its shapes matter: what it takes in memory and time is that of any such checkpoint.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CONTEXT", "UNet"]

CONTEXT = 768
"""Width of a prompt's tokens."""

_WIDTH, _LEVELS, _HEADS = 320, (1, 2, 4, 4), 8
_TABLE = 32_000_000
"""Bytes of attention's table, on the CPU: there PyTorch has none that does without until 2.2."""


def _norm(channels: int, eps: float = 1e-5) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps)


class _Residual(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(before), nn.Conv2d(before, after, 3, padding=1)
        self.level = nn.Linear(4 * _WIDTH, after)
        self.norm2, self.conv2 = _norm(after), nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, level: Tensor, context: Tensor) -> Tensor:
        inner = self.conv1(F.silu(self.norm1(x))) + self.level(F.silu(level))[:, :, None, None]
        return self.skip(x) + self.conv2(F.silu(self.norm2(inner)))


class _Attention(nn.Module):
    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.q = nn.Linear(channels, channels, bias=False)
        self.k, self.v = (nn.Linear(context, channels, bias=False) for _ in range(2))
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q, k, v = (
            layer(of).unflatten(-1, (_HEADS, -1)).transpose(1, 2)
            for layer, of in ((self.q, x), (self.k, context), (self.v, context))
        )
        return self.out(_attended(q, k, v).transpose(1, 2).flatten(2))


def _attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """On CUDA by PyTorch's own; on the CPU some queries at a time; on the meta device as if there were no table."""
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v)
    result = torch.empty_like(q)
    if q.is_meta:
        return result
    some = max(1, _TABLE // (q.shape[0] * q.shape[1] * k.shape[2] * q.element_size()))
    for start in range(0, q.shape[2], some):
        part = q[:, :, start : start + some]
        result[:, :, start : start + some] = F.scaled_dot_product_attention(part, k, v)
    return result


class _Transformer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.into, self.out = _norm(channels, 1e-6), *(nn.Conv2d(channels, channels, 1) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))
        self.itself, self.prompt = _Attention(channels, channels), _Attention(channels, CONTEXT)
        self.gate, self.back = nn.Linear(channels, 8 * channels), nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor, level: Tensor, context: Tensor) -> Tensor:
        inner = self.into(self.norm(x)).flatten(2).transpose(1, 2)
        normed = self.norms[0](inner)
        inner = self.itself(normed, normed) + inner
        inner = self.prompt(self.norms[1](inner), context) + inner
        values, gates = self.gate(self.norms[2](inner)).chunk(2, dim=-1)
        inner = self.back(values * F.gelu(gates)) + inner
        return x + self.out(inner.transpose(1, 2).unflatten(2, x.shape[2:]))


class _Resize(nn.Module):
    def __init__(self, channels: int, up: bool) -> None:
        super().__init__()
        self.up, self.conv = up, nn.Conv2d(channels, channels, 3, stride=1 if up else 2, padding=1)

    def forward(self, x: Tensor, level: Tensor, context: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0) if self.up else x)


class UNet(nn.Module):
    """``(B, 4, H, W)``, timesteps ``(B,)``, ``(B, tokens, 768)`` -> ``(B, 4, H, W)``; sides multiples of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Sequential(nn.Linear(_WIDTH, 4 * _WIDTH), nn.SiLU(), nn.Linear(4 * _WIDTH, 4 * _WIDTH))
        self.first = nn.Conv2d(4, _WIDTH, 3, padding=1)
        self.down, widths = nn.ModuleList(), [_WIDTH]
        for number, times in enumerate(_LEVELS):
            for _ in range(2):
                self.down.append(_block(widths[-1], times * _WIDTH, number < 3))
                widths.append(times * _WIDTH)
            if number < 3:
                self.down.append(nn.ModuleList([_Resize(widths[-1], up=False)]))
                widths.append(widths[-1])
        width = widths[-1]
        self.middle = nn.ModuleList([_Residual(width, width), _Transformer(width), _Residual(width, width)])
        self.rise = nn.ModuleList()
        for number, times in reversed(list(enumerate(_LEVELS))):
            for part in range(3):
                block = _block(width + widths.pop(), times * _WIDTH, number < 3)
                width = times * _WIDTH
                if part == 2 and number:
                    block.append(_Resize(width, up=True))
                self.rise.append(block)
        self.norm, self.last = _norm(_WIDTH), nn.Conv2d(_WIDTH, 4, 3, padding=1)

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        half = _WIDTH // 2
        rates = torch.exp(-math.log(10000) * torch.arange(half, device=x.device) / half)
        angles = timesteps[:, None].float() * rates
        told = self.level(torch.cat([angles.cos(), angles.sin()], dim=1).to(x.dtype)), context
        x = self.first(x)
        kept = [x]
        for block in self.down:
            x = _through(block, x, *told)
            kept.append(x)
        x = _through(self.middle, x, *told)
        for block in self.rise:
            x = _through(block, torch.cat([x, kept.pop()], dim=1), *told)
        return self.last(F.silu(self.norm(x)))


def _block(before: int, after: int, attends: bool) -> nn.ModuleList:
    return nn.ModuleList([_Residual(before, after), *([_Transformer(after)] if attends else [])])


def _through(block: nn.ModuleList, x: Tensor, level: Tensor, context: Tensor) -> Tensor:
    for layer in block:
        x = layer(x, level, context)
    return x
