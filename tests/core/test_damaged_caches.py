"""Whatever stands in the cache's files, a run gives what it gives without them, and they heal."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from effort import rounds
from lib_upscaler import store
from lib_upscaler.catalogue.part_file import PartFile
from lib_upscaler.models.card import file_sha256, read_card
from lib_upscaler.models.facts import NetworkFacts, facts_from_json, known_facts
from lib_upscaler.models.library import entry_of
from lib_upscaler.models.loader import describe, load_model
from lib_upscaler.models.network import UpscaleModel
from lib_upscaler.running import precision
from lib_upscaler.running.engine import PassOptions, run
from lib_upscaler.running.speeds import expected, learn
from lib_upscaler.store import DiskCache
from reference import CPU, photo
from small_networks import compact, rrdb, save_pth

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**30, -(10**30), 10**400, float("nan"), float("inf"), "", "x", "0" * 64, "é\n", [],
    [[]], [None], ["x"], [1, 2], {}, {"name": "x", "radius": 1}, [{"name": "x", "radius": 1}],
    [{"name": 5, "radius": None}], [{"radius": 1}], [{"name": "model", "radius": 1, "more": 2}],
    [[1, 2], [0, 0], ["a", None]], [[1e300, 1e-300]] * 3,
)  # fmt: skip
"""What may stand where something else belongs."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "cache"
    monkeypatch.setenv("TRUESCALE_CACHE", str(folder))
    yield folder
    store._shared_cache.cache_clear()


