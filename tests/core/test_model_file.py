"""A model file gives its weights and its network; a bad one gives an error that says what is wrong; nothing is run."""

from __future__ import annotations

import argparse
import builtins
import collections
import functools
import io
import json
import os
import pickle
import stat
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spandrel
import torch

from lib_upscaler.errors import (
    BrokenModelError,
    ModelError,
    ModelFileError,
    ModelNotFoundError,
    UnsafeModelError,
    UnsupportedModelError,
)
from lib_upscaler.models.build import build, read_state_dict, registry
from lib_upscaler.models.spandrels import spandrel_in_use
from small_networks import available, compact, rrdb, save_pth, save_safetensors

STATE = compact(scale=2)


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor] = STATE) -> bool:
    return found.keys() == expected.keys() and all(
        found[key].dtype == expected[key].dtype and torch.equal(found[key], expected[key]) for key in expected
    )


def save(content: object, path: Path, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


# What can be read


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


# What wants to run code


class Calls:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Callable, *args: object) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("where", ["alone", "as a weight", "beside the weights", "as a key"])
@pytest.mark.parametrize("how", ["os.system", "open", "eval", "getattr", "import", "own function"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, legacy: bool, where: str, how: str) -> None:
    mark = tmp_path / "mark"
    evil = {
        "os.system": Calls(os.system, f'echo > "{mark}"'),
        "open": Calls(open, str(mark), "w"),
        "eval": Calls(eval, f"open({str(mark)!r}, 'w')"),
        "getattr": Calls(getattr, Calls(builtins.__import__, "os"), "system"),
        "import": Calls(builtins.__import__, "this"),
        "own function": Calls(touch, str(mark)),
    }[how]
    content = {
        "alone": evil,
        "as a weight": {**STATE, "body.0.weight": evil},
        "beside the weights": {"params": STATE, "extra": [evil]},
        "as a key": {"params": STATE, evil: 1},
    }[where]
    path = save(content, tmp_path / "x.pth", legacy)
    sys.modules.pop("this", None)
    with pytest.raises(UnsafeModelError, match=r"nothing was run") as caught:
        read_state_dict(path)
    assert not mark.exists()
    assert "this" not in sys.modules
    wanted = {
        "os.system": "system",
        "open": "open",
        "eval": "eval",
        "getattr": "__import__",
        "import": "__import__",
        "own function": "touch",
    }
    assert wanted[how] in caught.value.why


def touch(path: str) -> None:
    Path(path).touch()


def test_plain_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    path, mark = tmp_path / "x.pth", tmp_path / "mark"
    path.write_bytes(pickle.dumps(Calls(touch, str(mark))))
    with pytest.raises(UnsafeModelError):
        read_state_dict(path)
    assert not mark.exists()


def test_code_that_only_the_state_of_a_training_object_holds_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = save({"params": STATE, "args": argparse.Namespace(x=Calls(touch, str(mark)))}, tmp_path / "x.pth")
    with pytest.raises(UnsafeModelError):
        read_state_dict(path)
    assert not mark.exists()


def test_pickle_cannot_change_the_functions_that_it_may_use(tmp_path: Path) -> None:
    # GLOBAL torch._utils._rebuild_tensor_v2, then BUILD with (None, {"__defaults__": ()}): what sets attributes.
    attack = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x0c\x00\x00\x00__defaults__)s\x86b."
    for name in ("attack", "archive"):
        path = tmp_path / f"{name}.pth"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", attack)
        with pytest.raises(ModelFileError, match="damaged"):
            read_state_dict(path)
    assert same(read_state_dict(save(STATE, tmp_path / "x.pth")))


# What is no model


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_pickled_module_is_refused(tmp_path: Path, legacy: bool) -> None:
    path = save(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3)), tmp_path / "x.pth", legacy)
    with pytest.raises(UnsupportedModelError, match="whole pickled module"):
        read_state_dict(path)


