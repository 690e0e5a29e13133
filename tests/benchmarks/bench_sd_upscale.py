"""What is seen of the tiles in SD Upscale, and what they cost: ours, the built-in SD upscale, Ultimate SD Upscale.

Nothing is sampled: in the sampler's place stand stubs that add to each tile what is known, so that only the cutting
and putting together is measured. Tiles of 512 px.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import measuring  # first: it makes what is in this repository found
import numpy as np
from PIL import Image, ImageFilter

from lib_upscaler.diffusion.redraw import Redraw, RedrawSettings, Tile
from lib_upscaler.geometry import Region, Size
from seams import Change, lines_away_from, profile, smooth_picture, textures

SIDE = 512
"""px of a tile."""

CORRELATIONS = (0.0, 0.5, 0.9, 1.0)


@dataclass(frozen=True)
class Seams:
    """starts, ends: where the blend from a tile to the next begins and ends, px, the same across and down. sampled: px
    that the network works on."""

    starts: Sequence[int]
    ends: Sequence[int]
    sampled: int

    @property
    def width(self) -> int:
        return min(end - start for start, end in zip(self.starts, self.ends))


Method = Callable[[Image.Image, Change], "tuple[Image.Image, Seams]"]


# -- the three methods -------------------------------------------------------------------------------------------------


def ours(source: Image.Image, change: Change, overlap: int) -> tuple[Image.Image, Seams]:
    job = Redraw(source, RedrawSettings(Size(SIDE, SIDE), overlap, color_lock=0))

    class Silent:
        def begins(self, done: int, total: int) -> None:
            pass

        def shows(self, picture: Callable[[], Image.Image]) -> None:
            pass

    def sample(tiles: Sequence[Tile]) -> list[Image.Image]:
        return [_changed(tile.picture, change(tile.number, tile.region)) for tile in tiles]

    image, grid = job.run(sample, Silent()).image, job.grid
    ends = [edge + SIDE for edge in grid.columns[:-1]]
    return image, Seams(grid.columns[1:], ends, len(grid.tiles) * grid.tile.area)


def built_in(source: Image.Image, change: Change, overlap: int) -> tuple[Image.Image, Seams]:
    """AUTOMATIC1111 1.10.1: each tile over the ones before, its first ``overlap`` px through a ramp of 8 bits."""
    side = source.width
    count = math.ceil((side - overlap) / (SIDE - overlap))
    edges = [min(int(number * (side - SIDE) / (count - 1)), side - SIDE) for number in range(count)]
    ramp = (np.arange(overlap, dtype=np.float32) * 255 / overlap).astype(np.uint8)
    into = np.concatenate([ramp, np.full(side - overlap, 255, np.uint8)])
    across = Image.fromarray(np.tile(into[:SIDE], (SIDE, 1)))
    down = Image.fromarray(np.tile(into[:SIDE, None], (1, side)))
    whole = Image.new("RGB", source.size)
    for row, y in enumerate(edges):
        line = Image.new("RGB", (side, SIDE))
        for column, x in enumerate(edges):
            tile = source.crop((x, y, x + SIDE, y + SIDE))
            tile = _changed(tile, change(row * count + column, Region(x, y, SIDE, SIDE)))
            line.paste(tile, (x, 0), across if column else None)
        whole.paste(line, (0, y), down if row else None)
    return whole, Seams(edges[1:], [edge + overlap for edge in edges[1:]], count**2 * SIDE**2)


def ultimate(source: Image.Image, change: Change, padding: int = 32, blur: int = 8) -> tuple[Image.Image, Seams]:
    """Ultimate SD Upscale, linear: squares side by side, each sampled with what is around it (another 20 px where the
    blurred mask is not black) at a size of its own and pasted through the blurred mask."""
    whole, side = source.copy(), source.width
    count, sampled = math.ceil(side / SIDE), math.ceil((SIDE + padding) / 64) * 64
    for number in range(count**2):
        x, y = number % count * SIDE, number // count * SIDE
        mask = Image.new("L", source.size)
        mask.paste(255, (x, y, x + SIDE, y + SIDE))
        mask = mask.filter(ImageFilter.GaussianBlur(blur))
        left, top, right, bottom = mask.point(lambda level: 255 * (level > 0)).getbbox()
        left, top = max(0, left - padding), max(0, top - padding)
        box = (left, top, min(side, right + padding), min(side, bottom + padding))
        tile = whole.crop(box)
        size, place = tile.size, Region(left, top, sampled, sampled)
        tile = tile.resize((sampled, sampled), Image.Resampling.LANCZOS)
        # The common texture is where it would be without the change of size.
        tile = _changed(tile, change(number, place))
        whole.paste(tile.resize(size, Image.Resampling.LANCZOS), box[:2], mask.crop(box))
    lines, reach = [number * SIDE for number in range(1, count)], round(2.5 * blur)
    return whole, Seams([at - reach for at in lines], [at + reach for at in lines], count**2 * sampled**2)


def _changed(tile: Image.Image, change: np.ndarray) -> Image.Image:
    levels = np.asarray(tile, np.float32) + change
    return Image.fromarray(np.floor(levels + 0.5).clip(0, 255).astype(np.uint8))


# -- what is measured --------------------------------------------------------------------------------------------------


def measure(method: Method, side: int, common: bool) -> dict[str, Any]:
    """common: whether textures that tiles have in common can be given at all."""
    source = smooth_picture(side, side)
    plain, seams = method(source, lambda number, region: np.float32(0))
    found: dict[str, Any] = {"work": seams.sampled / side**2, "width": seams.width}
    found["unchanged"] = float(np.abs(_difference(plain, source)).max())
    middles = [(start + end) // 2 for start, end in zip(seams.starts, seams.ends)]
    away = lines_away_from([(start - 24, end + 24) for start, end in zip(seams.starts, seams.ends)], side)
    for correlation in CORRELATIONS if common else (0.0,):
        image, _ = method(source, textures(side, side, correlation))
        change = _difference(image, source)
        ratios = profile(change, middles, middles, seams.width // 2 + 16, (away, away))
        found[f"middle {correlation}"] = float(ratios[len(ratios) // 2])
        found[f"furthest {correlation}"] = float(ratios[np.abs(ratios - 1).argmax()])
    found["jump"] = _jump(method, side, [0, *seams.starts])
    return found


def _jump(method: Method, side: int, edges: Sequence[int]) -> float:
    """The largest step from one pixel to the next where neighbours differ by a constant, as a share of it.

    Every other column of tiles is lighter, each row by a constant of its own, 60 to 100 levels, so that rounding to
    levels is averaged away.
    """
    steps = 80 + 20 * np.sin(np.arange(side, dtype=np.float32) / 53)
    count = len(edges)

    def change(number: int, region: Region) -> np.ndarray:
        rows = np.arange(region.y, region.bottom).clip(0, side - 1)
        return number % count % 2 * steps[rows][:, None, None]

    grey = Image.new("RGB", (side, side), (128, 128, 128))
    ramps = _difference(method(grey, change)[0], grey) / steps[:, None, None]
    only_two = [row for edge in edges for row in range(edge + 128, edge + SIDE - 128)]
    return float(np.abs(np.diff(ramps[only_two].mean(axis=(0, 2)))).max())


def _difference(image: Image.Image, source: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32) - np.asarray(source, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1408, 2048, 4096], help="sides of the output, px")
    parser.add_argument("--overlap", type=int, default=64, help="px, of ours and the built-in (default 64)")
    measuring.add_common_options(parser)
    options = parser.parse_args()
    measuring.use_threads(options.threads)
    methods: list[tuple[str, Method, bool]] = [
        ("ours", lambda source, change: ours(source, change, options.overlap), True),
        ("built-in", lambda source, change: built_in(source, change, options.overlap), True),
        ("Ultimate", ultimate, False),
    ]
    rows, all_found = [], []
    for side in options.sizes:
        for name, method, common in methods:
            found = measure(method, side, common)
            all_found.append({"method": name, "side": side, **found})
            seen = [
                f"{found[f'middle {each}']:.3f} / {found[f'furthest {each}']:.3f}" if f"middle {each}" in found else "-"
                for each in CORRELATIONS
            ]
            jump = f"{found['jump'] * 100:.2f} % = {found['jump'] * found['width']:.2f} ramps"
            row = {"px": str(side), "method": name, "work": f"{found['work']:.3f}", "blend px": str(found["width"])}
            row.update({f"seam, r = {each:g}": text for each, text in zip(CORRELATIONS, seen)})
            rows.append({**row, "jump": jump, "unchanged": f"{found['unchanged']:.0f}"})
    print(measuring.table(rows))
    measuring.write_json(options.json, all_found)


if __name__ == "__main__":
    main()
