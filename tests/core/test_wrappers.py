"""The weights in a file are found by what an architecture fits, whatever a training program has saved around them."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lib_upscaler.errors import ModelError, UnsafeModelError, UnsupportedModelError
from lib_upscaler.models.build import build, read_state_dict
from lib_upscaler.models.library import ModelLibrary
from small_networks import compact, rrdb

WANTED = compact(scale=4, seed=1)
OTHER = compact(scale=4, seed=2)
ESRGAN = rrdb(seed=1)
DISCRIMINATOR = {f"main.{n}.{kind}": torch.ones(3) for n in range(4) for kind in ("weight", "bias")}
PATCH_GAN = {
    "model.0.weight": torch.ones(8, 3, 4, 4),
    "model.0.bias": torch.ones(8),
    "model.2.weight": torch.ones(8, 8, 4, 4),
    "model.2.bias": torch.ones(8),
    "model.4.weight": torch.ones(1, 8, 4, 4),
    "model.4.bias": torch.ones(1),
}
"""Named like a DnCNN, which it is not."""
VGG = {f"vgg_net.conv1_{n}.weight": torch.ones(4, 4, 3, 3) for n in range(3)}


def under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


def read(content: object, folder: Path, name: str = "x.pth") -> dict[str, Tensor]:
    torch.save(content, folder / name)
    return read_state_dict(folder / name)


def same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[key], wanted[key]) for key in wanted)


WRAPPERS = {
    "ema": {"ema": WANTED, "iter": 5},
    "g_ema": {"g_ema": WANTED, "g": OTHER, "iter": 5},
    "G and D": {"G": WANTED, "D": {"a.weight": torch.zeros(3)}},
    "weights and config": {"weights": WANTED, "config": {"scale": 4}},
    "Lightning": {"state_dict": under("model.", WANTED), "epoch": 3},
    "mmagic": {
        "state_dict": {**under("generator.", OTHER), **under("generator_ema.", WANTED), "step_counter": torch.tensor(1)}
    },
    "SWA": {**under("module.", WANTED), "n_averaged": torch.tensor(5)},
    "compiled in parallel": under("module._orig_mod.", WANTED),
    "in parallel, compiled": under("_orig_mod.module.", WANTED),
    "deep": {"trainer": {"nets": [{"state": under("module.net_g._orig_mod.", WANTED)}]}},
    "ema_pytorch": {"ema": {**under("online_model.", OTHER), **under("ema_model.", WANTED), "step": torch.tensor(1)}},
    "camel case": {"model": OTHER, "modelEMA": WANTED},
    "timm": {"state_dict": OTHER, "state_dict_ema": WANTED, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
    "Lightning with losses": {
        "state_dict": {
            **under("net_g.", WANTED),
            **under("net_d.", DISCRIMINATOR),
            **under("perceptual.", VGG),
        }
    },
    "a discriminator named like a network": {"netG": WANTED, "netD": PATCH_GAN},
    "one network twice": {"model": WANTED, "net": WANTED},
    "one network among dicts of others": {"params": DISCRIMINATOR, "generator": WANTED},
}


@pytest.mark.parametrize("content", WRAPPERS.values(), ids=WRAPPERS)
def test_the_part_that_is_a_network_is_found(content: object, tmp_path: Path) -> None:
    found = read(content, tmp_path)

    assert same(found, WANTED)
    assert build(found, "x").scale == 4


def test_keys_that_begin_like_a_wrapper_stay_where_they_are_the_networks_own(tmp_path: Path) -> None:
    """ESRGAN's own keys begin with "model."."""
    assert same(read({"model": ESRGAN}, tmp_path), ESRGAN)
    assert same(read(under("model.", ESRGAN), tmp_path), ESRGAN)


def test_of_several_networks_none_is_taken_but_all_are_named_with_their_sizes(tmp_path: Path) -> None:
    numbers = sum(value.numel() for value in WANTED.values())

    with pytest.raises(UnsupportedModelError) as caught:
        read({"G_A": WANTED, "G_B": ESRGAN, "D_A": DISCRIMINATOR}, tmp_path)

    words = str(caught.value)
    assert "several networks" in words
    assert f"'G_A' ({numbers} numbers)" in words
    assert "'G_B' (0.6 million numbers)" in words
    assert "D_A" not in words


