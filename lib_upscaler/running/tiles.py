"""The tiles of a pass: what memory allows, which of them run next and together, and which run again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from ..geometry import Region
from ..models.facts import BandPlan
from ..planning.budget import Limits, less_than, wider_margin
from ..planning.passes import PassPlan, PassTask, bands_of, in_tiles, parts_of, plan_pass, region_need

__all__ = ["Batch", "PassLimits", "TileQueue"]


class PassLimits:
    """What a pass must keep to; less with each time that memory runs out.

    whole: for picture, canvas and network together. region: for what the network takes for one region.
    """

    def __init__(self, task: PassTask, limits: Limits) -> None:
        self.task, self.whole, self.region = task, limits, limits

    def plan(self, again: bool = False) -> PassPlan:
        """Cut the picture; see ``plan_pass``. again: it does not fit whole. Raises MemoryLimitError."""
        plan = in_tiles(self.task, self.whole) if again else plan_pass(self.task, self.task.tile, self.whole)
        self.region = plan.limits
        return plan

    def bands(self, region: Region) -> BandPlan | None:
        """Bands in which the region fits; None if there are none."""
        return bands_of(self.task, region, self.region)

    def need(self, region: Region, bands: BandPlan) -> int:
        """Bytes that the network takes for the region."""
        return region_need(self.task, region, bands, self.region)

    def back_off(self, failed: int) -> None:
        """``failed`` bytes were too many: from here on take less."""
        smaller = less_than(failed, self.region)
        saved = self.region.budget - smaller.budget
        self.region = smaller
        self.whole = replace(self.whole, budget=max(0, self.whole.budget - saved))

    def use(self, item_size: int) -> None:
        """From here on values take so many bytes."""
        self.whole = replace(self.whole, item_size=item_size)
        self.region = replace(self.region, item_size=item_size)


@dataclass(frozen=True)
class Batch:
    """Tiles of one shape that run together.

    margin: px of context that each has. regions: the cores with their context. bands: in which each of them runs.
    """

    cores: list[Region]
    margin: int
    regions: list[Region]
    bands: BandPlan


class TileQueue:
    """Tiles by their cores. ``begin`` comes first.

    at_once: tiles that may run together. todo: what is to run, with its margin. done: what has run, with its margin.
    margin: px, the widest that the seams have asked for so far. short: memory forbade one that they asked for.
    """

    def __init__(self, limits: PassLimits, at_once: int) -> None:
        self.limits, self.at_once = limits, at_once
        self.todo: deque[tuple[Region, int]] = deque()
        self.done: dict[Region, int] = {}
        self.margin = 0
        self.short = False

    @property
    def task(self) -> PassTask:
        return self.limits.task

    def begin(self, plan: PassPlan) -> None:
        """The tiles of this plan, in place of any others."""
        self.margin = plan.cut.margin
        self.todo = deque((core, plan.cut.margin) for core in plan.cut.cores)

    def next(self) -> Batch | None:
        """The first tile, and with it those of the same shape that follow; None where it does not fit, and stays."""
        core, margin = self.todo[0]
        region = self.task.region_of(core, margin)
        bands = self.limits.bands(region)
        if bands is None:
            return None
        self.todo.popleft()
        fit = self.limits.region.budget // max(1, self.limits.need(region, bands))
        cores, regions = [core], [region]
        while self.todo and len(cores) < min(self.at_once, max(1, fit)):
            other, its_margin = self.todo[0]
            there = self.task.region_of(other, its_margin)
            if its_margin != margin or there.size != region.size or other.size != core.size:
                break
            self.todo.popleft()
            cores.append(other)
            regions.append(there)
        return Batch(cores, margin, regions, bands)

    def split(self, core: Region, margin: int) -> None:
        """Two smaller cores in place of one that does not fit. Raises MemoryLimitError."""
        self.done.pop(core, None)
        self.todo.extendleft((part, margin) for part in reversed(parts_of(self.task, core, self.limits.region)))

    def failed(self, batch: Batch) -> None:
        """Memory ran out: these tiles come again, with less. Finished ones stay."""
        self.todo.extendleft((core, batch.margin) for core in reversed(batch.cores))
        if len(batch.cores) > 1:
            self.at_once = 1  # too large together, or one of the few networks that take one picture at a time
        else:
            self.limits.back_off(self.limits.need(batch.regions[0], batch.bands))

    def finished(self, core: Region, margin: int, differing: list[Region]) -> int:
        """A tile has run. differing: finished neighbours that do not agree with it: all run again with more context,
        as far as there is any and memory allows it. Returns the px that this comes to.
        """
        self.done[core] = margin
        margin_before, size, area = self.margin, self.task.size, 0
        for other in differing:
            wider = wider_margin(self.task.facts, size, min(margin, self.done[other]))
            if wider is None:
                continue  # all the context there is
            if not (self._fits(core, wider) and self._fits(other, wider)):
                self.short = True
                continue
            self.margin = max(self.margin, wider)
            for again in (core, other):
                if self.done[again] < wider and all(again != waiting for waiting, _ in self.todo):
                    self.todo.appendleft((again, wider))
                    area += again.grown(wider, size).size.area
        if self.margin > margin_before:
            self.todo = deque((waiting, self._widened(waiting, its)) for waiting, its in self.todo)
        return area

    def _fits(self, core: Region, margin: int) -> bool:
        return self.limits.bands(self.task.region_of(core, margin)) is not None

    def _widened(self, core: Region, margin: int) -> int:
        """The margin that the seams have asked for so far, where memory allows it for this core."""
        if margin >= self.margin or self._fits(core, self.margin):
            return max(margin, self.margin)
        self.short = True
        return margin

    def note(self, count: int) -> str:
        """Such as "tile 3 of 12". count: of the tiles that run now."""
        total = len({*self.done, *(core for core, _ in self.todo)}) + count
        return f"tile {min(len(self.done) + 1, total)} of {total}" if total > 1 else ""
