"""Statistics of planes that are not kept, from a sample of windows at the picture's own scale.

Each window is carried through the layers with all the context that it needs, so that its numbers are the network's own;
only what lies between the windows is not looked at. Two halves of the sample are taken apart: how far they lead to
different pictures is what the deviation is estimated from.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ...geometry import Region
from .graph import Value
from .regions import sample_regions
from .schedule import Step
from .state import Run
from .statistics import Affine, Statistics, merged
from .windows import Windows

__all__ = ["sample"]

LOOKS = 4
"""Windows in which the output of both halves is compared."""


class _Patch:
    """A part of a plane."""

    def __init__(self, region: Region, tensor: Tensor) -> None:
        self._region, self._tensor = region, tensor

    def read(self, region: Region, device: torch.device, dtype: torch.dtype) -> Tensor:
        inner = region.relative_to(self._region)
        return self._tensor[:, :, inner.rows, inner.columns].to(device=device, dtype=dtype)


def sample(run: Run, step: Step) -> None:
    """Find the statistics of ``step.values``; says in ``run.spread`` and ``run.deviation`` how sure they are."""
    last = step.values[-1]
    halves = [_Half(run, step, some).statistics() for some in sample_regions(run.windows.sizes[last])]
    graph = run.graph
    sides: list[dict[int, Affine]] = [{}, {}]
    for number in step.values:
        norm = graph.values[number].norm
        assert norm is not None
        pair = [half[number] for half in halves]
        for side, one in zip(sides, pair):
            side[number] = one.affine(norm).to(run.arithmetic.device)
        run.windows.affines[number] = merged(*pair).affine(norm).to(run.arithmetic.device)
        ratio = (sides[0][number].scale / sides[1][number].scale - 1).abs()
        run.spread = max(run.spread, float(ratio.mean()) / 2)
    if run.schedule.steps[-2] is step:  # the output comes next, so that it can be looked at
        run.deviation = _difference(run, sides)


def _difference(run: Run, sides: list[dict[int, Affine]]) -> float:
    """Half the root of the mean square of what the two halves' outputs differ by."""
    number = len(run.graph.values) - 1
    regions = sample_regions(run.windows.sizes[number])[0]
    total = 0.0
    looks = regions[:: max(1, len(regions) // LOOKS)][:LOOKS]
    for region in looks:
        first, second = (run.finite(partial(_beside(run, side).window, number, region)).float() for side in sides)
        total += float((first - second).square().mean())
    return (total / len(looks)) ** 0.5 / 2


def _beside(run: Run, affines: dict[int, Affine]) -> Windows:
    """The run's windows, with statistics of one's own."""
    windows = Windows(run.graph, run.schedule.setting.size, run.arithmetic)
    windows.kept = dict(run.windows.kept)
    windows.affines = {**run.windows.affines, **affines}
    return windows


class _Half:
    """One half of the sample, carried from the last plane that is kept through the values after it."""

    def __init__(self, run: Run, step: Step, regions: list[Region]) -> None:
        self.run, self.step = run, step
        self.regions = regions
        self.windows = [_beside(run, {}) for _ in regions]
        self.needs = [self._needs(region) for region in regions]

    def statistics(self) -> dict[int, Statistics]:
        run, found = self.run, {}
        first, last = self.step.values[0], self.step.values[-1]
        for value in run.graph.values[first : last + 1]:
            moments = run.moments(value)
            for windows, needs, core in zip(self.windows, self.needs, self._cores(value)):
                run.tracker.check()
                region = needs[value.number]
                part = run.finite(partial(windows.window, value.number, region))
                if moments is not None:
                    inner = core.relative_to(region)
                    moments.add(part[:, :, inner.rows, inner.columns])
                for number in (value.source, value.skip):
                    if isinstance(windows.kept.get(number), _Patch) and (value.kind != "inner" or number == value.skip):
                        del windows.kept[number]
                windows.kept[value.number] = _Patch(region, part)
            if moments is not None and value.norm is not None:
                found[value.number] = moments.statistics()
                affine = found[value.number].affine(value.norm).to(run.arithmetic.device)
                for windows in self.windows:
                    windows.affines[value.number] = affine
        return found

    def _cores(self, value: Value) -> list[Region]:
        """What statistics are of: the windows without their context, so that each px counts once."""
        shrunk = 2 ** (self.run.graph.values[self.step.values[-1]].stage - value.stage)
        found = []
        for region in self.regions:
            x, y = region.x // shrunk, region.y // shrunk
            found.append(Region(x, y, -(-region.right // shrunk) - x, -(-region.bottom // shrunk) - y))
        return found

    def _needs(self, region: Region) -> dict[int, Region]:
        """The part of each value that the sample's last value is computed from."""
        graph, sizes = self.run.graph, self.run.windows.sizes
        needs = {self.step.values[-1]: region}
        for number in range(self.step.values[-1], self.step.values[0], -1):
            value = graph.values[number]
            wanted = graph.needed(value, needs[number], sizes[value.source])
            known = needs.get(value.source)
            needs[value.source] = wanted if known is None else _around(known, wanted)
            if value.skip >= 0:
                needs[value.skip] = needs[number]
        return needs


def _around(one: Region, other: Region) -> Region:
    x, y = min(one.x, other.x), min(one.y, other.y)
    return Region(x, y, max(one.right, other.right) - x, max(one.bottom, other.bottom) - y)