def damaged(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Let ``change`` work on every entry of a cache's file, as a new process finds it."""
    entries = json.loads(file.read_text())
    for value in entries.values():
        change(value)
    file.write_text(json.dumps(entries))
    store._shared_cache.cache_clear()


def upscaled(model: UpscaleModel) -> np.ndarray:
    return run(model, photo(90, 70), CPU, PassOptions("exact", 40)).pixels


def test_a_wrong_value_in_any_fact_changes_nothing_and_heals(tmp_path: Path, cache: Path) -> None:
    """50 of them, 200 with ``--long``: fields of the facts, and what may stand there."""
    path = save_pth(rrdb(blocks=1), tmp_path / "x.pth")
    good = load_model(entry_of(path))
    true, plain = upscaled(good), asdict(good.facts)
    assert plain["blocks"]
    assert plain["head"]
    chance = random.Random(3)
    wrong = [(name, value) for name in [*plain, "unknown"] for value in VALUES]
    for name, value in chance.sample(wrong, min(rounds(200), len(wrong))):
        damaged(cache / "facts.json", lambda entry: entry.update({name: value}))  # noqa: B023
        if facts_from_json(json.loads(json.dumps({**plain, name: value}))) is not None and name not in (
            "blocks",
            "head",
        ):
            continue  # a sound value that happens to be another: nobody can tell
        model = load_model(entry_of(path))
        store._shared_cache.cache_clear()
        assert model.facts == known_facts(model.card.sha256) == good.facts, (name, value)
    assert np.array_equal(upscaled(model), true)


@pytest.mark.parametrize("name", list(asdict(NetworkFacts())))
def test_no_wrong_value_makes_facts_of_another_type(name: str) -> None:
    """All of them: what is accepted has the types and the range of the field."""
    plain = json.loads(json.dumps(asdict(NetworkFacts())))
    for value in VALUES:
        facts = facts_from_json({**plain, name: json.loads(json.dumps(value))})
        if facts is None:
            continue
        found = getattr(facts, name)
        if isinstance(getattr(NetworkFacts(), name), bool):
            assert isinstance(found, bool)
        elif isinstance(found, tuple):
            assert all(isinstance(one, str) or isinstance(one.name, str) for one in found)
        else:
            assert found is None or 0 <= found <= 1e15
    assert facts_from_json({key: value for key, value in plain.items() if key != name}) is None


def test_a_wrong_value_in_any_field_of_a_card_heals(tmp_path: Path, cache: Path) -> None:
    path = save_pth(compact(scale=2), tmp_path / "x.pth")
    good = read_card(path)
    plain = good.to_json()
    for name in plain:
        for value in (None, "x", -1, [], {}, [None], {"x": []}):
            if name in ("name", "path", "tiling_sentence"):
                continue  # not taken from there
            damaged(cache / "cards.json", lambda entry: "scale" in entry and entry.update({name: value}))  # noqa: B023
            found = read_card(path)
            if name in ("architecture", "purpose", "license", "description") and value == "x":
                assert getattr(found, name) == "x"
                damaged(cache / "cards.json", lambda entry: "scale" in entry and entry.update({name: plain[name]}))  # noqa: B023
                continue
            if name in ("tags", "precision") and value == []:
                damaged(cache / "cards.json", lambda entry: "scale" in entry and entry.update({name: plain[name]}))  # noqa: B023
                continue
            assert found == good or (name, value) == ("figures", {}), (name, value)
            store._shared_cache.cache_clear()
            assert read_card(path) == found


@pytest.mark.parametrize("value", ["x", "0" * 63, "G" * 64, None, 5, ["0" * 64], {}])
def test_a_checksum_that_is_none_is_counted_again(tmp_path: Path, cache: Path, value: object) -> None:
    path = save_pth(compact(), tmp_path / "x.pth")
    good = file_sha256(entry_of(path))
    damaged(cache / "cards.json", lambda entry: entry.update({"sha256": value}))
    assert file_sha256(entry_of(path)) == good
    store._shared_cache.cache_clear()
    path.unlink()
    assert json.loads((cache / "cards.json").read_text()).popitem()[1] == {"sha256": good}


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_wrong_outcomes_of_probes_are_measured_again(tmp_path: Path, cache: Path, value: object) -> None:
    model = load_model(entry_of(save_pth(compact(scale=2), tmp_path / "x.pth")))
    good = precision._probe(model, CPU, torch.bfloat16, lambda: None)
    for change in ({"decibels": value}, {"sound": value}, {"too_slow": value}, {"more": value}):
        damaged(cache / "probes.json", lambda entry: entry.update(change))  # noqa: B023
        found = precision._probe(model, CPU, torch.bfloat16, lambda: None)
        assert found is not None
        assert isinstance(found.decibels, (int, float))
        assert found == good or change in ({"decibels": value}, {"sound": value})
        assert abs(found.decibels) <= 1000


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_wrong_speeds_are_no_speeds(cache: Path, value: object) -> None:
    learn("x", CPU, 1e9, 2.0)
    damaged(cache / "speeds.json", lambda entry: entry.update({"runs": value}))
    found = expected("x", CPU, 1e9)
    assert found is None or 0 < found < float("inf")
    learn("x", CPU, 1e9, 2.0)
    assert expected("x", CPU, 1e9) is not None


def test_files_that_are_damaged_at_random_cost_nothing_but_time(tmp_path: Path, cache: Path) -> None:
    """100 of each, 500 with ``--long``: bytes changed, cut out and doubled in all of the cache's files."""
    path = save_pth(compact(scale=2, layers=2), tmp_path / "x.pth")
    good = load_model(entry_of(path))
    precision._probe(good, CPU, torch.bfloat16, lambda: None)
    learn("x", CPU, 1e9, 2.0)
    true = upscaled(good)
    files = {file: file.read_bytes() for file in sorted(cache.glob("*.json"))}
    assert len(files) == 4
    chance = random.Random(5)
    for _ in range(rounds(500)):
        for file, whole in files.items():
            data = bytearray(whole)
            for _ in range(chance.choice((1, 2, 6))):
                at = chance.randrange(len(data) + 1)
                kind = chance.randrange(4)
                data[at : at + chance.choice((0, 1, 5))] = chance.choice(
                    (
                        b"",
                        b"9" * 400,
                        b"[" * 3000,
                        b"null",
                        b"1e999",
                        b'"',
                        b"\xff",
                        b"{}",
                        bytes([chance.randrange(256)]),
                    )
                )
                if kind == 3:
                    del data[at:]
            file.write_bytes(bytes(data))
        store._shared_cache.cache_clear()
        known = describe(entry_of(path))
        assert known.scale == good.scale or known.card != good.card
        model = load_model(entry_of(path))
        assert (model.card.sha256, model.scale) == (good.card.sha256, 2)
        precision._probe(model, CPU, torch.bfloat16, lambda: None)
        found = expected("x", CPU, 1e9)
        assert found is None or 0 < found < float("inf")
    store._shared_cache.cache_clear()
    for file in files:
        file.write_bytes(b"")
    assert np.array_equal(upscaled(load_model(entry_of(path))), true)


@pytest.mark.parametrize("kind", ["folder", "pipe", "huge"])
def test_what_is_no_file_of_a_cache_counts_as_empty(cache: Path, kind: str) -> None:
    cache.mkdir()
    file = cache / "facts.json"
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes here")
        os.mkfifo(file)  # to read it would wait for ever
    else:
        file.write_bytes(b"{" + b" " * 20_000_000)
    facts = DiskCache("facts", folder=cache)
    assert facts.get("a") is None
    facts.put("a", {"n": 1})
    assert facts.get("a") == {"n": 1}
    if kind != "folder":
        assert DiskCache("facts", folder=cache).get("a") == {"n": 1}


def test_what_killed_processes_left_in_the_cache_goes(cache: Path) -> None:
    cache.mkdir()
    old, fresh, strange = cache / ".facts-abcd_123", cache / ".facts-abcd_124", cache / ".facts-of-mine.json"
    for file in (old, fresh, strange):
        file.write_text("{")
    for file in (old, strange):
        os.utime(file, (1e9, 1e9))
    DiskCache("facts", folder=cache).put("a", {"n": 1})
    assert not old.exists()
    assert fresh.exists(), "another process may be writing it"
    assert strange.exists()


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"[1]", b'{"sha256": 5}', b"\xff", b'{"sha256": "x"}'])
def test_damaged_facts_of_a_download_begin_it_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".x.part").write_bytes(b"abc")
    (tmp_path / ".x.part.json").write_bytes(content)
    part = PartFile(tmp_path, "x", "0" * 64, 10)
    part.recall(lambda _: None)
    assert part.size == 0
    part.close()
