"""One pass of a network on the whole picture: the float32 network's numbers, and progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine_runs import EXACT, Recorder, off
from lib_upscaler.errors import BrokenModelError, Cancelled
from lib_upscaler.running import engine
from lib_upscaler.running.engine import PassOptions, run
from lib_upscaler.running.precision import ChosenPrecision
from reference import CPU, levels, load, photo, true_output
from small_networks import compact, rrdb

# -- whole -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [compact(), rrdb(), rrdb(scale=2, shuffle=2)], ids=["compact", "rrdb", "unshuffle"])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 90), (90, 1), (45, 37)])
def test_whole(state: dict[str, torch.Tensor], size: tuple[int, int], tmp_path: Path) -> None:
    picture = photo(*size)
    result = run(load(state, tmp_path), picture, CPU, EXACT)

    assert off(result, true_output(state, picture)) <= 1
    assert (result.tiles, result.margin, result.seam_error) == (1, 0, 0.0)
    assert result.strategy.startswith("whole")


def test_sixteen_bits_hold_what_the_network_gave(tmp_path: Path) -> None:
    state, picture = compact(), photo(20, 20)
    result = run(load(state, tmp_path), picture, CPU, EXACT, bits=16)

    assert result.pixels.dtype == np.uint16
    assert np.abs(result.pixels - true_output(state, picture) * 257).max() < 1.5


def test_sixteen_bits_in(tmp_path: Path) -> None:
    state, picture = compact(), photo(20, 20)
    model = load(state, tmp_path)

    wide = run(model, picture.astype(np.uint16) * 257, CPU, EXACT).pixels
    assert np.array_equal(wide, run(model, picture, CPU, EXACT).pixels)


@pytest.mark.parametrize("network", [1, 3, 4])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_network_takes_any_picture(network: int, channels: int, tmp_path: Path) -> None:
    state, picture = compact(scale=2, channels=network), photo(17, 13, channels)
    result = run(load(state, tmp_path), picture, CPU, EXACT)

    if network == 1:
        planes = [true_output(state, picture[..., c : c + 1]) for c in range(channels)]
        true = np.concatenate(planes, axis=2)
    elif channels == 1:
        fed = np.concatenate([picture] * 3 + [np.full_like(picture, 255)], axis=2)[..., :network]
        true = (true_output(state, fed)[..., :3] * (0.299, 0.587, 0.114)).sum(axis=2, keepdims=True)
    else:
        opaque = np.full((13, 17, 1), 255, np.uint8)
        fed = np.concatenate([picture, opaque], axis=2)[..., :network]
        true = np.concatenate([true_output(state, fed), np.full((26, 34, 1), 255.0)], axis=2)[..., :channels]
    assert result.pixels.shape == (26, 34, channels)
    assert off(result, true) <= 1


# -- finite ----------------------------------------------------------------------------------------------------------


def test_what_is_not_finite_in_a_small_precision_runs_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, picture = compact(scale=2), photo(60, 40)
    model = load(state, tmp_path)
    monkeypatch.setattr(engine, "choose", lambda *_, **__: ChosenPrecision(torch.bfloat16, 50.0))
    small = model.copy_for(CPU, torch.bfloat16)
    calls = []

    def overflow(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        calls.append(output.shape)
        return output.fill_(float("inf")) if len(calls) == 1 else output

    small.descriptor.model.body[2].register_forward_hook(overflow)
    result = run(model, picture, CPU, PassOptions("bf16", 32))

    true = true_output(state, picture)
    assert len(calls) == result.tiles == 4
    # The first tile, rows 0 to 20 and columns 0 to 30, is the float32 network's; the others are near.
    assert np.abs(result.pixels[:38, :58].astype(int) - levels(true)[:38, :58]).max() <= 1
    assert np.abs(result.pixels - true).max() < 12
    assert any("float32" in warning for warning in result.warnings)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("state", [compact(), rrdb(blocks=1)], ids=["compact", "rrdb"])
def test_a_network_that_gives_no_numbers_is_named(state: dict[str, torch.Tensor], bad: float, tmp_path: Path) -> None:
    model = load(state, tmp_path, "broken one")
    layers = [m for m in model._base.descriptor.model.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.no_grad():
        layers[-1].bias[0] = bad

    with pytest.raises(BrokenModelError, match="broken one"):
        run(model, photo(30, 30), CPU, EXACT)


def test_output_far_out_of_range_is_clipped(tmp_path: Path) -> None:
    state = compact(scale=1)
    last = max((k for k in state if k.endswith(".bias")), key=lambda k: int(k.split(".")[1]))
    state[last] = torch.tensor([1e30, -1e30, 0.0])
    picture = photo(30, 30)
    result = run(load(state, tmp_path), picture, CPU, EXACT)

    assert (result.pixels[..., 0] == 255).all()
    assert (result.pixels[..., 1] == 0).all()


# -- progress and cancel ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tile", ["auto", 24])
@pytest.mark.parametrize("state", [compact(), rrdb(blocks=1)], ids=["compact", "rrdb"])
def test_progress_rises_to_one(state: dict[str, torch.Tensor], tile: int | str, tmp_path: Path) -> None:
    recorder = Recorder()
    result = run(load(state, tmp_path), photo(70, 60), CPU, PassOptions("exact", tile), recorder)

    assert recorder.fractions == sorted(recorder.fractions)
    assert min(recorder.fractions) > 0
    assert 0.9 <= max(recorder.fractions) <= 1
    # Heard between the layers, not only between tiles.
    assert len(recorder.fractions) > 5 * result.tiles
    # Steps in proportion to the work: none is more than half of the job.
    assert np.diff([0, *recorder.fractions]).max() < 0.5
    expected = {f"tile {n} of {result.tiles}" for n in range(1, result.tiles + 1)} if tile != "auto" else {""}
    assert set(recorder.notes) == expected


@pytest.mark.parametrize("tile", ["auto", 24])
def test_cancel(tile: int | str, tmp_path: Path) -> None:
    model = load(compact(layers=16), tmp_path)
    recorder = Recorder(cancel_at=3)
    with pytest.raises(Cancelled):
        run(model, photo(70, 60), CPU, PassOptions("exact", tile), recorder)

    assert len(recorder.fractions) == 3


def test_cancel_before_the_start_runs_nothing(tmp_path: Path) -> None:
    model = load(compact(), tmp_path)
    recorder = Recorder(cancel_at=0)
    with pytest.raises(Cancelled):
        run(model, photo(300, 300), CPU, EXACT, recorder)

    assert recorder.fractions == []
