"""How LDSR goes about a picture: the canvas, the tiles of each step, what it takes. Pure; no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..errors import MemoryLimitError
from ..geometry import Size
from ..models.ldsr.cost import decoder_elements, decoder_work, unet_elements, unet_work
from ..models.ldsr.layout import LdsrLayout
from ..models.ldsr.schedule import host_times
from ..models.ldsr.settings import SMALLEST_TILE, LdsrSettings
from .latent_tiles import LatentGrid, moving_grid, regular_grid

__all__ = ["HOST_PATCH", "HOST_STRIDE", "OVERLAP", "LdsrPlan", "not_enough", "plan_ldsr", "smaller_plan"]

HOST_PATCH, HOST_STRIDE = 128, 64
OVERLAP = 16
"""Latent px by which tiles overlap."""

SMALLEST_CANVAS = 64
"""Latent px of a side: what the UNet was trained on. A smaller picture is mirrored to it."""

_OVERHEAD, _OVERHEAD_BYTES = 1.25, 60_000_000
"""What a call takes beyond its tensors: scratch buffers of the convolutions, gaps in the heap."""

_CANVAS_TENSORS = 8
"""Of the latent's size in float32: the latent, the picture, the noise, and what a sampler keeps of a step."""

LARGEST_TENSOR = 2**31 - 1  # elements; many kernels count them in 32 bits


@dataclass(frozen=True)
class LdsrPlan:
    """size: of the picture. canvas: of the latent, which has a px for each px of the padded picture.

    steps: calls of the UNet for each place. tile: largest side of a tile, latent px; None: the whole at once.
    batch: tiles at once. item_size: bytes of a number in the UNet. decodes_whole: whether there is room for that.
    """

    layout: LdsrLayout
    settings: LdsrSettings
    size: Size
    canvas: Size
    steps: int
    tile: int | None
    batch: int
    item_size: int
    decodes_whole: bool = True

    @property
    def as_webui(self) -> bool:
        return self.settings.mode == "webui"

    @property
    def output(self) -> Size:
        """Of the picture that comes out, px."""
        return self.size.times(self.layout.decoder.scale)

    def grid(self, step: int) -> LatentGrid:
        """The tiles of a step, from 0."""
        if self.as_webui:
            return regular_grid(self.canvas, HOST_PATCH, HOST_STRIDE)
        tile = self.tile or max(self.canvas.width, self.canvas.height)
        return moving_grid(self.canvas, tile, OVERLAP, step, self.layout.unet.multiple)

    @property
    def pixel_steps(self) -> int:
        """Latent px that the UNet is run on, over all steps."""
        return sum(self.grid(step).area for step in range(self.steps))

    @property
    def work(self) -> float:
        """Multiply-accumulates of the UNet, over all steps."""
        unet = self.layout.unet
        tiles = (tile for step in range(self.steps) for tile in self.grid(step).tiles)
        return sum(unet_work(unet, tile.width, tile.height) for tile in tiles)

    @property
    def decoder_work(self) -> float:
        """Multiply-accumulates of decoding, about; as a whole, or in tiles of the WebUI's size."""
        if self.decodes_whole:
            return decoder_work(self.layout.decoder, self.canvas.width, self.canvas.height)
        area = self.grid(0).area if self.as_webui else self.canvas.area
        return decoder_work(self.layout.decoder, HOST_PATCH, HOST_PATCH) * area / HOST_PATCH**2

    @property
    def tile_bytes(self) -> int:
        """What a batch of the UNet takes beside its weights."""
        side = HOST_PATCH if self.as_webui else self.tile
        return self.batch_bytes(side, self.batch)

    def batch_bytes(self, side: int | None, batch: int) -> int:
        """Likewise, of so many tiles of at most this side; None: the whole."""
        width, height = (length if side is None else min(side, length) for length in _sides(self.canvas))
        elements = unet_elements(self.layout.unet, width, height) * batch
        return int(elements * self.item_size * _OVERHEAD) + _OVERHEAD_BYTES

    @property
    def canvas_bytes(self) -> int:
        """What is there all the time beside the weights."""
        return _CANVAS_TENSORS * self.layout.unet.outputs * self.canvas.area * 4

    def decoder_bytes(self, latent: Size | None = None) -> int:
        """What decoding a latent as a whole takes in float32 beside the weights and the picture. None: the canvas."""
        width, height = _sides(latent or self.canvas)
        return int(decoder_elements(self.layout.decoder, width, height) * 4 * _OVERHEAD) + _OVERHEAD_BYTES


