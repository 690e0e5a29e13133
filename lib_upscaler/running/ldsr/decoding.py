"""From the latent to the picture: as a whole, or in tiles, as the WebUI does it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...geometry import Size
from ...models.ldsr.vq import FirstStage
from ...planning.latent_tiles import LatentGrid, moving_grid, regular_grid
from ...planning.ldsr import HOST_PATCH, HOST_STRIDE, OVERLAP
from ...progress import Progress, Tracker
from .merging import Merge, host_weights, ramps

__all__ = ["Decode", "decode_as_webui", "decode_in_tiles", "decode_whole"]

Decode = Callable[[Tensor, Progress], Tensor]
"""From a latent, ``(1, C, H, W)`` float32 on the device it was sampled on, not quantised yet, to the picture,
``(1, 3, H * scale, W * scale)``, about [-1, 1]; on whatever device. Heeds ``cancelled``; may raise what it likes.
"""


def decode_whole(first_stage: FirstStage, latent: Tensor, progress: Progress) -> Tensor:
    """At once. Raises Cancelled, and whatever torch raises when memory runs out."""
    return _decoded(first_stage, latent, Tracker(progress, 1.0, "decoding"), 1.0)


def decode_as_webui(first_stage: FirstStage, latent: Tensor, progress: Progress) -> Tensor:
    """Patches of 128 at a stride of 64, each by itself (``decode_first_stage`` in its LDSR's ``sd_hijack_ddpm_v1.py``),
    but merged one after the other instead of all held at once. The latent's sides are multiples of 64, 128 at least."""
    grid = regular_grid(_size(latent), HOST_PATCH, HOST_STRIDE)
    return _merged(first_stage, latent, grid, host_weights, progress)


def decode_in_tiles(first_stage: FirstStage, latent: Tensor, tile: int, progress: Progress) -> Tensor:
    """Tiles of this side, latent px, each by itself: the middle attention and the norms see one tile alone."""
    grid = moving_grid(_size(latent), tile, OVERLAP, 0, 8)
    return _merged(first_stage, latent, grid, ramps, progress)


def _merged(
    first_stage: FirstStage,
    latent: Tensor,
    grid: LatentGrid,
    weights: Callable[[LatentGrid, int], list[Tensor]],
    progress: Progress,
) -> Tensor:
    layout = first_stage.layout
    merge = Merge(
        grid.canvas.times(layout.scale), layout.outputs, weights(grid, layout.scale), torch.device("cpu")
    )  # a large canvas is in nobody's way there
    tracker = Tracker(progress, grid.area)
    for number, tile in enumerate(grid.tiles):
        tracker.note = f"decoding, tile {number + 1} of {len(grid.tiles)}"
        part = _decoded(first_stage, latent[:, :, tile.rows, tile.columns], tracker, tile.size.area)
        merge.add(number, tile.times(layout.scale), part[0])
    return merge.mean()


def _decoded(first_stage: FirstStage, latent: Tensor, tracker: Tracker, work: float) -> Tensor:
    tracker.check()
    blocks = 1 + sum(len(stage.block) for stage in first_stage.decoder.up)
    dtype = first_stage.post_quant_conv.weight.dtype
    latent = latent.to(dtype).contiguous(memory_format=torch.channels_last)
    return first_stage(latent, lambda: tracker.add(work / blocks)).float()


def _size(latent: Tensor) -> Size:
    return Size(latent.shape[-1], latent.shape[-2])
