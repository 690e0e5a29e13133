"""Which values are kept between the layers, in which order they are computed, and what that costs. Runs nothing.

A GroupNorm needs its plane's statistics before a single px behind it is known. Where the plane is kept, they are
gathered while it is written, and nothing is computed twice. Where it is not, all that lies between it and the last
plane kept is computed once for its statistics and again for what comes behind it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from ...geometry import Size
from .costs import window_cost
from .graph import Graph, Value
from .regions import SAMPLE_SIDE, equal_part, sample_regions

__all__ = ["ATTENTION_OVERLAP", "ATTENTION_TILE", "Keep", "Schedule", "Setting", "Step", "make_schedule"]


class Keep(Enum):
    """What is kept of a stage, from most memory to least.

    ALL: every plane that a statistic is of: nothing is computed twice. LEAN: not the enlarged plane at its beginning.
    STREAM: only what blocks add to; their first halves run twice. NONE: nothing: all of it runs again for each
    statistic. SAMPLED: nothing, and statistics come from a sample of windows.
    """

    ALL = "all"
    LEAN = "lean"
    STREAM = "stream"
    NONE = "none"
    SAMPLED = "sampled"


@dataclass(frozen=True)
class Setting:
    """What a schedule is made for.

    size: of the input, px. item_size: bytes per element of a plane. working: bytes that a window may take. largest: the
    multiply-accumulates of one operation, so that a cancel is heard in time. attention: "exact", or "tiles" of the
    latent that look no further.
    """

    size: Size
    batch: int
    item_size: int
    working: int
    largest: float
    attention: Literal["exact", "tiles"] = "exact"


@dataclass(frozen=True)
class Step:
    """One pass over a value's plane.

    kind: "plane" (kept), "statistics", "samples" (of ``values``), "attention", "output". in_place: written over the
    stream it adds to. tile: of a window. ends: planes that nobody needs afterwards. work: multiply-accumulates.
    working: bytes of a window and all that it is computed from. planes: bytes that are kept meanwhile.
    """

    kind: Literal["plane", "statistics", "samples", "attention", "output"]
    value: int
    values: tuple[int, ...]
    in_place: bool
    tile: Size
    ends: tuple[int, ...]
    work: float
    working: int
    planes: int


@dataclass(frozen=True)
class Schedule:
    """steps: in order. keeps: of each stage."""

    setting: Setting
    keeps: tuple[Keep, ...]
    steps: tuple[Step, ...]

    @property
    def work(self) -> float:
        return sum(step.work for step in self.steps)

    @property
    def working(self) -> int:
        """Bytes of the largest window; they do not grow with the picture."""
        return max(step.working for step in self.steps)

    @property
    def planes(self) -> int:
        """Bytes of the planes that are kept, at the most."""
        return max(step.planes for step in self.steps)

    @property
    def exact(self) -> bool:
        return Keep.SAMPLED not in self.keeps and self.setting.attention == "exact"


TILE_SIDES = (1024, 768, 512, 384, 320, 256, 224, 192, 160, 128, 96, 64, 48, 32, 24, 16, 8)
SCORE_BYTES = 12
"""Of attention, for each pair of tokens that is looked at at once: their score in float32, twice, and rounded."""

ATTENTION_TILE, ATTENTION_OVERLAP = 96, 24
"""px of the latent. A token sees 9216 others; the whole of a picture of 768 px."""


def make_schedule(graph: Graph, keeps: Sequence[Keep], setting: Setting) -> Schedule:
    """The steps for a choice of what is kept; keeps: one of each stage."""
    maker = _Maker(graph, tuple(keeps), setting)
    return Schedule(setting, tuple(keeps), tuple(maker.steps()))


class _Maker:
    def __init__(self, graph: Graph, keeps: tuple[Keep, ...], setting: Setting) -> None:
        self.graph, self.keeps, self.setting = graph, keeps, setting
        self.sizes = graph.sizes(setting.size)
        self.kept = frozenset(value.number for value in graph.values if self._is_kept(value))

    def steps(self) -> list[Step]:
        plain = self._plain_steps()
        reads = [self._step_reads(kind, numbers) for kind, numbers in plain]
        last = {number: index for index, numbers in enumerate(reads) for number in numbers}
        alive: dict[int, int] = {}
        steps = []
        for index, (kind, numbers) in enumerate(plain):
            value = self.graph.values[numbers[-1]]
            in_place = kind == "attention" or (kind == "plane" and self._in_place(value))
            if in_place:
                replaced = self._stream(value)
                alive[value.number] = alive.pop(replaced, 0)
            elif kind == "plane":
                alive[value.number] = self._bytes(value)
            ends = tuple(n for n, at in last.items() if at == index and n in alive)
            steps.append(self._step(kind, numbers, in_place, ends, sum(alive.values())))
            for number in ends:
                del alive[number]
        return steps

    def _plain_steps(self) -> list[tuple[str, tuple[int, ...]]]:
        found: list[tuple[str, tuple[int, ...]]] = []
        sampled: list[int] = []
        values = self.graph.values
        for value in values[1:]:
            is_last = value.number == len(values) - 1
            wants = value.norm is not None
            if wants and value.number not in self.kept and self.keeps[value.stage] is Keep.SAMPLED:
                sampled.append(value.number)
                continue
            if sampled and (value.number in self.kept or is_last or wants):
                found.append(("samples", tuple(sampled)))
                sampled = []
            if is_last:
                found.append(("output", (value.number,)))
            elif value.kind == "attention":
                found.append(("attention", (value.number,)))
            elif value.number in self.kept:
                found.append(("plane", (value.number,)))
            elif wants:
                found.append(("statistics", (value.number,)))
        return found

    # -- what is kept --------------------------------------------------------------------------------------------------

    def _is_kept(self, value: Value) -> bool:
        keep, kind, values = self.keeps[value.stage], value.kind, self.graph.values
        if value.number == len(values) - 1:
            return False
        before_attention = value.number + 1 < len(values) and values[value.number + 1].kind == "attention"
        if kind in ("input", "attention", "down", "quantised") or before_attention:
            return True
        if kind == "up":
            return keep is Keep.ALL
        if kind == "inner":
            return keep in (Keep.ALL, Keep.LEAN)
        return kind == "outer" and keep in (Keep.ALL, Keep.LEAN, Keep.STREAM)

    def _in_place(self, value: Value) -> bool:
        """Whether a value may be written over the stream that it adds to."""
        if value.kind != "outer" or value.skip not in self.kept or value.skip == 0:
            return False
        same = self.graph.values[value.skip].channels == value.channels
        return same and (value.source in self.kept or not self.graph.wraps)

    @staticmethod
    def _stream(value: Value) -> int:
        return value.source if value.kind == "attention" else value.skip

    def _reads(self, number: int) -> set[int]:
        """Planes that a window of the value is computed from."""
        value = self.graph.values[number]
        sources = {value.source} if value.kind != "outer" or value.source in self.kept else set()
        if value.kind == "outer":
            sources.add(value.skip)
        found: set[int] = set()
        for source in sources:
            found |= {source} if source in self.kept else self._reads(source)
        return found

    def _step_reads(self, kind: str, numbers: tuple[int, ...]) -> set[int]:
        found = set().union(*(self._reads(number) for number in numbers))
        return found | set(numbers) if kind == "plane" else found

    def _bytes(self, value: Value) -> int:
        return value.channels * self.sizes[value.number].area * self.setting.item_size * self.setting.batch

    # -- what it costs -------------------------------------------------------------------------------------------------

    def _step(self, kind: str, numbers: tuple[int, ...], in_place: bool, ends: tuple[int, ...], planes: int) -> Step:
        value = self.graph.values[numbers[-1]]
        size = self.sizes[value.number]
        if kind == "attention":
            tile, work, working, more = self._attention(value, size)
            planes += more
        elif kind == "samples":
            tile, work, working = Size(SAMPLE_SIDE, SAMPLE_SIDE), self._sample_work(numbers), 0
            planes += self._sample_bytes(numbers)
        else:
            tile, work, working = self._tiled(value, size)
            if in_place and value.source not in self.kept:  # two rows of tiles wait until nobody reads below them
                planes += min(size.height, 2 * tile.height) * size.width * value.channels * self.setting.item_size
        return Step(kind, value.number, numbers, in_place, tile, ends, work, working, planes)  # type: ignore[arg-type]

    def _tiled(self, value: Value, size: Size) -> tuple[Size, float, int]:
        """Tile, work and bytes of a pass in windows."""
        for side in TILE_SIDES:
            tile = Size(equal_part(size.width, side), equal_part(size.height, side))
            cost = window_cost(self.graph, self.kept, value.number, tile.width, tile.height, self.setting.item_size < 4)
            # Statistics are gathered in float32, from a copy.
            elements = cost.elements + 4 / self.setting.item_size * value.channels * tile.area
            working = int(elements * self.setting.item_size * self.setting.batch)
            if side == TILE_SIDES[-1] or (
                working <= self.setting.working and cost.largest * self.setting.batch <= self.setting.largest
            ):
                break
        count = math.ceil(size.width / tile.width) * math.ceil(size.height / tile.height)
        return tile, cost.work * count * self.setting.batch, working

    def _attention(self, value: Value, size: Size) -> tuple[Size, float, int, int]:
        """Tile, work, bytes of a window, and bytes of the keys and values (or of the sum of tiles)."""
        setting, channels = self.setting, value.channels
        plane = channels * size.area * setting.batch
        # Bytes of all that is made of a token, without scores.
        token = (6 if setting.attention == "tiles" else 8) * channels * setting.item_size * setting.batch
        if setting.attention == "tiles":
            tile = Size(min(ATTENTION_TILE, size.width), min(ATTENTION_TILE, size.height))
            step = ATTENTION_TILE - ATTENTION_OVERLAP
            tiles = math.ceil(size.width / step) * math.ceil(size.height / step)
            work, seen, more = (2.0 * channels * tile.area**2 + value.work * tile.area) * tiles, tile.area, plane * 4
        else:
            side = max(1, int(math.sqrt(setting.working / (2 * token))))
            tile = Size(equal_part(size.width, side), equal_part(size.height, side))
            work = (2.0 * channels * size.area + value.work) * size.area
            seen, more = size.area, 2 * plane * setting.item_size
        scores = min(setting.working // 4, SCORE_BYTES * setting.batch * tile.area * seen)
        return tile, work * setting.batch, token * tile.area + scores, more

    def _sample_work(self, numbers: tuple[int, ...]) -> float:
        """Twice, for two samples, with the context that each window needs: some 14 px on each side of it."""
        last = self.graph.values[numbers[-1]]
        count = sum(map(len, sample_regions(self.sizes[last.number])))
        side = SAMPLE_SIDE + 14
        return sum(
            value.work * count * side * side * self._scale(value, last) * self.setting.batch
            for value in self.graph.values[numbers[0] : numbers[-1] + 1]
        )

    def _sample_bytes(self, numbers: tuple[int, ...]) -> int:
        """Of one half at a time: a value, the one that it comes from, and the stream that it is added to."""
        last = self.graph.values[numbers[-1]]
        windows = sample_regions(self.sizes[last.number])[0]
        most = 0.0
        for number in numbers:
            value = self.graph.values[number]
            beside = {number, value.source, value.skip} - {-1}
            scales = [
                self.graph.values[other].channels * self._scale(self.graph.values[other], last) for other in beside
            ]
            most = max(most, sum(scales))
        area = sum((region.width + 20) * (region.height + 20) for region in windows)
        return int(most * area * self.setting.item_size * self.setting.batch)

    def _scale(self, value: Value, last: Value) -> float:
        return self.sizes[value.number].area / self.sizes[last.number].area
