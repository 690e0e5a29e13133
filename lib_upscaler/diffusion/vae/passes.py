"""A schedule carried out: one pass after another over the picture, in windows, with what memory and precision allow."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...errors import MemoryLimitError
from ...geometry import Region
from ...running.limits import free_cache, is_out_of_memory
from .attention import attend
from .graph import Value
from .planes import Plane
from .regions import tiles_of
from .samples import sample
from .schedule import Step
from .state import Run
from .statistics import Moments

__all__ = ["Sink", "execute"]

Sink = Callable[[Tensor, int], None]
"""Takes finished rows of the output, ``(B, C, h, W)`` float32 on the CPU, and the row at which they begin."""

SMALLEST_TILE = 16


def execute(run: Run, source: Tensor, sink: Sink) -> None:
    """Carry out the run's schedule.

    source: the input, ``(B, C, H, W)`` on any device.

    Raises BrokenModelError where even float32 gives no finite numbers, MemoryLimitError where the smallest window does
    not fit, Cancelled, and what torch raises when a plane does not fit.
    """
    run.keep(0, Plane(source, run.graph.wraps))
    for number, step in enumerate(run.schedule.steps, 1):
        run.tracker.note = f"pass {number} of {len(run.schedule.steps)}"
        if step.kind == "attention":
            attend(run, step)
        elif step.kind == "samples":
            sample(run, step)
        elif step.kind == "output":
            _output(run, step, sink)
        else:
            _pass(run, step)
        for ended in step.ends:
            run.drop(ended)


def _output(run: Run, step: Step, sink: Sink) -> None:
    value, size = run.graph.values[step.value], run.windows.sizes[step.value]
    for row in tiles_of(size, step.tile):
        rows: Tensor | None = None
        for region in row:
            for place, part in _parts(run, value, region, None, torch.device("cpu")):
                if rows is None:
                    rows = torch.empty((*part.shape[:2], row[0].height, size.width))
                rows[:, :, place.y - row[0].y : place.bottom - row[0].y, place.columns] = part
        assert rows is not None
        sink(rows, row[0].y)


def _pass(run: Run, step: Step) -> None:
    """Compute a plane, and keep it or only its statistics."""
    value, size = run.graph.values[step.value], run.windows.sizes[step.value]
    moments = run.moments(value)
    plane: Plane | None = None
    if step.kind == "plane":
        plane = run.planes[value.skip] if step.in_place else run.new_plane(value.channels, size)
    store = None if plane is None else run.store
    # The next row of tiles still reads a little of the stream that this one replaces.
    waits = step.in_place and value.source not in run.planes
    waiting: list[tuple[Region, Tensor]] = []
    for row in tiles_of(size, step.tile):
        done: list[tuple[Region, Tensor]] = []
        for region in row:
            parts = _parts(run, value, region, moments, store)
            if waits:
                done += parts
            elif plane is not None:
                _write(run, plane, parts)
            del parts
        if plane is not None:
            _write(run, plane, waiting)
        waiting = done
    if plane is not None:
        _write(run, plane, waiting)
        if step.in_place:
            run.replace(value.skip, value.number)
        else:
            run.keep(value.number, plane)
    run.known(value, moments)


def _write(run: Run, plane: Plane, parts: list[tuple[Region, Tensor]]) -> None:
    for region, part in parts:
        run.write(plane, region, part)


def _parts(
    run: Run, value: Value, region: Region, moments: Moments | None, to: torch.device | None
) -> list[tuple[Region, Tensor]]:
    """A window, in as many parts as memory asks for. to: where its numbers are wanted; None: only their statistics."""
    run.tracker.check()
    done = run.tracker.done
    try:
        part = run.finite(lambda: run.windows.window(value.number, region), moments)
        run.bands += 1
        return [] if to is None else [(region, part.to(to))]
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if max(region.width, region.height) <= SMALLEST_TILE:
            raise MemoryLimitError(
                "there is not enough memory for this VAE",
                f"not even a window of {region.size} px fits",
                "close other programs, or let it run on the CPU",
            ) from error
    # Only here is what the failed try has made let go of.
    run.tracker.done = done
    free_cache(run.arithmetic.device)
    return [part for smaller in _quarters(region) for part in _parts(run, value, smaller, moments, to)]


def _quarters(region: Region) -> list[Region]:
    """Halves of it in each direction that is long enough."""
    width = -(-region.width // 2) if region.width > SMALLEST_TILE else region.width
    height = -(-region.height // 2) if region.height > SMALLEST_TILE else region.height
    return [
        Region(x, y, min(width, region.right - x), min(height, region.bottom - y))
        for y in range(region.y, region.bottom, height)
        for x in range(region.x, region.right, width)
    ]
