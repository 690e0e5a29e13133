"""The precision depends on the model, the device and the libraries alone, and its loss is measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lib_upscaler.errors import Cancelled, RequestError
from lib_upscaler.models.network import UpscaleModel
from lib_upscaler.running import precision
from lib_upscaler.running.engine import PassOptions, run
from lib_upscaler.running.precision import choose, exact_arithmetic, probe_picture
from reference import CPU, levels, load, photo, true_output
from small_networks import NETWORKS, available, compact, rrdb

LARGE = 1 << 20  # px


@pytest.fixture
def _fast_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor where bfloat16 pays."""
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "ACCEPTED_TIME", 1e9)
    monkeypatch.setattr(precision, "ACCEPTED_DB", 0.0)  # the small networks here have random weights


def _probes(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """The precisions whose loss is measured from now on."""
    made, plain = [], precision._measure

    def measure(model: UpscaleModel, device: torch.device, dtype: torch.dtype, *rest: object) -> object:
        made.append(dtype)
        return plain(model, device, dtype, *rest)

    monkeypatch.setattr(precision, "_measure", measure)
    return made


@pytest.fixture
def _own_probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUESCALE_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("_fast_bfloat16", "_own_probes")
def test_auto_measures_once_and_then_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _probes(monkeypatch)
    model = load(compact(), tmp_path)
    first = choose("auto", model, CPU, LARGE)
    again = choose("auto", model, CPU, 2 * LARGE)
    # What is on the disk serves the next process: another load of the same file.
    precision.shared_cache.__globals__["_shared_cache"].cache_clear()
    later = choose("auto", load(compact(), tmp_path), CPU, LARGE)

    assert first.dtype == torch.bfloat16
    assert first == again == later
    assert made == [torch.bfloat16]


@pytest.mark.usefixtures("_fast_bfloat16", "_own_probes")
def test_the_loss_reported_is_the_loss(tmp_path: Path) -> None:
    state = compact(scale=2)
    model = load(state, tmp_path)
    choice = choose("auto", model, CPU, LARGE)
    image = probe_picture(3)
    with torch.inference_mode():
        exact = model._base.descriptor(image.clone()).double()
        small = model.copy_for(CPU, torch.bfloat16).descriptor(image.bfloat16()).double()

    psnr = -10 * np.log10(float(((exact - small) ** 2).mean()))
    assert choice.decibels == pytest.approx(psnr, abs=0.5)


@pytest.mark.usefixtures("_fast_bfloat16", "_own_probes")
def test_auto_is_float32_for_small_pictures_and_for_more_than_8_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _probes(monkeypatch)
    model = load(compact(), tmp_path)

    assert choose("auto", model, CPU, 80 * 80).dtype == torch.float32
    assert choose("auto", model, CPU, LARGE, bits=16).dtype == torch.float32
    assert made == []


@pytest.mark.usefixtures("_fast_bfloat16", "_own_probes")
def test_auto_does_not_take_what_loses_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "ACCEPTED_DB", 98.0)

    assert choose("auto", load(compact(), tmp_path), CPU, LARGE).dtype == torch.float32


@pytest.mark.usefixtures("_own_probes")
def test_auto_does_not_take_what_is_no_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "ACCEPTED_TIME", 0.0)

    assert choose("auto", load(compact(), tmp_path), CPU, LARGE).dtype == torch.float32


# -- what is faster: timed on machines that do other things as well ---------------------------------------------------


def _busy_machine(monkeypatch: pytest.MonkeyPatch, true_share: float, seed: int) -> list[float]:
    """Pairs of runs as they were seen on two busy cores: any one of them may be off by a factor of three.

    Returns the shares that were taken.
    """
    random, taken = np.random.default_rng(seed), []

    def pairs(*_: object) -> Iterator[float]:
        for noise in random.lognormal(0, 0.45, 24):
            taken.append(float(true_share * noise))
            yield taken[-1]

    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "ACCEPTED_DB", 0.0)
    monkeypatch.setattr(precision, "_timed_pairs", pairs)
    return taken


@pytest.mark.parametrize(("true_share", "verdict"), [(0.4, torch.bfloat16), (1.6, torch.float32)])
def test_eight_fresh_caches_on_a_busy_machine_give_one_verdict(
    true_share: float, verdict: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(compact(), tmp_path)
    found = []
    for number in range(8):
        monkeypatch.setenv("TRUESCALE_CACHE", str(tmp_path / f"cache {number}"))
        _busy_machine(monkeypatch, true_share, seed=number)
        found.append(choose("auto", model, CPU, LARGE).dtype)

    assert found == [verdict] * 8


@pytest.mark.usefixtures("_own_probes")
def test_what_stays_unclear_is_float32_and_asked_again_another_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "ACCEPTED_DB", 0.0)
    model = load(compact(), tmp_path)
    monkeypatch.setattr(precision, "_timed_pairs", lambda *_: iter([0.5, 2.0] * 12))
    monkeypatch.setattr(precision, "_today", lambda: "a day")
    assert choose("auto", model, CPU, LARGE).dtype == torch.float32

    monkeypatch.setattr(precision, "_timed_pairs", lambda *_: iter([0.5] * 12))
    assert choose("auto", model, CPU, LARGE).dtype == torch.float32  # the answer of a day is one answer
    monkeypatch.setattr(precision, "_today", lambda: "the next day")
    assert choose("auto", model, CPU, LARGE).dtype == torch.bfloat16

    monkeypatch.setattr(precision, "_timed_pairs", lambda *_: iter([2.0] * 12))
    monkeypatch.setattr(precision, "_today", lambda: "a year later")
    assert choose("auto", model, CPU, LARGE).dtype == torch.bfloat16  # a firm one is kept


