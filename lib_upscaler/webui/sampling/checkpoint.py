"""What is known of the checkpoint that is loaded; none is loaded by a look at it."""

from __future__ import annotations

from typing import Any

from .. import host

__all__ = ["is_known", "tile_for_checkpoint"]

_KINDS = ("is_sd1", "is_sd2", "is_sdxl", "is_sd3", "is_ssd")


def is_known() -> bool:
    """Whether it is of a kind whose conditions can be cut into tiles."""
    return any(getattr(_loaded(), name, False) for name in _KINDS)


def tile_for_checkpoint() -> int:
    """The side, px, that it was trained for."""
    model = _loaded()
    if any(getattr(model, name, False) for name in ("is_sdxl", "is_sd3")):
        return 1024
    return 768 if getattr(model, "is_sd2", False) else 512


def _loaded() -> Any:
    return getattr(getattr(host.module("sd_models"), "model_data", None), "sd_model", None)
