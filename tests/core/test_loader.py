"""Loaded models are kept within a budget, and loaded anew when their file changes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import torch

from lib_upscaler.errors import ModelFileError
from lib_upscaler.models import analysis
from lib_upscaler.models.library import ModelEntry, entry_of
from lib_upscaler.models.loader import ModelCache, load_model
from reference import CPU
from small_networks import compact, save_pth

SIZE = sum(t.numel() * 4 for t in compact().values())
"""Bytes of the weights of one network."""


@pytest.fixture
def entries(tmp_path: Path) -> list[ModelEntry]:
    return [entry_of(save_pth(compact(seed=n), tmp_path / f"m{n}.pth")) for n in range(3)]


def test_a_model_is_loaded_once(entries: list[ModelEntry], loads: list[str]) -> None:
    cache = ModelCache()
    first = cache.get(entries[0])

    assert all(cache.get(entries[0]) is first for _ in range(50))
    assert loads == ["m0"]
    assert cache.bytes == SIZE
    assert first.load_seconds > 0


def test_the_least_recently_used_goes_when_the_budget_is_full(entries: list[ModelEntry], loads: list[str]) -> None:
    cache = ModelCache(2 * SIZE)
    for n in (0, 1, 0, 2):
        cache.get(entries[n])
    assert (len(cache), cache.bytes) == (2, 2 * SIZE)
    cache.get(entries[0])
    cache.get(entries[1])

    assert loads == ["m0", "m1", "m2", "m1"]


def test_copies_in_other_precisions_count(entries: list[ModelEntry]) -> None:
    cache = ModelCache(3 * SIZE)
    cache.get(entries[0]).copy_for(CPU, torch.bfloat16)
    assert cache.bytes == SIZE + SIZE // 2
    cache.get(entries[1]).copy_for(CPU, torch.bfloat16)
    assert cache.bytes == 3 * SIZE
    cache.get(entries[2])

    assert len(cache) == 2


def test_a_model_larger_than_the_budget_is_returned_all_the_same(entries: list[ModelEntry]) -> None:
    cache = ModelCache(1)

    assert cache.get(entries[0]).name == "m0"
    assert cache.get(entries[1]).name == "m1"
    assert len(cache) == 1


def test_a_changed_file_is_loaded_anew(tmp_path: Path, loads: list[str]) -> None:
    path = save_pth(compact(scale=4), tmp_path / "model.pth")
    cache = ModelCache()
    old = cache.get(entry_of(path))
    save_pth(compact(scale=2), path)
    os.utime(path, ns=(1, 1))
    new = cache.get(entry_of(path))

    assert (old.scale, new.scale) == (4, 2)
    assert len(cache) == 1


def test_release_drops_everything(entries: list[ModelEntry], loads: list[str]) -> None:
    cache = ModelCache()
    cache.get(entries[0])
    cache.get(entries[1])
    cache.release()

    assert (len(cache), cache.bytes) == (0, 0)
    cache.get(entries[0])
    assert loads == ["m0", "m1", "m0"]


def test_several_threads_load_a_model_once(entries: list[ModelEntry], loads: list[str]) -> None:
    cache, found = ModelCache(), []
    threads = [threading.Thread(target=lambda: found.append(cache.get(entries[0]))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert loads == ["m0"]
    assert len({id(model) for model in found}) == 1
    assert len(found) == 6


def test_a_model_that_cannot_be_loaded_is_not_kept(tmp_path: Path, entries: list[ModelEntry]) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(b"nothing")
    cache = ModelCache()
    for _ in range(2):
        with pytest.raises(ModelFileError):
            cache.get(entry_of(path))

    assert len(cache) == 0
    assert cache.get(entries[0]).name == "m0"


def test_facts_are_kept_on_the_disk(entries: list[ModelEntry], monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_model(entries[0]).facts
    monkeypatch.setattr(analysis, "analyse", lambda _: pytest.fail("analysed again"))

    assert load_model(entries[0]).facts == first
