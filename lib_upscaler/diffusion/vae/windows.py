"""Any window of any value, computed from what is kept. Nothing is computed beyond what the window needs."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ...geometry import Region, Size
from .arithmetic import Arithmetic
from .graph import Graph, Value
from .statistics import Affine
from .tree import Block, Conv, Down, Head, Quantiser, Up

__all__ = ["Kept", "Windows"]


class Kept(Protocol):
    """What windows can be read from: a plane, or a part of one."""

    def read(self, region: Region, device: torch.device, dtype: torch.dtype) -> Tensor: ...


class Windows:
    """The values of one run.

    kept: of some values, what was computed before. affines: of values whose statistics are known.
    """

    def __init__(self, graph: Graph, size: Size, arithmetic: Arithmetic) -> None:
        """size: of the input, px."""
        self.graph, self.arithmetic = graph, arithmetic
        self.sizes = graph.sizes(size)
        self.kept: dict[int, Kept] = {}
        self.affines: dict[int, Affine] = {}

    def window(self, number: int, region: Region) -> Tensor:
        """A window of a value, ``(B, C, h, w)`` on the device in the precision of now.

        Exact: what it is computed from is as large as it needs, convolutions see zeros at the picture's own borders
        alone. Not to be written to.
        """
        kept = self.kept.get(number)
        if kept is not None:
            return kept.read(region, self.arithmetic.device, self.arithmetic.dtype)
        value = self.graph.values[number]
        if value.kind == "outer":
            return self._outer(value, region)
        source = self.graph.needed(value, region, self.sizes[value.source])
        x = self.window(value.source, source)
        if value.kind == "inner":
            return self._inner(value, x, source, region)
        return self._plain(value, x, source, region)

    def _plain(self, value: Value, x: Tensor, source: Region, region: Region) -> Tensor:
        run, part = self.arithmetic, value.part
        if isinstance(part, Conv):
            return _cut(run.conv(part.conv, x), source, region)
        if isinstance(part, Up):
            return _cut(run.up(part, x), source.times(2), region)
        if isinstance(part, Down):
            size = self.sizes[value.source]
            right, below = 2 * region.right + 1 > size.width, 2 * region.bottom + 1 > size.height
            return run.down(part, x, right, below)
        if isinstance(part, Head):
            h = run.swish(run.normed(x, self.affines[value.source]), fused=False)
            y = _cut(run.conv(part.conv, h), source, region)
            return torch.tanh(y) if part.tanh else y
        assert isinstance(part, Quantiser)
        return run.quantise(part, x)

    def _inner(self, value: Value, x: Tensor, source: Region, region: Region) -> Tensor:
        """The first half of a block. x: of the block's input, the part ``source``."""
        block, run = value.part, self.arithmetic
        assert isinstance(block, Block)
        h = run.swish(run.normed(x, self.affines[value.source]), block.fused)
        return _cut(run.conv(block.conv1, h), source, region)

    def _outer(self, value: Value, region: Region) -> Tensor:
        """The second half of a block, and the stream that it adds to."""
        block, run = value.part, self.arithmetic
        assert isinstance(block, Block)
        inner = self.graph.values[value.source]
        middle = self.graph.needed(value, region, self.sizes[value.source])
        if value.source in self.kept:
            x, source = None, region
            h = self.window(value.source, middle)
        else:  # both halves from one window of the stream
            source = self.graph.needed(inner, middle, self.sizes[inner.source])
            x = self.window(value.skip, source)
            h = self._inner(inner, x, source, middle)
        h = run.swish(run.normed(h, self.affines[value.source]), block.fused)
        h = _cut(run.conv(block.conv2, h), middle, region)
        x = self.window(value.skip, region) if x is None else _cut(x, source, region)
        if block.shortcut is not None:
            x = run.conv(block.shortcut, x)
        return x + h


def _cut(x: Tensor, region: Region, wanted: Region) -> Tensor:
    """The part ``wanted`` of a tensor that holds ``region``."""
    if region == wanted:
        return x
    inner = wanted.relative_to(region)
    return x[:, :, inner.rows, inner.columns]
