"""A model file gives its weights as they were saved."""

from __future__ import annotations

import argparse
import collections
import functools
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lib_upscaler.models.build import build, read_state_dict
from model_files import STATE, same, save
from small_networks import compact, save_pth, save_safetensors


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".PTH"])
def test_weights_come_back_as_they_were_saved(tmp_path: Path, suffix: str, legacy: bool) -> None:
    assert same(read_state_dict(save(STATE, tmp_path / f"x{suffix}", legacy)))


def test_safetensors_come_back_as_they_were_saved(tmp_path: Path) -> None:
    assert same(read_state_dict(save_safetensors(STATE, tmp_path / "x.safetensors")))


def test_contents_count_and_not_the_suffix(tmp_path: Path) -> None:
    assert same(read_state_dict(save_safetensors(STATE, tmp_path / "x.safetensors").rename(tmp_path / "x.pth")))
    assert same(read_state_dict(save(STATE, tmp_path / "y.pth").rename(tmp_path / "y.safetensors")))
    assert same(read_state_dict(save(STATE, tmp_path / "z.pth", legacy=True).rename(tmp_path / "z.safetensors")))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_every_type_and_layout_of_numbers_comes_back(tmp_path: Path, legacy: bool) -> None:
    base = torch.arange(24.0)
    state = {
        "half": base.half(),
        "bfloat": base.bfloat16(),
        "double": base.double(),
        "whole": base.long(),
        "byte": base.to(torch.uint8),
        "flag": base > 3,
        "transposed": base.reshape(4, 6).t(),
        "part": base.reshape(4, 6)[1:3, 2:5],
        "scalar": torch.tensor(3.5),
        "none": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(base.clone()),
        "shared": base,
    }
    found = read_state_dict(save(state, tmp_path / "x.pth", legacy))
    assert same(found, {key: value.detach() for key, value in state.items()})
    assert not any(value.requires_grad for value in found.values())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_network_of_8_bit_floats_is_built_in_float32(tmp_path: Path, suffix: str) -> None:
    if not hasattr(torch, "float8_e4m3fn"):
        pytest.skip("this PyTorch has no 8-bit floats")
    small = {key: value.to(torch.float8_e4m3fn) for key, value in STATE.items()}
    try:
        path = (save_pth if suffix == ".pth" else save_safetensors)(small, tmp_path / f"x{suffix}")
    except KeyError:
        pytest.skip("this PyTorch cannot save 8-bit floats")
    network = build(read_state_dict(path), "x")
    weights = network.model.state_dict()
    assert all(torch.equal(weights[key], small[key].float()) for key in STATE)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"params": s},
        lambda s: {"params": compact(scale=2, seed=5), "params_ema": s},  # the averaged weights are the better ones
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": {"params": s}},
        lambda s: {"anything": s},
        lambda s: {f"module.{key}": value for key, value in s.items()},
        lambda s: {"params_ema": {f"module._orig_mod.{key}": value for key, value in s.items()}},
        lambda s: collections.OrderedDict(s),
        lambda s: {**s, "iteration": 7, "notes": ["a"], 5: torch.ones(1)},
    ],
    ids=["params", "ema", "state_dict", "nested", "single", "parallel", "compiled", "ordered", "junk"],
)
def test_wrappers_prefixes_and_junk_are_taken_off(tmp_path: Path, wrap: Callable[[dict], object]) -> None:
    assert same(read_state_dict(save(wrap(dict(STATE)), tmp_path / "x.pth")))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_leftovers_of_a_training_do_not_matter(tmp_path: Path, legacy: bool) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter])
    parameter.sum().backward()
    optimizer.step()
    checkpoint = {
        "state_dict": STATE,
        "optimizer": optimizer.state_dict(),
        "loss": np.float64(0.25),
        "history": np.arange(4.0),
        "args": argparse.Namespace(scale=2),
        "root": Path("somewhere"),
        "done": {1, 2},
        "groups": collections.defaultdict(list),
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        "factor": functools.partial(int, 3),
    }
    assert same(read_state_dict(save(checkpoint, tmp_path / "x.ckpt", legacy)))


def test_torchscript_gives_its_weights_without_being_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = build(STATE, "x").model
    path = tmp_path / "x.pt"
    torch.jit.trace(module, torch.rand(1, 3, 8, 8)).save(str(path))
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("the program in the file was loaded"))
    found = read_state_dict(path)
    assert all(torch.equal(found[key], value) for key, value in STATE.items())
    assert build(found, "x").scale == 2


def test_reading_does_not_use_a_torch_load_that_a_host_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(STATE, tmp_path / "x.pth")
    monkeypatch.setattr(torch, "load", lambda *_, **__: None)
    assert same(read_state_dict(path))


def test_compressed_archive_of_torch_is_read(tmp_path: Path) -> None:
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(save(STATE, tmp_path / "x.pth")) as old, zipfile.ZipFile(packed, "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert same(read_state_dict(packed))


def test_weights_stay_when_the_file_goes(tmp_path: Path) -> None:
    path = save(STATE, tmp_path / "x.pth")
    found = read_state_dict(path)
    try:
        path.unlink()
    except PermissionError:
        pytest.skip("this system does not remove files in use")
    assert same(found)


def test_changing_the_weights_does_not_change_the_file(tmp_path: Path) -> None:
    path = save(STATE, tmp_path / "x.pth")
    before = path.read_bytes()
    for value in read_state_dict(path).values():
        value.zero_()
    assert path.read_bytes() == before
