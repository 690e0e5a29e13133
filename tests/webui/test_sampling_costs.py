"""What a redraw will take, before it runs and below its picture: the network's memory, and time once it is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fake_host.forge import become_forge
from fake_host.running import FakeHost
from lib_upscaler.fields import fields_of
from networks import picture
from sd_upscaling import img2img, run, script_of

SOURCE = {"width": 640, "height": 480, "target_width": 640, "target_height": 480, "steps": 20, "strength": 0.5}
CANVAS = {"upscaler_1": "None", "engine": "One canvas", "scale": 1.0, "tile_width": 256, "tile_height": 256}
TILES = {**CANVAS, "engine": "Tiles", "overlap": 32}


def _plan(host: FakeHost, values: dict[str, Any], **found: Any) -> str:
    names = [field.name for field in fields_of("sd")]
    given = {**dict(zip(names, [one.value for one in script_of(host).controls])), **values}
    return host.ours("places.sd_upscale.panel")._plan_html({**SOURCE, **found}, given)


def _run(host: FakeHost, values: dict[str, Any], **given: Any) -> Any:
    p = img2img(host, picture(320, 256), width=320, height=256, **given)
    return run(host, p, **{**values, "color_lock": 0.0})


def _gigabytes(rows: int, px: int, per_px: float) -> str:
    size = rows * px * per_px * 2**20 / 1e9
    return f"{size:.2f}" if size < 1 else f"{size:.1f}"


# -- memory ------------------------------------------------------------------------------------------------------------


def test_memory_for_a_batch_of_tiles_and_for_the_whole(host: FakeHost) -> None:
    """Attention is in slices, as the host's is by default: 0.15 MiB for each px, prompt and negative prompt."""
    plan = _plan(host, CANVAS)
    assert f"<span>memory of the network in GB</span>: {_gigabytes(2, 32 * 32, 0.15)}" in plan
    assert f"<span>as a whole</span>: {_gigabytes(2, 80 * 60, 0.15)}" in plan
    assert f"GB</span>: {_gigabytes(4, 32 * 32, 0.15)}" in _plan(host, {**TILES, "batch": 2})
    assert "as a whole" not in _plan(host, {**CANVAS, "tile_width": 640, "tile_height": 640})


@pytest.mark.parametrize(
    ("kind", "factor", "dtype", "itemsize"),
    [("is_sd1", 1.0, torch.float16, 2), ("is_sdxl", 0.8, torch.bfloat16, 2), ("is_sd2", 1.0, torch.float32, 4)],
)
def test_memory_by_checkpoint_and_precision(
    kind: str, factor: float, dtype: torch.dtype, itemsize: int, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PyTorch's attention: 0.01 MiB for each px and byte."""
    monkeypatch.setattr(host.module("sd_hijack").model_hijack, "optimization_method", "sdp-no-mem")
    monkeypatch.setattr(host.module("devices"), "dtype_unet", dtype)
    host.module("sd_models").model_data.sd_model = SimpleNamespace(**{kind: True})
    assert f"GB</span>: {_gigabytes(2, 32 * 32, 0.01 * itemsize * factor)}" in _plan(host, CANVAS)


def test_memory_in_forge(host: FakeHost) -> None:
    """Where attention is PyTorch's own, and the precision the network's."""
    checkpoint, _ = become_forge(host, lambda latent, sigma, **told: latent)
    checkpoint.forge_objects.unet.model.computation_dtype = torch.float32
    assert f"GB</span>: {_gigabytes(2, 32 * 32, 0.04)}" in _plan(host, CANVAS)


def test_it_is_told_below_the_picture_too(host: FakeHost) -> None:
    tile, whole = _gigabytes(2, 32 * 32, 0.15), _gigabytes(2, 40 * 32, 0.15)
    assert f" · memory of the network in GB: {tile} · as a whole: {whole}" in _run(host, CANVAS).comments


# -- time --------------------------------------------------------------------------------------------------------------


def test_time_is_told_once_it_is_known(host: FakeHost) -> None:
    """20 steps at half strength are 11. 100 px a second: the tiles that have been sampled tell the canvas's time."""
    for values in (CANVAS, TILES):
        assert "<span>time</span>" not in _plan(host, values)
    speed = host.ours("sampling.speed")
    speed.note(px=500, steps=10, seconds=50)
    tiles = 3 * 2 * 32 * 32
    assert f"<span>time</span> ≈ {tiles * 11 / 100 / 60:.0f} <span>minutes</span>" in _plan(host, TILES)
    words = f"{host.ours('places.sd_upscale.one_canvas').canvas_forecast(*_sizes()).work * 80 * 60 * 11 / 100 / 60:.0f}"
    assert f"<span>time</span> ≈ {words} <span>minutes</span>" in _plan(host, CANVAS)
    assert "<span>time</span>" not in _plan(host, CANVAS, steps=None)  # of an older page


def _sizes() -> tuple[Any, ...]:
    from lib_upscaler.geometry import Size

    return Size(640, 480), Size(256, 256), 1


@pytest.mark.parametrize("values", [CANVAS, TILES])
def test_each_run_tells_the_next_ones_time(values: dict[str, Any], host: FakeHost) -> None:
    host.state.sampling_steps = 2
    _run(host, values)
    assert "<span>time</span> &lt; 1 s" in _plan(host, values, steps=1)


def test_what_was_interrupted_tells_nothing(host: FakeHost) -> None:
    host.state.sampling_steps = 2
    model = SimpleNamespace(is_sd1=True)
    model.apply_model = lambda latent, sigma, cond: (host.state.interrupt(), latent)[1]
    host.module("sd_models").model_data.sd_model = model
    _run(host, CANVAS)
    assert "<span>time</span>" not in _plan(host, CANVAS)


def test_the_median_of_the_last_five_of_each_checkpoint(host: FakeHost) -> None:
    speed = host.ours("sampling.speed")
    for seconds in (1000, 1000, 4, 5, 2, 6, 900):
        speed.note(px=10, steps=1, seconds=seconds, checkpoint="base")
    speed.note(px=10, steps=1, seconds=1, checkpoint="other")
    host.opts.data["sd_model_checkpoint"] = "base"
    assert speed.seconds_for(20, 3) == pytest.approx(5 * 6)
    host.opts.data["sd_model_checkpoint"] = "third"
    assert speed.seconds_for(20, 3) is None


@pytest.mark.parametrize(
    ("steps", "strength", "exactly", "expected"),
    [(20, 0.5, False, 11), (20, 1.0, False, 20), (20, 0.0, False, 1), (20, 0.5, True, 20), (0, 0.5, False, 0)],
)
def test_steps_as_the_host_counts_them(
    steps: int, strength: float, exactly: bool, expected: int, host: FakeHost
) -> None:
    host.opts.data["img2img_fix_steps"] = exactly
    steps_of = host.ours("places.sampling_costs").steps_of
    assert steps_of({"steps": steps, "strength": strength}) == expected
    assert steps_of({"strength": strength}) == steps_of({"steps": "many", "strength": 1}) == 0
