"""How one pass of a network over a picture is cut, decided from figures alone. Pure; no torch.

The engine follows this plan, and an estimate reads it: what is announced is what is done.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ..depths import Bits
from ..errors import MemoryLimitError
from ..geometry import Region, Size
from ..models.facts import BandPlan, NetworkFacts
from .budget import KNOWN_MARGIN, Limits, TilePlan, bands_for, make_plan, region_bytes
from .tiling import halves, region_of

if TYPE_CHECKING:
    from ..models.card import ModelCard

__all__ = [
    "SAMPLED",
    "Outlook",
    "PassPlan",
    "PassTask",
    "Strategy",
    "bands_of",
    "channel_runs",
    "in_tiles",
    "is_banded",
    "limits_for",
    "outlook",
    "parts_of",
    "plan_pass",
    "region_need",
    "tiles_at_once",
    "wrap_margin",
]

Strategy = Literal["whole", "whole, in bands", "tiles", "sampled", "sampled in tiles"]
"""How a picture goes through a network, from what is cut least to what is cut most; and through one that samples."""

SAMPLED: tuple[Strategy, Strategy] = ("sampled", "sampled in tiles")

_LARGEST_OPERATION = {"cpu": 4e10, "mps": 4e11}
"""Multiply-accumulates of one operation: about half a second on two CPU cores, so that a cancel is heard in time."""

_STEADY_GAIN = 1.3
"""How much faster a network runs on the CPU with the heap kept steady."""

_CUDA_TILES = {2: 2}
"""Tiles of one shape that run together on CUDA, where memory allows, by the bytes of a value. Measured on an H200 with
tiles of 256 px of an RRDB network: two in float16 take a tenth less time than one by one, eight half as much again; in
float32 two take 1.4 times as long, and 13 times the memory."""

_CUDA_BLOCK_SHARE = {2: 2.0}
"""Of the memory inside a dense block on CUDA, by the bytes of a value: in float16 what each source gives to all later
convolutions is kept until it has been summed up."""


@dataclass(frozen=True)
class PassTask:
    """A pass that is to be planned.

    name, facts, scale, align: of the network; tiles begin at multiples of ``align`` px.
    size, channels, source_bits: of the picture that goes in. bits: of the result.
    tile: "auto", "none", or the side of a tile's core in px of the input.
    shared: picture and result lie in the memory that the network runs in. on_disk: the result lies in a file;
    source_on_disk: so does the picture.
    steady: the heap can be kept steady (``heap.steady_heap``).
    """

    name: str
    facts: NetworkFacts
    scale: int
    align: int
    size: Size
    channels: int
    source_bits: Bits
    bits: Bits
    tile: int | str
    shared: bool
    steady: bool
    on_disk: bool = False
    source_on_disk: bool = False

    @classmethod
    def of(
        cls,
        card: ModelCard,
        facts: NetworkFacts,
        size: Size,
        channels: int,
        source_bits: Bits,
        bits: Bits,
        tile: int | str,
        device_type: str,
        steady: bool,
    ) -> PassTask:
        """For the network of a card. device_type: such as "cpu" or "cuda"."""
        align = _alignment(card, facts)
        shared = device_type == "cpu"
        return cls(card.name, facts, card.scale, align, size, channels, source_bits, bits, tile, shared, steady)

    @property
    def output(self) -> Size:
        return self.size.times(self.scale)

    @property
    def picture_bytes(self) -> int:
        return 0 if self.source_on_disk else self.size.area * self.channels * self.source_bits // 8

    def region_of(self, core: Region, margin: int) -> Region:
        """The core with its context."""
        return region_of(core, margin, self.size, self.align)


@dataclass(frozen=True)
class PassPlan:
    """cut: the tiles. limits: for one region, without what picture and canvas take.

    blending: tiles can never quite agree and are cross-faded. canvas_bytes: of the result while it is put together.
    """

    cut: TilePlan
    limits: Limits
    blending: bool
    canvas_bytes: int


@dataclass(frozen=True)
class Outlook:
    """What a pass comes to, as far as that is known before it runs.

    margin: px, 0 when whole. work: multiply-accumulates.
    bytes: at the peak; with picture and canvas where they lie in the same memory.
    """

    strategy: Strategy
    tiles: int
    margin: int
    work: float
    bytes: int
    canvas_bytes: int


def limits_for(card: ModelCard, device_type: str, budget: int, item_size: int) -> Limits:
    """What a pass of the card's network must keep to. budget: bytes. item_size: bytes per value."""
    return Limits(
        budget,
        item_size,
        _LARGEST_OPERATION.get(device_type),
        block_share=_CUDA_BLOCK_SHARE.get(item_size, 1.0) if device_type == "cuda" else 1.0,
        large_bands=device_type == "cuda",
        minimum=max(1, card.minimum),
        multiple=max(1, card.multiple_of),
        square=card.square,
    )


