"""Tiles put together give the picture, rounded once; the differences at their seams are what they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lib_upscaler.geometry import Region, Size
from lib_upscaler.planning.tiling import plan_fixed, region_of
from lib_upscaler.running.canvas import BlendingCanvas, Canvas
from lib_upscaler.running.seams import Seams


@pytest.mark.parametrize(("bits", "top"), [(8, 255), (16, 65535)])
def test_halves_round_up_and_the_ends_stay(bits: int, top: int) -> None:
    values = torch.tensor([0.0, 0.5 / top - 1e-7, 1.5 / top, 1.0]).reshape(1, 1, 4)
    canvas = Canvas(Size(4, 1), 1, bits)
    canvas.write(values, 0, 0)

    pixels = canvas.finish()[0, :, 0].tolist()
    assert pixels[0] == 0
    assert pixels[3] == top
    assert abs(pixels[2] - 2) <= (0 if bits == 8 else 1)


def test_every_level_comes_back() -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    values = torch.from_numpy(levels.astype(np.float32) / 65535)[None]
    canvas = Canvas(Size(256, 256), 1, 16)
    canvas.write(values, 0, 0)

    assert np.array_equal(canvas.finish()[..., 0], levels)


def test_tiles_lie_where_they_belong() -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (90, 70, 3), dtype=np.uint8)
    values = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)
    canvas = Canvas(Size(70, 90), 3, 8)
    for core in plan_fixed(Size(70, 90), 24, 0).cores:
        canvas.write(values[:, core.rows, core.columns], core.x, core.y)

    assert np.array_equal(canvas.finish(), picture)


@pytest.mark.parametrize("margin", [1, 4, 11])
def test_blending_tiles_that_agree_changes_nothing(margin: int) -> None:
    size = Size(70, 90)
    picture = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    values = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)
    canvas = BlendingCanvas(size, 3, 8)
    for core in plan_fixed(size, 24, margin).cores:
        region = region_of(core, margin, size)
        canvas.add(values[:, region.rows, region.columns], region, core)

    assert np.array_equal(canvas.finish(), picture)


def test_blending_fades_from_one_tile_to_the_next() -> None:
    # Two tiles of 20 px with 4 px of context: the fade runs over the 8 px around the line, by an eighth each.
    size = Size(40, 1)
    canvas = BlendingCanvas(size, 1, 8)
    canvas.add(torch.zeros(1, 1, 24), Region(0, 0, 24, 1), Region(0, 0, 20, 1))
    canvas.add(torch.ones(1, 1, 24), Region(16, 0, 24, 1), Region(20, 0, 20, 1))

    row = canvas.finish()[0, :, 0]
    expected = [(i + 0.5) / 8 * 255 for i in range(8)]
    assert (row[:16] == 0).all()
    assert (row[24:] == 255).all()
    assert np.abs(row[16:24] - np.array(expected)).max() <= 0.51


def _neighbours_error(left: np.ndarray, right: np.ndarray, context: int, scale: int) -> float:
    """Two tiles side by side, 20 px wide each at ``scale``; what ``Seams`` finds."""
    size = Size(40, 10)
    seams = Seams(scale, 1)
    cores = Region(0, 0, 20, 10), Region(20, 0, 20, 10)
    for core, values in zip(cores, (left, right)):
        region = core.grown(context, size)
        strips = seams.strips_of(core, region)
        at = region.times(scale)
        for strip in strips:
            # In two bands, as a pass hands them over.
            cut = at.height // 3
            band = torch.from_numpy(values[None, :, at.columns])
            strip.take(band[:, :cut], at.x, 0)
            strip.take(band[:, cut:], at.x, cut)
        neighbours = seams.put(core, strips)
    assert neighbours == [cores[0]]
    return seams.largest


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_seam_error_is_the_largest_difference_on_the_line(scale: int) -> None:
    random = np.random.default_rng(0)
    left = random.random((10 * scale, 40 * scale), dtype=np.float32)
    right = left.copy()
    line = slice(19 * scale, 21 * scale)
    right[:, line] += random.random((10 * scale, 2 * scale), dtype=np.float32) / 50
    right[:, : 19 * scale] = 0  # not on the line: of no account
    right[:, 21 * scale :] = 1

    expected = 255 * np.abs(left[:, line] - right[:, line]).max()
    assert _neighbours_error(left, right, 3, scale) == pytest.approx(expected, rel=1e-5)


def test_tiles_that_agree_have_no_seam_error() -> None:
    values = np.random.default_rng(0).random((20, 80), dtype=np.float32)

    assert _neighbours_error(values, values, 3, 2) == 0


def test_only_tiles_that_share_a_line_are_compared() -> None:
    # A T-shaped cut: one wide tile above, two below. Diagonal ones of a grid touch at a corner only.
    size = Size(40, 40)
    top, left, right = Region(0, 0, 40, 20), Region(0, 20, 20, 20), Region(20, 20, 20, 20)
    seams = Seams(1, 1)
    found = {}
    for level, core in enumerate((top, left, right)):
        strips = seams.strips_of(core, core.grown(4, size))
        for strip in strips:
            strip.values[:] = level / 255
        found[core] = set(seams.put(core, strips))

    assert found == {top: set(), left: {top}, right: {top, left}}
    assert seams.error(top, left)[0] == pytest.approx(1)
    assert seams.error(top, right)[0] == pytest.approx(2)
    assert seams.error(left, right)[0] == pytest.approx(1)
    seams.drop(top)
    assert seams.largest == pytest.approx(1)

    grid = Seams(1, 1)
    corner, across = Region(0, 0, 20, 20), Region(20, 20, 20, 20)
    grid.put(corner, grid.strips_of(corner, corner.grown(4, size)))
    assert grid.put(across, grid.strips_of(across, across.grown(4, size))) == []
