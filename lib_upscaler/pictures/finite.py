"""Pictures of floating point hold what networks cannot take: infinity, what is no number, and alpha beyond 0 and 1."""

from __future__ import annotations

import numpy as np

from .pixels import Pixels

__all__ = ["finite", "finite_alpha", "finite_light"]


def finite(pixels: Pixels, notes: list[str]) -> Pixels:
    """``pixels`` with finite numbers alone, and alpha from 0 to 1. notes: are told what was changed."""
    if pixels.bits != 32:
        return pixels
    alpha = None if pixels.alpha is None else finite_alpha(pixels.alpha, notes)
    return Pixels(finite_light(pixels.color, notes), alpha, pixels.mode)


def finite_light(color: np.ndarray, notes: list[str]) -> np.ndarray:
    """(H, W, C) float32: infinitely bright becomes as bright as the brightest px there is, what is no number black."""
    good = np.isfinite(color)
    if good.all():
        return color
    endless = np.isposinf(color)
    most = max(1.0, float(color[good].max(initial=1.0)))
    for places, what in (
        (endless, "infinitely bright; they were taken for the brightest there is"),
        (~good & ~endless, "no numbers; they were taken for black"),
    ):
        if places.any():
            notes.append(f"{int(places.any(axis=2).sum())} of its pixels are {what}")
    return np.where(good, color, np.where(endless, np.float32(most), np.float32(0)))


def finite_alpha(alpha: np.ndarray, notes: list[str]) -> np.ndarray:
    """(H, W) float32 from 0 to 1: what is no number is transparent."""
    if alpha.min() >= 0 and alpha.max() <= 1:  # False where one is no number
        return alpha
    notes.append("its transparency is not all between 0 and 1; what lies beyond was cut off")
    return np.clip(np.nan_to_num(alpha, nan=0.0), 0, 1)