def test_where_no_part_is_a_network_all_are_named_with_their_sizes(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        read({"encoder": under("layer.", DISCRIMINATOR), "big": {"table": torch.ones(300_000)}}, tmp_path)

    words = str(caught.value)
    assert "'encoder' (24 numbers)" in words
    assert "'big' (0.3 million numbers)" in words


def test_thousands_of_names_are_looked_through_in_a_moment(tmp_path: Path) -> None:
    one = torch.ones(1)
    paths = (".".join("xyz"[(n >> shift) % 3] for shift in range(0, 14, 2)) for n in range(9000))
    names = {f"{path}.w{n}": one for n, path in enumerate(paths)}
    assert len(read({"net": names}, tmp_path)) == 9000


@pytest.mark.parametrize("name", ["photo.bin", "photo.pth.tar", "photo.pkl", "photo.PTH.TAR"])
def test_other_names_for_files_of_pytorch_are_listed_and_load(name: str, tmp_path: Path) -> None:
    torch.save({"weights": WANTED}, tmp_path / name)
    library = ModelLibrary([tmp_path])

    assert [entry.name for entry in library.models()] == ["photo"]
    assert same(read_state_dict(library.find("photo").path), WANTED)


def test_names_stay_apart_where_only_the_suffixes_differ(tmp_path: Path) -> None:
    for name in ("a.pth", "a.pth.tar", "a.v2.pth.tar"):
        torch.save(WANTED, tmp_path / name)
    names = {entry.path.name: entry.name for entry in ModelLibrary([tmp_path]).models()}

    assert names["a.pth"] == "a"
    assert names["a.pth.tar"] == f"a [{tmp_path.name}, pth.tar]"
    assert names["a.v2.pth.tar"] == "a.v2"


def test_ncnn_models_are_not_listed_and_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "x4.param").write_text("7767517\n75 83\nInput data 0 1 data\n")
    (tmp_path / "x4.bin").write_bytes(bytes(4) + b"\x3f\x80\x00\x00" * 40)
    library = ModelLibrary([tmp_path])

    assert library.models() == ()
    for call in (lambda: library.find(tmp_path / "x4.param"), lambda: read_state_dict(tmp_path / "x4.bin")):
        with pytest.raises(UnsupportedModelError, match=r"NCNN.*\n?.*PyTorch version"):
            call()


FOREIGN = {
    "TensorRT": b"ftrt\x00\x00",
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "NumPy": b"\x93NUMPY\x01",
    "TFLite": b"\x1c\x00\x00\x00TFL3",
    "NCNN of 16-bit numbers": b"\x47\x6b\x30\x01" + bytes(40),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_other_programs_formats_are_named_with_what_to_look_for(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(UnsupportedModelError) as caught:
        read_state_dict(tmp_path / "x.pth")
    assert ".pth or .safetensors" in caught.value.todo.replace("(", "")


@pytest.mark.parametrize("name", ["x.onnx", "x.engine", "x.trt", "x.param", "x.h5", "x.mlmodel", "x.npz"])
def test_other_programs_files_are_refused_by_their_names(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(UnsupportedModelError) as caught:
        ModelLibrary([tmp_path]).find(tmp_path / name)
    assert "it is" in str(caught.value)


class _Harm:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable, tuple]:
        return Path.touch, (self.file,)


def test_nothing_in_a_plain_pickle_is_run(tmp_path: Path) -> None:
    (tmp_path / "harm.pkl").write_bytes(pickle.dumps(_Harm(tmp_path / "ran")))
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(OrderedDict(WANTED)))

    with pytest.raises(ModelError):
        read_state_dict(tmp_path / "harm.pkl")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(UnsupportedModelError, match=r"plain pickle"):
        read_state_dict(tmp_path / "plain.pkl")


def test_a_pickled_module_is_refused_with_what_to_ask_for(tmp_path: Path) -> None:
    torch.save({"G": torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3))}, tmp_path / "x.pth")
    with pytest.raises((UnsupportedModelError, UnsafeModelError), match="state_dict"):
        read_state_dict(tmp_path / "x.pth")
