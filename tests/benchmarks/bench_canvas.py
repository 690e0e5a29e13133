"""What is seen of the tiles when a whole latent is denoised in them, and what they cost: ours on one canvas, Tiled
Diffusion, SpotDiffusion, Ultimate SD Upscale, the built-in SD upscale.

Nothing is sampled: what is predicted for each tile in each step is a texture of its own, of which neighbours have a
share in common. What becomes of it follows from the tiles and their weights alone, exactly. All lengths are px of the
latent.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import measuring  # first: it makes what is in this repository found
import numpy as np

from lib_upscaler.diffusion.canvas_grid import plan_canvas
from lib_upscaler.geometry import Region, Size
from seams import Stretches, seam_ratio, texture_energy

CORRELATIONS = (0.0, 0.5, 0.9)


@dataclass
class Cut:
    """The tiles of one step. weights: of each tile, ``(h, w)``; they sum to 1. across, down: where tiles give way to
    each other. rolled: (down, right) by which the canvas was turned around before it was cut."""

    tiles: Sequence[Region]
    weights: Sequence[np.ndarray]
    across: Stretches
    down: Stretches
    sampled: int
    rolled: tuple[int, int] = field(default=(0, 0))


Method = Callable[[int, int], Iterator[Cut]]
"""(side of a square canvas, steps) -> the cut of each step."""


# -- the methods -------------------------------------------------------------------------------------------------------


def ours(side: int, steps: int, tile: int, overlap: int | None = None) -> Iterator[Cut]:
    plan = plan_canvas(Size(side, side), tile, overlap, seed=1)
    for number in range(steps):
        grid = plan.step(number)
        lines = [grid.lines(each) for each in range(len(grid.tiles))]
        weights = [np.outer(down, across) for across, down in lines]
        sampled = sum(each.size.area for each in grid.tiles)
        yield Cut(grid.tiles, weights, grid.across.blends, grid.down.blends, sampled)


def tiled_diffusion(side: int, steps: int, overlap: int, gaussian: bool, tile: int = 96) -> Iterator[Cut]:
    """pkuliyi2015's multidiffusion-upscaler 2023 (``split_bboxes``, ``gaussian_weights``): tiles of 96, evenly spread
    and the same at every step, weighted alike (MultiDiffusion) or by a Gaussian (Mixture of Diffusers)."""
    count = math.ceil((side - overlap) / (tile - overlap))
    apart = (side - tile) / (count - 1)
    starts = [min(int(number * apart), side - tile) for number in range(count)]
    line = np.ones(tile)
    if gaussian:
        places = np.arange(tile)
        line = np.exp(-((places - (tile - 1) / 2) ** 2) / tile**2 / (2 * 0.01))
    sums = np.zeros(side)
    for start in starts:
        sums[start : start + tile] += line
    lines = [line / sums[start : start + tile] for start in starts]
    tiles, weights = _separable(starts, tile, lines)
    blends = [(second, first + tile) for first, second in zip(starts, starts[1:])]
    cut = Cut(tiles, weights, blends, blends, count**2 * tile**2)
    return iter([cut] * steps)


def spot(side: int, steps: int, tile: int = 64) -> Iterator[Cut]:
    """SpotDiffusion (Frolov et al. 2024): squares side by side on a canvas that is turned around by a random offset at
    each step; where it meets itself, too."""
    random = np.random.default_rng(1)
    starts = list(range(0, side, tile))
    tiles, weights = _separable(starts, tile, [np.ones(tile)] * len(starts))
    for _ in range(steps):
        rolled = random.integers(0, tile, 2)
        seen = [[(at + int(by), at + int(by)) for at in starts if 0 < at + by < side] for by in rolled]
        yield Cut(tiles, weights, seen[1], seen[0], side**2, (int(rolled[0]), int(rolled[1])))


def ultimate(side: int, steps: int, tile: int = 64, blur: float = 1.0) -> Iterator[Cut]:
    """Coyote-A's Ultimate SD Upscale, linear: squares side by side, each sampled at ``tile + 8`` and pasted over those
    before through a mask blurred by 8 px of the picture (1 of the latent; there it is done with pixels)."""
    count, reach = math.ceil(side / tile), 4
    starts = [number * tile for number in range(count)]
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / blur) ** 2)
    kernel /= kernel.sum()
    masks = []
    for start in starts:
        line = np.zeros(side)
        line[start : start + tile] = 1
        padded = np.pad(line, reach, mode="edge")  # Pillow's blur extends the border
        masks.append(np.convolve(padded, kernel, mode="valid"))
    left = np.ones((side, side))
    weights: dict[int, np.ndarray] = {}
    for number in reversed(range(count**2)):  # what is pasted later covers what was before
        mask = np.outer(masks[number // count], masks[number % count])
        weights[number] = mask * left
        left = left * (1 - mask)
    weights[0] += left  # the source where no tile is; none but rounding
    tiles, parts = [], []
    for number in range(count**2):
        x, y = starts[number % count], starts[number // count]
        left_edge, top = max(0, x - reach), max(0, y - reach)
        region = Region(left_edge, top, min(side, x + tile + reach) - left_edge, min(side, y + tile + reach) - top)
        tiles.append(region)
        parts.append(weights[number][region.rows, region.columns])
    lines = [(at - 2, at + 2) for at in starts[1:]]
    return iter([Cut(tiles, parts, lines, lines, count**2 * (tile + 8) ** 2)] * steps)


def built_in(side: int, steps: int, tile: int = 64, overlap: int = 8) -> Iterator[Cut]:
    """AUTOMATIC1111 1.10.1 (``images.split_grid``, ``combine_grid``): each tile over the ones before, its first
    ``overlap`` px through a straight ramp."""
    count = math.ceil((side - overlap) / (tile - overlap))
    apart = (side - tile) / (count - 1)
    starts = [min(int(number * apart), side - tile) for number in range(count)]
    ramp = np.concatenate([np.arange(overlap) / overlap, np.ones(tile - overlap)])
    left, lines = np.ones(side), []
    for number in reversed(range(count)):
        line = np.zeros(side)
        line[starts[number] : starts[number] + tile] = ramp if number else 1
        lines.insert(0, (line * left)[starts[number] : starts[number] + tile])
        left = left * (1 - line)
    tiles, weights = _separable(starts, tile, lines)
    blends = [(start, start + overlap) for start in starts[1:]]
    return iter([Cut(tiles, weights, blends, blends, count**2 * tile**2)] * steps)


def _separable(starts: Sequence[int], tile: int, lines: Sequence[np.ndarray]) -> tuple[list[Region], list[np.ndarray]]:
    tiles = [Region(x, y, tile, tile) for y in starts for x in starts]
    return tiles, [np.outer(down, across) for down in lines for across in lines]


# -- what is measured --------------------------------------------------------------------------------------------------


def measure(method: Method, side: int, steps: int) -> tuple[dict[float, float], float]:
    """(seam ratio for each correlation, sampled px per px)."""
    energies, borders, sampled = [], [], 0
    last, known = None, None
    for cut in method(side, steps):
        if cut is not last:  # most are the same at every step
            last, known = cut, texture_energy(cut.tiles, cut.weights, side, side)
        energies.append((np.roll(known[0], cut.rolled[1]), np.roll(known[1], cut.rolled[0])))
        borders.append((cut.across, cut.down))
        sampled += cut.sampled
    ratios = {each: seam_ratio(energies, borders, each) for each in CORRELATIONS}
    return ratios, sampled / steps / side**2


METHODS: list[tuple[str, Method]] = [
    ("ours, 64 / 2", lambda side, steps: ours(side, steps, 64)),
    ("ours, 64 / 8", lambda side, steps: ours(side, steps, 64, 8)),
    ("ours, 128 / 4", lambda side, steps: ours(side, steps, 128)),
    ("Tiled Diffusion, mean, 96 / 48", lambda side, steps: tiled_diffusion(side, steps, 48, gaussian=False)),
    ("Tiled Diffusion, mean, 96 / 8", lambda side, steps: tiled_diffusion(side, steps, 8, gaussian=False)),
    ("Tiled Diffusion, Gaussian, 96 / 48", lambda side, steps: tiled_diffusion(side, steps, 48, gaussian=True)),
    ("Tiled Diffusion, Gaussian, 96 / 8", lambda side, steps: tiled_diffusion(side, steps, 8, gaussian=True)),
    ("SpotDiffusion, 64 / 0", spot),
    ("Ultimate, 64 / 0", ultimate),
    ("built-in, 64 / 8", built_in),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512], help="of the canvas, multiples of 64 px")
    parser.add_argument("--steps", type=int, default=20)
    measuring.add_common_options(parser)
    options = parser.parse_args()
    rows, found = [], []
    for side in options.sides:
        for name, method in METHODS:
            ratios, work = measure(method, side, options.steps)
            found.append({"side": side, "method": name, "work": work, "ratios": list(ratios.items())})
            seen = {f"seam, r = {each:g}": f"{ratio:.3f}" for each, ratio in ratios.items()}
            rows.append({"side": str(side), "method, tile / overlap": name, "px per px": f"{work:.3f}", **seen})
    print(measuring.table(rows))
    measuring.write_json(options.json, found)


if __name__ == "__main__":
    main()
