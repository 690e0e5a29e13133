"""Whatever fails in the middle of a run, at whichever tile: the same result, or words and no file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lib_upscaler.batch.picture import BatchOptions
from lib_upscaler.batch.run import run_batch
from lib_upscaler.batch.stopping import StopRequest
from lib_upscaler.batch.task import Task
from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.models.network import NonFiniteOutput
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.planning.sizing import ByScale
from lib_upscaler.request import UpscaleRequest
from reference import photo
from small_networks import compact, save_pth
from test_batch import Notes

Fault = Callable[[Callable, tuple], None]


class _Listener(Notes):
    def advanced(self, fraction: float, note: str) -> None:
        pass


@pytest.fixture
def upscaler(tmp_path: Path) -> Upscaler:
    (tmp_path / "models").mkdir()
    save_pth(compact(scale=2, layers=2), tmp_path / "models" / "net.pth")
    Image.fromarray(photo(120, 90)).save(tmp_path / "in.png")
    return Upscaler(ModelLibrary([tmp_path / "models"]), "cpu")


def done(upscaler: Upscaler, folder: Path, name: str) -> tuple[np.ndarray | None, Notes]:
    """The pixels of the file that is written, None where there is none; and what was told."""
    request = UpscaleRequest("net", ByScale(2), precision="exact", tile=48)
    notes, task = _Listener(), Task(folder / "in.png", folder / name / "out.png")
    run_batch(upscaler, request, [task], notes, BatchOptions(), StopRequest())
    written = [path for path in (folder / name).rglob("*")] if (folder / name).exists() else []
    assert written in ([], [task.output]), "no other file, hidden ones included"
    return (np.asarray(Image.open(task.output)) if written else None), notes


@pytest.fixture
def failing(upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Fault, bool], list[int]]:
    """Lets the network fail in its ``k``-th call (and, where ``on``, in all later ones); the calls are counted."""
    model = upscaler.load(UpscaleRequest("net", ByScale(2)))["net"][0]
    plain = model._base.run  # type: ignore[union-attr]

    def install(number: int, fault: Fault, on: bool = False) -> list[int]:
        calls: list[int] = []

        def run(*given: Any) -> None:
            calls.append(len(calls))
            if calls[-1] == number or (on and calls[-1] > number):
                fault(plain, given)
            else:
                plain(*given)

        monkeypatch.setattr(model._base, "run", run)  # type: ignore[union-attr]
        return calls

    return install


def _raising(error: BaseException) -> Fault:
    def fault(plain: Callable, given: tuple) -> None:
        raise error

    return fault


def _half_done(error: BaseException) -> Fault:
    """Rows are in the canvas already when it fails."""

    def fault(plain: Callable, given: tuple) -> None:
        image, bands, sink, on_work = given
        plain(image, bands, lambda rows, top: sink(torch.zeros_like(rows), top), on_work)
        raise error

    return fault


MEMORY = {
    "cuda": torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:83] . DefaultCPUAllocator: can't allocate memory: you tried"),
    "python": MemoryError(),
}


def tiles(count: int, kind: str) -> list[int]:
    """Every one for one kind of error; the first, one in the middle and the last for the others."""
    return list(range(count)) if kind == "cuda" else [0, count // 2, count - 1]


@pytest.mark.parametrize("make", [_raising, _half_done])
@pytest.mark.parametrize("kind", MEMORY)
def test_memory_that_runs_out_at_any_tile_changes_nothing(
    tmp_path: Path, upscaler: Upscaler, failing: Callable, kind: str, make: Callable[[BaseException], Fault]
) -> None:
    calls = failing(-1, make(MEMORY[kind]))
    true, _ = done(upscaler, tmp_path, "true")
    assert true is not None
    assert len(calls) >= 6, "a run of several tiles"
    for number in tiles(len(calls), kind):
        failing(number, make(MEMORY[kind]))
        found, notes = done(upscaler, tmp_path, f"{number}")
        assert found is not None, notes.errors
        assert np.abs(found.astype(int) - true).max() <= 1


@pytest.mark.parametrize("kind", MEMORY)
def test_memory_that_is_gone_from_any_tile_on_is_told_and_nothing_is_written(
    tmp_path: Path, upscaler: Upscaler, failing: Callable, kind: str
) -> None:
    calls = failing(-1, _raising(MEMORY[kind]))
    done(upscaler, tmp_path, "true")
    for number in tiles(len(calls), kind):
        failing(number, _raising(MEMORY[kind]), True)
        found, notes = done(upscaler, tmp_path, f"{number}")
        assert found is None
        assert "memory" in notes.errors["in.png"]
        assert "unexpected" not in notes.errors["in.png"]
    failing(-1, _raising(MEMORY[kind]))
    assert done(upscaler, tmp_path, "after")[0] is not None, "the next one works"


def test_numbers_that_are_none_at_any_tile_are_told_and_nothing_is_written(
    tmp_path: Path, upscaler: Upscaler, failing: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN from within the network, in float32: the error names the model."""
    model = upscaler.load(UpscaleRequest("net", ByScale(2)))["net"][0]
    last = list(model._base.descriptor.model.modules())[-1]  # type: ignore[union-attr]

    def poisoned(plain: Callable, given: tuple) -> None:
        handle = last.register_forward_hook(lambda _m, _i, output: output * float("nan"))
        try:
            plain(*given)
        finally:
            handle.remove()

    calls = failing(-1, poisoned)
    true, _ = done(upscaler, tmp_path, "true")
    for number in range(len(calls)):
        failing(number, poisoned)
        found, notes = done(upscaler, tmp_path, f"{number}")
        assert found is None
        told = notes.errors.get("in.png") or str(notes.stop_error)
        assert "net" in told
        assert "finite" in told
    failing(-1, poisoned)
    again, _ = done(upscaler, tmp_path, "after")
    assert np.array_equal(again, true)


def test_an_overflow_in_a_small_precision_at_any_tile_runs_that_tile_in_float32(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = upscaler.load(UpscaleRequest("net", ByScale(2)))["net"][0]
    small = model.copy_for(torch.device("cpu"), torch.bfloat16)  # type: ignore[union-attr]
    plain, calls, failing_at = small.run, [], -1

    def run(*given: Any) -> None:
        calls.append(len(calls))
        if calls[-1] == failing_at:
            raise NonFiniteOutput
        plain(*given)

    monkeypatch.setattr(small, "run", run)
    picture = Image.fromarray(photo(120, 90))
    request = UpscaleRequest("net", ByScale(2), precision="bf16", tile=48)
    upscaler.upscale(picture, request)  # measures what the precision loses, once
    calls.clear()
    true = np.asarray(upscaler.upscale(picture, request).image).astype(int)
    exact = UpscaleRequest("net", ByScale(2), precision="exact", tile=48)
    loss = np.abs(np.asarray(upscaler.upscale(picture, exact).image).astype(int) - true).max()
    count = len(calls)
    assert count >= 6
    for number in range(count):
        calls.clear()
        failing_at = number
        result = upscaler.upscale(picture, request)
        assert np.abs(np.asarray(result.image).astype(int) - true).max() <= loss
        assert any("float32" in text for text in result.report.warnings)
