"""What is known of the checkpoint that is loaded; none is loaded by a look at it."""

from __future__ import annotations

import sys
from typing import Any

from ...diffusion.network_memory import network_bytes
from .. import host

__all__ = [
    "has_cross_attention",
    "is_known",
    "name_of_checkpoint",
    "network_memory",
    "tile_for_checkpoint",
    "weights_elsewhere",
]

_KINDS = ("is_sd1", "is_sd2", "is_sdxl", "is_sd3", "is_ssd")

_EFFICIENT = ("xformers", "sdp", "sdp-no-mem")
"""By the host's names."""


def is_known() -> bool:
    """Whether it is of a kind whose conditions can be cut into tiles."""
    return any(getattr(_loaded(), name, False) for name in _KINDS)


def has_cross_attention() -> bool:
    """Whether its network looks at the prompt apart from the picture, as all known ones before SD3."""
    return any(getattr(_loaded(), name, False) for name in _KINDS if name != "is_sd3")


def tile_for_checkpoint() -> int:
    """The side, px, that it was trained for."""
    model = _loaded()
    if any(getattr(model, name, False) for name in ("is_sdxl", "is_sd3")):
        return 1024
    return 768 if getattr(model, "is_sd2", False) else 512


def weights_elsewhere(device: Any) -> int:
    """Bytes of the network's weights that lie on another device now, as with ``--medvram`` and in Forge."""
    network = getattr(_network_of_forge() or getattr(_loaded(), "model", None), "diffusion_model", None)
    parameters = network.parameters() if hasattr(network, "parameters") else ()
    return sum(one.numel() * one.element_size() for one in parameters if one.device.type != device.type)


def name_of_checkpoint() -> str:
    """As the host lists it; "" where that is not known."""
    info = getattr(_loaded(), "sd_checkpoint_info", None)
    return str(getattr(info, "name", "") or host.option("sd_model_checkpoint", "") or "")


def network_memory(rows: int, area: int) -> int:
    """Bytes that a call of its network takes beside the weights: an estimate (``network_bytes``).

    rows: pictures or tiles, times prompts, negative ones included. area: of one, px of the latent.
    """
    return network_bytes(rows, area, _itemsize(), _kind(), _efficient_attention())


def _kind() -> str:
    model = _loaded()
    for name, kind in (("is_sdxl", "sdxl"), ("is_ssd", "sdxl"), ("is_sd3", "sd3"), ("is_sd2", "sd2")):
        if getattr(model, name, False):
            return kind
    return "sd1" if getattr(model, "is_sd1", False) else "another"


def _itemsize() -> int:
    """Bytes of one of the numbers that it computes with."""
    dtype = getattr(_network_of_forge(), "computation_dtype", None)
    dtype = dtype or getattr(host.module("devices"), "dtype_unet", None)
    return 4 if "32" in str(dtype) else 2


def _efficient_attention() -> bool:
    """Whether its attention never has the whole table in memory. A look at what the host has chosen."""
    if hasattr(_loaded(), "forge_objects"):
        return True
    chosen = getattr(sys.modules.get("modules.sd_hijack"), "model_hijack", None)
    return getattr(chosen, "optimization_method", None) in _EFFICIENT


def _network_of_forge() -> Any:
    return getattr(getattr(getattr(_loaded(), "forge_objects", None), "unet", None), "model", None)


def _loaded() -> Any:
    return getattr(getattr(host.module("sd_models"), "model_data", None), "sd_model", None)
