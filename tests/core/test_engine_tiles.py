"""A picture in bands and in tiles: the untiled float32 network's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine_runs import EXACT, HERE, assert_unpatched, off
from lib_upscaler.geometry import Size
from lib_upscaler.models.facts import BandPlan
from lib_upscaler.planning import budget as strategy
from lib_upscaler.planning.budget import Limits, bands_for, region_bytes
from lib_upscaler.running import seams
from lib_upscaler.running.engine import PassOptions, run
from reference import CPU, load, photo, true_output
from small_networks import NETWORKS, compact, rrdb

# -- bands -----------------------------------------------------------------------------------------------------------


SAME_NETWORK = {"ESRGAN-x4-new", "ESRGAN-x4-middle"}
"""As ESRGAN-x4: only the names of their weights differ."""
BANDABLE = [
    n
    for n in HERE
    if n.startswith(("ESRGAN", "Compact-x4", "MoSR", "SPAN", "PLKSR-x4", "SwiftSRGAN")) and n not in SAME_NETWORK
] + [n for n in ("SwinIR-x4-real", "DRCT-x4", "RCAN-x2", "RealCUGAN-x2", "SRFormer-x4", "DRUNet") if n in HERE]


@pytest.mark.parametrize("name", BANDABLE)
def test_narrow_bands_give_the_numbers_of_the_whole(name: str, tmp_path: Path) -> None:
    model = load(NETWORKS[name].build(), tmp_path)
    channels = model.card.input_channels
    image = torch.from_numpy(photo(24, 40, channels).astype(np.float32) / 255).permute(2, 0, 1)[None]
    copy = model.copy_for(CPU, torch.float32)

    def output(bands: BandPlan) -> torch.Tensor:
        rows: list[tuple[int, torch.Tensor]] = []
        copy.run(image, bands, lambda y, top: rows.append((top, y.clone())), lambda _: None)
        assert [top for top, _ in rows] == np.cumsum([0, *(y.shape[2] for _, y in rows)])[:-1].tolist()
        return torch.cat([y for _, y in rows], dim=2)

    whole = output(BandPlan())
    assert whole.shape[2:] == (40 * model.scale, 24 * model.scale)
    for bands in (BandPlan(7, 5), BandPlan(16, 4), BandPlan(None, 1), BandPlan(3, None)):
        banded = output(bands)
        assert banded.shape == whole.shape
        assert float((banded - whole).abs().max()) < 1e-5, bands
    assert_unpatched(model)


def test_a_small_budget_makes_bands(tmp_path: Path) -> None:
    state, picture = rrdb(), photo(150, 150)
    model = load(state, tmp_path)
    # Enough for the trunk, too little for the plain pass.
    facts = model.facts
    whole = region_bytes(facts, Size(150, 150), BandPlan(), 4)
    banded = region_bytes(facts, Size(150, 150), BandPlan(16, 4), 4)
    assert banded < whole
    kept = picture.nbytes + 600 * 600 * 3
    result = run(model, picture, CPU, PassOptions("exact", memory=(whole + banded) // 2 + kept))

    assert result.strategy == "whole, in bands"
    assert result.tiles == 1
    assert off(result, true_output(state, picture)) <= 1


# -- tiles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tile", [16, 24, 40, 64])
@pytest.mark.parametrize("state", [compact(), rrdb(blocks=1), rrdb(scale=2, shuffle=2, blocks=1)])
def test_tiles_give_the_true_output(state: dict[str, torch.Tensor], tile: int, tmp_path: Path) -> None:
    picture = photo(90, 70)
    result = run(load(state, tmp_path), picture, CPU, PassOptions("exact", tile))

    assert off(result, true_output(state, picture)) <= 1
    assert result.strategy == "tiles"
    # Equal tiles of at most that side.
    assert result.tiles == -(-90 // tile) * -(-70 // tile)
    assert result.seam_error <= 0.5
    assert result.warnings == []


@pytest.mark.parametrize("size", [(300, 1), (1, 300), (300, 3)])
def test_strips_in_tiles(size: tuple[int, int], tmp_path: Path) -> None:
    state, picture = compact(scale=2), photo(*size)
    result = run(load(state, tmp_path), picture, CPU, PassOptions("exact", 32))

    assert result.tiles == 10
    assert off(result, true_output(state, picture)) <= 1


def test_the_seam_error_is_the_true_deviation_beside_the_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategy, "KNOWN_MARGIN", 2)
    monkeypatch.setattr(seams, "ACCEPTED_SEAM", 1e9)
    state, picture = compact(scale=2, layers=8), photo(64, 48)
    result = run(load(state, tmp_path), picture, CPU, PassOptions("exact", 32))

    assert result.margin == 2
    deviation = np.abs(result.pixels.astype(float) - true_output(state, picture))
    # Cuts at column 32 and row 24 of the input.
    line = max(deviation[:, 62:66].max(), deviation[46:50].max())
    assert line > 3
    assert line / 3 < result.seam_error < line * 3


def test_the_margin_is_widened_until_the_seams_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategy, "KNOWN_MARGIN", 4)
    state, picture = rrdb(blocks=2), photo(96, 80)
    result = run(load(state, tmp_path), picture, CPU, PassOptions("exact", 32))

    assert result.margin > 4
    assert result.seam_error <= 0.5
    assert off(result, true_output(state, picture)) <= 1
    assert result.tiles == 9


def test_context_that_memory_forbids_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategy, "KNOWN_MARGIN", 4)
    state, picture = rrdb(blocks=2), photo(96, 80)
    model = load(state, tmp_path)
    need = region_bytes(model.facts, Size(40, 40), bands_for(model.facts, Size(40, 40), Limits(10**9, 4)), 4)
    kept = picture.nbytes + 384 * 320 * 3
    result = run(model, picture, CPU, PassOptions("exact", 32, memory=need + kept))

    assert result.seam_error > 0.5
    assert any("context" in warning for warning in result.warnings)


def test_batches_give_the_same_picture(tmp_path: Path) -> None:
    model, picture = load(compact(), tmp_path), photo(130, 100)
    one = run(model, picture, CPU, PassOptions("exact", 32, batch=1))
    four = run(model, picture, CPU, PassOptions("exact", 32, batch=4))

    assert (one.tiles, one.margin) == (four.tiles, four.margin)
    assert np.abs(one.pixels.astype(int) - four.pixels).max() <= 1


@pytest.mark.parametrize("name", sorted({"DRUNet", "DRUNet-grey", "SeemoRe-x2"} & HERE.keys()))
def test_networks_that_take_one_picture_at_a_time(name: str, tmp_path: Path) -> None:
    model, picture = load(NETWORKS[name].build(), tmp_path), photo(112, 64)
    one = run(model, picture, CPU, PassOptions("exact", 48, batch=1))
    four = run(model, picture, CPU, PassOptions("exact", 48, batch=4))

    assert one.precision.word == four.precision.word == "float32"
    assert np.abs(one.pixels.astype(int) - four.pixels).max() <= 1
    assert one.warnings == four.warnings


def test_a_network_with_global_context_says_that_tiles_change_its_result(tmp_path: Path) -> None:
    model, picture = load(NETWORKS["RealCUGAN-x2"].build(), tmp_path), photo(150, 140)
    whole = run(model, picture, CPU, EXACT)
    tiles = run(model, picture, CPU, PassOptions("exact", 80))

    assert (whole.tiles, whole.warnings) == (1, [])
    assert tiles.tiles == 4
    assert tiles.seam_error > 0 or np.array_equal(whole.pixels, tiles.pixels)
    if tiles.seam_error > 0.5:
        assert any("whole picture" in warning for warning in tiles.warnings)


@pytest.mark.parametrize("name", sorted({"Uformer"} & HERE.keys()))
@pytest.mark.parametrize("tile", ["auto", 64])
def test_networks_that_want_squares(name: str, tile: int | str, tmp_path: Path) -> None:
    state = NETWORKS[name].build()
    picture = photo(150, 30)
    result = run(load(state, tmp_path), picture, CPU, PassOptions("exact", tile))

    assert result.pixels.shape == (30, 150, 3)
    if tile == "auto":
        assert off(result, true_output(state, picture)) <= 1