def test_module_inside_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="whole pickled module"):
        read_state_dict(save({"model": torch.nn.PReLU()}, tmp_path / "x.pth"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.ones(2)], "a list"),
        (torch.ones(2), "a single tensor"),
        (7, "a single value"),
        ("weights", "a text"),
        (None, "nothing"),
        ({}, "no weights"),
        ({"epoch": 3}, "no weights"),
        ({"params": {"history": np.ones(3)}}, "no weights"),
    ],
    ids=["list", "tensor", "number", "text", "nothing", "empty", "no tensors", "numpy"],
)
def test_other_contents_are_refused_in_words(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(ModelFileError, match=words):
        read_state_dict(save(content, tmp_path / "x.pth"))


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", ModelFileError, "empty"),
        (bytes(5000), ModelFileError, "nothing but zeros"),
        (b"<!DOCTYPE html>\n<html><head>", ModelFileError, "web page"),
        (b"\xef\xbb\xbf\r\n  <HTML lang='en'>", ModelFileError, "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", ModelFileError, "Git LFS"),
        (b"\x08\x07\x12\x07pytorch\x1a\x051.9.0:\x9a\x01", UnsupportedModelError, "ONNX"),
        (b"\x1f\x8b\x08\x00 ...", ModelFileError, "compressed archive"),
        (b"GGUF\x03\x00\x00\x00", UnsupportedModelError, "GGUF"),
        (b"just some text, long enough", ModelFileError, "not a model file"),
        (b"{\"error\": \"not found\"}", ModelFileError, "not a model file"),
        (pickle.dumps({"a": 1}), ModelFileError, "not one of PyTorch"),
        (b"\x80\x02", ModelFileError, "truncated"),
        (b"\x80\x02\xff\xff\xff", ModelFileError, "damaged"),
        (b"PK\x03\x04 ... and no end", ModelFileError, "truncated"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".pth", ".ckpt"])
def test_what_is_no_model_is_named(
    tmp_path: Path, suffix: str, content: bytes, error: type[ModelError], words: str
) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(error, match=words) as caught:
        read_state_dict(path)
    assert f"x{suffix}" in caught.value.what
    assert caught.value.todo
    assert path.read_bytes() == content


def test_onnx_file_is_named_by_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"anything")
    with pytest.raises(UnsupportedModelError, match="ONNX"):
        read_state_dict(tmp_path / "x.onnx")


def test_zip_of_a_model_is_told_from_a_model(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("RealESRGAN.pth", b"...")
    with pytest.raises(ModelFileError, match="zip archive without"):
        read_state_dict(tmp_path / "x.pth")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"'gone\.pth'.*no such file"):
        read_state_dict(tmp_path / "gone.pth")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(ModelFileError, match="folder"):
        read_state_dict(tmp_path / "folder.pth")


def test_file_without_permission(tmp_path: Path) -> None:
    path = save(STATE, tmp_path / "x.pth")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    try:
        with pytest.raises(ModelFileError, match="may not be read"):
            read_state_dict(path)
    finally:
        path.chmod(stat.S_IRWXU)


def test_refusal_of_permission_is_told_from_other_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(STATE, tmp_path / "x.pth")
    refused = PermissionError(13, "Permission denied")
    monkeypatch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(refused))
    with pytest.raises(ModelFileError, match="may not be read"):
        read_state_dict(path)


