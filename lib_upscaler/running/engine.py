"""One pass of a network over a picture: whole when it fits, else in tiles that are checked where they meet.

What comes out is the network's own output; how far it can be from it is measured and reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from .. import scratch
from ..depths import Bits, bits_of
from ..geometry import Region, Size
from ..models.network import UpscaleModel
from ..planning.passes import PassTask, Strategy, channel_runs, limits_for, tiles_at_once
from ..progress import NO_PROGRESS, Progress, SubProgress, Tracker, preview_of
from .device import device_lock
from .heap import can_steady_heap, close_gaps, return_heap, steady_heap
from .limits import free_cache, is_out_of_memory, memory_budget
from .output import Output
from .precision import ChosenPrecision, choose, exact_arithmetic
from .preview import Preview
from .runner import DeviceTracker, Runner
from .seams import ACCEPTED_SEAM, Seams, Strip, agree
from .tiles import Batch, PassLimits, TileQueue

__all__ = ["ACCEPTED_SEAM", "PassOptions", "PassResult", "device_lock", "run"]


@dataclass(frozen=True)
class PassOptions:
    """How to run.

    precision: "auto", "exact", "fp16" or "bf16". tile: "auto", "none", or the side of a tile's core in input px; of a
    pass that was planned, as in its task. memory: bytes that may be used, None for a share of what is free.
    batch: tiles that run together, None for auto. scratch: the folder for a result that is planned to lie in a file.
    """

    precision: str = "auto"
    tile: int | str = "auto"
    memory: int | None = None
    batch: int | None = None
    scratch: Path | None = None


@dataclass
class PassResult:
    """What a pass gave and how.

    pixels: ``(H * scale, W * scale, C)`` of the depth asked for. tiles: how many. margin: px of context around each, 0
    when whole. seam_error: largest difference between neighbouring tiles on their common line in 8-bit levels, 0.0
    when whole. work: multiply-accumulates, with those of tiles that were run again. seconds: of the network, without
    waiting for the device and measuring its precision.
    """

    pixels: np.ndarray
    strategy: Strategy
    tiles: int
    margin: int
    seam_error: float
    precision: ChosenPrecision
    warnings: list[str] = field(default_factory=list)
    work: float = 0.0
    seconds: float = 0.0


def run(
    model: UpscaleModel,
    picture: np.ndarray,
    device: torch.device,
    options: PassOptions,
    progress: Progress = NO_PROGRESS,
    task: PassTask | None = None,
    bits: Bits = 8,
    source: tuple[int, int] | None = None,
) -> PassResult:
    """The network's output for the picture.

    picture: ``(H, W, C)`` of any depth (``depths``); C is 1, 3 or 4 (grey, RGB, RGBA).
    task: as it was planned; None for a picture that is given by itself. bits: of its result then (more than is wanted
        in the end where another step follows, so that rounding happens once).
    source: where this is a pass of a job: area in px of the picture that the user gave, and bits per channel of that
        or of what it becomes, whichever are more; they decide about the precision.

    Raises MemoryLimitError, BrokenModelError, RequestError, Cancelled.
    """
    with device_lock(device):
        size = Size(picture.shape[1], picture.shape[0])
        area, depth = source or (size.area, bits_of(picture))
        precision = choose(options.precision, model, device, area, depth, Tracker(progress, 0.0).check)
        started = time.perf_counter()
        planned = task or _task_of(model, picture, device, options.tile, bits)

        def one(planes: np.ndarray, part: Progress) -> PassResult:
            runner = Runner(model, planes, precision, DeviceTracker(part, device))
            return _Pass(runner, planned, options).result()

        by_channel = planned.channels < picture.shape[2]
        folder = options.scratch if planned.on_disk else None
        done = _by_channel(picture, progress, one, folder) if by_channel else one(picture, progress)
        return replace(done, seconds=time.perf_counter() - started)


def _task_of(model: UpscaleModel, picture: np.ndarray, device: torch.device, tile: int | str, bits: Bits) -> PassTask:
    height, width, channels = picture.shape
    _, each = channel_runs(model.card, channels)
    depth, steady = bits_of(picture), can_steady_heap(device)
    return PassTask.of(model.card, model.facts, Size(width, height), each, depth, bits, tile, device.type, steady)


def _by_channel(
    picture: np.ndarray, progress: Progress, one: Callable[[np.ndarray, Progress], PassResult], folder: Path | None
) -> PassResult:
    """A grey network gets the colours of a picture one by one. folder: for a result that lies in a file."""
    count = picture.shape[2]
    done = []
    for channel in range(count):
        part = SubProgress(progress, channel / count, (channel + 1) / count, f"channel {channel + 1} of {count} ")
        done.append(one(picture[:, :, channel : channel + 1], part))
    worst = max(done, key=lambda each: (each.tiles, each.seam_error))
    work = sum(each.work for each in done)
    height, width, _ = worst.pixels.shape
    pixels = scratch.planes((height, width, count), worst.pixels.dtype, folder)
    for number, each in enumerate(done):
        _copy(each.pixels[:, :, 0], pixels[:, :, number])
    return replace(worst, pixels=pixels, work=work)


def _copy(source: np.ndarray, target: np.ndarray) -> None:
    """A plane, in bands, so that of one in a file little is in memory."""
    for top in range(0, len(source), _COPIED_ROWS):
        target[top : top + _COPIED_ROWS] = source[top : top + _COPIED_ROWS]
        scratch.let_go(source)
        scratch.let_go(target)


_COPIED_ROWS = 256


class _Pass:
    """One pass: tiles from the queue to the network, what it gives into the output, their seams looked at."""

    def __init__(self, runner: Runner, task: PassTask, options: PassOptions) -> None:
        self.runner, self.options = runner, options
        card, device, item_size = runner.model.card, runner.tracker.device, runner.precision.item_size
        limits = limits_for(card, device.type, memory_budget(device, options.memory), item_size)
        self.tiles = TileQueue(PassLimits(task, limits), options.batch or tiles_at_once(device.type, item_size))
        self.seams = Seams(task.scale, task.channels)
        show = preview_of(runner.tracker.progress)
        preview = Preview(show, runner.picture, task.output) if show is not None else None
        self.output = Output(task, preview, options.scratch)
        self._begin()

    def _begin(self, again: bool = False) -> None:
        """Plan the cut, with nothing done yet. again: it does not fit whole."""
        plan, tracker = self.tiles.limits.plan(again), self.runner.tracker
        self.tiles.begin(plan)
        self.output.begin(plan.blending)
        tracker.total = tracker.done + plan.cut.work * self.runner.model.facts.work_per_pixel

    def result(self) -> PassResult:
        runner, tiles = self.runner, self.tiles
        runner.tracker.check()
        if self.options.memory is not None:
            return_heap()  # what an earlier picture has left may not fit this one, and would count on top
            close_gaps()  # nor what reading this one has
        with exact_arithmetic(), ExitStack() as heap:
            if tiles.limits.region.steady:
                heap.enter_context(steady_heap())
            while tiles.todo:
                self._next()
                if self.options.memory is not None and tiles.todo and tiles.limits.region.steady:
                    close_gaps()
        if self.options.memory is not None:
            return_heap()  # what follows needs the room
        if tiles.short or (self.output.blending and self.seams.largest > ACCEPTED_SEAM):
            runner.warnings.append(self._seam_warning())
        tiled = len(tiles.done) > 1
        return PassResult(
            self.output.finish(),
            "tiles" if tiled else "whole, in bands" if runner.banded else "whole",
            len(tiles.done),
            max(tiles.done.values()) if tiled else 0,
            round(self.seams.largest, 3),
            runner.precision,
            runner.warnings,
            runner.tracker.done,
        )

    def _next(self) -> None:
        batch, tracker = self.tiles.next(), self.runner.tracker
        if batch is None:
            self._split()
            return
        tracker.note = self.tiles.note(len(batch.cores))
        done_before = tracker.done
        try:
            strips = self._run(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) and len(batch.cores) == 1:
                raise
            tracker.done = done_before
            if len(batch.cores) == 1:
                free_cache(tracker.device)
            self.tiles.failed(batch)
            return
        area = len(batch.cores) * batch.regions[0].size.area
        tracker.done = done_before + area * self.runner.model.facts.work_per_pixel
        for core, its_strips in zip(batch.cores, strips):
            self._finished(core, batch.margin, its_strips)

    def _run(self, batch: Batch) -> list[list[Strip]]:
        """Run a batch and write its cores into the output; returns the strips of each tile."""
        strips = [self.seams.strips_of(core, region) for core, region in zip(batch.cores, batch.regions)]
        try:
            self.runner.run(batch.regions, batch.bands, lambda: self.output.sink(batch, strips))
        finally:
            self.tiles.limits.use(self.runner.precision.item_size)  # it may not have worked in the small one
        return strips

    def _split(self) -> None:
        """The next region does not fit: smaller cores instead."""
        core, margin = self.tiles.todo.popleft()
        if core == Region.of(self.tiles.task.size) and self.tiles.task.tile != "none":
            before = self.tiles.limits.region
            self._begin(again=True)
            if len(self.tiles.todo) > 1 or self.tiles.limits.region != before:
                return
            self.tiles.todo.clear()
        self.seams.drop(core)
        self.tiles.split(core, margin)

    def _finished(self, core: Region, margin: int, strips: list[Strip]) -> None:
        blending, precision = self.output.blending, self.runner.precision
        neighbours = self.seams.put(core, strips)
        differing = [other for other in neighbours if not (blending or agree(self.seams.error(core, other), precision))]
        again = self.tiles.finished(core, margin, differing)
        self.runner.tracker.total += again * self.runner.model.facts.work_per_pixel

    def _seam_warning(self) -> str:
        why = (
            f"'{self.runner.model.name}' looks at the whole picture, so tiles change its result"
            if self.runner.model.facts.global_context
            else "memory does not allow the context that this network needs"
        )
        return f"{why}: neighbouring tiles differ by up to {self.seams.largest:.1f} of 255 levels"
