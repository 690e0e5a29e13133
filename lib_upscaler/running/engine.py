"""One pass of a network over a picture: whole when it fits, else in tiles that are checked where they meet.

What comes out is the network's own output; how far it can be from it is measured and reported.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ..errors import BrokenModelError
from ..geometry import Region, Size
from ..models.facts import BandPlan
from ..models.network import NonFiniteOutput, Sink, UpscaleModel
from ..planning.budget import less_than
from ..planning.passes import (
    PassTask,
    bands_of,
    channel_runs,
    is_banded,
    limits_for,
    parts_of,
    plan_pass,
    region_need,
    tiles_at_once,
)
from ..progress import NO_PROGRESS, Progress, SubProgress, Tracker, preview_of
from .canvas import BlendingCanvas, Canvas, Seams, Strip
from .channels import from_network, to_network
from .heap import can_steady_heap, return_heap, steady_heap
from .limits import is_out_of_memory, memory_budget
from .precision import ChosenPrecision, choose, exact_arithmetic
from .preview import Preview

__all__ = ["ACCEPTED_SEAM", "PassOptions", "PassResult", "run"]

ACCEPTED_SEAM = 0.5
"""8-bit levels; where neighbouring tiles differ by more, they are run again with more context."""

_SYNC_WORK = 5e11
"""On CUDA the program runs ahead of the device; it waits after this much work, so that progress and cancel are true."""


@dataclass(frozen=True)
class PassOptions:
    """How to run.

    precision: "auto", "exact", "fp16" or "bf16". tile: "auto", "none", or the side of a tile's core in input px.
    memory: bytes that may be used, None for a share of what is free. batch: tiles that run together, None for auto.
    """

    precision: str = "auto"
    tile: int | str = "auto"
    memory: int | None = None
    batch: int | None = None


@dataclass
class PassResult:
    """What a pass gave and how.

    pixels: ``(H * scale, W * scale, C)`` uint8 or uint16. strategy: "whole", "whole, in bands" or "tiles".
    tiles: how many. margin: px of context around each, 0 when whole. seam_error: largest difference between
    neighbouring tiles on their common line in 8-bit levels, 0.0 when whole. work: multiply-accumulates, with those of
    tiles that were run again. seconds: of the network, without waiting for the device and measuring its precision.
    """

    pixels: np.ndarray
    strategy: str
    tiles: int
    margin: int
    seam_error: float
    precision: ChosenPrecision
    warnings: list[str] = field(default_factory=list)
    work: float = 0.0
    seconds: float = 0.0


_device_locks: dict[str, threading.RLock] = {}
_locks_guard = threading.Lock()


def device_lock(device: torch.device) -> threading.RLock:
    """The lock under which networks run on the device; two callers take turns."""
    with _locks_guard:
        return _device_locks.setdefault(str(device), threading.RLock())


def run(
    model: UpscaleModel,
    picture: np.ndarray,
    device: torch.device,
    options: PassOptions,
    progress: Progress = NO_PROGRESS,
    task: PassTask | None = None,
    bits: int = 8,
    source: tuple[int, int] | None = None,
) -> PassResult:
    """The network's output for the picture.

    picture: ``(H, W, C)`` uint8, uint16 (65535 = 1.0); C is 1, 3 or 4 (grey, RGB, RGBA).
    task: as it was planned; None for a picture that is given by itself. bits: of its result then, 8 or 16 (16 where
        another step follows, so that rounding happens once).
    source: area in px and bits per channel of the picture that the user gave, where this is a later pass over it;
        they decide about the precision.

    Raises MemoryLimitError, BrokenModelError, RequestError, Cancelled.
    """
    with device_lock(device):
        size = Size(picture.shape[1], picture.shape[0])
        area, depth = source or (size.area, 8 * picture.dtype.itemsize)
        precision = choose(options.precision, model, device, area, depth, Tracker(progress, 0.0).check)
        started = time.perf_counter()
        task = task or _task_of(model, picture, device, options.tile, bits)
        if task.channels < picture.shape[2]:
            done = _by_channel(model, picture, device, options, precision, progress, task)
        else:
            done = _Pass(model, picture, device, options, precision, progress, task).result()
        return replace(done, seconds=time.perf_counter() - started)


def _task_of(model: UpscaleModel, picture: np.ndarray, device: torch.device, tile: int | str, bits: int) -> PassTask:
    height, width, channels = picture.shape
    _, each = channel_runs(model.card, channels)
    depth, steady = 8 * picture.dtype.itemsize, can_steady_heap(device)
    return PassTask.of(model.card, model.facts, Size(width, height), each, depth, bits, tile, device.type, steady)


def _by_channel(
    model: UpscaleModel,
    picture: np.ndarray,
    device: torch.device,
    options: PassOptions,
    precision: ChosenPrecision,
    progress: Progress,
    task: PassTask,
) -> PassResult:
    """A grey network gets the colours of a picture one by one."""
    count = picture.shape[2]
    done = []
    for channel in range(count):
        part = SubProgress(progress, channel / count, (channel + 1) / count, f"channel {channel + 1} of {count} ")
        plane = picture[:, :, channel : channel + 1]
        done.append(_Pass(model, plane, device, options, precision, part, task).result())
    worst = max(done, key=lambda each: (each.tiles, each.seam_error))
    work = sum(each.work for each in done)
    return replace(worst, pixels=np.concatenate([each.pixels for each in done], axis=2), work=work)


class _Pass:
    """The state of one pass: what is still to do, the canvas, the seams."""

    def __init__(
        self,
        model: UpscaleModel,
        picture: np.ndarray,
        device: torch.device,
        options: PassOptions,
        precision: ChosenPrecision,
        progress: Progress,
        task: PassTask,
    ) -> None:
        self.model, self.device, self.options, self.precision = model, device, options, precision
        self.picture, self.task, self.size = picture, task, task.size
        self.levels = 255.0 if picture.dtype == np.uint8 else 65535.0
        self.warnings: list[str] = []
        self.banded = self.unresolved = False
        self.together = 1
        item_size = torch.empty((), dtype=precision.dtype).element_size()
        self.batch = options.batch or tiles_at_once(device.type, item_size)
        self.limits = limits_for(model.card, device.type, memory_budget(device, options.memory), item_size)
        self.seams = Seams(model.scale, task.channels)
        self.margins: dict[Region, int] = {}
        self.tracker = Tracker(progress, 0.0)
        self._unsynchronised = 0.0
        show = preview_of(progress)
        self.preview = Preview(show, picture, task.output) if show is not None else None
        self._begin(options.tile)

    def _begin(self, tile: int | str) -> None:
        """Plan the cut, with nothing done yet."""
        plan = plan_pass(self.task, tile, self.limits)
        self.region_limits, self.blending = plan.limits, plan.blending
        self.margin = plan.cut.margin
        self.todo = deque((core, plan.cut.margin) for core in plan.cut.cores)
        canvas = BlendingCanvas if self.blending else Canvas
        self.canvas: BlendingCanvas | Canvas = canvas(self.task.output, self.task.channels, self.task.bits)
        self.tracker.total = self.tracker.done + plan.cut.work * self.model.facts.work_per_pixel

    # -- the loop ----------------------------------------------------------------------------------------------------

    def result(self) -> PassResult:
        self.tracker.check()
        if self.options.memory is not None:
            return_heap()  # what an earlier picture has left may not fit this one, and would count on top
        with exact_arithmetic(), ExitStack() as heap:
            if self.region_limits.steady:
                heap.enter_context(steady_heap())
            while self.todo:
                self._next()
        if self.options.memory is not None:
            return_heap()  # what follows needs the room
        if self.unresolved or (self.blending and self.seams.largest > ACCEPTED_SEAM):
            self.warnings.append(self._seam_warning())
        whole = "whole, in bands" if self.banded else "whole"
        return PassResult(
            self.canvas.finish(),
            "tiles" if len(self.margins) > 1 else whole,
            len(self.margins),
            max(self.margins.values()) if len(self.margins) > 1 else 0,
            round(self.seams.largest, 3),
            self.precision,
            self.warnings,
            self.tracker.done,
        )

    def _next(self) -> None:
        core, margin = self.todo.popleft()
        region = self.task.region_of(core, margin)
        bands = self._bands(region)
        if bands is None:
            self._split(core, margin)
            return
        cores = [core, *self._batch_mates(core, margin, region, bands)]
        self.together = len(cores)
        self.tracker.note = self._note(self.together)
        done_before = self.tracker.done
        try:
            strips = self._run(cores, margin, region, bands)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) and len(cores) == 1:
                raise
            self.tracker.done = done_before
            self.todo.extendleft((core, margin) for core in reversed(cores))
            if len(cores) > 1:
                self.batch = 1  # too large together, or one of the few networks that take one picture at a time
            else:
                self._back_off(region, bands)
            return
        self.tracker.done = done_before + len(cores) * region.size.area * self.model.facts.work_per_pixel
        for finished, its_strips in zip(cores, strips):
            self._finished(finished, margin, its_strips)

    def _bands(self, region: Region) -> BandPlan | None:
        return bands_of(self.task, region, self.region_limits)

    def _need(self, region: Region, bands: BandPlan) -> int:
        return region_need(self.task, region, bands, self.region_limits)

    def _batch_mates(self, core: Region, margin: int, region: Region, bands: BandPlan) -> list[Region]:
        """Further tiles of the same shape to run in the same batch."""
        batch = min(self.batch, max(1, self.region_limits.budget // max(1, self._need(region, bands))))
        batch_mates: list[Region] = []
        while self.todo and len(batch_mates) < batch - 1:
            other, its_margin = self.todo[0]
            there = self.task.region_of(other, its_margin)
            if its_margin != margin or there.size != region.size or other.size != core.size:
                break
            batch_mates.append(self.todo.popleft()[0])
        return batch_mates

    def _split(self, core: Region, margin: int) -> None:
        """The region does not fit: smaller cores instead."""
        if core == Region.of(self.size) and self.options.tile != "none":
            self._begin("auto")  # it was to run whole; tiles need context, and perhaps another canvas
            if len(self.todo) > 1:
                return
            self.todo.clear()
        parts = parts_of(self.task, core, self.region_limits)
        self.seams.drop(core)
        self.margins.pop(core, None)
        self.todo.extendleft((part, margin) for part in reversed(parts))

    def _back_off(self, region: Region, bands: BandPlan) -> None:
        """Memory ran out: from here on take less than what has just failed. Finished tiles stay."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        smaller = less_than(self._need(region, bands), self.region_limits)
        saved = self.region_limits.budget - smaller.budget
        self.region_limits = smaller
        self.limits = replace(self.limits, budget=max(0, self.limits.budget - saved))

    # -- one tile ----------------------------------------------------------------------------------------------------

    def _run(self, cores: list[Region], margin: int, region: Region, bands: BandPlan) -> list[list[Strip]]:
        """Run the regions of these cores in one batch and write the cores into the canvas; returns their strips."""
        regions = [self.task.region_of(core, margin) for core in cores]
        inputs = torch.cat([self._input(where) for where in regions])
        strips = [self.seams.strips_of(core, where) for core, where in zip(cores, regions)]
        per_tile = inputs.shape[0] // len(cores)

        def new_sink() -> Sink:
            """For one attempt: a blend is added when the tile is complete, so that a failed one leaves no trace."""
            waiting: list[list[Tensor]] = [[] for _ in cores]

            def sink(rows: Tensor, top: int) -> None:
                for index, (core, where) in enumerate(zip(cores, regions)):
                    part = from_network(rows[index * per_tile : (index + 1) * per_tile], self.task.channels)
                    self._place(part, top, core, where, strips[index], waiting[index])

            return sink

        self.banded = self.banded or is_banded(self.model.facts, region, bands)
        self._forward(inputs, bands, new_sink)
        return strips

    def _forward(self, inputs: Tensor, bands: BandPlan, new_sink: Callable[[], Sink]) -> None:
        """In the chosen precision; where that overflows, this tile again in float32."""
        try:
            self.model.copy_for(self.device, self.precision.dtype).run(inputs, bands, new_sink(), self._worked)
            return
        except NonFiniteOutput:
            if self.precision.dtype == torch.float32:
                raise self._not_finite() from None
            note = f"{self.precision.word} overflowed in this network; those parts ran in float32"
        except RuntimeError as error:
            if self.precision.dtype == torch.float32 or is_out_of_memory(error) or self.together > 1:
                raise
            # Tables made while running stay float32 in some networks, and some operations lack a small precision.
            note = f"this network does not work in {self.precision.word}; it ran in float32"
            self.precision = ChosenPrecision(torch.float32)
            self.limits = replace(self.limits, item_size=4)
            self.region_limits = replace(self.region_limits, item_size=4)
        if note not in self.warnings:
            self.warnings.append(note)
        try:
            self.model.copy_for(self.device, torch.float32).run(inputs, bands, new_sink(), self._worked)
        except NonFiniteOutput:
            raise self._not_finite() from None

    def _not_finite(self) -> BrokenModelError:
        return BrokenModelError(
            f"the model '{self.model.name}' gave no picture",
            "its output is not finite numbers, even in float32",
            "the file is probably damaged or not fully trained; get it again or choose another model",
        )

    def _input(self, region: Region) -> Tensor:
        """``(B, C, h, w)`` in [0, 1] on the device; only whole numbers travel."""
        part = self.picture[region.rows, region.columns]
        part = part.astype(np.int32) if part.dtype == np.uint16 else part.copy()
        planes = torch.from_numpy(part).to(self.device).permute(2, 0, 1).float() / self.levels
        return to_network(planes, self.model.card.input_channels)

    def _place(
        self, part: Tensor, top: int, core: Region, region: Region, strips: list[Strip], waiting: list[Tensor]
    ) -> None:
        """Write finished rows of a region: ``(C, h, w)`` beginning ``top`` rows below the region's upper edge."""
        scale = self.model.scale
        left, top = region.x * scale, region.y * scale + top
        for strip in strips:
            strip.take(part, left, top)
        target = core.times(scale)
        if self.preview is not None:
            self._show(self.preview, part, left, top, target)
        if isinstance(self.canvas, BlendingCanvas):
            waiting.append(part.float().cpu())
            if top + part.shape[1] == region.bottom * scale:
                self.canvas.add(torch.cat(waiting, dim=1), region.times(scale), target)
            return
        first, last = max(top, target.y), min(top + part.shape[1], target.bottom)
        if first < last:
            cut = part[:, first - top : last - top, target.x - left : target.right - left]
            self.canvas.write(cut, target.x, first)

    @staticmethod
    def _show(preview: Preview, part: Tensor, left: int, top: int, target: Region) -> None:
        """Put the core's rows of ``part``, whose corner is at ``left``, ``top``, into the picture that is looked at."""
        first, last = max(top, target.y), min(top + part.shape[1], target.bottom)
        if first < last:
            cut = part[:, first - top : last - top, target.x - left : target.right - left]
            preview.wrote(cut, target.x, first)

    def _worked(self, work: float) -> None:
        if self.device.type == "cuda":
            self._unsynchronised += work
            if self._unsynchronised < _SYNC_WORK:
                return
            torch.cuda.synchronize(self.device)
            work, self._unsynchronised = self._unsynchronised, 0.0
        self.tracker.add(work)

    # -- seams -------------------------------------------------------------------------------------------------------

    def _finished(self, core: Region, margin: int, strips: list[Strip]) -> None:
        self.margins[core] = margin
        margin_before = self.margin
        for other in self.seams.put(core, strips):
            largest, rms = self.seams.error(core, other)
            if self._agrees(largest, rms) or self.blending:
                continue
            wider = self._wider(min(margin, self.margins[other]))
            if wider is None:
                continue  # all the context there is
            if not all(self._bands(self.task.region_of(c, wider)) for c in (core, other)):
                self.unresolved = True
                continue
            self.margin = max(self.margin, wider)
            for again in (core, other):
                if self.margins[again] < wider and all(again != waiting for waiting, _ in self.todo):
                    self.todo.appendleft((again, wider))
                    self.tracker.total += again.grown(wider, self.size).size.area * self.model.facts.work_per_pixel
        if self.margin > margin_before:
            self.todo = deque((waiting, self._margin_for(waiting, its)) for waiting, its in self.todo)

    def _margin_for(self, core: Region, margin: int) -> int:
        """The margin that the seams have asked for so far, where memory allows it for this core."""
        if margin >= self.margin:
            return margin
        if self._bands(self.task.region_of(core, self.margin)) is None:
            self.unresolved = True
            return margin
        return self.margin

    def _agrees(self, largest: float, rms: float) -> bool:
        """In a small precision two tiles differ by its rounding everywhere, not only at the seam."""
        if largest <= ACCEPTED_SEAM:
            return True
        decibels = self.precision.decibels
        return self.precision.dtype != torch.float32 and rms <= 255 * 10 ** (-(decibels or 45.0) / 20)

    def _wider(self, margin: int) -> int | None:
        """The next margin to try; None where more context can change nothing."""
        radius = self.model.facts.radius
        limit = self.size.longest if radius is None else min(radius + 1, self.size.longest)
        if margin >= limit:
            return None
        return min(limit, max(margin + 8, margin * 3 // 2))

    def _seam_warning(self) -> str:
        why = (
            f"'{self.model.name}' looks at the whole picture, so tiles change its result"
            if self.model.facts.global_context
            else "memory does not allow the context that this network needs"
        )
        return f"{why}: neighbouring tiles differ by up to {self.seams.largest:.1f} of 255 levels"

    def _note(self, count: int) -> str:
        finished = len(self.margins)
        total = len({*self.margins, *(core for core, _ in self.todo)}) + count
        return f"tile {min(finished + 1, total)} of {total}" if total > 1 else ""
