"""Tiles of one canvas: they cover it, move at every step, and cost hardly more than the canvas itself."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import jobs
from lib_upscaler.diffusion.canvas_forecast import forecast
from lib_upscaler.diffusion.canvas_grid import Axis, CanvasGrid, StepGrid, plan_canvas
from lib_upscaler.errors import RequestError
from lib_upscaler.geometry import Size

STEPS = 3


@st.composite
def plans(draw: st.DrawFn) -> tuple[Size, int, int, int, int]:
    """Size, tile, overlap, context, seed."""
    tile = draw(st.sampled_from([32, 48, 64, 128]))
    overlap = draw(st.integers(0, min(16, tile // 2)))
    context = draw(st.integers(0, (tile // 2 - overlap) // 2))
    size = Size(draw(st.integers(1, 400)), draw(st.integers(1, 400)))
    return size, tile, overlap, context, draw(st.integers(0, 2**32))


def axes(grid: StepGrid) -> list[Axis]:
    return [grid.across, grid.down]


def painted(grid: StepGrid) -> tuple[np.ndarray, int]:
    """(weights of all tiles added up, px of all tiles), counted on a canvas."""
    total, sampled = np.zeros((grid.size.height, grid.size.width)), 0
    for number, tile in enumerate(grid.tiles):
        across, down = grid.lines(number)
        place = total[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
        assert place.shape == (len(down), len(across)) == (tile.height, tile.width), "a tile leaves the canvas"
        place += np.outer(down, across)
        sampled += tile.height * tile.width
    return total, sampled


@given(plans())
@settings(max_examples=jobs(600), deadline=None)
def test_weights_sum_to_1_at_every_px(plan: tuple[Size, int, int, int, int]) -> None:
    """120 examples; 600 with ``pytest --long``."""
    for step in range(STEPS):
        grid = plan_canvas(*plan).step(step)
        total, sampled = painted(grid)
        assert np.abs(total - 1).max() <= 1e-9
        assert sampled / total.size == pytest.approx(grid.work)
        assert all(min(line) >= -1e-12 for axis in axes(grid) for line in axis.weights)


@given(plans())
@settings(max_examples=jobs(1000), deadline=None)
def test_where_tiles_may_lie(plan: tuple[Size, int, int, int, int]) -> None:
    """200 examples; 1000 with ``pytest --long``."""
    size, tile, overlap, context, _ = plan
    for step in range(STEPS):
        grid = plan_canvas(*plan).step(step)
        for axis, length in zip(axes(grid), (size.width, size.height)):
            ends = [start + side for start, side in zip(axis.starts, axis.sides)]
            if length <= tile:
                assert (axis.starts, axis.sides) == ((0,), (length,))
                continue
            assert axis.starts[0] == 0
            assert ends[-1] == length
            assert min(axis.starts) >= 0
            assert max(ends) <= length
            assert all(side % 8 == 0 for side in axis.sides)
            assert all(side == tile for side in axis.sides[1:-1])
            assert all(tile / 2 <= side <= tile for side in axis.sides)
            assert all(end - start >= overlap + 2 * context for end, start in zip(ends, axis.starts[1:]))
            for number, line in enumerate(axis.weights):
                if number:
                    assert np.abs(line[:context]).max(initial=0) == 0
                if number + 1 < len(axis.weights):
                    assert np.abs(line[len(line) - context :]).max(initial=0) <= 1e-12


def cheapest(length: int, tile: int, least: int) -> int:
    """The least that an axis can cost, by trying all numbers of tiles and all pairs of cut ones."""
    if length <= tile:
        return length
    cut = range(tile // 2, tile + 1, 8)
    costs = [
        first + last + inner * tile
        for inner in range(length // (tile - least) + 2)
        for first in cut
        for last in cut
        if first + last + inner * tile >= length + (inner + 1) * least
    ]
    return min(costs)


@given(plans())
@settings(max_examples=jobs(600), deadline=None)
def test_it_costs_the_least_possible_or_what_may_be_spent_on_moving(plan: tuple[Size, int, int, int, int]) -> None:
    """120 examples; 600 with ``pytest --long``."""
    size, tile, overlap, context, _ = plan
    bounds = [cheapest(length, tile, overlap + 2 * context) for length in (size.width, size.height)]
    # For a line to be able to move: 8 px, or a cut tile where tiles overlap by about half.
    more = 8 if overlap + 2 * context < tile / 4 else tile // 2
    room = [more * (length > tile) for length in (size.width, size.height)]
    most = (bounds[0] + room[0]) * (bounds[1] + room[1]) / size.area
    for step in range(STEPS):
        grid = plan_canvas(*plan).step(step)
        assert bounds[0] * bounds[1] / size.area <= grid.work <= max(1.1, most) + 1e-9


@pytest.mark.parametrize("tile", [64, 128])
@pytest.mark.parametrize("side", [2048, 4096])
def test_by_default_a_tenth_more_is_sampled_than_there_is(side: int, tile: int) -> None:
    plan = plan_canvas(Size(side // 8, side // 8), tile)
    sampled = [painted(plan.step(step))[1] for step in range(30)]
    assert max(sampled) / (side // 8) ** 2 <= 1.1
    assert forecast(plan, 30).work == pytest.approx(np.mean(sampled) / (side // 8) ** 2)


@pytest.mark.parametrize(
    ("side", "tile", "most"),
    [(2056, 64, 1.13), (2104, 64, 1.1), (3000, 64, 1.1), (4136, 64, 1.1), (4136, 128, 1.1), (8192, 64, 1.1)],
)
def test_odd_and_large_sides_cost_no_more(side: int, tile: int, most: float) -> None:
    """2056 px are 257 of the latent, whose tiles add up to 272 at least: 1.058 on each axis."""
    plan = plan_canvas(Size(side // 8, side // 8), tile)
    assert max(painted(plan.step(step))[1] for step in range(8)) / (side // 8) ** 2 <= most


@given(plans())
@settings(max_examples=jobs(400), deadline=None)
def test_no_line_is_where_it_was_the_step_before(plan: tuple[Size, int, int, int, int]) -> None:
    """80 examples; 400 with ``pytest --long``."""
    size, tile, *_ = plan
    grids = [plan_canvas(*plan).step(step) for step in range(6)]
    for before, after in zip(grids, grids[1:]):
        for first, second, length in zip(axes(before), axes(after), (size.width, size.height)):
            if length > tile + 8 * 8:
                assert first != second
                assert not set(first.blends) & set(second.blends)


def test_lines_come_to_lie_all_over_the_canvas() -> None:
    """At 4096 px: in 40 steps there is none in the same place more than a few times."""
    plan = plan_canvas(Size(512, 512), 64)
    times = Counter((start + end) / 2 for step in range(40) for start, end in plan.step(step).across.blends)
    assert len(times) > 200
    assert max(times.values()) <= 3


def moves(plan: CanvasGrid) -> list[StepGrid]:
    return [plan.step(step) for step in range(12)]


def test_the_seed_alone_decides_where_they_lie() -> None:
    size = Size(300, 257)
    first = moves(plan_canvas(size, 64, seed=5))
    again = plan_canvas(size, 64, seed=5)
    again.step(11)  # asked for in another order
    assert moves(again) == first
    assert moves(plan_canvas(size, 64, seed=6)) != first
    assert len({grid.across.starts for grid in first}) >= 8


def test_weights_are_half_a_cosine_wave_over_the_actual_overlap() -> None:
    axis = plan_canvas(Size(100, 40), 64, 8, seed=1).step(0).across  # two tiles
    start, end = axis.starts[1], axis.sides[0]
    assert end - start >= 8
    rise = [(1 - math.cos(math.pi * (place + 0.5) / (end - start))) / 2 for place in range(end - start)]
    assert axis.weights[1][: end - start] == pytest.approx(rise)
    assert axis.weights[0][start:] == pytest.approx([1 - each for each in rise])
    assert set(axis.weights[1][end - start :]) == {1.0}
    assert set(axis.weights[0][:start]) == {1.0}


def test_what_fits_a_tile_is_one() -> None:
    for size in (Size(64, 64), Size(61, 37), Size(1, 1)):
        grid = plan_canvas(size, 64)
        assert grid.is_whole
        assert [tile.size for tile in grid.step(3).tiles] == [size]
    assert not plan_canvas(Size(65, 64), 64).is_whole


def test_tiles_of_one_size_are_at_most_nine_groups() -> None:
    grid = plan_canvas(Size(512, 512), 64).step(0)
    assert sorted(number for group in grid.alike for number in group) == list(range(len(grid.tiles)))
    assert all(len({grid.tiles[number].size for number in group}) == 1 for group in grid.alike)
    assert len(grid.alike) <= 9


def test_the_forecast() -> None:
    """256x256 in tiles of 64: 5 x 5 of them, 3 x 3 whole, in batches of 4: 3 calls for these, one for each row of three
    that are cut likewise, and so on."""
    plan = plan_canvas(Size(256, 256), 64)
    told = forecast(plan, 10, batch=4, rows=2, channels=4, itemsize=2)
    assert told.tiles == 25
    assert told.batch == 4
    assert told.batch_px == 4 * 64 * 64
    assert told.canvas == 256 * 256
    assert 8 <= told.calls <= 11
    # The sum in float32, its copy in half precision, and 4 tiles as they go in and as they come out.
    assert told.buffer_bytes == 2 * 4 * (256 * 256 * (4 + 2) + 2 * 4 * 64 * 64 * 2)
    assert str(told).startswith("25 tiles per step in ")
    assert "of at most 4, 1.09 px per px" in str(told) or "of at most 4, 1.10 px per px" in str(told)
    assert str(forecast(plan_canvas(Size(40, 50), 64), 10)) == "1 tile per step, the whole"


@pytest.mark.parametrize(
    ("tile", "overlap", "context", "words"),
    [
        (60, 2, 0, "tiles of 60 px"),
        (16, 2, 0, "tiles of 16 px"),
        (64, 17, 0, "choose 0 to 16"),
        (64, -1, 0, "choose 0 to 16"),
        (64, 2, 16, "context of 16 px.*choose less"),
        (64, 2, -1, "context of -1 px"),
    ],
)
def test_what_cannot_be_is_refused_in_words(tile: int, overlap: int, context: int, words: str) -> None:
    with pytest.raises(RequestError, match=r"(?i)" + words):
        plan_canvas(Size(300, 300), tile, overlap, context)
