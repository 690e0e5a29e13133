"""LDSR's first stage: from a latent to the picture, four times as large.

The networks are those of CompVis/latent-diffusion (MIT), ``ldm/modules/diffusionmodules/model.py`` (its decoder) and
``ldm/models/autoencoder.py`` (``VQModelInterface``), after "Taming Transformers" (Esser et al., 2021, MIT); the names
of their weights are kept. The encoder is not needed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attend
from .cost import QUANTIZED_ROWS
from .enlarging import Up
from .layout import DecoderLayout

__all__ = ["Decoder", "FirstStage"]


class FirstStage(nn.Module):
    """``quantize``, ``post_quant_conv`` and ``decoder``."""

    def __init__(self, layout: DecoderLayout) -> None:
        super().__init__()
        self.layout = layout
        self.quantize = _Codebook(layout.codes, layout.code_channels)
        self.post_quant_conv = nn.Conv2d(layout.code_channels, layout.latent_channels, 1)
        self.decoder = Decoder(layout)

    def forward(self, z: Tensor, on_block: Callable[[], None] = lambda: None) -> Tensor:
        """``(B, code_channels, H, W)`` to the picture, ``(B, outputs, H * scale, W * scale)``, about [-1, 1].

        on_block: called after each block; may raise to stop.
        """
        return self.decoder(self.post_quant_conv(self.quantize(z)), on_block)


class _Codebook(nn.Module):
    def __init__(self, codes: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, channels)

    def forward(self, z: Tensor) -> Tensor:
        """Each position of ``(B, C, H, W)`` becomes the code that is nearest to it."""
        rows = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])
        codes = self.embedding.weight
        found = torch.empty_like(rows)
        lengths = (codes**2).sum(dim=1)
        for first in range(0, len(rows), QUANTIZED_ROWS):
            part = rows[first : first + QUANTIZED_ROWS]
            distances = (part**2).sum(dim=1, keepdim=True) + lengths - 2 * (part @ codes.T)
            found[first : first + QUANTIZED_ROWS] = codes[distances.argmin(dim=1)]
        return found.view(z.shape[0], z.shape[2], z.shape[3], z.shape[1]).permute(0, 3, 1, 2)


class Decoder(nn.Module):
    """``(B, latent_channels, H, W)`` to ``(B, outputs, H * scale, W * scale)``."""

    def __init__(self, layout: DecoderLayout) -> None:
        super().__init__()
        channels = layout.width * layout.multipliers[-1]
        self.conv_in = nn.Conv2d(layout.latent_channels, channels, 3, padding=1)
        self.mid = nn.Module()
        self.mid.block_1 = _Residual(channels, channels)
        self.mid.attn_1 = _Attention(channels)
        self.mid.block_2 = _Residual(channels, channels)
        self.up = nn.ModuleList()
        for level in reversed(range(len(layout.multipliers))):
            stage, outputs = nn.Module(), layout.width * layout.multipliers[level]
            stage.block = nn.ModuleList()
            for _ in range(layout.blocks):
                stage.block.append(_Residual(channels, outputs))
                channels = outputs
            if level:
                stage.upsample = Up(channels)
            self.up.insert(0, stage)
        self.norm_out = _norm(channels)
        self.conv_out = nn.Conv2d(channels, layout.outputs, 3, padding=1)

    def forward(self, z: Tensor, on_block: Callable[[], None] = lambda: None) -> Tensor:
        h = self.mid.block_1(self.conv_in(z))
        h = self.mid.attn_1(h)
        on_block()
        h = self.mid.block_2(h)
        for stage in reversed(self.up):
            for block in stage.block:
                h = block(h)
                on_block()
            if hasattr(stage, "upsample"):
                h = stage.upsample(h)
        return self.conv_out(F.silu(self.norm_out(h), inplace=True))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = _norm(outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x), inplace=True))
        h = self.conv2(F.silu(self.norm2(h), inplace=True))
        h += self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x
        return h


class _Attention(nn.Module):
    """Of each position to all others, in one head, beside the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        q, k, v = (one(normed).flatten(2).transpose(1, 2)[:, None] for one in (self.q, self.k, self.v))
        attended = attend(q, k, v)[:, 0].transpose(1, 2).reshape(x.shape)
        return x + self.proj_out(attended)
