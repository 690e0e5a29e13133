"""Plans keep within memory, or say that they cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_upscaler.errors import MemoryLimitError
from lib_upscaler.geometry import Region, Size
from lib_upscaler.models.analysis import LocalBlock, NetworkFacts
from lib_upscaler.models.card import ModelCard
from lib_upscaler.models.network import BandPlan
from lib_upscaler.planning.budget import Limits, TilePlan, bands_for, make_plan, region_bytes, starting_margin
from lib_upscaler.planning.passes import limits_for
from lib_upscaler.planning.tiling import region_of

PLAIN = NetworkFacts(
    radius=18, work_per_pixel=6e5, largest_work_per_pixel=4e4, elements_per_pixel=200.0, largest_elements_per_pixel=64.0
)
BANDED = NetworkFacts(
    radius=349,
    work_per_pixel=1.7e7,
    largest_work_per_pixel=6e6,
    elements_per_pixel=5000.0,
    largest_elements_per_pixel=1024.0,
    blocks=(LocalBlock("model.1.sub.0", 5),),
    block_elements=500.0,
    trunk_elements=300.0,
    trunk_largest_work=4e4,
    trunk_largest_elements=64.0,
    head=("model.2", "model.3"),
    head_radius=2,
    head_elements=4000.0,
)
FACTS = st.sampled_from([PLAIN, BANDED, replace(BANDED, blocks=()), replace(BANDED, head=()), NetworkFacts()])
BUDGETS = st.integers(70_000_000, 3_000_000_000)


@given(FACTS, st.integers(1, 3000), st.integers(1, 3000), BUDGETS)
@settings(max_examples=200, deadline=None)
def test_bands_keep_within_the_budget(facts: NetworkFacts, width: int, height: int, budget: int) -> None:
    size = Size(width, height)
    bands = bands_for(facts, size, Limits(budget, 4))

    if bands is not None:
        assert region_bytes(facts, size, bands, 4) <= budget


@given(st.integers(1, 3000), st.integers(1, 3000), BUDGETS)
@settings(max_examples=100, deadline=None)
def test_what_blocks_take_on_cuda_is_counted(width: int, height: int, budget: int) -> None:
    size, limits = Size(width, height), Limits(budget, 2, block_share=2.0, large_bands=True)
    bands = bands_for(BANDED, size, limits)

    if bands is not None:
        doubled = replace(BANDED, block_elements=2 * BANDED.block_elements)
        assert region_bytes(doubled, size, bands, 2) <= budget


def test_bands_on_cuda_are_larger_where_there_is_memory() -> None:
    size, plenty, little = Size(640, 480), 20 * 10**9, 6 * 10**8
    usual, large = (bands_for(BANDED, size, Limits(plenty, 2, large_bands=wide)) for wide in (False, True))
    frugal = bands_for(BANDED, size, Limits(little, 2, large_bands=True))
    assert usual is not None
    assert large is not None
    assert frugal is not None
    assert large.block_rows > 1.4 * usual.block_rows  # type: ignore[operator]
    assert large.head_rows > 1.5 * usual.head_rows  # type: ignore[operator]
    assert frugal.head_rows < large.head_rows  # type: ignore[operator]


def test_only_cuda_gets_large_bands_and_only_float16_the_memory_of_its_sums() -> None:
    card = ModelCard.__new__(ModelCard)
    for name, value in (("minimum", 1), ("multiple_of", 1), ("square", False)):
        object.__setattr__(card, name, value)
    found = {
        (device, size): (limits.large_bands, limits.block_share)
        for device in ("cpu", "cuda", "mps")
        for size in (2, 4)
        for limits in (limits_for(card, device, 10**9, size),)
    }
    assert found.pop(("cuda", 2)) == (True, 2.0)
    assert found.pop(("cuda", 4)) == (True, 1.0)
    assert set(found.values()) == {(False, 1.0)}


@given(FACTS, st.integers(1, 900), st.integers(1, 900), BUDGETS, st.sampled_from([1, 8]))
@settings(max_examples=40, deadline=None)
def test_every_tile_of_an_automatic_plan_fits(
    facts: NetworkFacts, width: int, height: int, budget: int, align: int
) -> None:
    size, limits = Size(width, height), Limits(budget, 4)
    try:
        plan = make_plan(facts, size, "auto", limits, align)
    except MemoryLimitError:
        return

    covered = np.zeros((height, width), np.uint8)
    for core in plan.cores:
        covered[core.rows, core.columns] += 1
        region = region_of(core, plan.margin, size, align)
        assert bands_for(facts, region.size, limits) is not None, region
    assert (covered == 1).all()


@given(FACTS, st.integers(1, 2500), st.integers(1, 2500), st.sampled_from([10**9, 4 * 10**9]))
@settings(max_examples=30, deadline=None)
def test_a_gigabyte_is_always_enough(facts: NetworkFacts, width: int, height: int, budget: int) -> None:
    plan = make_plan(facts, Size(width, height), "auto", Limits(budget, 4))

    assert plan.cores


def test_whole_when_it_fits() -> None:
    plan = make_plan(PLAIN, Size(640, 448), "auto", Limits(2 * 10**9, 4))

    assert (plan.cores, plan.margin, plan.work) == ((Region(0, 0, 640, 448),), 0, 640 * 448)


def test_the_estimate_of_a_whole_pass_is_its_elements_and_a_reserve() -> None:
    # 100 x 100 px x 200 elements x 4 bytes = 8 MB.
    need = region_bytes(PLAIN, Size(100, 100), BandPlan(), 4)

    assert 8_000_000 < need < 8_000_000 * 2 + 100_000_000
    assert region_bytes(PLAIN, Size(100, 100), BandPlan(), 2) < need


def test_narrower_bands_are_estimated_to_take_less() -> None:
    size = Size(1000, 1000)
    needs = [region_bytes(BANDED, size, BandPlan(rows, rows), 4) for rows in (16, 64, 256, 1000)]

    assert needs == sorted(needs)
    assert len(set(needs)) == 4


def test_tiles_of_the_side_asked_for() -> None:
    plan = make_plan(PLAIN, Size(200, 100), 100, Limits(10**9, 4))

    assert plan.cores == (Region(0, 0, 100, 100), Region(100, 0, 100, 100))
    # The radius, and one more for the pixel beyond the line that is compared.
    assert plan.margin == 19


def test_a_tile_larger_than_the_picture_is_the_picture() -> None:
    plan = make_plan(PLAIN, Size(200, 100), 256, Limits(10**9, 4))

    assert (plan.cores, plan.margin) == ((Region(0, 0, 200, 100),), 0)


def test_in_one_piece_is_refused_when_it_is_too_large() -> None:
    with pytest.raises(MemoryLimitError, match="one piece") as caught:
        make_plan(PLAIN, Size(4000, 4000), "none", Limits(10**9, 4))

    # 16 million px x 200 elements x 4 bytes are 12.8 GB, and a reserve.
    assert "GB are needed" in str(caught.value)


def test_in_one_piece_though_a_cancel_is_heard_late() -> None:
    limits = Limits(10**9, 4, largest_work=1e6)

    plan = make_plan(PLAIN, Size(500, 500), "none", limits)

    assert plan.cores == (Region(0, 0, 500, 500),)


def test_a_long_operation_is_cut_into_tiles() -> None:
    # One operation on 1000 x 1000 px is 4e10 multiply-accumulates; a tenth of that is allowed.
    plan = make_plan(PLAIN, Size(1000, 1000), "auto", Limits(10**10, 4, largest_work=4e9))

    assert len(plan.cores) > 1
    for core in plan.cores:
        assert region_of(core, plan.margin, Size(1000, 1000)).size.area * 4e4 <= 4e9


def test_no_tensor_has_more_elements_than_32_bits_count() -> None:
    # 64 elements x 6000 x 6000 px = 2.3e9.
    assert bands_for(PLAIN, Size(6000, 6000), Limits(10**13, 4)) is None
    assert bands_for(BANDED, Size(6000, 6000), Limits(10**13, 4)) is None
    assert bands_for(PLAIN, Size(5000, 5000), Limits(10**13, 4)) is not None


def test_too_little_memory_for_the_smallest_tile_is_refused() -> None:
    with pytest.raises(MemoryLimitError):
        make_plan(BANDED, Size(500, 500), "auto", Limits(1_000_000, 4))


def test_the_first_margin_is_the_radius_where_that_is_small() -> None:
    # One more than the radius: the pixel beyond the line, which is compared, wants its whole context too.
    assert starting_margin(replace(PLAIN, radius=18)) == 19
    assert starting_margin(replace(PLAIN, radius=0)) == 1
    assert 48 <= starting_margin(replace(PLAIN, radius=349)) < 349
    assert starting_margin(replace(PLAIN, radius=None)) >= 16


def test_networks_with_hardly_any_context_are_tiled_too() -> None:
    plan = make_plan(replace(PLAIN, radius=0), Size(3000, 3000), "auto", Limits(10**9, 4))

    assert plan.margin == 1
    assert len(plan.cores) > 1


def test_the_smallest_side_of_a_network_counts() -> None:
    # A strip of one row is padded to 256 rows, which is what must fit: 256 x 60000 x 200 x 4 = 12 GB.
    plan = make_plan(PLAIN, Size(60_000, 1), "auto", Limits(10**9, 4, minimum=256))

    assert len(plan.cores) > 1
    for core in plan.cores:
        region = region_of(core, plan.margin, Size(60_000, 1))
        assert region_bytes(PLAIN, Size(max(256, region.width), 256), BandPlan(), 4) <= 10**9


def test_large_tiles_are_not_paid_for_with_bands_that_are_mostly_context() -> None:
    """Of 8 GB picture and result take a part; two tiles would fit the rest, in bands of 13 rows with 4 of context."""
    facts = NetworkFacts(
        radius=94,
        work_per_pixel=5.8e6,
        blocks=tuple(LocalBlock(f"block {number}", 5) for number in range(18)),
        block_elements=384.0,
        trunk_elements=323.0,
        trunk_largest_work=2240.0,
        trunk_largest_elements=64.0,
        head=("head",),
        head_radius=2,
        head_elements=1984.0,
    )
    size, limits = Size(2500, 2500), Limits(8 * 10**9 - 16 * 2500**2 * 3 - 2500**2 * 3, 4, steady=True)

    def work(plan: TilePlan) -> float:
        """px of blocks, four fifths of the work, and of the head, with all context, for each px of the picture."""
        total = 0.0
        for core in plan.cores:
            region = core.grown(plan.margin, size)
            bands = bands_for(facts, region.size, limits)
            for share, rows, radius in ((0.8, bands.block_rows, 5), (0.2, bands.head_rows, 2)):
                tops = range(0, region.height, rows)
                computed = sum(min(region.height, t + rows + radius) - max(0, t - radius) for t in tops)
                total += share * computed * region.width
        return total / size.area

    assert work(make_plan(facts, size, "auto", limits)) < 1.2
    two = TilePlan((Region(0, 0, 2500, 1250), Region(0, 1250, 2500, 1250)), 64, 0)
    assert work(two) > 1.3
