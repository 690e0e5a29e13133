"""A coder as a chain of values: what each is computed from, how large it is, and which part of its sources it needs.

Pure but for the modules that it names; sizes are in px of each value's own plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import nn

from ...geometry import Region, Size
from .tree import Attention, Block, Coder, Conv, Head, Part, Quantiser, Up

__all__ = ["Graph", "Kind", "Value"]

Kind = Literal["input", "conv", "inner", "outer", "attention", "up", "down", "head", "quantised"]


@dataclass(frozen=True)
class Value:
    """One plane of the network.

    source: the value that it is computed from; skip: and this one besides (the stream that a block adds to).
    norm: the GroupNorm that its own statistics are for, None where nobody wants them.
    stage: number of the resolution, counted from the input. work: multiply-accumulates per px of this value.
    """

    number: int
    kind: Kind
    channels: int
    stage: int
    source: int = -1
    skip: int = -1
    part: Part | None = None
    norm: nn.GroupNorm | None = None
    work: float = 0.0


class Graph:
    """The values of a coder in the order in which they are computed; number 0 is its input, the last its output."""

    def __init__(self, coder: Coder, wraps: bool, quantise: bool = True) -> None:
        """quantise: whether a VQ model's latent is first moved to its codebook."""
        self.coder, self.wraps = coder, wraps
        first = coder.parts[0]
        channels = first.channels if isinstance(first, Quantiser) else coder.in_channels
        self._values = [Value(0, "input", channels, 0)]
        for part in coder.parts:
            if quantise or not isinstance(part, Quantiser):
                self._append(part)
        self.values = tuple(self._values)

    def _append(self, part: Part) -> None:
        last = self._values[-1]
        if isinstance(part, Block):
            self._wants(last.number, part.norm1)
            inner = self._add("inner", part.conv1, part, last.stage)
            self._wants(inner, part.norm2)
            more = 0.0 if part.shortcut is None else _work(part.shortcut)
            self._add("outer", part.conv2, part, last.stage, last.number, more)
        elif isinstance(part, Attention):
            self._wants(last.number, part.norm)
            self._add("attention", part.out, part, last.stage, more=sum(map(_work, (part.q, part.k, part.v))))
        elif isinstance(part, Head):
            self._wants(last.number, part.norm)
            self._add("head", part.conv, part, last.stage)
        elif isinstance(part, Conv):
            self._add("conv", part.conv, part, last.stage)
        elif isinstance(part, Quantiser):
            work = 2.0 * part.entries * part.channels
            self._values.append(
                Value(len(self._values), "quantised", part.channels, last.stage, last.number, -1, part, None, work)
            )
        else:
            self._add("up" if isinstance(part, Up) else "down", part.conv, part, last.stage + 1)

    def _add(self, kind: Kind, conv: nn.Conv2d, part: Part, stage: int, skip: int = -1, more: float = 0.0) -> int:
        number = len(self._values)
        work = _work(conv) + more
        self._values.append(Value(number, kind, conv.out_channels, stage, number - 1, skip, part, None, work))
        return number

    def _wants(self, number: int, norm: nn.GroupNorm) -> None:
        value = self._values[number]
        self._values[number] = Value(
            value.number,
            value.kind,
            value.channels,
            value.stage,
            value.source,
            value.skip,
            value.part,
            norm,
            value.work,
        )

    @cached_property
    def stages(self) -> int:
        return self.values[-1].stage + 1

    @cached_property
    def full_stage(self) -> int:
        """The stage of the picture's own resolution."""
        return self.stages - 1 if any(value.kind == "up" for value in self.values) else 0

    def sizes(self, size: Size) -> list[Size]:
        """Of each value, for an input of this size. A side is halved without its odd last px."""
        found: list[Size] = [size]
        for value in self.values[1:]:
            before = found[value.source]
            if value.kind == "up":
                before = before.times(2)
            elif value.kind == "down":
                before = Size(before.width // 2, before.height // 2)
            found.append(before)
        return found

    def needed(self, value: Value, region: Region, size: Size) -> Region:
        """The part of ``value.source`` that this part of the value is computed from.

        size: of the source. Where convolutions wrap around, it may go beyond the borders.
        """
        if value.kind == "up":
            x, y = (region.x - 1) // 2, (region.y - 1) // 2
            right, bottom = (region.right + 2) // 2, (region.bottom + 2) // 2
        elif value.kind == "down":
            x, y = 2 * region.x, 2 * region.y
            right, bottom = min(size.width, 2 * region.right + 1), min(size.height, 2 * region.bottom + 1)
        else:
            reach = self.reach(value)
            x, y, right, bottom = region.x - reach, region.y - reach, region.right + reach, region.bottom + reach
        if not self.wraps:
            x, y, right, bottom = max(0, x), max(0, y), min(size.width, right), min(size.height, bottom)
        return Region(x, y, right - x, bottom - y)

    @staticmethod
    def reach(value: Value) -> int:
        """px of context that a value needs of its source, at the same size."""
        if isinstance(value.part, Conv):
            return value.part.conv.kernel_size[0] // 2
        return 1 if value.kind in ("inner", "outer", "head") else 0


def _work(conv: nn.Conv2d) -> float:
    """Multiply-accumulates per px of the output."""
    return float(conv.in_channels * conv.out_channels * conv.kernel_size[0] * conv.kernel_size[1])
