"""One pass of a network, whatever memory allows: the untiled numbers, or words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine_runs import EXACT, Recorder, assert_unpatched, off
from lib_upscaler.errors import Cancelled, MemoryLimitError
from lib_upscaler.models.facts import BandPlan
from lib_upscaler.models.network import UpscaleModel
from lib_upscaler.planning import budget as strategy
from lib_upscaler.running.engine import PassOptions, run
from reference import CPU, load, photo, true_output
from small_networks import compact, rrdb


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[tuple[int, int]]]]:
    """Makes every run of more than so many px fail as if memory had run out; returns the sizes that ran."""

    def install(model: UpscaleModel, largest: int, error: Exception) -> list[tuple[int, int]]:
        copy, ran = model._base, []
        plain = copy.run

        def limited(image: torch.Tensor, *rest: Any) -> None:
            if image.shape[0] * image.shape[-1] * image.shape[-2] > largest:
                raise error
            ran.append((image.shape[-1], image.shape[-2]))
            plain(image, *rest)

        monkeypatch.setattr(copy, "run", limited)
        return ran

    return install


OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:83] . DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError(),
]


@pytest.mark.parametrize(
    ("state", "largest", "error"),
    [
        *((compact(layers=2), 80 * 80, error) for error in OUT_OF_MEMORY),
        (rrdb(blocks=1), 110 * 110, OUT_OF_MEMORY[0]),
    ],
    ids=["compact-cuda", "compact-cpu", "compact-python", "rrdb-cuda"],
)
def test_whole_run_that_runs_out_of_memory_goes_on_in_tiles_without_seams(
    state: dict[str, torch.Tensor],
    largest: int,
    error: Exception,
    tmp_path: Path,
    scarce: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(strategy, "OVERHEAD_BYTES", 0)
    picture = photo(160, 120)
    model = load(state, tmp_path)
    ran = scarce(model, largest, error)
    result = run(model, picture, CPU, EXACT)

    assert result.strategy == "tiles"
    assert result.tiles > 1
    assert result.margin > 0
    assert max(w * h for w, h in ran) <= largest
    assert off(result, true_output(state, picture)) <= 1


@pytest.mark.parametrize("state", [compact(layers=4), rrdb(blocks=1)], ids=["compact", "rrdb"])
@pytest.mark.parametrize(("size", "largest"), [((70, 60), 60 * 60), ((64, 64), 60 * 60)])
def test_a_small_picture_that_does_not_fit_whole_is_cut_with_context(
    size: tuple[int, int],
    largest: int,
    state: dict[str, torch.Tensor],
    tmp_path: Path,
    scarce: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where memory that was planned to suffice does not, and no plan would cut the picture."""
    monkeypatch.setattr(strategy, "OVERHEAD_BYTES", 0)
    picture = photo(*size)
    model = load(state, tmp_path)
    scarce(model, largest, MemoryError())
    result = run(model, picture, CPU, EXACT)

    assert result.tiles > 1
    assert result.margin > 0
    assert off(result, true_output(state, picture)) <= 1


def test_finished_tiles_are_not_run_again(tmp_path: Path, scarce: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategy, "OVERHEAD_BYTES", 0)
    state, picture = compact(layers=2), photo(160, 50)
    model = load(state, tmp_path)
    fail = {"next": False}
    copy, plain, ran = model._base, model._base.run, []

    def limited(image: torch.Tensor, *rest: Any) -> None:
        if len(ran) == 2 and not fail["next"]:
            fail["next"] = True
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        ran.append(image.shape[-1] * image.shape[-2])
        plain(image, *rest)

    monkeypatch.setattr(copy, "run", limited)
    result = run(model, picture, CPU, PassOptions("exact", 50))

    assert off(result, true_output(state, picture)) <= 1
    # Four tiles; two were done, the others are halved (perhaps more than once) and never grow.
    assert len(ran) == result.tiles
    assert all(size < ran[0] for size in ran[2:])


def test_memory_that_never_suffices_is_an_error_in_words(tmp_path: Path, scarce: Callable) -> None:
    model = load(compact(layers=2), tmp_path)
    ran = scarce(model, 10, OUT_OF_MEMORY[0])

    with pytest.raises(MemoryLimitError, match="memory"):
        run(model, photo(100, 80), CPU, EXACT)
    assert ran == []


@pytest.mark.parametrize("size", [(35, 18), (400, 18), (2000, 20), (300, 300)])
@pytest.mark.parametrize("memory", [10**5, 3 * 10**7, 4 * 10**7, 6 * 10**7])
def test_little_memory_ends_in_a_picture_or_in_words(size: tuple[int, int], memory: int, tmp_path: Path) -> None:
    model, picture = load(rrdb(blocks=1), tmp_path), photo(*size)
    recorder = Recorder()
    started = time.monotonic()

    class Impatient(Recorder):
        def cancelled(self) -> bool:
            return time.monotonic() - started > 20

    try:
        result = run(model, picture, CPU, PassOptions("exact", memory=memory), Impatient())
    except MemoryLimitError:
        return
    assert result.pixels.shape == (size[1] * 4, size[0] * 4, 3)
    assert recorder.notes == []


def test_a_failure_that_is_not_memory_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(compact(), tmp_path)
    layer = model._base.descriptor.model.body[0]
    monkeypatch.setattr(layer, "forward", lambda _: (_ for _ in ()).throw(RuntimeError("shapes differ")))

    with pytest.raises(RuntimeError, match="shapes differ"):
        run(model, photo(20, 20), CPU, EXACT)


def test_a_failure_in_the_middle_leaves_the_network_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, picture = rrdb(blocks=1), photo(60, 60)
    model = load(state, tmp_path)
    with pytest.raises(Cancelled):
        run(model, picture, CPU, EXACT, Recorder(cancel_at=9))

    assert_unpatched(model)
    assert off(run(model, picture, CPU, EXACT), true_output(state, picture)) <= 1


def test_a_convolution_of_the_trunk_that_runs_in_bands_lets_a_cancel_through(tmp_path: Path) -> None:
    model = load(rrdb(blocks=1), tmp_path)
    last = model.facts.blocks[-1]
    assert last.radius == 1
    heard: list[float] = []
    calls = {"before": 0, "within": 0}
    module = model._base.descriptor.model.get_submodule(last.name)
    module.register_forward_pre_hook(lambda *_: calls.update(before=len(heard)))
    module.register_forward_hook(lambda *_: calls.update(within=len(heard) - calls["before"]))
    picture = torch.rand(1, 3, 40, 20)
    model._base.run(picture, BandPlan(block_rows=8), lambda *_: None, heard.append)
    assert calls["within"] >= 40 / 8
