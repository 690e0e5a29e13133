"""What fits into memory, and how a picture is cut when it does not. Pure; no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..errors import MemoryLimitError
from ..geometry import Region, Size
from ..models.facts import BandPlan, NetworkFacts
from .tiling import SMALLEST_CORE, TileGrid, plan_fixed, plan_within, region_of

__all__ = [
    "Limits",
    "TilePlan",
    "bands_for",
    "less_than",
    "make_plan",
    "region_bytes",
    "starting_margin",
    "wider_margin",
]

OVERHEAD, OVERHEAD_BYTES = 1.15, 60_000_000
"""What a pass takes beyond its tensors: scratch buffers of the convolutions, and what is there before the first."""

STEADY_OVERHEAD = 2.3
"""The like for what comes and goes all the time, while the heap keeps large blocks (``heap.steady_heap``): the gaps
between them are not always filled again. Measured on RRDB and Compact networks: 1.5 to 2.2."""

STEADY_TRUNK_OVERHEAD = 1.6
"""The like for what stays while blocks run in bands. Without it an RRDB network at 1024x1024 went beyond 2 GB
by a fifth."""

BLOCK_BAND_AREAS, HEAD_BAND_AREAS = (1 << 17, 1 << 19), (24 * 1024, 64 * 1024)
"""px of a band: the first, or as many as take no more memory than what stays besides, up to the second. Measured on an
RRDB network at 448x640: twice the first takes 1.8 times the memory for 1% of the time, and half of it costs 5%. The
second keeps a single operation to half a second: of a dense block that is computed by its sources (``faster``), a
convolution of 64 channels; 350,000 px would add 7% of context to a picture of 2500x2500."""

CUDA_BLOCK_BAND_AREAS, CUDA_HEAD_BAND_AREAS = (1 << 18, 1 << 19), (1 << 16, 1 << 17)
"""The like on CUDA, where small bands leave the device idle and their context is computed twice."""

SMALLEST_BLOCK_BAND, SMALLEST_HEAD_BAND = 16, 4
LITTLE_CONTEXT = (0.14, 0.2, math.inf)  # share of the work of bands, from little to any
LARGEST_TENSOR = 2**31 - 1  # elements; many kernels count them in 32 bits

LATENCY_ELEMENTS = 1 << 28
"""Elements of one tensor; to add it to another takes 0.2 s on two CPU cores, and a fraction of a second on a slow
machine. Half of it would cut a picture of 1500x1500 px in three for RRDB networks, at a fifth more work."""

KNOWN_MARGIN = 64
"""px. RRDB networks with a theoretical radius of 349 deviate by 0.1 levels beside a cut at this margin; what the
seams show decides for each picture."""

UNKNOWN_MARGIN = 32


@dataclass(frozen=True)
class Limits:
    """What a pass over a region must keep to.

    budget: bytes. item_size: bytes per element.
    largest_work: multiply-accumulates of one operation, so that a cancel is heard in time; None: no limit.
    steady: the heap keeps large blocks, which is faster and takes more.
    block_share: memory that a block takes inside, relative to what its modules would (``faster.forwards``).
    large_bands: where there is memory for them.
    minimum, multiple, square: of the input's sides in px; the network pads what is handed to it to that.
    """

    budget: int
    item_size: int
    largest_work: float | None = None
    steady: bool = False
    block_share: float = 1.0
    large_bands: bool = False
    minimum: int = 1
    multiple: int = 1
    square: bool = False

    def padded(self, size: Size) -> Size:
        """The size that the network really works on."""
        width, height = (
            math.ceil(max(side, self.minimum) / self.multiple) * self.multiple for side in (size.width, size.height)
        )
        return Size(max(width, height), max(width, height)) if self.square else Size(width, height)


@dataclass(frozen=True)
class TilePlan:
    """The cores to run and the margin around each. work: px of all their regions together."""

    cores: tuple[Region, ...]
    margin: int
    work: int


def region_bytes(
    facts: NetworkFacts, size: Size, bands: BandPlan, item_size: int, steady: bool = False, block_share: float = 1.0
) -> int:
    """Bytes that a pass over a region of this size takes. steady, block_share: as in ``Limits``."""
    staying, changing = (STEADY_TRUNK_OVERHEAD, STEADY_OVERHEAD) if steady else (OVERHEAD, OVERHEAD)
    if bands.block_rows is None and bands.head_rows is None:
        return int(facts.elements_per_pixel * size.area * item_size * changing) + OVERHEAD_BYTES
    block = head = 0.0
    if facts.blocks:
        rows = size.height if bands.block_rows is None else bands.block_rows
        context = 2 * max(block.radius for block in facts.blocks)
        block = facts.block_elements * block_share * size.width * min(size.height, rows + context)
    if facts.head:
        height = math.ceil(size.height / facts.head_divisor)
        rows = height if bands.head_rows is None else bands.head_rows
        band = min(height, rows + 2 * facts.head_radius)
        head = facts.head_elements * math.ceil(size.width / facts.head_divisor) * band
    elements = facts.trunk_elements * size.area * staying + max(block, head) * changing
    return int(elements * item_size) + OVERHEAD_BYTES


def bands_for(facts: NetworkFacts, size: Size, limits: Limits) -> BandPlan | None:
    """Bands that let a pass over a region of this size keep within the limits; None if there are none."""
    size = limits.padded(size)
    if not facts.blocks and not facts.head:
        fits = (
            _need(facts, size, BandPlan(), limits) <= limits.budget
            and facts.largest_elements_per_pixel * size.area <= LARGEST_TENSOR
            and _soon_done(facts.largest_work_per_pixel, facts.largest_elements_per_pixel, size, limits)
        )
        return BandPlan() if fits else None
    if facts.trunk_largest_elements * size.area > LARGEST_TENSOR:
        return None
    if not _soon_done(facts.trunk_largest_work, facts.trunk_largest_elements, size, limits):
        return None
    height = math.ceil(size.height / facts.head_divisor)
    staying = facts.trunk_elements * size.area / STEADY_OVERHEAD
    block_areas, head_areas = BLOCK_BAND_AREAS, HEAD_BAND_AREAS
    if limits.large_bands:
        block_areas, head_areas = CUDA_BLOCK_BAND_AREAS, CUDA_HEAD_BAND_AREAS
    block_elements = facts.block_elements * limits.block_share
    block_rows = _rows(staying, block_elements, block_areas, size.width, SMALLEST_BLOCK_BAND)
    head_width = math.ceil(size.width / facts.head_divisor)
    head_rows = _rows(staying, facts.head_elements, head_areas, head_width, SMALLEST_HEAD_BAND)
    while True:
        bands = BandPlan(
            _equal(block_rows, size.height) if facts.blocks else None,
            _equal(head_rows, height) if facts.head else None,
        )
        if _need(facts, size, bands, limits) <= limits.budget:
            return bands
        if block_rows <= SMALLEST_BLOCK_BAND and head_rows <= SMALLEST_HEAD_BAND:
            return None
        block_rows = max(SMALLEST_BLOCK_BAND, block_rows // 2)
        head_rows = max(SMALLEST_HEAD_BAND, head_rows // 2)


def _need(facts: NetworkFacts, size: Size, bands: BandPlan, limits: Limits) -> int:
    return region_bytes(facts, size, bands, limits.item_size, limits.steady, limits.block_share)


def _rows(staying: float, elements: float, areas: tuple[int, int], width: int, smallest: int) -> int:
    """Rows of a band of that width which takes ``elements`` a px."""
    area = min(areas[1], max(areas[0], staying / max(1.0, elements)))
    return max(smallest, int(area) // width)


def _equal(rows: int, height: int) -> int:
    """The rows of equal bands of at most ``rows``."""
    return math.ceil(height / math.ceil(height / rows))


def less_than(failed: int, limits: Limits) -> Limits:
    """Limits for the next try after a pass that should have taken ``failed`` bytes has run out of memory."""
    budget = OVERHEAD_BYTES + int(max(0, min(failed, limits.budget) - OVERHEAD_BYTES) * 0.6)
    return replace(limits, budget=min(budget, int(limits.budget * 0.9)))


def _soon_done(work: float, elements: float, size: Size, limits: Limits) -> bool:
    """Whether every single operation ends soon enough for a cancel to be heard in time."""
    if limits.largest_work is None:
        return True
    return work * size.area <= limits.largest_work and elements * size.area <= LATENCY_ELEMENTS


def starting_margin(facts: NetworkFacts) -> int:
    """px of context to begin with: the theoretical radius where that is small, else what is usually enough."""
    if facts.radius is not None:
        return min(facts.radius + 1, KNOWN_MARGIN)  # one more, because seams are looked at on both sides of the line
    return UNKNOWN_MARGIN


def wider_margin(facts: NetworkFacts, size: Size, margin: int) -> int | None:
    """px of context to try next, where this margin was too little; None where more can change nothing.

    size: of the picture.
    """
    limit = size.longest if facts.radius is None else min(facts.radius + 1, size.longest)
    return min(limit, max(margin + 8, margin * 3 // 2)) if margin < limit else None


def make_plan(facts: NetworkFacts, size: Size, tile: int | str, limits: Limits, align: int = 1) -> TilePlan:
    """How to cut the picture.

    tile: "auto" (whole if it fits, else the fewest extra pixels), "none" (whole), or the side of a core in px.
    align: cores begin at multiples of this many px.

    Raises MemoryLimitError where nothing fits.
    """
    margin = starting_margin(facts)
    if isinstance(tile, int):
        grid = plan_fixed(size, max(tile, SMALLEST_CORE), margin, align)
        return TilePlan(grid.cores, margin if len(grid.cores) > 1 else 0, grid.work)
    if bands_for(facts, size, limits) is not None:
        return TilePlan((Region.of(size),), 0, size.area)
    if tile == "auto":
        return _tiles(facts, size, limits, margin, align)
    if bands_for(facts, size, replace(limits, largest_work=None)) is None:
        need = region_bytes(facts, limits.padded(size), BandPlan(), limits.item_size)
        raise MemoryLimitError(
            f"a picture of {size} px does not fit into memory in one piece",
            f"up to {need / 1e9:.1f} GB are needed and {limits.budget / 1e9:.1f} GB may be used",
            "let the tile size be chosen automatically, or allow more memory",
        )
    return TilePlan((Region.of(size),), 0, size.area)


def _tiles(facts: NetworkFacts, size: Size, limits: Limits, margin: int, align: int) -> TilePlan:
    side = _largest_side(facts, limits)
    while side and margin >= min(4, starting_margin(facts)):
        grid = _best_grid(facts, size, side, margin, align, limits)
        if grid is not None:
            return TilePlan(grid.cores, margin, grid.work)
        margin //= 2  # little context is better than nothing: the seams are measured and reported
    raise MemoryLimitError(
        "there is not enough memory for this model",
        f"{limits.budget / 1e6:.0f} MB may be used",
        "allow more memory, close other programs, or choose a smaller model",
    )


def _best_grid(facts: NetworkFacts, size: Size, side: int, margin: int, align: int, limits: Limits) -> TileGrid | None:
    """The grid with the least work: few large tiles leave less memory for bands, which are then mostly context."""
    if not limits.square:

        def within(context: float) -> TileGrid | None:
            return plan_within(size, lambda region: _context(facts, region, limits) <= context, margin, align)

        def work(grid: TileGrid) -> float:
            regions = [region_of(core, margin, size, align).size for core in grid.cores]
            return sum(region.area * (1 + _context(facts, region, limits)) for region in regions)

        grids = [grid for grid in map(within, LITTLE_CONTEXT) if grid is not None]
        return min(grids, key=work, default=None)
    core = (side - 2 * margin) // align * align  # anything but a square would be padded to one
    return plan_fixed(size, core, margin, align) if core >= SMALLEST_CORE else None


def _context(facts: NetworkFacts, region: Size, limits: Limits) -> float:
    """Share of the region's work that bands do twice, as context of each other; NaN where none fit."""
    bands = bands_for(facts, region, limits)
    if bands is None:
        return math.nan  # which is not less than anything

    def share(radius: int, rows: int | None, height: int) -> float:
        return 0.0 if rows is None or rows >= height else 2 * radius / rows

    blocks = share(max((block.radius for block in facts.blocks), default=0), bands.block_rows, region.height)
    head = share(facts.head_radius, bands.head_rows, math.ceil(region.height / facts.head_divisor))
    return 0.75 * blocks + 0.25 * head  # the head does about a quarter of an RRDB network's work


def _largest_side(facts: NetworkFacts, limits: Limits) -> int:
    """Side in px of the largest square region that fits."""
    low, high = 0, 1 << 16
    while low < high:
        middle = (low + high + 1) // 2
        if bands_for(facts, Size(middle, middle), limits) is not None:
            low = middle
        else:
            high = middle - 1
    return low
