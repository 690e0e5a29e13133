"""The catalogue says what OpenModelDB says, and finds what a person asks for."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import lib_upscaler.catalogue.catalogue as module
from lib_upscaler.catalogue import PURPOSES, by_sha256, entries, find, installed
from lib_upscaler.catalogue.catalogue import MODELS_FILE, safe_file_name
from lib_upscaler.errors import DownloadError, ModelNotFoundError, RequestError
from lib_upscaler.models.build import build, registry
from lib_upscaler.models.library import ModelLibrary
from small_networks import available
from tools import write_catalogue as write

CHECKOUT = os.environ.get("TRUESCALE_OPENMODELDB", "")
"""A clone of OpenModelDB/open-model-database to compare with."""

MODEL = {
    "name": " UltraThing ",
    "author": ["ann", "bob"],
    "license": "CC-BY-4.0",
    "tags": ["photo", "jpeg", "compression-removal", "restoration", "research"],
    "description": "Words that belong to their author",
    "date": "2024-02-03",
    "architecture": "esrgan",
    "size": ["64nf"],
    "scale": 4,
    "inputChannels": 3,
    "outputChannels": 3,
    "resources": [
        {
            "platform": "pytorch",
            "type": "pth",
            "size": 1000,
            "sha256": "ab" * 32,
            "urls": [
                "https://mega.nz/folder/x#y",
                "https://github.com/ann/models/releases/download/v1/4x%20Ultra.pth",
            ],
        },
        {"platform": "onnx", "type": "onnx", "size": 5, "sha256": "cd" * 32, "urls": []},
    ],
    "images": [],
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A tiny OpenModelDB: three models, of two people."""
    folder = tmp_path / "checkout"
    (folder / "data" / "models").mkdir(parents=True)
    by_hand = {**MODEL, "author": "bob", "license": None, "tags": ["restoration"], "resources": _resource([])}
    models = {"4x-Ultra": MODEL, "2x-Hand": by_hand, "4x-Same": {**MODEL, "author": "bob"}}
    for name, model in models.items():
        _write(folder / "data" / "models" / f"{name}.json", model)
    _write(folder / "data" / "users.json", {"ann": {"name": "Ann"}, "bob": {"name": "Bob B."}})
    _write(folder / "data" / "architectures.json", {"esrgan": {"name": "ESRGAN"}, "mosr": {"name": "MoSR"}})
    _write(folder / "data" / "original-model-file-names.json", {"2x-Hand": "2x_Hand_100000_G.pth"})
    return folder


def _resource(urls: list[str], kind: str = "pth", **changed: Any) -> list[dict[str, Any]]:
    return [{"platform": "pytorch", "type": kind, "size": 7, "sha256": "ef" * 32, "urls": urls, **changed}]


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value), encoding="utf-8")


# -- the one that ships ------------------------------------------------------------------------------------------------


def test_it_is_the_one_that_openmodeldb_gives() -> None:
    if not CHECKOUT:
        pytest.skip("needs a clone of OpenModelDB, named by TRUESCALE_OPENMODELDB")
    shipped = MODELS_FILE.read_text(encoding="utf-8")
    commit = json.loads(shipped)["source"]["commit"]
    if write.commit_of(Path(CHECKOUT)) != commit:
        pytest.skip(f"the clone is not at the commit that the catalogue was written from, {commit}")
    assert write.text_of(write.catalogue_of(Path(CHECKOUT), commit)) == shipped


def test_it_names_its_source() -> None:
    source = json.loads(MODELS_FILE.read_text(encoding="utf-8"))["source"]
    assert source["repository"] == "https://github.com/OpenModelDB/open-model-database"
    assert re.fullmatch("[0-9a-f]{40}", source["commit"])


def test_it_is_small_and_holds_enough() -> None:
    assert MODELS_FILE.stat().st_size < 60_000
    assert 40 <= len(entries()) <= 70
    assert {entry.id for entry in entries()} == set(write.CHOSEN)
    assert {1, 2, 4, 8} == {entry.scale for entry in entries()}
    for purpose in ("photos", "illustration", "faces", "text", "JPEG damage", "noise", "blur", "printed dots"):
        assert any(purpose in entry.purposes and entry.scale <= 4 for entry in entries()), purpose


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.id)
def test_each_entry_can_be_used(entry: Any) -> None:
    assert re.fullmatch("[0-9a-f]{64}", entry.sha256)
    assert 10_000 < entry.size < 1_000_000_000
    assert entry.authors
    assert all(author.strip() for author in entry.authors)
    assert entry.purposes
    assert set(entry.purposes) <= set(PURPOSES)
    assert date(2018, 1, 1) <= date.fromisoformat(entry.date)
    assert entry.file == safe_file_name(entry.file, "")
    assert entry.name == entry.name.strip()
    assert {entry.input_channels, entry.output_channels} <= {1, 3, 4}
    for url in entry.urls:
        assert url.startswith("https://")
        assert urlsplit(url).path.lower().endswith((".pth", ".safetensors"))
        assert "/blob/" not in url
    assert entry.downloadable is bool(entry.urls)


