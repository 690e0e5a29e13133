"""LDSR's UNet: which noise is in a latent, given the picture that it is to become.

The network is that of CompVis/latent-diffusion (MIT), ``ldm/modules/diffusionmodules/openaimodel.py``, after OpenAI's
guided-diffusion (MIT); the names of its weights are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attend
from .enlarging import Up
from .layout import HEAD_CHANNELS, Block, UNetLayout

__all__ = ["UNet", "embed_time"]

_LONGEST_PERIOD = 10_000


class UNet(nn.Module):
    """eps(x, t): ``(B, inputs, H, W)`` and ``(B,)`` to ``(B, outputs, H, W)``; H and W multiples of 8.

    Call it with ``on_block``, which is called after each block and may raise to stop.
    """

    def __init__(self, layout: UNetLayout) -> None:
        super().__init__()
        self.layout = layout
        width, emb = layout.width, 4 * layout.width
        self.time_embed = nn.Sequential(nn.Linear(width, emb), nn.SiLU(), nn.Linear(emb, emb))
        self.input_blocks = nn.ModuleList(_on_the_way_down(block, emb) for block in layout.down())
        deepest = layout.deepest
        self.middle_block = nn.Sequential(
            _Residual(deepest, deepest, emb), _Attention(deepest), _Residual(deepest, deepest, emb)
        )
        self.output_blocks = nn.ModuleList(_on_the_way_up(block, emb) for block in layout.up())
        self.out = nn.Sequential(_norm(width), nn.SiLU(), nn.Conv2d(width, layout.outputs, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, on_block: Callable[[], None] = lambda: None) -> Tensor:
        emb = self.time_embed(embed_time(t, self.layout.width).to(x.dtype))
        skips: list[Tensor] = []
        h = x
        for block in self.input_blocks:
            h = _through(block, h, emb)
            skips.append(h)
            on_block()
        h = _through(self.middle_block, h, emb)
        on_block()
        for block in self.output_blocks:
            # Before the block runs, so that nothing holds the two parts meanwhile: here memory is tightest.
            h = torch.cat([h, skips.pop()], dim=1)
            h = _through(block, h, emb)
            on_block()
        return self.out(h)


def embed_time(t: Tensor, width: int) -> Tensor:
    """``(B,)`` steps of time to ``(B, width)`` float32: cosines and sines of falling frequencies."""
    half = width // 2
    falling = torch.arange(half, dtype=torch.float32, device=t.device)
    frequencies = torch.exp(-math.log(_LONGEST_PERIOD) * falling / half)
    angles = t[:, None].float() * frequencies[None]
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


def _through(block: nn.Module, h: Tensor, emb: Tensor) -> Tensor:
    for layer in block.children():
        h = layer(h, emb) if isinstance(layer, _Residual) else layer(h)
    return h


def _on_the_way_down(block: Block, emb: int) -> nn.Sequential:
    if block.kind == "first":
        return nn.Sequential(nn.Conv2d(block.inputs, block.outputs, 3, padding=1))
    if block.kind == "down":
        return nn.Sequential(_Down(block.outputs))
    return _residual(block, emb)


def _on_the_way_up(block: Block, emb: int) -> nn.Sequential:
    layers = _residual(block, emb)
    if block.ups:
        layers.append(Up(block.outputs))
    return layers


def _residual(block: Block, emb: int) -> nn.Sequential:
    layers = nn.Sequential(_Residual(block.inputs, block.outputs, emb))
    if block.attends:
        layers.append(_Attention(block.outputs))
    return layers


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels)


class _Residual(nn.Module):
    """Two convolutions, the time added between them, beside the input."""

    def __init__(self, inputs: int, outputs: int, emb: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(_norm(inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb, outputs))
        self.out_layers = nn.Sequential(
            _norm(outputs), nn.SiLU(), nn.Identity(), nn.Conv2d(outputs, outputs, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.in_layers[2](F.silu(self.in_layers[0](x), inplace=True))
        h += self.emb_layers(emb)[:, :, None, None]
        h = self.out_layers[3](F.silu(self.out_layers[0](h), inplace=True))
        h += self.skip_connection(x)
        return h


class _Attention(nn.Module):
    """Of each position to all others, beside the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        heads = channels // HEAD_CHANNELS
        rows = self.norm(x).permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        # Each head's q, k and v lie one behind the other.
        qkv = F.linear(rows, self.qkv.weight[:, :, 0], self.qkv.bias)
        q, k, v = qkv.view(batch, height * width, heads, 3, HEAD_CHANNELS).permute(3, 0, 2, 1, 4).unbind(0)
        attended = attend(q, k, v).transpose(1, 2).reshape(batch, height * width, channels)
        change = F.linear(attended, self.proj_out.weight[:, :, 0], self.proj_out.bias)
        return x + change.view(batch, height, width, channels).permute(0, 3, 1, 2)


class _Down(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)
