"""How far a picture is from the true one."""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["decibels", "levels_off", "likeness_anywhere"]


def levels_off(image: Image.Image, true: np.ndarray) -> float:
    """The largest difference of any value, in 8-bit levels; ``true`` is rounded as a picture would be."""
    return float(np.abs(_levels(image) - np.floor(true + 0.5).clip(0, 255)).max())


def decibels(image: Image.Image, true: np.ndarray) -> float:
    """PSNR against the true levels."""
    error = np.square(_levels(image) - true.clip(0, 255)).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def _levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(float)


def likeness_anywhere(picture: Image.Image, template: Image.Image) -> float:
    """The largest normalised cross-correlation of the template with any part of the picture of its size, -1 to 1.

    Of a second pass and its first pass: how much of the whole comes up again within a part.
    """
    whole, part = (np.asarray(one.convert("L"), np.float64) for one in (picture, template))
    part = part - part.mean()
    shape = [length + other - 1 for length, other in zip(whole.shape, part.shape)]
    valid = tuple(slice(other - 1, length) for length, other in zip(whole.shape, part.shape))

    def against(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        spectrum = np.fft.rfft2(values, shape) * np.fft.rfft2(kernel[::-1, ::-1], shape)
        return np.fft.irfft2(spectrum, shape)[valid]

    ones = np.ones_like(part)
    variance = against(whole**2, ones) - against(whole, ones) ** 2 / part.size
    return float((against(whole, part) / np.sqrt(np.maximum(variance, 1e-6) * (part**2).sum())).max())
