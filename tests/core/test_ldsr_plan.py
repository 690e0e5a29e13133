"""How LDSR cuts a latent, and what it says beforehand that it will take."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldsr_models import REAL, TINY
from lib_upscaler.errors import MemoryLimitError
from lib_upscaler.geometry import Size
from lib_upscaler.models.ldsr.cost import unet_work
from lib_upscaler.models.ldsr.settings import LdsrSettings
from lib_upscaler.planning.latent_tiles import moving_grid
from lib_upscaler.planning.ldsr import OVERLAP, plan_ldsr, smaller_plan
from lib_upscaler.running.ldsr.forecast import forecast

CPU = torch.device("cpu")
AMPLE = 1 << 40
GIGABYTE = 1_000_000_000

SIDES = st.integers(8, 60).map(lambda count: count * 8)


@given(SIDES, SIDES, st.sampled_from([64, 72, 128, 200]), st.integers(0, 40))
def test_the_tiles_of_a_step_cover_the_canvas_and_overlap(width: int, height: int, tile: int, step: int) -> None:
    grid = moving_grid(Size(width, height), tile, 16, step, 8)
    for spans, length in ((grid.columns, width), (grid.rows, height)):
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        for start, end in spans:
            assert start % 8 == end % 8 == 0
            assert min(length, tile // 2) <= end - start <= tile
        for (_, end), (start, _) in zip(spans, spans[1:]):
            assert end - start >= 16
        for (_, end), (start, _) in zip(spans, spans[2:]):
            assert end <= start + 16  # no more than two over each other, but for a rest at the border
    assert grid.area == sum(one.size.area for one in grid.tiles)


def test_no_line_stands_still() -> None:
    lines = [moving_grid(Size(512, 512), 128, 16, step, 8).columns[0][1] for step in range(20)]
    assert all(one != after for one, after in zip(lines, lines[1:]))
    assert max(map(lines.count, lines)) <= 4
    assert max(lines) - min(lines) >= 48


def test_work_at_512_counted_in_pixels_of_the_unet() -> None:
    """The WebUI: 49 patches of 128 at each of 100 steps."""
    size, patches = Size(512, 512), 49 * 128 * 128
    webui = plan_ldsr(REAL, size, LdsrSettings(mode="webui"), AMPLE, 4)
    whole = plan_ldsr(REAL, size, LdsrSettings(sampler="ddim", steps=100), AMPLE, 4)
    auto = plan_ldsr(REAL, size, LdsrSettings(), AMPLE, 4)
    assert webui.pixel_steps == 100 * patches
    assert whole.pixel_steps == 100 * 512 * 512 < webui.pixel_steps / 3
    assert auto.pixel_steps * 12 < webui.pixel_steps


def test_in_tiles_it_is_still_a_twelfth() -> None:
    plan = plan_ldsr(REAL, Size(512, 512), LdsrSettings(tile=256), AMPLE, 4)
    assert len(plan.grid(0).tiles) >= 4
    assert plan.pixel_steps * 12 < 49 * 128 * 128 * 100


def test_the_whole_where_it_fits_else_the_largest_tiles_that_do() -> None:
    size = Size(1000, 700)
    whole = plan_ldsr(REAL, size, LdsrSettings(), 20 * GIGABYTE, 4)
    assert (whole.canvas, whole.tile) == (Size(1000, 704), None)
    assert [tile.size for tile in whole.grid(3).tiles] == [Size(1000, 704)]
    plans = [plan_ldsr(REAL, size, LdsrSettings(), budget * GIGABYTE, 4) for budget in (1, 2, 3)]
    for plan, budget in zip(plans, (1, 2, 3)):
        assert plan.tile is not None
        assert plan.tile_bytes + plan.canvas_bytes <= budget * GIGABYTE
        assert replace(plan, tile=plan.tile + 8).tile_bytes + plan.canvas_bytes > budget * GIGABYTE
    assert plans[0].tile < plans[1].tile < plans[2].tile  # type: ignore[operator]
    assert plan_ldsr(REAL, size, LdsrSettings(), 2 * GIGABYTE, 2).tile > plans[1].tile  # type: ignore[operator]


def test_where_nothing_fits_it_says_so() -> None:
    for settings in (LdsrSettings(), LdsrSettings(mode="webui")):
        with pytest.raises(MemoryLimitError, match="Allow more memory"):
            plan_ldsr(REAL, Size(512, 512), settings, 70_000_000, 4)


@pytest.mark.parametrize(
    ("size", "auto", "webui"),
    [
        (Size(1, 1), Size(64, 64), Size(128, 128)),
        (Size(65, 7), Size(72, 64), Size(128, 128)),
        (Size(512, 129), Size(512, 136), Size(512, 192)),
    ],
)
def test_the_canvas_is_never_smaller_than_the_picture(size: Size, auto: Size, webui: Size) -> None:
    assert plan_ldsr(REAL, size, LdsrSettings(), AMPLE, 4).canvas == auto
    assert plan_ldsr(REAL, size, LdsrSettings(mode="webui"), AMPLE, 4).canvas == webui


def test_a_batch_takes_no_more_than_there_is() -> None:
    size = Size(1024, 1024)
    settings = LdsrSettings(tile=128)
    plan = plan_ldsr(REAL, size, settings, 400_000_000, 2, most_at_once=8)
    assert 1 < plan.batch < 8
    assert plan.tile_bytes <= 400_000_000 < replace(plan, batch=plan.batch + 1).tile_bytes + plan.canvas_bytes
    assert plan_ldsr(REAL, size, settings, AMPLE, 2, most_at_once=8).batch == 8
    assert plan_ldsr(REAL, size, settings, AMPLE, 2).batch == 1
    assert plan_ldsr(REAL, size, replace(settings, batch=3), AMPLE, 2).batch == 3


def test_after_running_out_of_memory_less_is_tried_until_there_is_no_less() -> None:
    plan = plan_ldsr(REAL, Size(512, 512), LdsrSettings(tile=256, batch=4), AMPLE, 4)
    tried = [plan]
    while (smaller := smaller_plan(tried[-1])) is not None:
        tried.append(smaller)
    assert [one.batch for one in tried[:3]] == [4, 2, 1]
    sides = [one.tile for one in tried[2:]]
    assert sides[0] == 256
    assert sides[-1] == 64
    assert all(after < before and after % 8 == 0 for before, after in zip(sides, sides[1:]))  # type: ignore[operator]
    webui = plan_ldsr(REAL, Size(512, 512), LdsrSettings(mode="webui", batch=2), AMPLE, 4)
    once = smaller_plan(webui)
    assert once is not None
    assert once.batch == 1
    assert smaller_plan(once) is None


def test_what_the_forecast_says() -> None:
    told = forecast(REAL, Size(512, 512), LdsrSettings(), CPU, memory=8 * GIGABYTE)
    assert told.output == Size(2048, 2048)
    assert (told.steps, told.pixel_steps) == (20, 20 * 512 * 512)
    assert told.weights_bytes == pytest.approx(0.586e9, rel=0.01)
    assert told.work > 20 * unet_work(REAL.unet, 512, 512)
    assert told.bytes == told.weights_bytes + max(told.sampling_bytes, told.decoding_bytes)
    assert told.whole_decoding_bytes > 8 * GIGABYTE > told.decoding_bytes  # the decoder as a whole is the wall
    assert told.warnings == ()
    half = forecast(REAL, Size(512, 512), LdsrSettings(precision="bf16"), CPU, memory=8 * GIGABYTE)
    assert half.sampling_bytes < 0.6 * told.sampling_bytes
    small = forecast(TINY, Size(20, 10), LdsrSettings(steps=1), CPU)
    assert (small.output, small.tiles, small.pixel_steps) == (Size(80, 40), 1, 64 * 64)


def test_the_forecast_tells_of_the_webuis_rounding() -> None:
    rounded = forecast(TINY, Size(64, 64), LdsrSettings(mode="webui", steps=60), CPU)
    assert rounded.steps == 63
    assert "63 steps" in rounded.warnings[0]
    failing = forecast(TINY, Size(64, 64), LdsrSettings(mode="webui", steps=27), CPU)
    assert any("fails with 27 steps" in words for words in failing.warnings)
    assert forecast(TINY, Size(64, 64), LdsrSettings(mode="webui"), CPU).warnings == ()


def test_tiles_overlap_as_planned() -> None:
    plan = plan_ldsr(TINY, Size(300, 300), LdsrSettings(tile=128), AMPLE, 4)
    for step in range(20):
        for spans in (plan.grid(step).columns, plan.grid(step).rows):
            assert all(end - start >= OVERLAP for (_, end), (start, _) in zip(spans, spans[1:]))


def test_work_of_decoding_counts_attention_over_what_it_sees() -> None:
    """Over the whole at once it would be a hundred times the rest; in tiles it is a part of it."""
    size, layout = Size(1024, 1024), REAL.decoder
    positions, channels = 1024 * 1024, layout.width * layout.multipliers[-1]
    attention = 2 * channels * positions**2
    whole = plan_ldsr(REAL, size, LdsrSettings(), AMPLE, 4)
    tiled = plan_ldsr(REAL, size, LdsrSettings(), 3 * GIGABYTE, 4)
    assert whole.decodes_whole
    assert not tiled.decodes_whole
    assert whole.decoder_work - tiled.decoder_work == pytest.approx(attention * (1 - 128**2 / positions), rel=1e-6)
