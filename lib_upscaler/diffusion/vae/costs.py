"""What a window of a value costs: work, and the elements that are alive at once. Follows ``windows`` step by step."""

from __future__ import annotations

from dataclasses import dataclass

from .graph import Graph, Value
from .tree import Block, Quantiser

__all__ = ["Cost", "window_cost"]


@dataclass(frozen=True)
class Cost:
    """work: multiply-accumulates. largest: those of the costliest single operation. elements: alive at once, of one
    picture of a batch, with the window itself."""

    work: float
    largest: float
    elements: float


def window_cost(graph: Graph, kept: frozenset[int], number: int, width: int, height: int, small: bool) -> Cost:
    """Of a window that touches no border, computed from the values ``kept``.

    small: whether the precision is below float32, where the activation needs one tensor more.
    """
    return _Costs(graph, kept, 1.0 if small else 0.0).computed(graph.values[number], width, height)


class _Costs:
    def __init__(self, graph: Graph, kept: frozenset[int], extra: float) -> None:
        self.graph, self.kept, self.extra = graph, kept, extra

    def read(self, number: int, width: int, height: int) -> Cost:
        value = self.graph.values[number]
        if number in self.kept or value.kind == "input":
            return Cost(0.0, 0.0, value.channels * width * height)
        return self.computed(value, width, height)

    def computed(self, value: Value, width: int, height: int) -> Cost:
        if value.kind == "outer":
            return self._outer(value, width, height)
        if value.kind == "down":
            source_width, source_height = 2 * width + 1, 2 * height + 1
        elif value.kind == "up":
            source_width, source_height = width // 2 + 2, height // 2 + 2
        else:
            reach = Graph.reach(value)
            source_width, source_height = width + 2 * reach, height + 2 * reach
        source = self.read(value.source, source_width, source_height)
        channels = self.graph.values[value.source].channels
        read = float(channels * source_width * source_height)
        out_width, out_height = source_width, source_height
        if value.kind == "down":
            out_width, out_height = width, height
        elif value.kind == "up":
            out_width, out_height = 2 * source_width, 2 * source_height
        made = float(value.channels * out_width * out_height)
        work = value.work * out_width * out_height
        alive = read + made
        if value.kind == "up":
            alive += channels * out_width * out_height
        if value.kind in ("inner", "head"):
            alive = max((2 + self.extra) * read, read + alive)  # the caller still holds what was normalised
        if isinstance(value.part, Quantiser):
            alive += 3.0 * value.part.entries * out_width * out_height
        return Cost(source.work + work, max(source.largest, work), max(source.elements, alive))

    def _outer(self, value: Value, width: int, height: int) -> Cost:
        block, inner = value.part, self.graph.values[value.source]
        assert isinstance(block, Block)
        area, middle = width * height, (width + 2) * (height + 2)
        skip = self.graph.values[value.skip].channels
        if value.source in self.kept:
            first, stream, h = Cost(0.0, 0.0, 0.0), 0.0, float(inner.channels * middle)
            last = self.read(value.skip, width, height)
        else:
            wide = (width + 4) * (height + 4)
            first = self.read(value.skip, width + 4, height + 4)
            stream, h = float(skip * wide), float(inner.channels * wide)
            inside = max((2 + self.extra) * stream, 2 * stream + h)
            work = inner.work * wide
            first = Cost(first.work + work, max(first.largest, work), max(first.elements, inside))
            last = Cost(0.0, 0.0, 0.0)
        normed = inner.channels * middle
        made = value.channels * middle
        ends = made + max(last.elements, skip * area) + 2 * value.channels * area
        elements = max(
            first.elements,
            stream + h + (1 + self.extra) * normed,
            stream + normed + made,
            stream + ends,
            made + last.elements,
        )
        work = value.work * middle
        return Cost(first.work + last.work + work, max(first.largest, last.largest, work), elements)
