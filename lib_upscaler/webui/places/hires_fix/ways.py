"""How a second pass is sampled: as a whole, or its network in tiles."""

from __future__ import annotations

from typing import Any

from ....diffusion.grid import LATENT
from ....fields import SECOND_PASSES, fields_of
from ....geometry import Size
from ... import host
from ...sampling.checkpoint import is_known, network_memory, tile_for_checkpoint, weights_elsewhere
from ...sampling.guests import why_not

__all__ = [
    "AUTO",
    "TILES",
    "WHOLE",
    "fits_one_tile",
    "is_too_much",
    "memory_free",
    "memory_of",
    "not_in_tiles",
    "takes_tiles",
    "why_no_tiles",
]

WHOLE, TILES, AUTO = SECOND_PASSES

_ROWS = 2
"""Of a call for one picture: its prompt and its negative prompt."""


def fits_one_tile(latent: Size) -> bool:
    """Whether tiles make no difference. latent: px."""
    return max(latent.width, latent.height) * LATENT <= tile_for_checkpoint()


def takes_tiles(p: Any, asked: str, latent: Size) -> bool:
    """asked: one of SECOND_PASSES. latent: px of the second pass's latent.

    Where tiles are asked for and cannot be, the user is told why.
    """
    if asked == WHOLE:
        return False
    why = why_no_tiles(p)
    if asked == AUTO:
        return not why and is_too_much(memory_of(latent.area, p.batch_size))
    if why:
        not_in_tiles(p, why)
    return not why


def not_in_tiles(p: Any, why: str) -> None:
    """Tell that the pass runs as a whole; the infotext does not say otherwise."""
    words = f"The second pass runs as a whole, not in tiles: {why}"
    host.warn(words)
    if hasattr(p, "comment"):
        p.comment(f"TrueScale: {words}")
    key = next(field for field in fields_of("hires") if field.name == "second_pass").at["hires"].key
    p.extra_generation_params = {name: value for name, value in p.extra_generation_params.items() if name != key}


def why_no_tiles(p: Any) -> str:
    """In words; "" where tiles are possible. p: None where there is none yet."""
    why = why_not(p)
    if not why and host.option("hypertile_enable_unet_secondpass", False):
        return "Hypertile's tiles are cut for the whole picture"
    return why


def is_too_much(needed: int) -> bool:
    """Whether so many bytes are more than is free, for a checkpoint that can be sampled in tiles."""
    free = memory_free()
    return is_known() and free is not None and needed > free


def memory_of(px: int, batch: int) -> int:
    """Bytes that the network takes for latents of so many px, of so many pictures at once; an estimate."""
    return network_memory(_ROWS * batch, px)


def memory_free() -> int | None:
    """Bytes on the device of Stable Diffusion that are left for it: what is free, less weights that are to come. None
    for a device that does not tell."""
    import torch

    from ....running import limits

    device = torch.device(getattr(host.module("devices"), "device", None) or "cpu")
    if not limits.is_known(device):
        return None
    return max(0, limits.available_bytes(device) - weights_elsewhere(device))
