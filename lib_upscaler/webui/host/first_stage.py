"""The VAE of a loaded checkpoint, and who asks for what it makes. Checkpoints are never loaded by a look at them."""

from __future__ import annotations

import sys
from typing import Any

from .access import module

__all__ = ["current", "is_preview", "of_checkpoint", "processing_under_way"]

_LARGEST_DEPTH = 40  # calls between the host's function and a part of the VAE


def of_checkpoint(sd_model: Any) -> Any | None:
    """The module with ``encoder`` and ``decoder``; None where there is none, as before a checkpoint is loaded."""
    forge = getattr(getattr(sd_model, "forge_objects", None), "vae", None)
    found = getattr(forge, "first_stage_model", None) if forge is not None else None
    if found is None and not hasattr(sd_model, "forge_objects"):
        found = getattr(sd_model, "first_stage_model", None)
    return found if hasattr(found, "encoder") and hasattr(found, "decoder") else None


def current() -> list[Any]:
    """Those of the checkpoints that are loaded now."""
    data = getattr(module("sd_models"), "model_data", None)
    loaded = [getattr(data, "sd_model", None), *(getattr(data, "loaded_sd_models", None) or ())]
    found = [of_checkpoint(one) for one in loaded if one is not None]
    return list({id(one): one for one in found if one is not None}.values())


def is_preview() -> bool:
    """Whether what is decoded now is shown while sampling goes on, and not kept.

    The host has one function for both; a preview leaves open how well it is decoded.
    """
    frame = sys._getframe(1)
    for _ in range(_LARGEST_DEPTH):
        if frame is None:
            return False
        if frame.f_code.co_name == "single_sample_to_image":
            return frame.f_locals.get("approximation") is None
        frame = frame.f_back  # type: ignore[assignment]
    return False


def processing_under_way() -> Any | None:
    """``p`` of the generation that this thread is in."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "process_images_inner":
            return frame.f_locals.get("p")
        frame = frame.f_back  # type: ignore[assignment]
    return None
