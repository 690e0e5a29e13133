"""Weights become a network, or an error that says what they are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import spandrel
import torch

from lib_upscaler.errors import ModelError, UnsupportedModelError
from lib_upscaler.models.build import build, read_state_dict, registry
from lib_upscaler.models.spandrels import spandrel_in_use
from model_files import STATE, save
from small_networks import available, rrdb


def test_network_is_float32_on_the_cpu_without_gradients() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        state = {key: value.to(dtype) for key, value in STATE.items()}
        network = build(state, "x")
        assert type(network).__name__ == "ImageModelDescriptor"
        assert {value.dtype for value in network.model.parameters()} == {torch.float32}
        assert {value.device.type for value in network.model.parameters()} == {"cpu"}
        assert not any(value.requires_grad for value in network.model.parameters())
        assert not any(module.training for module in network.model.modules())
        assert all(torch.equal(network.model.state_dict()[key], value.float()) for key, value in state.items())


def test_building_changes_neither_the_weights_nor_the_random_numbers() -> None:
    state = rrdb()
    before = dict(state)
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    build(state, "x")
    assert torch.equal(torch.rand(4), expected)
    assert state.keys() == before.keys()
    assert all(state[key] is before[key] for key in state)


def test_network_can_be_used_outside_the_inference_mode_that_it_was_read_in(tmp_path: Path) -> None:
    path = save(STATE, tmp_path / "x.pth")
    with torch.inference_mode():
        network = build(read_state_dict(path), "x")
    assert not any(value.is_inference() for value in network.model.parameters())


@pytest.mark.parametrize("name", [name for name, network in available().items() if network.kind == "refused"])
def test_networks_that_are_no_upscalers_are_refused_by_name(name: str) -> None:
    network = available()[name]
    with pytest.raises(UnsupportedModelError, match=network.refused_as) as caught:
        build(network.build(), name)
    assert network.architecture.casefold() in caught.value.why.casefold()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("something.weight", "architecture is none of"),
        ("lora_unet_down.lora_down.weight", "a LoRA"),
        ("encoder.down.0.block.0.conv1.weight", "a VAE"),
        ("control_model.input_hint_block.0.weight", "a ControlNet"),
    ],
)
def test_unknown_architecture_is_named_where_it_can_be(key: str, words: str) -> None:
    with pytest.raises(UnsupportedModelError, match=words):
        build({key: torch.ones(4, 4)}, "x")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("body.2.bias"), r"1 of its weights are missing \(such as 'body\.2\.bias'\)"),
        (lambda s: s.update({"body.2.extra": torch.ones(1)}), r"1 of its weights are too many"),
        (lambda s: s.update({"body.2.weight": torch.ones(16, 16, 5, 5)}), r"another size \(such as 'body\.2\.weight'"),
    ],
    ids=["missing", "too many", "size"],
)
def test_weights_that_do_not_fit_are_named(change: Callable[[dict], object], words: str) -> None:
    state = dict(STATE)
    change(state)
    with pytest.raises(UnsupportedModelError, match=words) as caught:
        build(state, "x")
    assert "Compact" in caught.value.why
    assert len(str(caught.value)) < 400


def test_registry_has_the_extra_architectures_and_leaves_spandrels_own_alone() -> None:
    used = spandrel_in_use()
    if used.extras is None:
        pytest.skip("there are no extra architectures")
    before = list(used.package.MAIN_REGISTRY)
    ids = {support.architecture.id for support in registry()}
    assert ids == {support.architecture.id for support in [*before, *used.extras.EXTRA_REGISTRY]}
    assert list(used.package.MAIN_REGISTRY) == before


@pytest.mark.usefixtures("only_the_hosts_spandrel")
def test_registry_works_where_the_host_has_added_the_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    extras = pytest.importorskip("spandrel_extra_arches")
    full = spandrel.MAIN_REGISTRY.copy()
    full.add(*(support for support in extras.EXTRA_REGISTRY if support.architecture.id not in full))
    monkeypatch.setattr(spandrel, "MAIN_REGISTRY", full)
    assert len(registry()) == len(full)


@pytest.mark.usefixtures("only_the_hosts_spandrel")
def test_registry_without_the_extra_architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel_extra_arches", None)
    assert len(registry()) == len(spandrel.MAIN_REGISTRY)


@pytest.mark.usefixtures("only_the_hosts_spandrel")
def test_missing_spandrel_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(ModelError, match="pip install spandrel"):
        build(STATE, "x")
