"""Samplers whose seams are known, and how much is seen of a seam. For tests and benchmarks of SD Upscale."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from lib_upscaler.geometry import Region

__all__ = [
    "constants",
    "lines_away_from",
    "profile",
    "seam_ratio",
    "smooth_picture",
    "texture_energy",
    "textures",
]

Change = Callable[[int, Region], np.ndarray]
"""What a sampler adds to a tile: (number, place on the canvas) -> ``(h, w, 3)`` levels."""


def smooth_picture(width: int, height: int) -> Image.Image:
    """Slow waves between 80 and 176, so that nothing that is added to them is cut off."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = np.stack([np.sin(x / 97 + y / 211), np.cos(x / 173 - y / 89), np.sin((x + y) / 141)], axis=2)
    return Image.fromarray(np.round(128 + 48 * waves).astype(np.uint8))


def constants(levels: Sequence[float]) -> Change:
    """Each tile is lighter or darker by its own."""
    return lambda number, region: np.full((region.height, region.width, 3), levels[number], np.float32)


def textures(width: int, height: int, correlation: float, strength: float = 8.0, seed: int = 0) -> Change:
    """Grain of ``strength`` levels (standard deviation) that is tile's own but for a share that all tiles have.

    correlation: of two tiles where they overlap.
    """
    common = _grain(width, height, seed) if correlation else None

    def change(number: int, region: Region) -> np.ndarray:
        grain = np.float32(np.sqrt(1 - correlation)) * _grain(region.width, region.height, seed + 1 + number)
        if common is not None:
            grain += np.float32(np.sqrt(correlation)) * common[region.rows, region.columns]
        return np.float32(strength) * grain

    return change


@functools.lru_cache(maxsize=16)  # the same tiles are asked for again and again
def _grain(width: int, height: int, seed: int) -> np.ndarray:
    """``(h, w, 3)``, mean 0, variance 1, grains of about 2 px."""
    white = np.random.default_rng(seed).standard_normal((height + 2, width + 2, 3), np.float32)
    for axis in (0, 1):
        count = white.shape[axis] - 2
        parts = [white.take(range(start, start + count), axis) for start in range(3)]
        white = (parts[0] + 2 * parts[1] + parts[2]) / np.sqrt(np.float32(6))
    return white


def profile(change: np.ndarray, across: Sequence[int], down: Sequence[int], reach: int, plain: tuple) -> np.ndarray:
    """Gradients along seams over those along lines away from any.

    change: ``(H, W, 3)``, output minus source. across, down: the seams' columns and rows. plain: (columns, rows) of
    other lines. Gives ``2 * reach + 1`` ratios, from ``reach`` px before a seam to ``reach`` px after it, each the mean
    of all seams and of five neighbouring lines. 1 everywhere: the seams cannot be told from the rest.
    """
    lines = [np.abs(np.diff(change, axis=axis)).mean(axis=(1 - axis, 2)) for axis in (1, 0)]
    seen, usual = [], []
    for gradient, seams, others in zip(lines, (across, down), plain):
        soft = np.convolve(gradient, np.full(5, 0.2), mode="same")
        seen += [soft[seam - 1 - reach : seam + reach] for seam in seams]
        usual += [gradient[other - 1] for other in others]
    return np.mean(seen, axis=0) / np.mean(usual)


def lines_away_from(taken: Sequence[tuple[int, int]], length: int, count: int = 64, seed: int = 0) -> list[int]:
    """Random lines, none in one of the stretches (first, end)."""
    free = [at for at in range(8, length - 8) if not any(first - 8 <= at < end + 8 for first, end in taken)]
    return sorted(np.random.default_rng(seed).choice(free, min(count, len(free)), replace=False).tolist())


# -- one canvas: what is seen of the lines after many steps ------------------------------------------------------------

Stretches = Sequence[tuple[int, int]]
"""From where to where (exclusive) tiles give way to each other on one axis; the same number twice is a jump there."""

NEIGHBOURS = 2 / 3
"""Correlation of neighbouring px in ``_grain``."""


def texture_energy(
    tiles: Sequence[Region], weights: Sequence[np.ndarray], width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """Expected gradient energy where tiles are put together that each have a texture of its own (``_grain``), relative
    to that of such a texture: across, ``(width,)``, between each column and the one before it (the first: the last),
    and down, ``(height,)``. Exact: textures are independent, so that their variances add up.

    weights: of each tile, ``(h, w)``.
    """
    energies = np.zeros((height, width)), np.zeros((width, height))
    for tile, weight in zip(tiles, weights):
        for energy, line, start, rows in (
            (energies[0], weight, tile.x, tile.rows),
            (energies[1], weight.T, tile.y, tile.columns),
        ):
            before, after = np.pad(line, ((0, 0), (1, 0))), np.pad(line, ((0, 0), (0, 1)))
            squares = before**2 + after**2 - 2 * NEIGHBOURS * before * after
            end = start + line.shape[1]
            energy[rows, start:end] += squares[:, :-1]
            energy[rows, end % energy.shape[1]] += squares[:, -1]
    across, down = (energy.mean(axis=0) / (2 - 2 * NEIGHBOURS) for energy in energies)
    return across, down


def seam_ratio(
    energies: Sequence[tuple[np.ndarray, np.ndarray]],
    steps: Sequence[tuple[Stretches, Stretches]],
    correlation: float = 0.0,
) -> float:
    """Gradient energy across the tiles' borders relative to that inside of a tile, in the mean of what was predicted
    in all steps.

    energies: of each step (across, down), see ``texture_energy``. steps: each step's borders, likewise. correlation:
    the share of the textures' energy that all tiles have in common. Of every border, the differences of neighbouring px
    that reach into the stretch where it is blended; the mean over these, over the borders, and over the steps. 1: the
    borders cannot be told from the rest; above: lines; below: soft bands.
    """
    ratios = []
    for axis in range(2):
        mean = np.mean([energy[axis] for energy in energies], axis=0)
        seen = [
            np.mean([mean[start : max(start, end) + 1].mean() for start, end in step[axis]])
            for step in steps
            if step[axis]
        ]
        ratios.append(np.mean(seen))
    return correlation + (1 - correlation) * float(np.mean(ratios))
