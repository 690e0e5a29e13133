"""The trained weights as a safetensors file that says what it is."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from .settings import MODEL_NAME, SCALE, VALIDATION_PHOTOS, TrainingSettings

__all__ = ["export", "with_metadata"]


def export(
    weights: Mapping[str, Tensor], target: Path, settings: TrainingSettings, photos: Sequence[str], seconds: float
) -> None:
    """Write the weights with all that a stranger needs to know of them."""
    import torch

    metadata = {
        "name": MODEL_NAME,
        "architecture": "Compact (SRVGGNetCompact)",
        "scale": str(SCALE),
        "license": "MIT",
        "author": "TrueScale contributors",
        "description": "Faithful 4x upscaling: no halos, no invented texture. Small and fast.",
        "trained_with": f"python -m tools.training train, torch {torch.__version__}, {platform.machine()}",
        "settings": json.dumps(asdict(settings)),
        "trained_on": "photos (CC0, Unsplash or CC licences that allow commercial use): "
        + ", ".join(photos)
        + "; and rendered text, drawings, textures and gradients",
        "held_back": ", ".join(VALIDATION_PHOTOS) + "; text in Source Sans Pro",
        "training_seconds": f"{seconds:.0f}",
    }
    _write(dict(weights), metadata, target)


def with_metadata(file: Path, extra: Mapping[str, str]) -> None:
    """Add to, or replace in, what the file says of itself; the weights stay."""
    from safetensors import safe_open

    with safe_open(str(file), framework="pt") as opened:
        metadata = dict(opened.metadata() or {})
        weights = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - not a dict
    _write(weights, {**metadata, **extra}, file)


def _write(weights: dict[str, Tensor], metadata: dict[str, str], target: Path) -> None:
    from safetensors.torch import save_file

    beside = target.with_suffix(".new")
    save_file(weights, str(beside), metadata)
    os.replace(beside, target)
