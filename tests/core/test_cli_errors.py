"""What a command says to everything that is wrong, and what amounts of memory it understands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from cli_runs import photo, upscale
from lib_upscaler.cli.commands import main
from lib_upscaler.cli.options import byte_count

pytestmark = pytest.mark.usefixtures("at_a_console")


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_bad_picture_is_named_and_the_others_go_on(capsys: pytest.CaptureFixture) -> None:
    photo("b.png")
    Path("a.png").write_bytes(b"<html>")
    assert upscale("a.png", "missing.png", "b.png", "-o", "out", "--model", "two") == 1
    said = capsys.readouterr()
    assert "error: a.png: cannot read" in said.err
    assert "error: missing.png: cannot read" in said.err
    assert "Traceback" not in said.err
    assert "1 of 3 upscaled, 2 failed" in said.err
    assert said.out.startswith("[3/3] b.png -> ")
    assert [path.name for path in Path("out").iterdir()] == ["b.png"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--scale", 2, "--width", 10), "several ways"),
        (("--max-side", 9, "--megapixels", 1), "several ways"),
        (("--fit", "crop"), "--width and --height"),
        (("--scale", 2, "--fit", "crop"), "--width and --height"),
        (("--scale", 40), "0.05 to 32"),
        (("--scale", "nan"), "finite"),
        (("--scale", "big"), "not a number"),
        (("--width", 0), "0 px"),
        (("--width", "1.5"), "whole number"),
        (("--tile", 8), "16 px"),
        (("--tile", "wide"), "neither auto, none"),
        (("--memory", "2"), "2GB"),
        (("--memory", "much"), "2GB"),
        (("--precision", "int8"), "int8"),
        (("--alpha", "keep"), "keep"),
        (("--format", "tga"), "tga"),
        (("--quality", 0), "1 to 100"),
        (("--quality", 101), "1 to 100"),
        (("--visibility", 0.5), "second model"),
        (("--model2", "four", "--visibility", 1.5), "0 to 1"),
        (("--model2", "fuor"), "'four'"),
        (("--model", "tow"), "'two'"),
        (("--model", "no/such.pth"), "no model"),
        (("--models-dir", "nowhere"), "nowhere"),
        (("--skip-existing", "--overwrite"), "not allowed with"),
        (("--report", "no/folder/r.jsonl"), "report"),
        (("-o", "in.png"), "it is the input"),
        (("-o", "out.xyz"), "unknown file type"),
        (("--sclae", 2), "--sclae"),
    ],
)
def test_wrong_use_is_told_before_any_work(words: tuple, says: str, capsys: pytest.CaptureFixture) -> None:
    before = photo("in.png").read_bytes()
    assert upscale("in.png", *(() if "--model" in words else ("--model", "two")), *words) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    assert [path.name for path in Path().iterdir()] == ["in.png"]
    assert Path("in.png").read_bytes() == before


def test_no_such_device(capsys: pytest.CaptureFixture) -> None:
    photo("in.png")
    assert main(["upscale", "in.png", "--model", "two", "--device", "toaster"]) == 2
    assert "toaster" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [((), "INPUT"), (("empty",), "no picture"), (("-",), "standard input"), (("only-folders",), "--recursive")],
)
def test_nothing_to_do(words: tuple, says: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)  # a program without a console
    Path("empty").mkdir()
    photo("only-folders/sub/a.png")
    assert upscale(*words, "--model", "two") == 2
    assert says in capsys.readouterr().err


def test_without_a_model_the_one_that_ships_is_used() -> None:
    photo("in.png")
    assert upscale("in.png", "--report", "r.jsonl") == 0
    assert json.loads(Path("r.jsonl").read_text())["models"] == ["TrueScale 4x"]
    assert Image.open("in-upscaled.png").size == (96, 72)


@pytest.mark.usefixtures("none_ships")
def test_without_a_model_it_says_which_there_are(capsys: pytest.CaptureFixture) -> None:
    photo("in.png")
    assert upscale("in.png") == 2
    said = capsys.readouterr().err
    assert "'two'" in said
    assert "'four'" in said
    assert "--model" in said


@pytest.mark.usefixtures("none_ships")
def test_without_any_model_it_says_where_to_put_one(capsys: pytest.CaptureFixture) -> None:
    photo("in.png")
    Path("none").mkdir()
    assert upscale("in.png", "--models-dir", "none") == 2
    assert str(Path("none").resolve()) in capsys.readouterr().err


def test_a_bad_model_file(capsys: pytest.CaptureFixture) -> None:
    photo("in.png")
    Path("bad.pth").write_bytes(b"<!DOCTYPE html><html>not found</html>")
    assert upscale("in.png", "--model", "bad.pth", "-o", "out/o.png", "--report", "r.jsonl") == 1
    said = capsys.readouterr().err
    assert said.count("error:") == 1
    assert "bad.pth" in said
    assert not Path("out").exists()
    assert not Path("r.jsonl").exists()


def test_debug_shows_where_an_error_came_from(capsys: pytest.CaptureFixture) -> None:
    Path("in.png").write_bytes(b"")
    assert upscale("in.png", "--model", "two", "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_quiet(capsys: pytest.CaptureFixture) -> None:
    photo("in.png")
    Path("bad.png").write_bytes(b"")
    assert upscale("in.png", "bad.png", "-o", "out", "--model", "two", "--quiet") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: bad.png")
    assert len(said.err.splitlines()) == 1


# -- what words mean ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2_000_000_000),
        ("2G", 2_000_000_000),
        ("500mb", 500_000_000),
        ("1.5 GB", 1_500_000_000),
        (".5GiB", 536_870_912),
        ("1GiB", 1_073_741_824),
        ("3MiB", 3_145_728),
        ("2000000000", 2_000_000_000),
        ("64kb", 64_000),
        ("1TB", 1_000_000_000_000),
        ("7B", 7),
    ],
)
def test_amounts_of_memory(text: str, size: int) -> None:
    assert byte_count(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1,5GB", "1e9", "2 XB", "1iB", "nan"])
def test_no_amounts_of_memory(text: str) -> None:
    with pytest.raises(ValueError, match="no amount"):
        byte_count(text)
