"""Before anything runs: which way a picture takes, what it costs, and why."""

from __future__ import annotations

import pytest
import torch

from lib_upscaler.diffusion.vae import Means, VaeTree, forecast, forecasts, recognise
from lib_upscaler.errors import MemoryLimitError, RequestError
from lib_upscaler.geometry import Size
from small_vaes import kl_vae, vq_vae
from vae_plans import on_meta

CUDA = torch.device("cuda")
GB = 10**9


@pytest.fixture(autouse=True)
def _as_much_memory_as_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecasts, "memory_budget", lambda device, limit: limit)


@pytest.fixture(scope="module")
def full() -> VaeTree:
    return recognise(on_meta(lambda: kl_vae(128)))


def means(gigabytes: float, host: float = 0.0, device: torch.device = CUDA) -> Means:
    return Means(device, torch.bfloat16, memory=int(gigabytes * GB), host_memory=int(host * GB))


def test_whole_where_it_fits(full: VaeTree) -> None:
    plan = forecast(full, Size(1024, 1024), "decode", "auto", means(24))
    assert (plan.strategy, plan.exact, plan.work_factor) == ("whole", True, 1.0)
    assert "fits" in plan.reason


def test_exact_where_the_whole_does_not_fit(full: VaeTree) -> None:
    plan = forecast(full, Size(2048, 2048), "decode", "auto", means(6))
    assert (plan.strategy, plan.exact) == ("exact", True)
    assert "does not fit" in plan.reason
    assert plan.bytes <= 6 * GB
    # 512 channels attend to 256x256 tokens, twice.
    assert plan.attention_work == 2 * 512 * (256 * 256) ** 2


def test_fast_where_exact_is_too_much(full: VaeTree) -> None:
    """At 8192 px squared attention alone is 2,250 TFLOP."""
    plan = forecast(full, Size(8192, 8192), "decode", "auto", means(40))
    assert (plan.strategy, plan.exact) == ("fast", False)
    assert "2,252 TFLOP" in plan.reason
    assert "4 times is the limit" in plan.reason
    assert plan.work < 1.2 * plan.plain_work


def test_a_limit_of_time(full: VaeTree) -> None:
    hurried = Means(CUDA, torch.bfloat16, 6 * GB, 0, seconds=1, speed=1e12)
    plan = forecast(full, Size(2048, 2048), "decode", "auto", hurried)
    assert plan.strategy == "fast"
    assert "1 s is the limit" in plan.reason


def test_less_memory_costs_work(full: VaeTree) -> None:
    """What is kept is chosen by the limit; the work that it costs at 2048 px squared, float32."""
    size, dtype, limits = Size(2048, 2048), torch.float32, (12, 5.7, 4.2, 3)
    plans = [
        forecast(full, size, "decode", "exact", Means(torch.device("cpu"), dtype, memory=int(limit * GB)))
        for limit in limits
    ]
    assert [plan.bytes <= limit * GB for plan, limit in zip(plans, limits)] == [True] * 4
    factors = [plan.work_factor for plan in plans]
    assert factors == sorted(factors)
    assert factors[0] < 1.1  # nothing twice
    assert factors[1] < 1.3  # a third of the whole's tensors, 17.2 GB
    assert 2 < factors[3] < 3.5  # nothing kept at full resolution


def test_planes_go_to_host_memory_where_the_device_is_too_small(full: VaeTree) -> None:
    plan = forecast(full, Size(4096, 4096), "decode", "exact", means(3, host=40))
    assert plan.store.type == "cpu"
    assert plan.bytes <= 3 * GB
    assert 3 * GB < plan.host_bytes <= 40 * GB


def test_ldsrs_picture_of_4096(full: VaeTree) -> None:
    tree = recognise(on_meta(lambda: vq_vae(128, entries=8192)))
    plan = forecast(tree, Size(4096, 4096), "decode", "auto", means(10))
    assert plan.strategy == "fast"
    assert "2,252 TFLOP" in plan.reason


def test_what_fits_no_way_says_so(full: VaeTree) -> None:
    for mode in ("exact", "fast"):
        with pytest.raises(MemoryLimitError, match="4096x4096"):
            forecast(full, Size(4096, 4096), "decode", mode, means(0.2))  # type: ignore[arg-type]


def test_what_makes_no_sense_is_refused(full: VaeTree) -> None:
    with pytest.raises(RequestError, match="too small"):
        forecast(full, Size(7, 64), "encode")
    with pytest.raises(RequestError, match="Choose auto"):
        forecast(full, Size(64, 64), "encode", "best")  # type: ignore[arg-type]