def plan_ldsr(
    layout: LdsrLayout, size: Size, settings: LdsrSettings, budget: int, item_size: int, most_at_once: int = 1
) -> LdsrPlan:
    """The whole where it fits, else the largest tiles that do.

    budget: bytes that may be taken beside the weights. most_at_once: tiles in a batch, where the settings do not say.

    Raises MemoryLimitError where not even the smallest tiles fit.
    """
    settings = settings.complete
    assert settings.steps is not None
    as_webui = settings.mode == "webui"
    steps = len(host_times(settings.steps)) if as_webui else settings.steps
    canvas = _host_canvas(size) if as_webui else _canvas(size, layout.unet.multiple)
    plan = LdsrPlan(layout, settings, size, canvas, steps, None, 1, item_size)
    room = budget - plan.canvas_bytes
    plan = replace(plan, decodes_whole=not as_webui and plan.decoder_bytes() <= budget)
    if not as_webui:
        tile = _tile(plan, room) if settings.tile == "auto" else settings.tile
        plan = replace(plan, tile=None if tile is None or tile >= max(_sides(canvas)) else tile)
    if plan.tile_bytes > room and settings.tile == "auto":
        raise not_enough(budget)
    if settings.batch != "auto":
        return replace(plan, batch=settings.batch)
    most = max(len(plan.grid(0).tiles), 1)
    fitting = [n for n in range(1, min(most_at_once, most) + 1) if replace(plan, batch=n).tile_bytes <= room]
    return replace(plan, batch=max(fitting, default=1))


def smaller_plan(plan: LdsrPlan) -> LdsrPlan | None:
    """What to try next where this one has run out of memory: half as many tiles at once, then smaller tiles. None:
    there is no smaller one."""
    if plan.batch > 1:
        return replace(plan, batch=plan.batch // 2)
    side = plan.tile or max(_sides(plan.canvas))
    if plan.as_webui or side <= SMALLEST_TILE:
        return None
    multiple = plan.layout.unet.multiple
    return replace(plan, tile=max(SMALLEST_TILE, int(side * 0.7) // multiple * multiple))


def not_enough(budget: int) -> MemoryLimitError:
    """The words for it. budget: bytes."""
    return MemoryLimitError(
        "there is not enough memory for LDSR",
        f"{max(0, budget) / 1e6:.0f} MB may be used beside its weights",
        "allow more memory, close other programs, or choose a smaller model",
    )


def _tile(plan: LdsrPlan, room: int) -> int | None:
    """The largest side that fits; None: the whole does."""
    multiple = plan.layout.unet.multiple
    largest = -(-max(_sides(plan.canvas)) // multiple)
    low, high = SMALLEST_TILE // multiple, largest

    def fits(side: int) -> bool:
        width, height = (min(side, length) for length in _sides(plan.canvas))
        widest = max(block.inputs for block in plan.layout.unet.up())
        return plan.batch_bytes(side, 1) <= room and width * height * widest <= LARGEST_TENSOR

    if fits(largest * multiple):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle * multiple):
            low = middle
        else:
            high = middle - 1
    return low * multiple


def _sides(size: Size) -> tuple[int, int]:
    return size.width, size.height


def _canvas(size: Size, multiple: int) -> Size:
    width, height = (math.ceil(max(side, SMALLEST_CANVAS) / multiple) * multiple for side in _sides(size))
    return Size(width, height)


def _host_canvas(size: Size) -> Size:
    """The WebUI enlarges to multiples of its stride, and to one patch at least."""
    width, height = (max(HOST_PATCH, math.ceil(side / HOST_STRIDE) * HOST_STRIDE) for side in _sides(size))
    return Size(width, height)
