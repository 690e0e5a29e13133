"""Autoencoders in the layout of latent-diffusion (module names as in its ``diffusionmodules/model.py``), any width.

Written anew from the published layout, so that tests need no WebUI. Weights are random; they are made so that the
statistics of every layer matter: norms scale and shift each channel otherwise, and pictures come out neither flat nor
saturated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["KlVae", "VqVae", "kl_vae", "uneven", "vq_vae"]


def _norm(channels: int) -> nn.GroupNorm:
    """Of 32 groups, as there; narrow ones have fewer, so that a group is of several channels."""
    return nn.GroupNorm(32 if channels >= 64 else 8, channels, eps=1e-6)


def _swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


class ResnetBlock(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(before), nn.Conv2d(before, after, 3, padding=1)
        self.norm2, self.conv2 = _norm(after), nn.Conv2d(after, after, 3, padding=1)
        self.dropout = nn.Dropout(0.0)
        if before != after:
            self.nin_shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(_swish(self.norm1(x)))
        h = self.conv2(self.dropout(_swish(self.norm2(h))))
        return (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + h


class AttnBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (conv(h).flatten(2) for conv in (self.q, self.k, self.v))
        table = torch.softmax(q.transpose(1, 2) @ k * x.shape[1] ** -0.5, 2)
        return x + self.proj_out((v @ table.transpose(1, 2)).reshape(x.shape))


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


def _middle(channels: int) -> nn.Module:
    middle = nn.Module()
    middle.block_1, middle.attn_1 = ResnetBlock(channels, channels), AttnBlock(channels)
    middle.block_2 = ResnetBlock(channels, channels)
    return middle


def _run_middle(middle: nn.Module, x: Tensor) -> Tensor:
    return middle.block_2(middle.attn_1(middle.block_1(x)))


class Encoder(nn.Module):
    def __init__(self, width: int, multipliers: Sequence[int], blocks: int, out: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList()
        channels = width
        for number, multiplier in enumerate(multipliers):
            level = nn.Module()
            level.block, level.attn = nn.ModuleList(), nn.ModuleList()
            for _ in range(blocks):
                level.block.append(ResnetBlock(channels, width * multiplier))
                channels = width * multiplier
            if number < len(multipliers) - 1:
                level.downsample = Downsample(channels)
            self.down.append(level)
        self.mid = _middle(channels)
        self.norm_out, self.conv_out = _norm(channels), nn.Conv2d(channels, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for level in self.down:
            for block in level.block:
                h = block(h)
            if hasattr(level, "downsample"):
                h = level.downsample(h)
        return self.conv_out(_swish(self.norm_out(_run_middle(self.mid, h))))


class Decoder(nn.Module):
    def __init__(self, width: int, multipliers: Sequence[int], blocks: int, latent: int) -> None:
        super().__init__()
        channels = width * multipliers[-1]
        self.conv_in = nn.Conv2d(latent, channels, 3, padding=1)
        self.mid = _middle(channels)
        levels = []
        for number in reversed(range(len(multipliers))):
            level = nn.Module()
            level.block, level.attn = nn.ModuleList(), nn.ModuleList()
            for _ in range(blocks + 1):
                level.block.append(ResnetBlock(channels, width * multipliers[number]))
                channels = width * multipliers[number]
            if number:
                level.upsample = Upsample(channels)
            levels.insert(0, level)
        self.up = nn.ModuleList(levels)
        self.norm_out, self.conv_out = _norm(channels), nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = _run_middle(self.mid, self.conv_in(z))
        for level in reversed(self.up):
            for block in level.block:
                h = block(h)
            if hasattr(level, "upsample"):
                h = level.upsample(h)
        return self.conv_out(_swish(self.norm_out(h)))


class KlVae(nn.Module):
    """``encode`` gives the moments."""

    def __init__(self, width: int, multipliers: Sequence[int], blocks: int, latent: int) -> None:
        super().__init__()
        self.encoder = Encoder(width, multipliers, blocks, 2 * latent)
        self.decoder = Decoder(width, multipliers, blocks, latent)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1), nn.Conv2d(latent, latent, 1)

    def encode(self, x: Tensor) -> Tensor:
        return self.quant_conv(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(z))


class Codebook(nn.Module):
    def __init__(self, entries: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(entries, channels)

    def forward(self, z: Tensor) -> tuple[Tensor, Any, Any]:
        flat = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])
        nearest = torch.cdist(flat.float(), self.embedding.weight.float()).argmin(1)
        chosen = self.embedding(nearest).reshape(z.shape[0], z.shape[2], z.shape[3], -1)
        return chosen.permute(0, 3, 1, 2).contiguous(), None, None


class VqVae(nn.Module):
    """As LDSR's first stage: ``encode`` gives what comes before the codebook, ``decode`` goes through it."""

    def __init__(self, width: int, multipliers: Sequence[int], blocks: int, latent: int, entries: int) -> None:
        super().__init__()
        self.encoder = Encoder(width, multipliers, blocks, latent)
        self.decoder = Decoder(width, multipliers, blocks, latent)
        self.quantize = Codebook(entries, latent)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(latent, latent, 1), nn.Conv2d(latent, latent, 1)

    def encode(self, x: Tensor) -> Tensor:
        return self.quant_conv(self.encoder(x))

    def decode(self, z: Tensor, force_not_quantize: bool = False) -> Tensor:
        return self.decoder(self.post_quant_conv(z if force_not_quantize else self.quantize(z)[0]))


