"""Overlaps look like the rest, whether the textures of neighbours agree or not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lib_upscaler.diffusion.blending import Blend, TileWeights
from lib_upscaler.diffusion.grid import RedrawGrid, plan_grid
from lib_upscaler.geometry import Region, Size
from seams import Change, constants, lines_away_from, profile, textures


def blended(grid: RedrawGrid, change: Change, fine: Change | None = None, order: Sequence[int] = ()) -> np.ndarray:
    """All tiles of a grid. fine: what of the change is texture; None: all."""
    blend = Blend(grid)
    for number in order or range(len(grid.tiles)):
        tile = change(number, grid.tiles[number])
        blend.add(number, tile, tile if fine is None else fine(number, grid.tiles[number]))
    return blend.rows(0, grid.canvas.height, blend.agreement())


def seams_of(grid: RedrawGrid, change: np.ndarray) -> np.ndarray:
    """Ratios from before the overlaps to after them, across and along."""
    starts = list(zip(grid.columns[1:], [edge + grid.tile.width for edge in grid.columns]))
    middles = [(first + end) // 2 for first, end in starts]
    plain = lines_away_from(starts, grid.canvas.width)
    return profile(change, middles, middles, grid.overlap // 2 + 16, (plain, plain))


@pytest.mark.parametrize("overlap", [16, 64, 128])
@pytest.mark.parametrize("correlation", [0, 0.5, 0.9, 1])
def test_texture_is_as_strong_along_the_seams_as_elsewhere(correlation: float, overlap: int) -> None:
    side = 3 * 512 - 2 * overlap
    grid = plan_grid(Size(side, side), Size(512, 512), overlap)
    assert grid.columns == (0, 512 - overlap, 1024 - 2 * overlap)
    ratios = seams_of(grid, blended(grid, textures(side, side, correlation)))
    assert ratios.min() >= 0.95
    assert ratios.max() <= 1.02


def test_a_plain_mean_would_be_seen() -> None:
    """The measure itself: two textures half and half have the strength of the root of one half."""
    grid = plan_grid(Size(1408, 1408), Size(512, 512), 64)
    ratios = seams_of(grid, blended(grid, textures(1408, 1408, 0), constants([0] * len(grid.tiles))))
    assert np.isclose(ratios.min(), np.sqrt(0.5), atol=0.02)
    assert np.isclose(ratios[0], 1, atol=0.02)


@pytest.mark.parametrize("correlation", [0, 0.3, 0.7, 1])
def test_the_agreement_of_neighbours_is_measured(correlation: float) -> None:
    grid = plan_grid(Size(960, 512), Size(512, 512), 64)
    blend, change = Blend(grid), textures(960, 512, correlation)
    for number, tile in enumerate(grid.tiles):
        blend.add(number, change(number, tile), change(number, tile))
    seam = blend.agreement()[:, 448 // 8 : 512 // 8]
    assert abs(seam.mean() - correlation) <= 0.05


def test_each_place_has_an_agreement_of_its_own() -> None:
    """Above the tiles agree, below they do not."""
    grid = plan_grid(Size(960, 512), Size(512, 512), 64)
    same, other = textures(960, 512, 1), textures(960, 512, 0)
    blend = Blend(grid)
    for number, tile in enumerate(grid.tiles):
        change = np.concatenate([same(number, tile)[:256], other(number, tile)[256:]])
        blend.add(number, change, change)
    seam = blend.agreement()[:, 448 // 8 : 512 // 8].mean(axis=1)
    assert seam[:26].min() >= 0.95
    assert seam[-26:].max() <= 0.3


def test_what_is_not_texture_is_the_plain_mean() -> None:
    grid = plan_grid(Size(448, 256), Size(256, 256), 64)
    nothing = constants([0, 0])
    change = blended(grid, constants([-10, 30]), nothing)
    share = ((np.arange(448) + 0.5 - 192) / 64).clip(0, 1)
    expected = -10 + 40 * (1 - np.cos(np.pi * share)) / 2
    assert np.abs(change - expected[None, :, None]).max() <= 1e-4
    assert np.abs(np.diff(change, axis=1)).max() <= 1.6 * 40 / 64


def test_what_all_tiles_agree_on_stays_as_it_is() -> None:
    grid = plan_grid(Size(700, 600), Size(256, 256), 96)
    change = textures(grid.canvas.width, grid.canvas.height, 1)
    whole = change(0, Region.of(grid.canvas))
    assert np.abs(blended(grid, change) - whole).max() <= 0.05


def test_what_tiles_agree_on_fades_out_with_their_weights_beside_one_that_is_not_drawn() -> None:
    grid = plan_grid(Size(448, 448), Size(256, 256), 64)
    change, weights, blend = textures(448, 448, 1), TileWeights(grid), Blend(grid)
    drawn = np.zeros((448, 448, 1))
    for number, tile in enumerate(grid.tiles[:3]):
        blend.add(number, change(number, tile), change(number, tile))
        drawn[tile.rows, tile.columns, 0] += weights[number]
    expected = drawn * change(0, Region(0, 0, 448, 448))
    assert np.abs(blend.rows(0, 448, blend.agreement()) - expected).max() <= 0.1


@pytest.mark.parametrize("correlation", [0, 0.8])
def test_the_order_does_not_matter(correlation: float) -> None:
    grid = plan_grid(Size(700, 600), Size(256, 256), 96)
    change = textures(grid.canvas.width, grid.canvas.height, correlation)
    forwards = blended(grid, change)
    numbers = list(range(len(grid.tiles)))
    for order in (numbers[::-1], numbers[1::2] + numbers[::2]):
        assert np.abs(blended(grid, change, order=order) - forwards).max() <= 0.1


def test_rows_are_the_same_in_bands() -> None:
    grid = plan_grid(Size(300, 300), Size(128, 128), 40)
    blend, change = Blend(grid), textures(304, 304, 0)
    for number, tile in enumerate(grid.tiles):
        blend.add(number, change(number, tile), change(number, tile))
    agreement = blend.agreement()
    bands = [blend.rows(top, min(top + 37, 304), agreement) for top in range(0, 304, 37)]
    assert np.abs(np.concatenate(bands) - blend.rows(0, 304, agreement)).max() <= 1e-4
