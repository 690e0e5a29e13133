"""Blocks of attention by angles within windows, as Swin2SR (Conde et al. 2022) has them of Swin Transformer V2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Scores, attended, bias_of
from .linear import linear, linear_gelu, normed
from .ways import Forward, OnWork, Way
from .window_block import WindowBlock, through_windows, window_and_shift, work_per_px
from .windows import WindowGrid, hide, masks_of

__all__ = ["AngleBlock", "angle_block"]

_LARGEST_SCALE = 100.0
"""By which the cosine of two px is multiplied at most."""


@dataclass(frozen=True)
class AngleBlock(WindowBlock):
    """Attention, norm and sum; two linear layers, norm and sum. It is called with ``(B, H * W, C)`` and ``(H, W)``."""

    def way(self) -> Way:
        """All of it a few windows at a time."""
        return Way(self, 0, lambda on_work: _forward(self, on_work))


def angle_block(name: str, module: nn.Module) -> AngleBlock | None:
    """None where the module is none, or does anything else."""
    found = window_and_shift(module, attention=("cpb_mlp",))
    attention: Any = getattr(module, "attn", None)
    if (
        found is None
        or attention.qkv.bias is not None
        or not isinstance(attention.q_bias, Tensor)
        or not isinstance(attention.v_bias, Tensor)
        or attention.logit_scale.shape != (attention.num_heads, 1, 1)
    ):
        return None
    return AngleBlock(name, module, *found)


def _forward(part: AngleBlock, on_work: OnWork) -> Forward:
    block = part.block
    attention, mlp, heads = block.attn, block.mlp, block.attn.num_heads
    masks = masks_of((part.window,) * 2, (part.shift,) * 2, attention.qkv.weight.dtype)
    work = work_per_px(attention, mlp, heads, part.window)

    def forward(x: Tensor, x_size: tuple[int, int]) -> Tensor:
        grid = WindowGrid((x_size[0], x_size[1]), (part.window,) * 2, (part.shift,) * 2)
        table = 16 * torch.sigmoid(attention.cpb_mlp(attention.relative_coords_table).view(-1, heads))
        scores = Scores(1.0, bias_of(table, attention.relative_position_index))
        scale = attention.logit_scale.exp().clamp(max=_LARGEST_SCALE).view(heads, 1)
        qkv_bias = torch.cat([attention.q_bias, torch.zeros_like(attention.v_bias), attention.v_bias])

        def compute(own: Tensor, first: int, last: int, _: slice) -> Tensor:
            qkv = F.linear(own, attention.qkv.weight, qkv_bias).view(last - first, grid.area, 3, heads, -1)
            query, key, value = qkv.unbind(2)
            query, key = F.normalize(query, dim=-1).mul_(scale), F.normalize(key, dim=-1)
            inner = attended((query, key, value), scores, hide(grid, first, last, masks))
            own += normed(linear(inner, attention.proj), block.norm1)
            own += normed(linear(linear_gelu(own, mlp.fc1), mlp.fc2), block.norm2)
            return own

        return through_windows(x, grid, grid.chunks, lambda *_: compute, on_work, work)

    return forward
