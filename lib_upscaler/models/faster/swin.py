"""Blocks of attention within windows as SwinIR (Liang et al. 2021) and DRCT (Hsu et al. 2024) write them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .attention import Projections, Scores, attended, bias_of
from .linear import add_mlp, is_mlp, normed, work_of
from .recognised import has_children, is_linear, is_norm, is_off
from .ways import Forward, OnWork, Way
from .windows import WindowGrid, hide, masks_of

__all__ = ["SwinBlock", "swin_block"]


@dataclass(frozen=True)
class SwinBlock:
    """Norm, attention and sum; norm, two linear layers and sum. It is called with ``(B, H * W, C)`` and ``(H, W)``.

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
        """All of it a few windows at a time, so that what is in between stays in the processor's cache."""
        return Way(self, 0, lambda on_work: _forward(self, on_work))


def swin_block(name: str, module: nn.Module) -> SwinBlock | None:
    """None where the module is none, or does anything else."""
    if not has_children(module, "norm1", "attn", "drop_path", "norm2", "mlp"):
        return None
    block: Any = module
    attention = block.attn
    window, shift = getattr(block, "window_size", None), getattr(block, "shift_size", None)
    if not (
        has_children(attention, "qkv", "attn_drop", "proj", "proj_drop", "softmax")
        and isinstance(window, int)
        and isinstance(shift, int)
        and 0 <= shift < window
        and tuple(getattr(attention, "window_size", ())) == (window, window)
        and is_norm(block.norm1)
        and is_norm(block.norm2)
        and all(map(is_linear, (attention.qkv, attention.proj)))
        and is_mlp(block.mlp)
        and all(map(is_off, (block.drop_path, attention.attn_drop, attention.proj_drop)))
        and is_position_table(attention, window)
    ):
        return None
    return SwinBlock(name, module, window, shift)


def is_position_table(attention: Any, window: int) -> bool:
    """Whether the attention has a bias for each pair of px of a window, and finds it there as Swin's does."""
    table = getattr(attention, "relative_position_bias_table", None)
    index = getattr(attention, "relative_position_index", None)
    return (
        isinstance(table, Tensor)
        and isinstance(index, Tensor)
        and table.shape == ((2 * window - 1) ** 2, attention.num_heads)
        and index.shape == (window * window, window * window)
    )


def _forward(part: SwinBlock, on_work: OnWork) -> Forward:
    block = part.block
    attention, mlp, heads = block.attn, block.mlp, block.attn.num_heads
    masks = masks_of((part.window,) * 2, (part.shift,) * 2, attention.qkv.weight.dtype)
    work = work_of(attention.qkv, attention.proj, mlp.fc1, mlp.fc2) + 16.0 * heads * part.window**2

    def forward(x: Tensor, x_size: tuple[int, int]) -> Tensor:
        grid = WindowGrid((x_size[0], x_size[1]), (part.window,) * 2, (part.shift,) * 2)
        bias = bias_of(attention.relative_position_bias_table, attention.relative_position_index)
        scores = Scores(attention.scale, bias)
        layers = Projections(attention.qkv, attention.proj)
        index, inverse = grid.order()
        result = torch.empty_like(x)
        for before, after in zip(x, result):
            done = torch.empty_like(before)
            for first, last in grid.chunks():
                px = slice(first * grid.area, last * grid.area)
                own = before.index_select(0, index[px])
                qkv = layers.given(normed(own, block.norm1), last - first, heads)
                layers.add(own, attended(qkv, scores, hide(grid, first, last, masks)))
                done[px] = add_mlp(own, block.norm2, mlp)
                on_work(work * len(own))
            torch.index_select(done, 0, inverse, out=after)
        return result

    return forward
