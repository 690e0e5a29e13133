"""What blocks of attention within windows have in common: how they are recognised, tried, and gone through."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .linear import is_mlp, work_of
from .recognised import has_children, is_linear, is_norm, is_off
from .ways import OnWork
from .windows import WindowGrid

__all__ = ["WindowBlock", "has_table", "through_windows", "window_and_shift", "work_per_px"]

Compute = Callable[[Tensor, int, int, slice], Tensor]
"""What becomes of the px ``(n, C)`` of windows from the first to before the last. The slice is theirs in the order of
windows; the px may be written over."""


@dataclass(frozen=True)
class WindowBlock:
    """name: its path in the module tree. window, shift: px."""

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


def window_and_shift(module: nn.Module, *further: str, attention: tuple[str, ...] = ()) -> tuple[int, int] | None:
    """Those of a block with norms, attention and two linear layers as Swin Transformers have them; None for others.

    further: its other children. attention: further ones of its attention.
    """
    if not has_children(module, "norm1", "attn", "drop_path", "norm2", "mlp", *further):
        return None
    block: Any = module
    inner, window, shift = block.attn, getattr(block, "window_size", None), getattr(block, "shift_size", None)
    fits = (
        has_children(inner, "qkv", "attn_drop", "proj", "proj_drop", "softmax", *attention)
        and isinstance(window, int)
        and isinstance(shift, int)
        and 0 <= shift < window
        and tuple(getattr(inner, "window_size", ())) == (window, window)
        and all(map(is_norm, (block.norm1, block.norm2)))
        and all(map(is_linear, (inner.qkv, inner.proj)))
        and is_mlp(block.mlp)
        and all(map(is_off, (block.drop_path, inner.attn_drop, inner.proj_drop)))
    )
    return (window, shift) if fits else None  # type: ignore[return-value]


def has_table(attention: Any, differences: int) -> bool:
    """Whether it has a bias for each way in which two px can lie to each other, and so many of these."""
    table = getattr(attention, "relative_position_bias_table", None)
    return isinstance(table, Tensor) and table.shape == (differences, attention.num_heads)


def work_per_px(attention: Any, mlp: Any, heads: int, seen: int) -> float:
    """Multiply-accumulates. seen: px of the side of what each px attends to."""
    return work_of(attention.qkv, attention.proj, mlp.fc1, mlp.fc2) + 16.0 * heads * seen**2


def through_windows(
    x: Tensor,
    grid: WindowGrid,
    runs: Callable[[], Iterable[tuple[int, int]]],
    compute_of: Callable[[int, Tensor], Compute],
    on_work: OnWork,
    work: float,
) -> Tensor:
    """``(B, H * W, C)`` a few windows at a time, picture by picture.

    runs: which windows together, from the first to before the last. compute_of: for a picture, by its number and px.
    work: of each px, told to ``on_work``.
    """
    index, inverse = grid.order()
    result = torch.empty_like(x)
    for number, (before, after) in enumerate(zip(x, result)):
        compute, done = compute_of(number, before), torch.empty_like(before)
        for first, last in runs():
            px = slice(first * grid.area, last * grid.area)
            done[px] = compute(before.index_select(0, index[px]), first, last, px)
            on_work(work * (px.stop - px.start))
        torch.index_select(done, 0, inverse, out=after)
    return result