def kl_vae(
    width: int = 16, multipliers: Sequence[int] = (1, 2, 4, 4), blocks: int = 2, latent: int = 4, seed: int = 0
) -> KlVae:
    """Stable Diffusion's, which is 128 wide."""
    return _with_weights(KlVae(width, multipliers, blocks, latent), seed)


def vq_vae(
    width: int = 16, multipliers: Sequence[int] = (1, 2, 4), blocks: int = 2, entries: int = 256, seed: int = 0
) -> VqVae:
    """LDSR's, which is 128 wide and has 8192 entries."""
    return _with_weights(VqVae(width, multipliers, blocks, 3, entries), seed)


def _with_weights(model: Any, seed: int) -> Any:
    if next(model.parameters()).is_meta:  # only its shapes are wanted
        return model.eval().requires_grad_(False)
    random = torch.Generator().manual_seed(seed)

    def drawn(like: Tensor, strength: float) -> Tensor:
        return torch.randn(like.shape, generator=random) * strength

    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d):
                strength = 0.45 if name.endswith("decoder.conv_out") else 1.0
                module.weight.copy_(drawn(module.weight, strength / math.sqrt(module.weight[0].numel())))
                module.bias.copy_(drawn(module.bias, 0.1 * strength))
            elif isinstance(module, nn.GroupNorm):
                module.weight.copy_(1 + drawn(module.weight, 0.25))
                module.bias.copy_(drawn(module.bias, 0.25))
            elif isinstance(module, nn.Embedding):
                module.weight.copy_(drawn(module.weight, 1.0))
    return model.eval().requires_grad_(False)


def uneven(channels: int, height: int, width: int, batch: int = 1, seed: int = 1) -> Tensor:
    """``(B, C, H, W)`` noise that is strong and bright on one side, faint and dark on the other, and coarse in parts:
    no part of it has the statistics of the whole.
    """
    random = torch.Generator().manual_seed(seed)
    fine = torch.randn((batch, channels, height, width), generator=random)
    small = torch.randn((batch, channels, -(-height // 8) + 1, -(-width // 8) + 1), generator=random)
    coarse = F.interpolate(small, size=(height, width), mode="bilinear")
    across = torch.linspace(-1, 1, width)[None, None, None, :]
    down = torch.linspace(-1, 1, height)[None, None, :, None]
    return fine * (0.5 + 0.4 * across) + coarse * (0.6 - 0.3 * down) + 0.5 * across * down + 0.4 * down
