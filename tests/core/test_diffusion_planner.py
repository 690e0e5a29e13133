"""A picture is cut into tiles that cover it all, and weights put them together without a trace."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import jobs
from lib_upscaler.diffusion.blending import TileWeights
from lib_upscaler.diffusion.grid import ORDERS, RedrawGrid, ordered, plan_grid
from lib_upscaler.errors import RequestError
from lib_upscaler.geometry import Size

SIDES = st.integers(1, 700)
TILES = st.integers(64, 300)


def up(value: int) -> int:
    """To a multiple of 8."""
    return math.ceil(value / 8) * 8


@st.composite
def plans(draw: st.DrawFn) -> tuple[Size, Size, int]:
    tile = Size(draw(TILES), draw(TILES))
    return Size(draw(SIDES), draw(SIDES)), tile, draw(st.integers(0, 56))


@given(plans())
@settings(max_examples=jobs(1000), deadline=None)
def test_weights_sum_to_1_at_every_pixel(plan: tuple[Size, Size, int]) -> None:
    """200 examples; 1000 with ``pytest --long``."""
    grid = plan_grid(*plan)
    weights = TileWeights(grid)
    total = np.zeros((grid.canvas.height, grid.canvas.width))
    for number, tile in enumerate(grid.tiles):
        weight = weights[number]
        assert weight.shape == (tile.height, tile.width)
        assert weight.min() >= 0
        total[tile.rows, tile.columns] += weight
    assert np.abs(total - 1).max() <= 1e-6


@given(plans())
@settings(max_examples=jobs(1000), deadline=None)
def test_every_tile_is_of_one_size_on_multiples_of_8_inside_of_the_canvas(plan: tuple[Size, Size, int]) -> None:
    """200 examples; 1000 with ``pytest --long``."""
    size, tile, overlap = plan
    grid = plan_grid(*plan)

    assert grid.size == size
    for length, canvas, asked, actual, edges in (
        (size.width, grid.canvas.width, tile.width, grid.tile.width, grid.columns),
        (size.height, grid.canvas.height, tile.height, grid.tile.height, grid.rows),
    ):
        assert actual == min(up(asked), max(64, up(length)))
        assert canvas == max(up(length), actual)
        assert all(edge % 8 == 0 for edge in edges)
        assert edges[0] == 0
        assert edges[-1] + actual == canvas
        overlaps = [first + actual - second for first, second in zip(edges, edges[1:])]
        assert all(each >= up(overlap) for each in overlaps)
        assert not overlaps or max(overlaps) - min(overlaps) <= 8  # evenly spread
        # The fewest that do: so many px are added with each tile after the first.
        assert len(edges) == 1 + math.ceil((canvas - actual) / (actual - up(overlap)))
    assert {(tile.width, tile.height) for tile in grid.tiles} == {(grid.tile.width, grid.tile.height)}
    assert len(grid.tiles) == len(grid.columns) * len(grid.rows)


@pytest.mark.parametrize("overlap", [72, 128, 184, 248])
def test_more_than_two_tiles_may_overlap(overlap: int) -> None:
    grid = plan_grid(Size(777, 300), Size(256, 256), overlap)
    weights = TileWeights(grid)
    total = np.zeros((grid.canvas.height, grid.canvas.width))
    for number, tile in enumerate(grid.tiles):
        assert weights[number].min() >= 0
        total[tile.rows, tile.columns] += weights[number]
    assert np.abs(total - 1).max() <= 1e-6


def test_a_step_is_half_a_cosine_wave_over_the_actual_overlap() -> None:
    grid = plan_grid(Size(928, 512), Size(512, 512), 64)
    assert grid.columns == (0, 416)  # 96 px, not the 64 that were asked for

    share = (np.arange(96) + 0.5) / 96
    weight = TileWeights(grid)[1][100]
    assert np.abs(weight[:96] - (1 - np.cos(np.pi * share)) / 2).max() <= 1e-6
    assert (weight[96:] == 1).all()


@pytest.mark.parametrize(("side", "most"), [(2048, 1.5625), (4096, 81 / 64)])
def test_no_more_is_sampled_than_by_the_built_in(side: int, most: float) -> None:
    assert plan_grid(Size(side, side), Size(512, 512), 64).work <= most


def test_the_plan_in_words() -> None:
    assert str(plan_grid(Size(2048, 3072), Size(512, 512), 64)) == "35 tiles, 5 x 7, overlap 80, 2048x3072"
    assert str(plan_grid(Size(500, 300), Size(512, 512), 64)) == "1 tile, 500x300"


@pytest.mark.parametrize(
    ("tile", "overlap", "words"),
    [
        (Size(56, 512), 8, "64 px"),
        (Size(512, 512), -8, "0 or more"),
        (Size(64, 64), 64, "at most 56 px"),
        (Size(128, 128), 121, "at most 120 px"),
    ],
)
def test_what_cannot_be_is_refused_in_words(tile: Size, overlap: int, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        plan_grid(Size(1000, 1000), tile, overlap)


def test_the_largest_overlap_makes_progress_of_8_px() -> None:
    grid = plan_grid(Size(200, 64), Size(64, 64), 56)
    assert grid.columns == tuple(range(0, 137, 8))


def test_an_overlap_does_not_matter_where_there_is_but_one_tile() -> None:
    assert len(plan_grid(Size(60, 60), Size(64, 64), 512).tiles) == 1


# -- orders ------------------------------------------------------------------------------------------------------------

GRID = plan_grid(Size(1280, 960), Size(320, 320), 0)  # 4 x 3


@given(plans(), st.sampled_from(ORDERS))
@settings(max_examples=100, deadline=None)
def test_every_order_has_each_tile_once(plan: tuple[Size, Size, int], order: str) -> None:
    grid = plan_grid(*plan)
    detail = [float(number % 5) for number in range(len(grid.tiles))]
    assert sorted(ordered(grid, order, detail)) == list(range(len(grid.tiles)))


def test_rows_come_from_top_to_bottom() -> None:
    assert ordered(GRID, "rows") == list(range(12))


def test_of_a_chess_board_no_two_neighbours_are_in_one_half() -> None:
    places = [(number % 4, number // 4) for number in ordered(GRID, "chess")]
    for half in (places[:6], places[6:]):
        assert all(abs(x - u) + abs(y - v) != 1 for x, y in half for u, v in half)


def test_a_spiral_goes_from_the_centre_outwards() -> None:
    grid: RedrawGrid = plan_grid(Size(1600, 1600), Size(320, 320), 0)  # 5 x 5
    rings = [max(abs(number % 5 - 2), abs(number // 5 - 2)) for number in ordered(grid, "spiral")]
    assert rings == [0] + 8 * [1] + 16 * [2]


def test_the_most_detailed_tile_comes_first() -> None:
    detail = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0, 5.0, 8.0]
    assert [detail[number] for number in ordered(GRID, "detail", detail)] == sorted(detail, reverse=True)


def test_an_unknown_order_is_refused_in_words() -> None:
    with pytest.raises(RequestError, match=r"'zigzag'.*rows, chess, spiral, detail"):
        ordered(GRID, "zigzag")