@pytest.mark.parametrize("what", ["id", "label", "sha256", "file"])
def test_no_two_entries_are_alike(what: str) -> None:
    values = [getattr(entry, what).casefold() for entry in entries()]
    assert len(set(values)) == len(values)


def test_every_architecture_is_one_that_is_read() -> None:
    assert set(write.ARCHITECTURES.values()) <= {str(one.architecture.id) for one in registry()}
    names = json.loads(MODELS_FILE.read_text(encoding="utf-8"))["models"]
    assert len({row["architecture"] for row in names}) <= len(write.ARCHITECTURES)


@pytest.mark.parametrize("architecture", sorted({entry.architecture for entry in entries()}))
def test_networks_of_each_architecture_in_it_load(architecture: str) -> None:
    wanted = write.ARCHITECTURES[architecture.lower()]
    small = [network for network in available().values() if network.architecture == wanted]
    assert small
    for network in small:
        assert build(network.build(), architecture).architecture.id == wanted


def test_every_purpose_has_a_tag() -> None:
    assert set(write.TAGS.values()) == set(PURPOSES)


# -- writing it --------------------------------------------------------------------------------------------------------


def test_what_is_taken_of_a_model(data: Path) -> None:
    (row,) = write.catalogue_of(data, "0" * 40, ["4x-Ultra"])["models"]
    assert row == {
        "id": "4x-Ultra",
        "name": "UltraThing",
        "authors": ["Ann", "Bob B."],
        "license": "CC-BY-4.0",
        "architecture": "ESRGAN",
        "scale": 4,
        "channels": [3, 3],
        "purposes": ["photos", "JPEG damage"],
        "date": "2024-02-03",
        "file": "4x Ultra.pth",
        "size": 1000,
        "sha256": "ab" * 32,
        "urls": ["https://github.com/ann/models/releases/download/v1/4x%20Ultra.pth"],
    }


def test_what_the_data_lack_stays_empty(data: Path) -> None:
    (row,) = write.catalogue_of(data, "0" * 40, ["2x-Hand"])["models"]
    assert (row["license"], row["urls"], row["purposes"]) == ("", [], ["restoration"])
    assert row["file"] == "2x_Hand_100000_G.pth"


def test_files_of_one_name_get_their_ids(data: Path) -> None:
    rows = write.catalogue_of(data, "0" * 40, ["4x-Same", "2x-Hand", "4x-Ultra"])["models"]
    assert [(row["id"], row["file"]) for row in rows] == [
        ("2x-Hand", "2x_Hand_100000_G.pth"),
        ("4x-Same", "4x-Same.pth"),
        ("4x-Ultra", "4x-Ultra.pth"),
    ]


def test_the_text_is_the_same_each_time_and_in_any_order(data: Path) -> None:
    texts = {
        write.text_of(write.catalogue_of(data, "1" * 40, chosen))
        for chosen in (["4x-Ultra", "2x-Hand"], ["2x-Hand", "4x-Ultra"])
    }
    (text,) = texts
    assert json.loads(text)["source"]["commit"] == "1" * 40
    assert "belong to their author" not in text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"architecture": "mosr"}, "mosr"),
        ({"tags": ["photo", "brand-new"]}, "brand-new"),
        ({"resources": []}, "no .pth or .safetensors"),
        ({"resources": _resource([], "onnx")}, "no .pth or .safetensors"),
        ({"resources": _resource([], sha256=None)}, "a checksum"),
        ({"resources": _resource([], size=None)}, "a size"),
    ],
)
def test_what_cannot_be_taken_is_told(data: Path, changed: dict[str, Any], words: str) -> None:
    _write(data / "data" / "models" / "4x-Ultra.json", {**MODEL, **changed})
    with pytest.raises(RequestError, match=re.escape(words)):
        write.catalogue_of(data, "0" * 40, ["4x-Ultra"])


def test_a_model_that_is_not_there_is_told(data: Path) -> None:
    with pytest.raises(RequestError, match="4x-Missing"):
        write.catalogue_of(data, "0" * 40, ["4x-Missing"])


RELEASE = "https://github.com/a/b/releases/download/v1/x"


