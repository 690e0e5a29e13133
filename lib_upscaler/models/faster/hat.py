"""The blocks of HAT (Chen et al. 2023): attention within windows beside convolutions, and across their borders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Projections, Scores, attended, bias_of
from .linear import add_linear, add_mlp, is_mlp, linear, normed, part_of
from .recognised import has_children, is_linear, is_norm
from .ways import Forward, OnWork, Way
from .window_block import Compute, WindowBlock, has_table, through_windows, window_and_shift, work_per_px
from .windows import WindowGrid, hide, masks_of

__all__ = ["HybridBlock", "OverlapBlock", "hat_block"]


@dataclass(frozen=True)
class HybridBlock(WindowBlock):
    """Norm; attention within windows, and convolutions with channel attention, both added; norm and two linear layers.

    It is called with ``(B, H * W, C)``, ``(H, W)``, the numbers of the positions' biases, and the mask of a shift.
    """

    @property
    def kind(self) -> Any:
        """The same for blocks that differ in their weights alone."""
        return (*super().kind, self.block.conv_block.cab[0].weight.shape)

    def example(self, generator: torch.Generator) -> tuple[Any, ...]:
        """What it could be called with: windows with each kind of neighbours."""
        x, size = super().example(generator)
        return x, size, _differences(self.window, self.window), _mask(size, self.window, self.shift)

    def way(self) -> Way:
        """Attention and linear layers a few windows at a time."""
        return Way(self, 0, lambda on_work: _hybrid_forward(self, on_work))


@dataclass(frozen=True)
class OverlapBlock:
    """Norm, and attention of each window to a larger one around it; norm and two linear layers.

    It is called with ``(B, H * W, C)``, ``(H, W)`` and the numbers of the positions' biases. seen: px of the larger
    window's side.
    """

    name: str
    block: Any = field(compare=False)
    window: int
    seen: int

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self.block,)

    @property
    def kind(self) -> Any:
        """The same for blocks that differ in their weights alone."""
        return self.window, self.seen, self.block.num_heads, self.block.qkv.weight.shape

    def example(self, generator: torch.Generator) -> tuple[Any, ...]:
        """What it could be called with."""
        size = (2 * self.window, 3 * self.window)
        x = torch.randn(1, size[0] * size[1], self.block.dim, generator=generator)
        return x, size, _differences(self.window, self.seen)

    def way(self) -> Way:
        """A few windows at a time."""
        return Way(self, 0, lambda on_work: _overlap_forward(self, on_work))


def _differences(window: int, seen: int) -> Tensor:
    """``(window ** 2, seen ** 2)``: for each px of a window and each that it sees, how they lie to each other."""
    own, others = (torch.cartesian_prod(torch.arange(side), torch.arange(side)) for side in (window, seen))
    apart = others[None, :] - own[:, None] if seen > window else own[:, None] - others[None, :]
    apart = apart - apart.amin((0, 1))
    return apart[..., 0] * (window + seen - 1) + apart[..., 1]


def _mask(size: tuple[int, int], window: int, shift: int) -> Tensor:
    """``(windows, px, px)``, as the network hands it to its blocks."""
    grid = WindowGrid(size, (window, window), (shift, shift))
    region = torch.zeros(size, dtype=torch.long)
    if shift:
        for side, weight in ((0, 3), (1, 1)):
            steps = torch.arange(size[side])
            band = (steps >= size[side] - window).long() + (steps >= size[side] - shift).long()
            region += weight * (band[:, None] if side == 0 else band[None, :])
    unshifted = WindowGrid(size, grid.window, (0, 0)).order()[0]
    regions = region.view(-1)[unshifted.long()].view(grid.count, grid.area)
    return (regions[:, :, None] != regions[:, None, :]).float() * -100


def hat_block(name: str, module: nn.Module) -> HybridBlock | OverlapBlock | None:
    """None where the module is neither, or does anything else."""
    return _hybrid(name, module) or _overlap(name, module)


def _hybrid(name: str, module: nn.Module) -> HybridBlock | None:
    found = window_and_shift(module, "conv_block")
    block: Any = module
    if (
        found is None
        or not has_children(block.conv_block, "cab")
        or not _is_convolutions(block.conv_block.cab)
        or not isinstance(getattr(block, "conv_scale", None), (int, float))
        or not has_table(block.attn, (2 * found[0] - 1) ** 2)
    ):
        return None
    return HybridBlock(name, module, *found)


def _is_convolutions(cab: Any) -> bool:
    """Whether these are steps, the last of which multiplies each channel by a factor."""
    return isinstance(cab, nn.Sequential) and len(cab) >= 2 and has_children(cab[-1], "attention")


def _overlap(name: str, module: nn.Module) -> OverlapBlock | None:
    if not has_children(module, "norm1", "qkv", "unfold", "softmax", "proj", "norm2", "mlp"):
        return None
    block: Any = module
    window, seen = getattr(block, "window_size", None), getattr(block, "overlap_win_size", None)
    if not (
        isinstance(window, int)
        and isinstance(seen, int)
        and seen > window
        and (seen - window) % 2 == 0
        and all(map(is_norm, (block.norm1, block.norm2)))
        and all(map(is_linear, (block.qkv, block.proj)))
        and is_mlp(block.mlp)
        and has_table(block, (window + seen - 1) ** 2)
    ):
        return None
    return OverlapBlock(name, module, window, seen)


def _hybrid_forward(part: HybridBlock, on_work: OnWork) -> Forward:
    block = part.block
    attention, heads = block.attn, block.attn.num_heads
    *convolutions, last = block.conv_block.cab
    masks = masks_of((part.window,) * 2, (part.shift,) * 2, attention.qkv.weight.dtype)
    work = work_per_px(attention, block.mlp, heads, part.window)

    def forward(x: Tensor, x_size: tuple[int, int], rpi_sa: Tensor, attn_mask: Tensor) -> Tensor:
        grid = WindowGrid((x_size[0], x_size[1]), (part.window,) * 2, (part.shift,) * 2)
        scores = Scores(attention.scale, bias_of(attention.relative_position_bias_table, rpi_sa))
        layers, (index, _) = Projections(attention.qkv, attention.proj), grid.order()
        beside = normed(x, block.norm1).view(len(x), *grid.size, -1).permute(0, 3, 1, 2)
        for step in convolutions:
            beside = step(beside)
        shares = last.attention(beside).flatten(1) * block.conv_scale
        beside = beside.permute(0, 2, 3, 1).reshape(x.shape)

        def compute_of(number: int, _: Tensor) -> Compute:
            inner, share = beside[number], shares[number]

            def compute(own: Tensor, first: int, end: int, px: slice) -> Tensor:
                qkv = layers.given(normed(own, block.norm1), end - first, heads)
                seen = attended(qkv, scores, hide(grid, first, end, masks))
                layers.add(own, seen).addcmul_(inner.index_select(0, index[px]), share)
                return add_mlp(own, block.norm2, block.mlp)

            return compute

        return through_windows(x, grid, grid.chunks, compute_of, on_work, work)

    return forward


def _overlap_forward(part: OverlapBlock, on_work: OnWork) -> Forward:
    block, heads, margin = part.block, part.block.num_heads, (part.seen - part.window) // 2
    width = block.qkv.in_features
    work = work_per_px(block, block.mlp, heads, part.seen)

    def forward(x: Tensor, x_size: tuple[int, int], rpi: Tensor) -> Tensor:
        grid = WindowGrid((x_size[0], x_size[1]), (part.window,) * 2, (0, 0))
        scores = Scores(block.scale, bias_of(block.relative_position_bias_table, rpi))

        def compute_of(_: int, before: Tensor) -> Compute:
            known = linear(normed(before, block.norm1), part_of(block.qkv, width, 3 * width))
            known = F.pad(known.view(*grid.size, 2 * width), (0, 0, *(margin,) * 4))
            # (rows, columns, channels, side, side) of the larger windows
            larger = known.unfold(0, part.seen, part.window).unfold(1, part.seen, part.window)

            def compute(own: Tensor, first: int, end: int, _: slice) -> Tensor:
                row, column = divmod(first, grid.columns)
                seen = larger[row, column : column + end - first].permute(0, 2, 3, 1)
                key, value = seen.reshape(end - first, part.seen**2, 2, heads, -1).unbind(2)
                query = linear(normed(own, block.norm1), part_of(block.qkv, 0, width))
                query = query.view(end - first, grid.area, heads, -1)
                add_linear(own, attended((query, key, value), scores), block.proj)
                return add_mlp(own, block.norm2, block.mlp)

            return compute

        return through_windows(x, grid, lambda: grid.runs(part.seen**2), compute_of, on_work, work)

    return forward
