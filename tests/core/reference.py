"""What tests compare with: pictures made by hand, and the plain untiled float32 network by spandrel's own call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lib_upscaler.models.library import entry_of
from lib_upscaler.models.loader import load_model
from lib_upscaler.models.spandrels import spandrel_in_use

if TYPE_CHECKING:
    import spandrel

    from lib_upscaler.models.network import UpscaleModel

__all__ = ["CPU", "by_spandrel", "levels", "load", "mean_of_views", "photo", "true_output"]

CPU = torch.device("cpu")


def load(state: Mapping[str, Tensor], folder: Path, name: str = "net") -> UpscaleModel:
    """The network of this state, saved to a file and loaded by the library."""
    path = folder / f"{name}.pth"
    torch.save(dict(state), path)
    return load_model(entry_of(path))


def photo(width: int, height: int, channels: int = 3, seed: int = 1) -> np.ndarray:
    """``(height, width, channels)`` uint8: smooth shapes with grain."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (height // 8 + 2, width // 8 + 2, channels), dtype=np.uint8)
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(small[..., c])).resize((width, height), Image.BICUBIC))
        for c in range(channels)
    ]
    noisy = np.stack(planes, axis=2).astype(int) + random.integers(-6, 7, (height, width, channels))
    return noisy.clip(0, 255).astype(np.uint8)


def by_spandrel(state: Mapping[str, Tensor]) -> spandrel.ImageModelDescriptor:
    """The network of this state by spandrel alone, without this project."""
    used = spandrel_in_use()
    spandrel = used.package
    registry = spandrel.ArchRegistry()
    registry.add(*spandrel.MAIN_REGISTRY)
    if used.extras is not None:
        known = {support.architecture.id for support in registry}
        registry.add(*(support for support in used.extras.EXTRA_REGISTRY if support.architecture.id not in known))
    return spandrel.ModelLoader("cpu", registry).load_from_state_dict(dict(state))


def true_output(state: Mapping[str, Tensor], picture: np.ndarray) -> np.ndarray:
    """``(H * scale, W * scale, C)`` float64 in 8-bit levels, of a ``(H, W, C)`` uint8 picture."""
    descriptor = by_spandrel(state).eval()
    image = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None].contiguous()
    with torch.inference_mode():
        output = descriptor(image)
    return output[0].permute(1, 2, 0).double().numpy() * 255


def mean_of_views(state: Mapping[str, Tensor], picture: np.ndarray) -> np.ndarray:
    """As ``true_output``, the mean over the eight flips and turns of the picture, by numpy's own."""
    total = np.zeros(1)
    for quarter in range(4):
        for flip in (lambda x: x, np.fliplr):
            seen = np.ascontiguousarray(flip(np.rot90(picture, quarter)))
            total = total + np.rot90(flip(true_output(state, seen)), -quarter)
    return total / 8


def levels(true: np.ndarray) -> np.ndarray:
    """Levels as floats to whole ones, halves up."""
    return np.floor(true + 0.5).clip(0, 255).astype(np.uint8)
