"""Blocks of attention by angles within windows, as Swin2SR (Conde et al. 2022) has them of Swin Transformer V2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Scores, attended, bias_of
from .linear import is_mlp, linear, linear_gelu, normed, work_of
from .recognised import has_children, is_linear, is_norm, is_off
from .ways import Forward, OnWork, Way
from .windows import WindowGrid, hide, masks_of

__all__ = ["AngleBlock", "angle_block"]

_LARGEST_SCALE = 100.0
"""By which the cosine of two px is multiplied at most."""


@dataclass(frozen=True)
class AngleBlock:
    """Attention, norm and sum; two linear layers, norm and sum. It is called with ``(B, H * W, C)`` and ``(H, W)``.

    name: its path in the module tree. window, shift: px.
    """

    name: str
    block: Any = field(compare=False)
    window: int
    shift: int

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self.block,)

    @property
    def kind(self) -> Any:
        """The same for blocks that differ in their weights alone."""
        attention, mlp = self.block.attn, self.block.mlp
        return self.window, self.shift, attention.num_heads, attention.qkv.weight.shape, mlp.fc1.weight.shape

    def example(self, generator: torch.Generator) -> tuple[Any, ...]:
        """What it could be called with: windows with each kind of neighbours."""
        size = (2 * self.window, 3 * self.window)
        return torch.randn(1, size[0] * size[1], self.block.dim, generator=generator), size

    def way(self) -> Way:
        """All of it a few windows at a time."""
        return Way(self, 0, lambda on_work: _forward(self, on_work))


def angle_block(name: str, module: nn.Module) -> AngleBlock | None:
    """None where the module is none, or does anything else."""
    if not has_children(module, "norm1", "attn", "drop_path", "norm2", "mlp"):
        return None
    block: Any = module
    attention = block.attn
    window, shift = getattr(block, "window_size", None), getattr(block, "shift_size", None)
    if not (
        has_children(attention, "cpb_mlp", "qkv", "attn_drop", "proj", "proj_drop", "softmax")
        and isinstance(window, int)
        and isinstance(shift, int)
        and 0 <= shift < window
        and tuple(getattr(attention, "window_size", ())) == (window, window)
        and is_norm(block.norm1)
        and is_norm(block.norm2)
        and is_linear(attention.qkv)
        and is_linear(attention.proj)
        and is_mlp(block.mlp)
        and all(map(is_off, (block.drop_path, attention.attn_drop, attention.proj_drop)))
        and attention.qkv.bias is None
        and isinstance(attention.q_bias, Tensor)
        and isinstance(attention.v_bias, Tensor)
        and attention.logit_scale.shape == (attention.num_heads, 1, 1)
    ):
        return None
    return AngleBlock(name, module, window, shift)


def _forward(part: AngleBlock, on_work: OnWork) -> Forward:
    block = part.block
    attention, mlp, heads = block.attn, block.mlp, block.attn.num_heads
    masks = masks_of((part.window,) * 2, (part.shift,) * 2, attention.qkv.weight.dtype)
    work = work_of(attention.qkv, attention.proj, mlp.fc1, mlp.fc2) + 16.0 * heads * part.window**2

    def forward(x: Tensor, x_size: tuple[int, int]) -> Tensor:
        grid = WindowGrid((x_size[0], x_size[1]), (part.window,) * 2, (part.shift,) * 2)
        table = 16 * torch.sigmoid(attention.cpb_mlp(attention.relative_coords_table).view(-1, heads))
        scores = Scores(1.0, bias_of(table, attention.relative_position_index))
        scale = attention.logit_scale.exp().clamp(max=_LARGEST_SCALE).view(heads, 1)
        qkv_bias = torch.cat([attention.q_bias, torch.zeros_like(attention.v_bias), attention.v_bias])
        index, inverse = grid.order()
        result = torch.empty_like(x)
        for before, after in zip(x, result):
            done = torch.empty_like(before)
            for first, last in grid.chunks():
                px = slice(first * grid.area, last * grid.area)
                own = before.index_select(0, index[px])
                qkv = F.linear(own, attention.qkv.weight, qkv_bias).view(last - first, grid.area, 3, heads, -1)
                query, key, value = qkv.unbind(2)
                query, key = F.normalize(query, dim=-1).mul_(scale), F.normalize(key, dim=-1)
                inner = attended((query, key, value), scores, hide(grid, first, last, masks))
                own += normed(linear(inner, attention.proj), block.norm1)
                own += normed(linear(linear_gelu(own, mlp.fc1), mlp.fc2), block.norm2)
                done[px] = own
                on_work(work * len(own))
            torch.index_select(done, 0, inverse, out=after)
        return result

    return forward