def test_every_truncation_gives_an_error_of_ours(tmp_path: Path) -> None:
    sources = {
        "zip.pth": save(STATE, tmp_path / "a.pth"),
        "legacy.pth": save(STATE, tmp_path / "b.pth", legacy=True),
        "x.safetensors": save_safetensors(STATE, tmp_path / "c.safetensors"),
    }
    for name, source in sources.items():
        whole = source.read_bytes()
        for size in {*range(1, len(whole), max(1, len(whole) // 60)), len(whole) - 1}:
            path = tmp_path / name
            path.write_bytes(whole[:size])
            with pytest.raises(ModelFileError):
                read_state_dict(path)
        with pytest.raises(ModelFileError, match="truncated"):
            read_state_dict(path)


def test_damaged_bytes_never_give_a_foreign_error(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    refused = 0
    for legacy in (False, True):
        whole = np.frombuffer(save(STATE, tmp_path / "a.pth", legacy).read_bytes(), dtype=np.uint8)
        for number in range(200):
            damaged = whole.copy()
            spots = generator.integers(0, 2000, 3)
            damaged[spots if number % 2 else -spots - 1] = generator.integers(0, 256, 3)
            path = tmp_path / "x.pth"
            path.write_bytes(damaged.tobytes())
            try:
                read_state_dict(path)
            except ModelError:  # any other error fails the test; damage among the weights cannot be seen
                refused += 1
    assert refused > 50


def header(tensors: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(begin: int, end: int, shape: object = None, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x05", "truncated"),
        (header({"a": entry(0, 8)}, length=2**62), "header is wrong"),
        (header({"a": entry(0, 8)}, length=90_000), "truncated"),
        (header(b"{not json}"), "header is wrong"),
        (header(b"[" * 5000), "header is wrong"),
        (header(b"[1]", bytes(8)), "header is wrong"),
        (header({"a": 5}), "header is wrong"),
        (header({"a": {"dtype": "F32", "shape": [2]}}), "header is wrong"),
        (header({"a": entry(8, 0, [2])}, bytes(8)), "header is wrong"),
        (header({"a": entry(0, 8, [-2])}, bytes(8)), "header is wrong"),
        (header({"a": entry(0, 8, ["2"])}, bytes(8)), "header is wrong"),
        (header({"a": entry(0, 8, [3])}, bytes(8)), "header is wrong"),
        (header({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)), "header is wrong"),
        (header({"a": entry(0, 8), "b": entry(12, 16)}, bytes(16)), "header is wrong"),
        (header({"a": entry(0, 8)}, bytes(12)), "longer than its header"),
        (header({"a": entry(0, 8)}, bytes(4)), "truncated"),
    ],
)
def test_bad_safetensors_header_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ModelFileError, match=words):
        read_state_dict(tmp_path / "x.safetensors")


def test_safetensors_of_an_unknown_type_of_number(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(header({"a": entry(0, 8, [2], "F4_X")}, bytes(8)))
    with pytest.raises(UnsupportedModelError, match="F4_X"):
        read_state_dict(tmp_path / "x.safetensors")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_weight_that_is_not_finite_is_named(tmp_path: Path, bad: float, dtype: torch.dtype) -> None:
    state = {key: value.to(dtype) for key, value in STATE.items()}
    state["body.2.weight"] = state["body.2.weight"].clone()
    state["body.2.weight"].view(-1)[17] = bad
    with pytest.raises(BrokenModelError, match=r"'body\.2\.weight'"):
        read_state_dict(save(state, tmp_path / "x.pth"))


def test_float64_beyond_float32_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokenModelError, match="'a'"):
        read_state_dict(save({"a": torch.tensor([1.0, 1e39], dtype=torch.float64)}, tmp_path / "x.pth"))


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.ones(2, 2).to_sparse(), "quantised or sparse"),
        (torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8), "quantised or sparse"),
        (torch.ones(2, dtype=torch.complex64), "complex"),
    ],
    ids=["sparse", "quantised", "complex"],
)
def test_unusual_tensors_are_refused(tmp_path: Path, tensor: torch.Tensor, words: str) -> None:
    with pytest.raises(UnsupportedModelError, match=words):
        read_state_dict(save({"a": tensor, "b": torch.ones(1)}, tmp_path / "x.pth"))


def test_tensor_that_claims_more_than_its_data(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1).expand(2**40), "b": torch.ones(1)}, buffer)
    (tmp_path / "x.pth").write_bytes(buffer.getvalue())
    with pytest.raises(ModelFileError, match="damaged"):
        read_state_dict(tmp_path / "x.pth")


def test_stable_diffusion_checkpoint_is_named(tmp_path: Path) -> None:
    state = {"state_dict": {"model.diffusion_model.input_blocks.0.0.weight": torch.ones(1), "x": torch.ones(1)}}
    with pytest.raises(UnsupportedModelError, match="Stable Diffusion checkpoint"):
        read_state_dict(save(state, tmp_path / "x.ckpt"))


# Building


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
