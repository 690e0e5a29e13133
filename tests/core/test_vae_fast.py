"""Fast: statistics from a sample of windows, attention within tiles: near the exact picture, seamless, and said."""

from __future__ import annotations

import pytest
import torch

from lib_upscaler.diffusion.vae import attention as attention_module
from lib_upscaler.diffusion.vae import decode, encode, recognise
from lib_upscaler.diffusion.vae import regions as regions_module
from lib_upscaler.diffusion.vae import schedule as schedule_module
from lib_upscaler.diffusion.vae.attention import _spread
from lib_upscaler.diffusion.vae.regions import sample_regions
from lib_upscaler.diffusion.vae.statistics import Moments
from lib_upscaler.geometry import Size
from small_vaes import kl_vae, uneven
from vae_plans import by_hand

LEVEL = 1 / 127.5
SIZE = Size(160, 128)


@pytest.fixture
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the windows of a sample leave most of a small picture out, and attention has several tiles."""
    for module in (regions_module, schedule_module):
        monkeypatch.setattr(module, "SAMPLE_SIDE", 16)
    monkeypatch.setattr(schedule_module, "ATTENTION_TILE", 12)
    for module in (attention_module, schedule_module):
        monkeypatch.setattr(module, "ATTENTION_OVERLAP", 4)


@pytest.mark.usefixtures("_small_windows")
@pytest.mark.parametrize("keeps", ["aaap", "aapp"])
def test_decoded_from_sampled_statistics(keeps: str) -> None:
    model, z = kl_vae(), uneven(4, 16, 20)
    whole, tree = model.decode(z), recognise(model)
    done = decode(tree, z, plan=by_hand(tree, SIZE, "decode", keeps, working=3_000_000))
    off = float((done.tensor - whole).square().mean().sqrt()) / LEVEL
    assert 0 < off < 6
    # What is said is an estimate from two halves of the sample: of the right size, and not far too low.
    assert done.deviation is not None
    assert off / 4 < done.deviation < 4 * off
    assert len(done.warnings) == 1
    assert "statistics came from a sample" in done.warnings[0]
    assert f"{done.deviation:.2f} of 255 levels" in done.warnings[0]
    assert not done.forecast.exact


@pytest.mark.usefixtures("_small_windows")
def test_no_seam_between_windows_or_tiles() -> None:
    """What it is off by is smooth: no step at the lines between windows that is not in the rest of it."""
    model, z = kl_vae(), uneven(4, 16, 20)
    tree = recognise(model)
    plan = by_hand(tree, SIZE, "decode", "aaap", working=3_000_000, attention="tiles")
    assert plan.schedule is not None
    tile = plan.schedule.steps[-1].tile
    assert tile.width < SIZE.width
    off = decode(tree, z, plan=plan).tensor - model.decode(z)
    steps = off.diff(dim=3).square().mean((0, 1, 2)).sqrt()
    lines = steps[tile.width - 1 :: tile.width]
    assert float(lines.max()) < 1.5 * float(steps.max())
    assert float(lines.mean()) < 1.5 * float(steps.mean())
    assert "tiles of the picture" in " ".join(decode(tree, z, plan=plan).warnings)


@pytest.mark.usefixtures("_small_windows")
def test_encoded_from_sampled_statistics() -> None:
    model, picture = kl_vae(), uneven(3, 128, 160)
    true, tree = model.encode(picture), recognise(model)
    done = encode(tree, picture, plan=by_hand(tree, SIZE, "encode", "aapp", working=3_000_000))
    assert 0 < float((done.tensor - true).square().mean().sqrt()) < 0.1 * float(true.std())
    assert done.deviation is None
    assert 0 < done.spread < 0.2


def test_attention_in_a_single_tile_is_exact() -> None:
    model, z = kl_vae(), uneven(4, 9, 11)
    tree = recognise(model)
    plan = by_hand(tree, Size(88, 72), "decode", "aaaa", attention="tiles")
    assert float((decode(tree, z, plan=plan).tensor - model.decode(z)).abs().max()) < 0.02 * LEVEL


@pytest.mark.parametrize("length", [96, 97, 150, 400])
def test_the_weights_of_tiles_sum_to_one(length: int) -> None:
    total = torch.zeros(length)
    for edge, weight in _spread(length, 96):
        total[edge : edge + 96] += weight
    assert torch.allclose(total, torch.ones(length), atol=1e-6)


@pytest.mark.parametrize("size", [Size(4096, 1024), Size(1536, 2048)])
def test_windows_of_a_sample_lie_apart_and_all_over_the_picture(size: Size) -> None:
    first, second = sample_regions(size)
    assert abs(len(first) - len(second)) <= 1
    seen = torch.zeros((size.height, size.width), dtype=torch.uint8)
    for region in [*first, *second] if first is not second else first:
        assert region.x >= 0
        assert region.y >= 0
        assert region.right <= size.width
        assert region.bottom <= size.height
        seen[region.rows, region.columns] += 1
    assert int(seen.max()) == 1
    for part in seen.chunk(2, 0):
        for quarter in part.chunk(2, 1):
            assert 0.6 < float(quarter.float().mean() / seen.float().mean()) < 1.5


def test_statistics_gathered_in_parts_are_those_of_the_plane() -> None:
    """Also where the mean is large beside the variation."""
    plane = uneven(8, 60, 50, batch=2) * torch.logspace(-2, 2, 8)[None, :, None, None] + 1000
    moments = Moments(4)
    for part in plane.split(7, 2):
        assert moments.add(part)
    found = moments.statistics()
    groups = plane.double().reshape(2, 4, -1)
    assert torch.allclose(found.mean, groups.mean(2), rtol=1e-9)
    assert torch.allclose(found.variance, groups.var(2, correction=0), rtol=1e-4)
    assert not moments.add(torch.full((2, 8, 1, 1), torch.inf))
