"""What a pass neither depends on nor changes: other runs, threads, and torch's settings."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine_runs import EXACT, HERE, Recorder, off
from lib_upscaler.errors import Cancelled
from lib_upscaler.running.engine import PassOptions, run
from reference import CPU, levels, load, photo, true_output
from small_networks import NETWORKS, compact, rrdb


def test_what_ran_before_does_not_matter(tmp_path: Path) -> None:
    model, picture = load(rrdb(blocks=1), tmp_path), photo(70, 60)
    first = run(model, picture, CPU, PassOptions("exact", 32)).pixels
    run(model, photo(33, 97, seed=2), CPU, EXACT)
    run(model, photo(20, 20, 1), CPU, PassOptions("bf16"))
    model.release()

    assert np.array_equal(run(model, picture, CPU, PassOptions("exact", 32)).pixels, first)


def test_threads_do_not_matter(tmp_path: Path) -> None:
    model, picture = load(rrdb(blocks=1), tmp_path), photo(70, 60)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(run(model, picture, CPU, EXACT, bits=16).pixels.astype(float) / 65535)
    finally:
        torch.set_num_threads(before)

    assert np.abs(results[0] - results[1]).max() < 2e-5


def test_two_callers_at_once(tmp_path: Path) -> None:
    state = rrdb(blocks=1)
    model = load(state, tmp_path)
    pictures = [photo(50 + 7 * n, 40 + 11 * n, seed=n) for n in range(4)]
    expected = [levels(true_output(state, picture)).astype(int) for picture in pictures]
    worst, errors = [0] * 4, []

    def work(n: int) -> None:
        try:
            for _ in range(3):
                result = run(model, pictures[n], CPU, PassOptions("exact", (32, "auto")[n % 2]))
                worst[n] = max(worst[n], int(np.abs(result.pixels - expected[n]).max()))
        except Exception as error:  # noqa: BLE001 - a thread's failure must reach the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert errors == []
    assert max(worst) <= 1


def test_settings_of_torch_are_left_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(7)
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    flags = matmul.allow_tf32, cudnn.allow_tf32
    try:
        for wanted in (True, False):
            matmul.allow_tf32 = cudnn.allow_tf32 = wanted
            state = torch.get_num_threads(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()
            random = torch.random.get_rng_state()
            model = load(NETWORKS["Compact-x2"].build(), tmp_path)
            run(model, photo(40, 40), CPU, PassOptions("exact", 24))
            with pytest.raises(Cancelled):
                run(model, photo(40, 40), CPU, EXACT, Recorder(cancel_at=1))
            assert (matmul.allow_tf32, cudnn.allow_tf32) == (wanted, wanted)
            assert (torch.get_num_threads(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == state
            assert torch.equal(torch.random.get_rng_state(), random)
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = flags


def test_random_generators_of_other_devices_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, seeded = load(compact(), tmp_path), []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    run(model, photo(20, 20), CPU, EXACT)

    assert seeded == []


@pytest.mark.parametrize("name", sorted({"AuraSR-x4"} & HERE.keys()))
def test_a_network_that_draws_random_numbers_gives_the_same_picture_twice(name: str, tmp_path: Path) -> None:
    model, picture = load(NETWORKS[name].build(), tmp_path), photo(24, 24)
    torch.manual_seed(1)
    first = run(model, picture, CPU, EXACT).pixels
    torch.manual_seed(2)

    assert np.array_equal(run(model, picture, CPU, EXACT).pixels, first)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_inside_any_mode_of_the_caller(mode: Callable, tmp_path: Path) -> None:
    state, picture = compact(), photo(30, 30)
    with mode():
        model = load(state, tmp_path)
        first = run(model, picture, CPU, EXACT)
        run(model, picture, CPU, PassOptions("bf16"))
    second = run(model, picture, CPU, EXACT)

    assert off(first, true_output(state, picture)) <= 1
    assert np.array_equal(first.pixels, second.pixels)