@pytest.mark.usefixtures("_own_probes")
def test_no_more_runs_than_the_verdict_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = _busy_machine(monkeypatch, 0.1, seed=1)
    choose("auto", load(compact(), tmp_path), CPU, LARGE)

    assert len(taken) == 5


@pytest.mark.usefixtures("_own_probes")
def test_the_runs_that_are_timed_are_warm_alternate_and_end_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ran = load(compact(), tmp_path), []
    plain = model.copy_for

    def copy_for(device: torch.device, dtype: torch.dtype) -> object:
        ran.append(dtype)
        return plain(device, dtype)

    monkeypatch.setattr(model, "copy_for", copy_for)
    monkeypatch.setattr(precision, "_TIMED_SECONDS", 1.0)
    shares = list(precision._timed_pairs(model, CPU, lambda: None))

    assert shares
    assert all(share > 0 for share in shares)
    # One of each before the first pair; the last pair was cut off by the time.
    assert ran[: 2 * len(shares) + 2] == [torch.float32, torch.bfloat16] * (len(shares) + 1)
    assert len(ran) - (2 * len(shares) + 2) in (1, 2)


@pytest.mark.usefixtures("_fast_bfloat16", "_own_probes")
def test_a_network_too_slow_to_probe_is_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "PROBE_SECONDS", -1.0)
    model = load(compact(), tmp_path)

    assert choose("auto", model, CPU, LARGE).dtype == torch.float32


@pytest.mark.usefixtures("_fast_bfloat16", "_own_probes")
def test_a_cancel_is_heard_while_probing(tmp_path: Path) -> None:
    class Now:
        def advance(self, fraction: float, note: str = "") -> None:
            pass

        def cancelled(self) -> bool:
            return True

    with pytest.raises(Cancelled):
        run(load(compact(), tmp_path), photo(200, 200), CPU, PassOptions("auto"), Now())


@pytest.mark.usefixtures("_fast_bfloat16", "_own_probes")
def test_the_picture_is_the_same_before_and_after_the_probe_is_known(tmp_path: Path) -> None:
    model, picture = load(compact(), tmp_path), photo(130, 120)
    first = run(model, picture, CPU, PassOptions("auto"))
    second = run(model, picture, CPU, PassOptions("auto"))

    assert first.precision == second.precision
    assert np.array_equal(first.pixels, second.pixels)


def test_bfloat16_on_request(tmp_path: Path) -> None:
    state, picture = rrdb(blocks=1), photo(60, 50)
    result = run(load(state, tmp_path), picture, CPU, PassOptions("bf16"))
    true = true_output(state, picture)

    assert result.precision.word == "bfloat16"
    off = np.abs(result.pixels - true)
    assert off.max() > 0.6  # it is not float32
    assert 10 * np.log10(255**2 / np.square(off).mean()) > 35


@pytest.mark.parametrize("name", sorted({"SwinIR-x2", "DRCT-x4", "ATD-x2", "MoSR-x4-dysample"} & available().keys()))
@pytest.mark.parametrize("size", [(40, 30), (130, 100)])
def test_networks_that_only_claim_to_work_in_bfloat16(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    state, picture = NETWORKS[name].build(), photo(*size)
    try:
        result = run(load(state, tmp_path), picture, CPU, PassOptions("bf16"))
    except RequestError:
        return  # refused in words

    if result.precision.word == "float32":
        assert any("bfloat16" in warning for warning in result.warnings)
        assert np.abs(result.pixels.astype(int) - levels(true_output(state, picture))).max() <= 1


def test_float16_on_the_cpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="fp16"):
        choose("fp16", load(compact(), tmp_path), CPU, LARGE)


@pytest.mark.parametrize("name", sorted({"AuraSR-x4"} & available().keys()))
def test_a_precision_that_the_architecture_lacks_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"AuraSR.*do not work"):
        choose("bf16", load(NETWORKS[name].build(), tmp_path), CPU, LARGE)


def test_an_unknown_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="int8"):
        choose("int8", load(compact(), tmp_path), CPU, LARGE)


def test_exact_is_float32(tmp_path: Path) -> None:
    assert choose("exact", load(compact(), tmp_path), CPU, LARGE).dtype == torch.float32


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_probe_picture_is_fixed_and_in_range(channels: int) -> None:
    picture = probe_picture(channels)

    assert picture.shape == (1, channels, 24, 24)
    assert probe_picture(channels, 48).shape == (1, channels, 48, 48)
    assert torch.equal(picture, probe_picture(channels))
    assert 0 <= float(picture.min()) < float(picture.max()) <= 1
    assert float(picture[:, 0].std()) > 0.1


def test_exact_arithmetic_is_put_back_after_an_error() -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    try:
        matmul.allow_tf32 = True
        with pytest.raises(KeyError, match="False"), exact_arithmetic():
            raise KeyError(matmul.allow_tf32)
        assert matmul.allow_tf32 is True
    finally:
        matmul.allow_tf32 = before
