"""What strangers write into model files is shown, but can do no harm; damaged headers give the named errors."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lib_upscaler.errors import ModelFileError
from lib_upscaler.models.tensor_reader import safetensors_metadata
from lib_upscaler.models.texts import ModelTexts, model_texts


@pytest.mark.parametrize(
    ("metadata", "license", "description"),
    [
        ({}, "", ""),
        ({"license": "MIT", "description": "Sharp."}, "MIT", "Sharp."),
        ({"licence": "CC0"}, "CC0", ""),
        ({"modelspec.license": "CC-BY-4.0", "modelspec.description": "D"}, "CC-BY-4.0", "D"),
        ({"license": " \n", "modelspec.license": "MIT"}, "MIT", ""),
        ({"description": "two\r\nlines\tand\x00\x07 more"}, "", "two lines and more"),
        ({"description": "\x1b]0;title\x07\x1b[2Jx"}, "", "]0;title [2Jx"),
        ({"description": "a\u202egnp.exe\u2066b\ud800"}, "", "a gnp.exe b"),
        ({"description": "사진용 é ü"}, "", "사진용 é ü"),
        ({"description": "x" * 2_000_000}, "", "x" * 500),
    ],
)
def test_texts_are_one_harmless_line(metadata: dict[str, str], license: str, description: str) -> None:
    texts = model_texts(metadata)
    assert (texts.license, texts.description) == (license, description)


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        ('{"dB": 1.5, "crops": 32, "on": "a\\u001b CPU"}', {"dB": 1.5, "crops": 32, "on": "a CPU"}),
        ('{"": 1, "list": [1], "none": null, "true": true, "empty": "", "ok": 0}', {"ok": 0}),
        ('{"nan": NaN, "inf": -Infinity, "huge": 1e400, "long": 1' + "0" * 400 + "}", {}),
        (json.dumps({str(number): number for number in range(100)}), {str(number): number for number in range(30)}),
        ("[1, 2]", {}),
        ("1.5", {}),
        ("not JSON", {}),
        ("[" * 15_000, {}),
        ('{"a": "' + "x" * 30_000 + '"}', {}),
        ("", {}),
    ],
)
def test_figures_are_numbers_and_short_texts(text: str, figures: dict[str, object]) -> None:
    assert model_texts({"figures": text}) == ModelTexts(figures=figures)


def safetensors(header: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header


def test_metadata_is_what_the_makers_library_wrote(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(3)}, str(path), {"license": "MIT", "한글": "ü\n"})
    assert safetensors_metadata(path) == {"license": "MIT", "한글": "ü\n"}
    save_file({"a": torch.zeros(3)}, str(path))
    assert safetensors_metadata(path) == {}


@pytest.mark.parametrize("metadata", ['"text"', "[1]", '{"license": 5, "n": null, "d": {"x": "y"}}'])
def test_metadata_of_wrong_types_is_told(tmp_path: Path, metadata: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors(b'{"__metadata__": %s}' % metadata.encode()))
    with pytest.raises(ModelFileError, match="header is wrong"):
        safetensors_metadata(path)


def test_no_metadata_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors(b'{"__metadata__": null}'))
    assert safetensors_metadata(path) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0",
        b"<html>",
        safetensors(b"{}", 10**15),
        safetensors(b"{}", 90),
        safetensors(b"not JSON"),
        safetensors(b"[]"),
        safetensors(b'"text"'),
        safetensors(b"[" * 100_000),
        safetensors(b"\xff\xfe{}"),
    ],
)
def test_damaged_headers_give_the_named_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"x\.safetensors"):
        safetensors_metadata(path)


def test_other_formats_say_nothing(tmp_path: Path) -> None:
    for legacy in (True, False):
        torch.save({"a": torch.zeros(3)}, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
        assert safetensors_metadata(tmp_path / "x.pth") == {}
    with pytest.raises(ModelFileError):
        safetensors_metadata(tmp_path / "gone.pth")
