"""How far a picture is from the true one."""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["decibels", "levels_off"]


def levels_off(image: Image.Image, true: np.ndarray) -> float:
    """The largest difference of any value, in 8-bit levels; ``true`` is rounded as a picture would be."""
    return float(np.abs(_levels(image) - np.floor(true + 0.5).clip(0, 255)).max())


def decibels(image: Image.Image, true: np.ndarray) -> float:
    """PSNR against the true levels."""
    error = np.square(_levels(image) - true.clip(0, 255)).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def _levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(float)
