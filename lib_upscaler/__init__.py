"""TrueScale: pictures enlarged by a network's true output.

    from lib_upscaler import ModelLibrary, Upscaler, UpscaleRequest

    upscaler = Upscaler(ModelLibrary(["models/ESRGAN"]))
    result = upscaler.upscale(image, UpscaleRequest(model="RealESRGAN_x4plus"))
    result.image, result.report

Names are looked up when first used, so that importing this package loads neither torch nor Pillow.
"""

from __future__ import annotations

import importlib
from typing import Any

from . import errors
from .errors import *  # noqa: F403 - the tree of errors is part of the face

__version__ = "0.9.0"

_HOMES = {
    "ByDimensions": "planning.sizing",
    "ByLongestSide": "planning.sizing",
    "ByMegapixels": "planning.sizing",
    "ByScale": "planning.sizing",
    "Estimate": "estimates",
    "ModelLibrary": "models.library",
    "Size": "geometry",
    "UpscaleReport": "request",
    "UpscaleRequest": "request",
    "UpscaleResult": "request",
    "Upscaler": "pipeline",
    "estimate": "estimates",
    "read_frames": "pictures.frames.source",
    "upscale_frames": "animation",
}

__all__ = [*errors.__all__, *_HOMES]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{home}", __name__), name)
