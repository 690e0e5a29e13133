"""Every pixel of a picture belongs to exactly one tile, whatever the picture's size and the limits are."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_upscaler.geometry import Region, Size
from lib_upscaler.planning.tiling import SMALLEST_CORE, TileGrid, halves, plan_fixed, plan_within, region_of

SIDES = st.integers(1, 400)
MARGINS = st.integers(0, 80)
ALIGNMENTS = st.sampled_from([1, 2, 4, 8, 16, 64])


def _assert_covers_once(cores: tuple[Region, ...], size: Size) -> None:
    covered = np.zeros((size.height, size.width), np.uint8)
    for core in cores:
        assert core.x >= 0
        assert core.y >= 0
        assert core.right <= size.width
        assert core.bottom <= size.height
        covered[core.rows, core.columns] += 1
    assert (covered == 1).all()


def _at_most(largest: int) -> Callable[[Size], bool]:
    """Regions of so many px fit."""
    return lambda size: size.area <= largest


def _work(grid: TileGrid, margin: int, size: Size, align: int) -> int:
    """px of all regions, counted on a mask."""
    total = 0
    for core in grid.cores:
        region = region_of(core, margin, size, align)
        mask = np.zeros((size.height, size.width), bool)
        mask[region.rows, region.columns] = True
        total += int(mask.sum())
    return total


@given(SIDES, SIDES, st.integers(16, 200), MARGINS, ALIGNMENTS)
@settings(max_examples=150, deadline=None)
def test_fixed_tiles_cover_every_pixel_once(width: int, height: int, side: int, margin: int, align: int) -> None:
    size = Size(width, height)
    grid = plan_fixed(size, side, margin, align)

    _assert_covers_once(grid.cores, size)
    assert grid.work == _work(grid, margin, size, align)


@given(SIDES, SIDES, st.integers(16, 200), ALIGNMENTS)
@settings(max_examples=150, deadline=None)
def test_fixed_tiles_are_nearly_equal_and_aligned_and_no_larger_than_asked(
    width: int, height: int, side: int, align: int
) -> None:
    grid = plan_fixed(Size(width, height), side, 8, align)

    rounded_side = -(-side // align) * align
    for extent, lengths in (
        (width, {core.width for core in grid.cores}),
        (height, {core.height for core in grid.cores}),
    ):
        # Equal stretches, each border moved to the next multiple: at most one multiple apart from one another,
        # the last one short of its multiple by less than one more.
        assert max(lengths) - min(lengths) < max(2, 2 * align), extent
        assert max(lengths) <= rounded_side + align - 1
    assert all(core.x % align == 0 and core.y % align == 0 for core in grid.cores)


@given(SIDES, SIDES, st.integers(1, 60_000), MARGINS, ALIGNMENTS)
@settings(max_examples=150, deadline=None)
def test_tiles_within_a_limit_keep_it(width: int, height: int, largest: int, margin: int, align: int) -> None:
    size = Size(width, height)
    grid = plan_within(size, _at_most(largest), margin, align)
    if grid is None:
        return

    _assert_covers_once(grid.cores, size)
    assert grid.work == _work(grid, margin, size, align)
    for core in grid.cores:
        region = region_of(core, margin, size, align)
        assert region.size.area <= largest
        assert region.x % align == 0
        assert region.y % align == 0


@given(SIDES, SIDES, st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_a_limit_that_holds_a_square_of_core_and_context_can_always_be_kept(
    width: int, height: int, margin: int, spare: int
) -> None:
    side = 2 * SMALLEST_CORE + 1 + 2 * margin + spare

    assert plan_within(Size(width, height), _at_most(side * side), margin) is not None


def test_no_plan_where_not_even_context_fits() -> None:
    assert plan_within(Size(500, 500), _at_most(40 * 40), 32) is None


def test_the_whole_picture_where_the_limit_allows_it() -> None:
    assert plan_within(Size(120, 70), _at_most(120 * 70), 32).cores == (Region(0, 0, 120, 70),)


def test_full_width_bands_where_they_cost_least() -> None:
    # 200x400, context 16, at most 200x170 px. Three full-width bands with 16, 32 and 16 rows of context each:
    # 200 * (400 + 64) = 92800 px. Any second column adds at least 2 * 16 * 400 px.
    grid = plan_within(Size(200, 400), _at_most(200 * 170), 16)

    assert {core.width for core in grid.cores} == {200}
    assert grid.work == 92_800


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 10_000), (10_000, 1), (3, 777), (1023, 2)])
@pytest.mark.parametrize("align", [1, 8])
def test_strips(width: int, height: int, align: int) -> None:
    size = Size(width, height)

    _assert_covers_once(plan_fixed(size, 64, 32, align).cores, size)
    grid = plan_within(size, _at_most(300), 32, align)
    _assert_covers_once(grid.cores, size)
    assert all(region_of(core, 32, size, align).size.area <= 300 for core in grid.cores)
    assert len(grid.cores) == 1 or max(width, height) > 300 // min(width, height)


@pytest.mark.alone
def test_a_huge_picture_is_planned_in_a_moment() -> None:
    started = time.perf_counter()
    size = Size(16_000, 12_000)
    grid = plan_within(size, _at_most(1000 * 1000), 64)

    assert time.perf_counter() - started < 2
    assert sum(core.size.area for core in grid.cores) == size.area


def test_a_region_is_the_core_with_context_inside_the_picture() -> None:
    size = Size(100, 60)

    assert region_of(Region(40, 20, 10, 10), 5, size) == Region(35, 15, 20, 20)
    assert region_of(Region(0, 0, 10, 10), 5, size) == Region(0, 0, 15, 15)
    assert region_of(Region(90, 50, 10, 10), 5, size) == Region(85, 45, 15, 15)
    # 5 px of context at an alignment of 8 are 8 px.
    assert region_of(Region(40, 24, 16, 16), 5, size, 8) == Region(32, 16, 32, 32)


@given(st.integers(0, 50), st.integers(0, 50), SIDES, SIDES, ALIGNMENTS)
@settings(max_examples=150, deadline=None)
def test_halves_cover_the_core_once_and_are_smaller(left: int, top: int, width: int, height: int, align: int) -> None:
    core = Region(left * align, top * align, width, height)
    parts = halves(core, align)
    if parts is None:
        assert max(width, height) < 2 * max(SMALLEST_CORE, align)
        return

    shifted = tuple(part.relative_to(core) for part in parts)
    _assert_covers_once(shifted, Size(width, height))
    assert all(part.x % align == 0 and part.y % align == 0 for part in shifted)
    assert max(part.size.area for part in parts) < core.size.area


@given(SIDES, SIDES, ALIGNMENTS)
@settings(max_examples=50, deadline=None)
def test_halving_again_and_again_comes_to_an_end(width: int, height: int, align: int) -> None:
    waiting, finished = [Region(0, 0, width, height)], []
    while waiting:
        core = waiting.pop()
        parts = halves(core, align)
        if parts is None:
            finished.append(core)
        else:
            waiting.extend(parts)

    _assert_covers_once(tuple(finished), Size(width, height))
    assert all(min(core.width, core.height) >= min(width, height, SMALLEST_CORE) for core in finished)
