"""What size the user gets, and how often the network runs for it."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import jobs
from lib_upscaler.errors import RequestError, SizeError
from lib_upscaler.geometry import Region, Size
from lib_upscaler.pictures.formats import FORMATS, check_format
from lib_upscaler.planning.sizing import ByDimensions, ByLongestSide, ByMegapixels, ByScale, passes, plan_size

sides = st.integers(1, 20_000)
targets = st.integers(1, 60_000)
BAD_NUMBERS = [0, -1, -0.5, math.nan, math.inf, -math.inf, True, False, "2", None]


def half_up(value: Decimal) -> int:
    return max(1, int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP)))


@settings(max_examples=jobs(1000), deadline=None)
@given(sides, sides, st.integers(5, 3200))
def test_a_scale_gives_the_product_with_halves_rounded_up(width, height, hundredths):
    """200 examples; 1000 with ``pytest --long``."""
    plan = plan_size(Size(width, height), ByScale(hundredths / 100))
    scale = Decimal(hundredths) / 100
    assert plan.output == plan.resized == Size(half_up(width * scale), half_up(height * scale))
    assert plan.crop is None
    assert plan.paste is None


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        ((100, 100), 1.15, (115, 115)),
        ((10, 30), 1.15, (12, 35)),  # 11.5 and 34.5: both up, where floats and even rounding give 11 and 34
        ((512, 342), 4, (2048, 1368)),
        ((3, 1), 0.05, (1, 1)),
        ((1, 10000), 2.5, (3, 25000)),
        ((50, 70), 0.05, (3, 4)),
    ],
)
def test_scales_by_hand(size, scale, expected):
    assert plan_size(Size(*size), ByScale(scale)).output == Size(*expected)


@settings(max_examples=jobs(1000), deadline=None)
@given(sides, sides, targets, targets, st.sampled_from(["inside", "crop", "stretch", "pad"]))
def test_width_and_height_give_what_the_fit_says(width, height, box_width, box_height, fit):
    """200 examples; 1000 with ``pytest --long``."""
    source = Size(width, height)
    plan = plan_size(source, ByDimensions(box_width, box_height, fit))
    box = Size(box_width, box_height)
    by_width = Size(box_width, max(1, (2 * height * box_width + width) // (2 * width)))
    by_height = Size(max(1, (2 * width * box_height + height) // (2 * height)), box_height)
    wide = box_width * height >= box_height * width  # the box is wider than the picture
    smaller, larger = (by_height, by_width) if wide else (by_width, by_height)
    assert plan.output == (smaller if fit == "inside" else box)
    assert plan.resized == {"inside": smaller, "pad": smaller, "crop": larger, "stretch": box}[fit]
    assert plan.scale == max(Fraction(plan.resized.width, width), Fraction(plan.resized.height, height))
    for region, inner, outer in ((plan.crop, plan.output, plan.resized), (plan.paste, plan.resized, plan.output)):
        if region is not None:
            assert region.size == inner
            assert 0 <= region.x <= (outer.width - inner.width) / 2 < region.x + 1
            assert 0 <= region.y <= (outer.height - inner.height) / 2 < region.y + 1
    assert (plan.crop is not None) == (fit == "crop" and larger != box)
    assert (plan.paste is not None) == (fit == "pad" and smaller != box)


def test_crop_and_pad_are_centred():
    assert plan_size(Size(100, 50), ByDimensions(80, 80, "crop")).crop == Region(40, 0, 80, 80)
    assert plan_size(Size(100, 50), ByDimensions(80, 80, "pad")).paste == Region(0, 20, 80, 40)


@settings(deadline=None)
@given(sides, sides, targets)
def test_one_side_alone_and_the_longest_side_keep_the_aspect(width, height, target):
    source = Size(width, height)
    by_width = Size(target, half_up_ratio(height * target, width))
    by_height = Size(half_up_ratio(width * target, height), target)
    assert plan_size(source, ByDimensions(width=target)).output == by_width
    assert plan_size(source, ByDimensions(height=target, fit="crop")).output == by_height
    assert plan_size(source, ByLongestSide(target)).output == (by_width if width >= height else by_height)


def half_up_ratio(top: int, bottom: int) -> int:
    return max(1, (2 * top + bottom) // (2 * bottom))


@settings(deadline=None)
@given(sides, sides, st.integers(1, 5000))
def test_megapixels_give_the_nearest_sides(width, height, hundredths):
    got = plan_size(Size(width, height), ByMegapixels(hundredths / 100)).output
    area = Decimal(hundredths) * 10_000
    for side, own, other in ((got.width, width, height), (got.height, height, width)):
        assert side == half_up((area * own / other).sqrt())


def test_one_megapixel_is_a_million_pixels():
    assert plan_size(Size(640, 480), ByMegapixels(1)).output == Size(1155, 866)
    assert plan_size(Size(7, 7), ByMegapixels(1)).output == Size(1000, 1000)


@pytest.mark.parametrize("bad", [*BAD_NUMBERS, 0.049, 32.01])
def test_impossible_scales_are_refused(bad):
    with pytest.raises(RequestError):
        ByScale(bad)


@pytest.mark.parametrize("bad", [*BAD_NUMBERS[:-1], 1.5, 10**10])
def test_impossible_sides_are_refused(bad):
    for request in (ByDimensions, ByLongestSide, lambda v: ByDimensions(5, v)):
        with pytest.raises(RequestError):
            request(bad)


@pytest.mark.parametrize("bad", BAD_NUMBERS)
def test_impossible_megapixels_are_refused(bad):
    with pytest.raises(RequestError):
        ByMegapixels(bad)


def test_no_dimension_and_an_unknown_fit_are_refused():
    with pytest.raises(RequestError):
        ByDimensions()
    with pytest.raises(RequestError, match="inside, crop, stretch, pad"):
        ByDimensions(5, 5, "cover")
    with pytest.raises(RequestError):
        plan_size(Size(1, 1), 2)


def test_a_side_that_no_picture_can_have_is_refused():
    with pytest.raises(SizeError):
        plan_size(Size(1, 2_000_000_000), ByDimensions(width=2))


@pytest.mark.parametrize(
    ("needed", "model", "expected"),
    [
        (4, 4, 1),
        (Fraction(1370, 342), 4, 1),  # 512x342 to 2048x1370
        (4.4, 4, 1),
        (4.41, 4, 2),
        (16, 4, 2),
        (32, 2, 5),
        (4, 2, 2),
        (1.05, 4, 1),
        (1, 4, 0),
        (0.5, 2, 0),
        (8, 8, 1),
        (0.5, 1, 1),
        (32, 1, 1),
    ],
)
def test_passes_are_as_many_as_the_scale_needs(needed, model, expected):
    assert passes(needed, model) == expected


def test_a_reduction_runs_the_network_once_if_asked():
    assert passes(0.5, 4, always=True) == 1
    assert passes(16, 4, always=True) == 2


@pytest.mark.parametrize(
    ("name", "fits", "too_large"),
    [
        ("JPEG", Size(65_500, 1), Size(65_501, 1)),
        ("WEBP", Size(1, 16_383), Size(1, 16_384)),
        ("PNG", Size(100_000, 100_000), Size(2**31, 1)),
        ("TIFF", Size(100_000, 100_000), Size(2**31, 1)),
        ("GIF", Size(65_535, 1), Size(1, 65_536)),
        ("BMP", Size(30_000, 30_000), Size(40_000, 30_000)),
    ],
)
def test_a_size_that_the_format_cannot_hold_is_refused_beforehand(name, fits, too_large):
    check_format(fits, name)
    with pytest.raises(SizeError, match=name):
        check_format(too_large, name)


def test_every_format_that_is_written_has_a_limit():
    for target in FORMATS.values():
        check_format(Size(1, 1), target.name)
    with pytest.raises(RequestError):
        check_format(Size(1, 1), "TGA")
