"""The catalogue and downloads by a command."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from lib_upscaler.catalogue import Entry, entries
from lib_upscaler.cli.commands import main

pytestmark = pytest.mark.usefixtures("at_a_console")


def test_the_catalogue_is_listed_with_licences_and_what_cannot_be_downloaded(capsys: pytest.CaptureFixture) -> None:
    assert main(["catalogue"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "ARCHITECTURE", "SCALE", "SIZE", "LICENCE", "FOR"]
    assert len(lines) == len(entries())
    by_name = {line.split()[0]: line for line in lines}
    assert "BSD-3-Clause" in by_name["4x-realesrgan-x4plus"]
    assert "by hand from https://openmodeldb.info/models/4x-UltraSharp" in by_name["4x-UltraSharp"]
    assert "by hand" not in by_name["4x-realesrgan-x4plus"]


@pytest.mark.parametrize("words", [("--for", "faces"), ("--scale", "2x"), ("--for", "Illus", "--scale", "4")])
def test_the_catalogue_by_purpose_and_scale(words: tuple, capsys: pytest.CaptureFixture) -> None:
    assert main(["catalogue", "--json", *words]) == 0
    listed = {row["id"] for row in json.loads(capsys.readouterr().out)}
    purpose = {"--for": {"faces": "faces", "Illus": "illustration"}[words[1]]} if words[0] == "--for" else {}
    scale = int(words[-1].rstrip("x")) if "--scale" in words else None
    expected = {
        entry.id
        for entry in entries()
        if (not purpose or purpose["--for"] in entry.purposes) and scale in (None, entry.scale)
    }
    assert listed == expected
    assert 0 < len(listed) < len(entries())


def test_a_purpose_that_there_is_not(capsys: pytest.CaptureFixture) -> None:
    assert main(["catalogue", "--for", "cats"]) == 2
    assert "'cats' is none of: all kinds of pictures, photos" in capsys.readouterr().err


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Entry:
    """A catalogue of one small model, without a network: it has to be there already, or fails."""
    data = b"a model"
    sha256 = hashlib.sha256(data).hexdigest()
    entry = Entry("4x-Small", "Small", ("Ann",), "", "ESRGAN", 4, 3, 3, ("photos",), "2024-01-01", "small.pth", 7,
                  sha256, ("https://models.invalid/small.pth",))  # fmt: skip
    monkeypatch.setattr("lib_upscaler.cli.commands.find", lambda name: entry)
    monkeypatch.setenv("TRUESCALE_OFFLINE", "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    return entry


def test_download_says_what_it_gets_under_which_licence_and_where_it_is(
    offered: Entry, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "small.pth").write_bytes(b"a model")
    assert main(["download", "4x-Small", "--to", "there"]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "there" / "small.pth")
    assert "4x Small" in said.err
    assert "licence: not stated" in said.err


def test_download_goes_into_the_first_folder_of_models(
    offered: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "small.pth").write_bytes(b"a model")
    monkeypatch.setenv("TRUESCALE_MODELS", os.pathsep.join(["first", "second"]))
    assert main(["download", "4x-Small", "--quiet"]) == 0
    said = capsys.readouterr()
    assert (said.out.strip(), said.err) == (str(tmp_path / "first" / "small.pth"), "")


def test_download_without_a_network(
    offered: Entry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("TRUESCALE_OFFLINE", "1")
    assert main(["download", "4x-Small", "--to", "new"]) == 1
    assert "TRUESCALE_OFFLINE" in capsys.readouterr().err


def test_download_of_a_model_that_there_is_not(capsys: pytest.CaptureFixture) -> None:
    assert main(["download", "4x-Remacry"]) == 2
    assert "you mean '4x-Remacri'" in capsys.readouterr().err
