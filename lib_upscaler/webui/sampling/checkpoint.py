"""What is known of the checkpoint that is loaded; none is loaded by a look at it."""

from __future__ import annotations

from typing import Any

from .. import host

__all__ = ["is_known", "kind_of_checkpoint", "tile_for_checkpoint", "weights_elsewhere"]

_KINDS = ("is_sd1", "is_sd2", "is_sdxl", "is_sd3", "is_ssd")


def is_known() -> bool:
    """Whether it is of a kind whose conditions can be cut into tiles."""
    return any(getattr(_loaded(), name, False) for name in _KINDS)


def kind_of_checkpoint() -> str:
    """As in ``diffusion.network_memory.KINDS``, "" for another."""
    return next((name[3:] for name in _KINDS if getattr(_loaded(), name, False)), "")


def tile_for_checkpoint() -> int:
    """The side, px, that it was trained for."""
    model = _loaded()
    if any(getattr(model, name, False) for name in ("is_sdxl", "is_sd3")):
        return 1024
    return 768 if getattr(model, "is_sd2", False) else 512


def weights_elsewhere(device: Any) -> int:
    """Bytes of the network's weights that lie on another device now, as with ``--medvram``."""
    network = getattr(getattr(_loaded(), "model", None), "diffusion_model", None)
    parameters = network.parameters() if hasattr(network, "parameters") else ()
    return sum(one.numel() * one.element_size() for one in parameters if one.device.type != device.type)


def _loaded() -> Any:
    return getattr(getattr(host.module("sd_models"), "model_data", None), "sd_model", None)
