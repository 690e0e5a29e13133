"""Blocks of attention within windows as SwinIR (Liang et al. 2021) and DRCT (Hsu et al. 2024) write them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from .attention import Projections, Scores, attended, bias_of
from .linear import add_mlp, normed
from .ways import Forward, OnWork, Way
from .window_block import WindowBlock, has_table, through_windows, window_and_shift, work_per_px
from .windows import WindowGrid, hide, masks_of

__all__ = ["SwinBlock", "swin_block"]


@dataclass(frozen=True)
class SwinBlock(WindowBlock):
    """Norm, attention and sum; norm, two linear layers and sum. It is called with ``(B, H * W, C)`` and ``(H, W)``."""

    def way(self) -> Way:
        """All of it a few windows at a time, so that what is in between stays in the processor's cache."""
        return Way(self, 0, lambda on_work: _forward(self, on_work))


def swin_block(name: str, module: nn.Module) -> SwinBlock | None:
    """None where the module is none, or does anything else."""
    found = window_and_shift(module)
    if found is None or not _is_position_table(module.attn, found[0]):
        return None
    return SwinBlock(name, module, *found)


def _is_position_table(attention: object, window: int) -> bool:
    """Whether the attention has a bias for each pair of px of a window, and finds it there as Swin's does."""
    index = getattr(attention, "relative_position_index", None)
    fits = isinstance(index, Tensor) and index.shape == (window * window, window * window)
    return fits and has_table(attention, (2 * window - 1) ** 2)


def _forward(part: SwinBlock, on_work: OnWork) -> Forward:
    block = part.block
    attention, mlp, heads = block.attn, block.mlp, block.attn.num_heads
    masks = masks_of((part.window,) * 2, (part.shift,) * 2, attention.qkv.weight.dtype)
    work = work_per_px(attention, mlp, heads, part.window)

    def forward(x: Tensor, x_size: tuple[int, int]) -> Tensor:
        grid = WindowGrid((x_size[0], x_size[1]), (part.window,) * 2, (part.shift,) * 2)
        bias = bias_of(attention.relative_position_bias_table, attention.relative_position_index)
        scores = Scores(attention.scale, bias)
        layers = Projections(attention.qkv, attention.proj)

        def compute(own: Tensor, first: int, last: int, _: slice) -> Tensor:
            qkv = layers.given(normed(own, block.norm1), last - first, heads)
            layers.add(own, attended(qkv, scores, hide(grid, first, last, masks)))
            return add_mlp(own, block.norm2, mlp)

        return through_windows(x, grid, grid.chunks, lambda *_: compute, on_work, work)

    return forward
