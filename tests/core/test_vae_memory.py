"""What the VAE in bands takes: no more than is forecast, and no larger windows for larger pictures."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from lib_upscaler.diffusion.vae import Means, VaeTree, decode, encode, forecast, forecasts, recognise
from lib_upscaler.diffusion.vae.forecasts import Mode
from lib_upscaler.geometry import Size
from live_bytes import LiveBytes
from small_vaes import kl_vae, uneven
from vae_plans import by_hand, on_meta

CPU = torch.device("cpu")
Direction = Literal["encode", "decode"]


@pytest.fixture(scope="module")
def tree() -> VaeTree:
    return recognise(kl_vae())


@pytest.fixture(scope="module")
def full() -> VaeTree:
    """Stable Diffusion's, without numbers."""
    return recognise(on_meta(lambda: kl_vae(128)))


def alive(tree: VaeTree, size: Size, direction: Direction, keeps: str, working: int) -> tuple[int, int, int]:
    """Bytes: the most that was alive; forecast of planes and window together; of the largest window."""
    plan = by_hand(tree, size, direction, keeps, working=working)
    assert plan.schedule is not None
    source = (
        uneven(3, size.height, size.width) if direction == "encode" else uneven(4, size.height // 8, size.width // 8)
    )
    with LiveBytes() as live:
        if direction == "encode":
            encode(tree, source, plan=plan)
        else:
            decode(tree, source, plan=plan, sink=lambda rows, top: None)
    both = [step.planes + step.working for step in plan.schedule.steps]
    return live.peak, max(both), plan.schedule.working


@pytest.mark.parametrize("direction", ["decode", "encode"])
@pytest.mark.parametrize("keeps", ["aaaa", "llll", "ssss"])
def test_no_more_is_alive_than_was_forecast(direction: Direction, keeps: str, tree: VaeTree) -> None:
    peak, forecast_bytes, _ = alive(tree, Size(160, 160), direction, keeps, working=1_500_000)
    assert 0.5 * forecast_bytes < peak < 1.05 * forecast_bytes


def test_windows_do_not_grow_with_the_picture(tree: VaeTree) -> None:
    """Where nothing of the full resolution is kept, a picture twice as tall or wide takes but larger planes of half the
    resolution."""
    for size in (Size(128, 96), Size(128, 192), Size(256, 96)):
        peak, _, window = alive(tree, size, "decode", "aaan", working=1_000_000)
        half = 32 * size.area // 4 * 4
        assert window <= 1_000_000
        assert peak < 1.1 * (1_000_000 + 3 * half)


@pytest.mark.parametrize("direction", ["decode", "encode"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_the_largest_window_is_the_same_from_1024_to_8192_px(
    direction: Direction, dtype: torch.dtype, mode: Mode, full: VaeTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecasts, "memory_budget", lambda device, limit: limit)
    means = Means(CPU, dtype, memory=1 << 50)
    windows = [forecast(full, Size(side, side), direction, mode, means).working for side in (1024, 2048, 4096, 8192)]
    assert max(windows) <= 160_000_000
    assert max(windows) < 1.1 * windows[0]
