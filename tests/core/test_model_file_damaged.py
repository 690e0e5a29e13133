"""What is no model, or a damaged one, gives an error that says what is wrong."""

from __future__ import annotations

import io
import json
import os
import pickle
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from lib_upscaler.errors import BrokenModelError, ModelError, ModelFileError, ModelNotFoundError, UnsupportedModelError
from lib_upscaler.models.build import read_state_dict
from model_files import STATE, save
from small_networks import save_safetensors


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