def channel_runs(card: ModelCard, channels: int) -> tuple[int, int]:
    """How often a network runs for a picture of so many channels, and how many it gets each time.

    A grey network gets the colours one by one.
    """
    return (channels, 1) if card.input_channels == 1 and channels > 1 else (1, channels)


def wrap_margin(card: ModelCard, facts: NetworkFacts) -> int:
    """px of context that a picture gets from its other side, where it goes on there: a multiple of what the network's
    tiles begin at.
    """
    align = _alignment(card, facts)
    margin = KNOWN_MARGIN if facts.radius is None else min(KNOWN_MARGIN, facts.radius)
    return -(-margin // align) * align


def _alignment(card: ModelCard, facts: NetworkFacts) -> int:
    return math.lcm(max(1, card.multiple_of), facts.alignment)


def tiles_at_once(device_type: str, item_size: int) -> int:
    """Tiles of one shape that run in one batch, where memory allows. item_size: bytes per value."""
    return _CUDA_TILES.get(item_size, 1) if device_type == "cuda" else 1


def plan_pass(task: PassTask, tile: int | str, limits: Limits) -> PassPlan:
    """The cut, and what is left for each region.

    tile: usually that of the task. limits: for picture, canvas and network together.

    Raises MemoryLimitError where nothing fits.
    """
    canvas_bytes = 0 if task.on_disk else task.output.area * task.channels * task.bits // 8
    cut, left = _cut(task, tile, limits, canvas_bytes)
    blending = task.facts.global_context and len(cut.cores) > 1
    if blending and not task.on_disk:
        canvas_bytes += task.output.area * 4 * (task.channels + 1)
        cut, left = _cut(task, tile, limits, canvas_bytes)
    return PassPlan(cut, left, blending, canvas_bytes)


def _cut(task: PassTask, tile: int | str, limits: Limits, canvas_bytes: int) -> tuple[TilePlan, Limits]:
    """The faster of two: with the heap kept steady, or with less memory and so perhaps with less context."""
    plain = limits
    if task.shared:
        plain = replace(limits, budget=max(0, limits.budget - task.picture_bytes - canvas_bytes))
    if not task.steady:
        return make_plan(task.facts, task.size, tile, plain, task.align), plain
    steady = replace(plain, steady=True)
    try:
        cut = make_plan(task.facts, task.size, tile, steady, task.align)
    except MemoryLimitError:
        return make_plan(task.facts, task.size, tile, plain, task.align), plain
    if len(cut.cores) > 1:
        frugal = make_plan(task.facts, task.size, tile, plain, task.align)
        all_fit = all(bands_for(task.facts, task.region_of(core, cut.margin).size, steady) for core in cut.cores)
        if not all_fit or cut.work > _STEADY_GAIN * frugal.work:
            return frugal, plain
    return cut, steady


def bands_of(task: PassTask, region: Region, limits: Limits) -> BandPlan | None:
    """Bands in which the region keeps to the limits; None if there are none."""
    bands = bands_for(task.facts, region.size, limits)
    if bands is None and (task.tile != "auto" or not halves(region, task.align)):
        # Asked for by the user: only memory counts then, not how soon a cancel is heard.
        bands = bands_for(task.facts, region.size, replace(limits, largest_work=None))
    return bands


def region_need(task: PassTask, region: Region, bands: BandPlan, limits: Limits) -> int:
    """Bytes that the network takes for a region."""
    size = limits.padded(region.size)
    return region_bytes(task.facts, size, bands, limits.item_size, limits.steady, limits.block_share)


def is_banded(facts: NetworkFacts, region: Region, bands: BandPlan) -> bool:
    """Whether anything of the network runs in more than one band of the region."""
    return bool(bands.block_rows and bands.block_rows < region.height) or bool(
        bands.head_rows and bands.head_rows * facts.head_divisor < region.height
    )


def parts_of(task: PassTask, core: Region, limits: Limits) -> tuple[Region, Region]:
    """Two smaller cores for one that does not fit. Raises MemoryLimitError where it cannot be cut."""
    parts = None if task.tile == "none" else halves(core, task.align)
    if parts is None:
        raise MemoryLimitError(
            f"'{task.name}' does not fit into memory",
            f"a piece of {core.width}x{core.height} px needs more than {limits.budget / 1e6:.0f} MB",
            "allow more memory, close other programs, let the tile size be chosen automatically, or choose a"
            " smaller model",
        )
    return parts


def in_tiles(task: PassTask, limits: Limits) -> PassPlan:
    """A plan for a picture that was to run whole, and does not fit so: whole with a heap that is not kept steady, else
    tiles with context, and perhaps another canvas. limits: for picture, canvas and network together.
    """
    plan, whole = plan_pass(task, "auto", limits), Region.of(task.size)
    if plan.cut.cores != (whole,) or bands_of(task, whole, plan.limits) is not None:
        return plan
    return plan_pass(task, -(-task.size.longest // 2), limits)


def outlook(task: PassTask, limits: Limits, batch: int = 1) -> Outlook:
    """What the engine will do, as long as the seams are fine and memory is as it seems.

    batch: tiles that may run together. Raises MemoryLimitError.
    """
    plan = plan_pass(task, task.tile, limits)
    todo = deque((core, plan.cut.margin) for core in plan.cut.cores)
    pieces: list[tuple[Region, int, BandPlan]] = []
    while todo:
        core, margin = todo.popleft()
        region = task.region_of(core, margin)
        bands = bands_of(task, region, plan.limits)
        if bands is not None:
            pieces.append((region, margin, bands))
            continue
        if core == Region.of(task.size) and task.tile != "none":
            plan, before = in_tiles(task, limits), plan
            todo = deque((core, plan.cut.margin) for core in plan.cut.cores)
            if len(todo) > 1 or plan.limits != before.limits:
                continue
            todo.clear()
        todo.extendleft((part, margin) for part in reversed(parts_of(task, core, plan.limits)))
    return _outlook(task, plan, pieces, batch)


def _outlook(task: PassTask, plan: PassPlan, pieces: list[tuple[Region, int, BandPlan]], batch: int) -> Outlook:
    tiled = len(pieces) > 1
    banded = any(is_banded(task.facts, region, bands) for region, _, bands in pieces)
    need = max(region_need(task, region, bands, plan.limits) for region, _, bands in pieces)
    together = max(1, min(batch, plan.limits.budget // max(1, need), len(pieces)))
    pictures = task.picture_bytes + plan.canvas_bytes if task.shared else 0
    return Outlook(
        "tiles" if tiled else "whole, in bands" if banded else "whole",
        len(pieces),
        max(margin for _, margin, _ in pieces) if tiled else 0,
        sum(region.size.area for region, _, _ in pieces) * task.facts.work_per_pixel,
        need * together + pictures,
        plan.canvas_bytes,
    )