@pytest.mark.parametrize(
    ("resources", "taken"),
    [
        (_resource([f"{RELEASE}.pth"]) + _resource([f"{RELEASE}.safetensors"], "safetensors"), "safetensors"),
        (_resource([f"{RELEASE}.pth"]) + _resource(["https://mega.nz/x"], "safetensors"), "pth"),
        (_resource(["https://mega.nz/y"]) + _resource(["https://mega.nz/x"], "safetensors"), "safetensors"),
    ],
)
def test_the_file_that_is_taken(data: Path, resources: list[dict[str, Any]], taken: str) -> None:
    _write(data / "data" / "models" / "4x-Ultra.json", {**MODEL, "resources": resources})
    (row,) = write.catalogue_of(data, "0" * 40, ["4x-Ultra"])["models"]
    assert row["file"].endswith(f".{taken}")


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        ("https://github.com/a/b/releases/download/v1/x.pth", True),
        ("https://github.com/a/b/raw/main/x.pth", True),
        ("https://raw.githubusercontent.com/a/b/main/x.pth", True),
        ("https://huggingface.co/a/b/resolve/main/x.pth?download=true", True),
        ("https://objectstorage.us-phoenix-1.oraclecloud.com/n/z/b/open-modeldb-files/o/x.pth", True),
        ("https://f002.backblazeb2.com/file/ESRGAN/x.pth", True),
        ("https://github.com/a/b/releases/tag/x.pth", False),
        ("https://github.com/a/b/blob/main/x.pth", False),
        ("https://github.com/a/b/releases/download/v1/x.zip", False),
        ("https://github.com/a/b/releases/download/v1/x.safetensors", False),
        ("https://github.com.evil.example/a/b/raw/main/x.pth", False),
        ("https://evil.example/github.com/a/b/raw/main/x.pth", False),
        ("http://github.com/a/b/raw/main/x.pth", False),
        ("https://mega.nz/file/x.pth", False),
        ("https://drive.google.com/file/d/x.pth", False),
        ("https://www.mediafire.com/file/abc/x.pth", False),
        ("", False),
    ],
)
def test_only_addresses_of_the_bytes_themselves_are_direct(url: str, direct: bool) -> None:
    assert write.direct_address(url, "pth") == (url if direct else "")


def test_a_page_about_a_file_on_hugging_face_is_turned_into_the_file() -> None:
    assert (
        write.direct_address("https://huggingface.co/a/b/blob/main/x.pth", "pth")
        == "https://huggingface.co/a/b/resolve/main/x.pth"
    )


def test_the_program_writes_the_file(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = ["git", "-C", str(data), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert write.main([str(data)]) == 1  # there is no commit yet
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "data"], check=True)
    monkeypatch.setattr(write, "MODELS_FILE", tmp_path / "models.json")
    monkeypatch.setattr(write.catalogue_of, "__defaults__", (("4x-Ultra",),))
    assert write.main([str(data)]) == 0
    written = json.loads((tmp_path / "models.json").read_text(encoding="utf-8"))
    assert [row["id"] for row in written["models"]] == ["4x-Ultra"]
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert written["source"]["commit"] == head
    assert not (tmp_path / "models.json.part").exists()


# -- finding -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["4x-Remacri", "4X-REMACRI", "Remacri", "4x Remacri", "4x_foolhardy_Remacri", "4x_foolhardy_Remacri.pth"]
)
def test_a_model_is_found_by_each_of_its_names(name: str) -> None:
    assert find(name).id == "4x-Remacri"


def test_a_wrong_name_suggests_right_ones() -> None:
    with pytest.raises(ModelNotFoundError, match="4x-UltraSharp"):
        find("4x-UltraShrap")
    with pytest.raises(ModelNotFoundError, match="command 'catalogue' lists"):
        find("")


def test_a_checksum_tells_which_model_a_file_is() -> None:
    remacri = find("4x-Remacri")
    assert by_sha256(remacri.sha256.upper()) is remacri
    assert by_sha256("0" * 64) is None


def test_a_damaged_catalogue_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("", "[]", '{"models": [{}]}', '{"models": [1]}'):
        (tmp_path / "models.json").write_text(text)
        monkeypatch.setattr(module, "MODELS_FILE", tmp_path / "models.json")
        entries.cache_clear()
        try:
            with pytest.raises(DownloadError, match="missing or damaged"):
                entries()
            assert by_sha256("0" * 64) is None
        finally:
            entries.cache_clear()


def test_an_installed_model_is_known_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUESCALE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "renamed.pth").write_bytes(b"right")
    (tmp_path / "models" / "same size.pth").write_bytes(b"wrong")
    models = ModelLibrary([tmp_path / "models"]).models()
    entry = replace(find("4x-Remacri"), size=5, sha256=hashlib.sha256(b"right").hexdigest())
    assert installed(entry, models).name == "renamed"
    assert installed(replace(entry, sha256="0" * 64), models) is None
    assert installed(replace(entry, size=6), models) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("/o/4x Thing.pth", "4x Thing.pth"),
        ("a\\b\\Thing.SAFETENSORS", "Thing.safetensors"),
        ("../../x.pth", "x.pth"),
        ("NUL.pth", "model NUL.pth"),
        ("com1.old.pth", "model com1.old.pth"),
        (".hidden.pth", "hidden.pth"),
        ('a<b>:"|?*.pth', "ab.pth"),
        ("tab\tnew\nline\x00.pth", "tabnewline.pth"),
        ("thing.tar", "thing.tar.pth"),
        ("thing. .pth", "thing.pth"),
        ("/", "4x-Id.pth"),
        ("..", "4x-Id.pth"),
        ("", "4x-Id.pth"),
        ("x" * 300 + ".pth", "x" * 120 + ".pth"),
    ],
)
def test_names_of_files_are_safe_on_every_system(text: str, name: str) -> None:
    assert safe_file_name(text, "4x-Id") == name
