"""A model's card says what the file is; the network is loaded for it once, and not again until something changes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from lib_upscaler.errors import ModelFileError, ModelNotFoundError
from lib_upscaler.models import analysis
from lib_upscaler.models import build as model_file
from lib_upscaler.models import card as model_card
from lib_upscaler.models.card import card_of, file_sha256, read_card
from lib_upscaler.models.facts import NetworkFacts
from lib_upscaler.models.library import entry_of
from lib_upscaler.store import DiskCache
from small_networks import available, compact, rrdb, save_pth, save_safetensors


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache("cards", folder=tmp_path / "cache")


@pytest.fixture(autouse=True)
def facts(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the analysis of a network says, under the test's control."""
    facts = SimpleNamespace(radius=18, global_context=False)
    monkeypatch.setattr(analysis, "analyse", lambda descriptor: NetworkFacts(**vars(facts)))
    return facts


def test_card_says_what_the_file_is(tmp_path: Path, cache: DiskCache) -> None:
    state = compact(scale=2, features=16, layers=4)
    path = save_pth(state, tmp_path / "x.pth")
    card = read_card(path, cache)
    assert (card.name, card.path) == ("x", path)
    assert (card.architecture, card.scale, card.input_channels, card.output_channels) == ("RealESRGAN Compact", 2, 3, 3)
    assert card.purpose == "upscaling"
    assert card.precision == ("float16", "bfloat16")
    assert (card.minimum, card.multiple_of, card.square) == (0, 1, False)
    assert card.parameters == sum(value.numel() for value in state.values())
    assert card.file_size == len(path.read_bytes())
    assert card.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card.tags == ("16nf", "4nc")


def test_card_has_what_the_file_says_of_itself(tmp_path: Path, cache: DiskCache) -> None:
    path = tmp_path / "x.safetensors"
    metadata = {
        "licence": "CC0",
        "modelspec.description": "for\nphotos\x1b[31m",
        "figures": json.dumps({"dB": 1.25, "on": "a CPU"}),
    }
    save_file(compact(), str(path), metadata)
    card = read_card(path, cache)
    assert (card.license, card.description) == ("CC0", "for photos [31m")
    assert card.figures == {"dB": 1.25, "on": "a CPU"}
    assert read_card(path, DiskCache("cards", folder=tmp_path / "cache")) == card
    plain = json.loads(json.dumps(card.to_json()))
    assert (plain["license"], plain["figures"]) == ("CC0", {"dB": 1.25, "on": "a CPU"})
    assert hash(card) == hash(read_card(path, cache))


@pytest.mark.parametrize("save", [save_pth, save_safetensors])
def test_silent_files_have_empty_texts(tmp_path: Path, cache: DiskCache, save: Callable) -> None:
    card = read_card(save(compact(), tmp_path / "x.safetensors"), cache)
    assert (card.license, card.description, card.figures) == ("", "", {})


def test_restoring_network_with_requirements(tmp_path: Path, cache: DiskCache) -> None:
    card = read_card(save_pth(available()["Uformer"].build(), tmp_path / "x.pth"), cache)
    assert (card.purpose, card.scale, card.precision) == ("restoration", 1, ("bfloat16",))
    assert (card.multiple_of, card.square) == (128, True)


@pytest.mark.parametrize(
    ("radius", "global_context", "effect"),
    [
        (18, False, "none"),
        (64, False, "none"),
        (65, False, "bounded"),
        (None, False, "bounded"),
        (None, True, "changes the result"),
        (18, True, "changes the result"),
    ],
)
def test_effect_of_tiling(
    tmp_path: Path,
    cache: DiskCache,
    facts: SimpleNamespace,
    radius: int | None,
    global_context: bool,
    effect: str,
) -> None:
    facts.radius, facts.global_context = radius, global_context
    card = read_card(save_pth(compact(), tmp_path / "x.pth"), cache)
    assert card.tiling_effect == effect
    assert card.tiling_sentence.endswith(".")


def test_network_is_loaded_once_for_a_file(tmp_path: Path, cache: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_pth(compact(scale=2), tmp_path / "x.pth")
    first = read_card(path, cache)
    with monkeypatch.context() as blocked:
        blocked.setattr(model_file, "read_model", lambda _: pytest.fail("the file was read again"))
        assert read_card(path, cache) == first
        again = read_card(path, DiskCache("cards", folder=tmp_path / "cache"), name="x [folder]")  # the next process
        assert (again.name, again.tags, again.scale) == ("x [folder]", first.tags, 2)
    save_pth(rrdb(), path)
    assert read_card(path, cache).architecture == "ESRGAN"


def test_new_time_or_new_libraries_make_a_new_card(
    tmp_path: Path, cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_pth(compact(), tmp_path / "x.pth")
    reads = []
    real = model_file.read_model
    monkeypatch.setattr(model_file, "read_model", lambda path: reads.append(path) or real(path))
    read_card(path, cache)
    os.utime(path, ns=(1, 1_000_000_000))
    read_card(path, cache)
    assert len(reads) == 2
    monkeypatch.setattr(model_card, "_version", lambda package: "another")
    read_card(path, cache)
    assert len(reads) == 3
    read_card(path, cache)
    assert len(reads) == 3


def test_damaged_cache_makes_a_new_card(tmp_path: Path, cache: DiskCache) -> None:
    path = save_pth(compact(), tmp_path / "x.pth")
    first = read_card(path, cache)
    stored = tmp_path / "cache" / "cards.json"
    entries = json.loads(stored.read_text())
    stored.write_text(json.dumps({key: {"scale": 9} for key in entries}))
    assert read_card(path, cache) == first


def test_card_of_a_loaded_network_is_the_card_of_its_file(tmp_path: Path, cache: DiskCache) -> None:
    path = save_pth(compact(), tmp_path / "x.pth")
    weights, origin = model_file.read_model(path)
    card = card_of(entry_of(path), model_file.build(weights, "x"), origin, cache)
    assert card == read_card(path, DiskCache("cards", folder=tmp_path / "elsewhere"))


def test_card_keeps_no_network(tmp_path: Path, cache: DiskCache) -> None:
    path = save_pth(compact(), tmp_path / "x.pth")
    card = read_card(path, cache)
    assert not any(isinstance(value, (torch.Tensor, torch.nn.Module)) for value in vars(card).values())


def test_card_as_json(tmp_path: Path, cache: DiskCache) -> None:
    card = read_card(save_pth(compact(), tmp_path / "x.pth"), cache)
    plain = json.loads(json.dumps(card.to_json()))
    assert plain["path"] == str(tmp_path / "x.pth")
    assert plain["precision"] == ["float16", "bfloat16"]
    assert plain["tiling_effect"] == "none"
    assert plain["tiling_sentence"]


def test_bad_files_give_their_named_error_each_time(tmp_path: Path, cache: DiskCache) -> None:
    (tmp_path / "x.pth").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(ModelFileError, match="empty"):
            read_card(tmp_path / "x.pth", cache)
    with pytest.raises(ModelNotFoundError):
        read_card(tmp_path / "gone.pth", cache)


def test_sha256_of_a_file_is_counted_once(tmp_path: Path, cache: DiskCache) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(bytes(range(256)) * 9000)  # more than one block
    entry = entry_of(path)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert file_sha256(entry, cache) == expected
    path.unlink()
    assert file_sha256(entry, cache) == expected
    with pytest.raises(ModelFileError):
        file_sha256(entry, DiskCache("other", folder=tmp_path))
