"""What a person gets who types a command: pictures, lines, exit codes, and words for everything that is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import spandrel
import torch
from PIL import Image

from lib_upscaler.catalogue import Entry, entries
from lib_upscaler.cli.commands import main
from lib_upscaler.cli.options import byte_count
from lib_upscaler.models import library
from lib_upscaler.models.folders import model_folders
from small_networks import compact, save_pth, save_safetensors

ROOT = Path(__file__).resolve().parents[2]
REPORT_FIELDS = [
    *("input", "output", "input_size", "output_size", "models", "strategy", "tiles", "margin", "seam_error"),
    *("precision", "precision_db", "device", "seconds", "load_seconds", "peak_bytes", "warnings"),
]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_safetensors(compact(2, features=8, layers=2), folder / "two.safetensors")
    save_pth(compact(4, features=8, layers=1, seed=1), folder / "four.pth")
    return folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    """An empty current folder, models where the environment says, a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUESCALE_MODELS", str(models))
    monkeypatch.setenv("TRUESCALE_CACHE", str(models.parent / "cache"))


def photo(path: str | Path, width: int = 24, height: int = 18, mode: str = "RGB", seed: int = 0) -> Path:
    """A picture of smooth random colours."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    grain = np.random.default_rng(seed).integers(0, 256, (4, 5, 4), np.uint8)
    large = Image.fromarray(grain, "RGBA").resize((width, height), Image.BICUBIC)
    large.convert(mode).save(path)
    return path


def upscale(*words: object) -> int:
    return main(["upscale", *map(str, words), "--device", "cpu"])


def true_output(model: Path, picture: Path) -> np.ndarray:
    """spandrel's own untiled call in float32, (h, w, 3) 0 to 255, not rounded."""
    network = spandrel.ModelLoader().load_from_file(model)
    planes = torch.from_numpy(np.asarray(Image.open(picture).convert("RGB")).copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        return network(planes)[0].permute(1, 2, 0).numpy() * 255.0


# -- results -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [(), ("--tile", 16), ("--memory", "1GB"), ("--tile", "none")])
def test_the_result_is_the_networks_true_output(models: Path, extra: tuple, capsys: pytest.CaptureFixture) -> None:
    picture = photo("in.png", 50, 37)
    assert upscale(picture, "-o", "out.png", "--model", "two", "--precision", "exact", *extra) == 0
    result = np.asarray(Image.open("out.png"))
    assert result.shape == (74, 100, 3)
    assert np.abs(result - true_output(models / "two.safetensors", picture)).max() <= 1.0
    said = capsys.readouterr()
    assert said.out.startswith("in.png -> out.png: 50x37 -> 100x74 px")
    assert said.err == ""


def test_a_model_by_its_path_and_results_beside() -> None:
    photo("pics/a.jpg")
    photo("pics/b.png")
    model = save_pth(compact(2, features=8, layers=1), Path("own.pth"))
    assert upscale("pics", "--model", model) == 0
    assert sorted(path.name for path in Path("pics").iterdir()) == [
        "a-upscaled.png",
        "a.jpg",
        "b-upscaled.png",
        "b.png",
    ]
    assert upscale("pics", "--model", model, "--skip-existing") == 0
    assert len(list(Path("pics").iterdir())) == 4


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ((), (48, 36)),
        (("--scale", "1.5"), (36, 27)),
        (("--scale", "3x"), (72, 54)),
        (("--width", 33), (33, 25)),
        (("--height", 90), (120, 90)),
        (("--width", 40, "--height", 40), (40, 30)),
        (("--width", 40, "--height", 40, "--fit", "crop"), (40, 40)),
        (("--width", 41, "--height", 29, "--fit", "stretch"), (41, 29)),
        (("--width", 50, "--height", 50, "--fit", "pad"), (50, 50)),
        (("--max-side", "100px"), (100, 75)),
        (("--megapixels", "0.0027"), (60, 45)),
    ],
)
def test_exactly_the_size_asked_for(words: tuple, size: tuple[int, int]) -> None:
    photo("in.png", 24, 18)
    assert upscale("in.png", "-o", "o.png", "--model", "two", *words) == 0
    assert Image.open("o.png").size == size


def test_formats_quality_and_sub_folders() -> None:
    photo("pics/a.png", 64, 64)
    photo("pics/sub/b.png", 64, 64, "L")
    words = ("pics", "--recursive", "--model", "two", "--format", "jpg")
    assert upscale(*words, "-o", "low", "--quality", 20) == 0
    assert upscale(*words, "-o", "high", "--quality", 100) == 0
    assert [Image.open(f"low/{name}.jpg").format for name in ("a", "sub/b")] == ["JPEG", "JPEG"]
    assert Image.open("low/sub/b.jpg").mode == "L"
    assert Path("low/a.jpg").stat().st_size < Path("high/a.jpg").stat().st_size / 2


def test_two_models_mix_by_visibility(models: Path) -> None:
    photo("in.png")
    words = ("in.png", "--width", 96, "--precision", "exact", "--report", "r.jsonl")
    for name, visibility in (("0", 0), ("0.25", 0.25), ("1", 1)):
        both = ("--model", "two", "--model2", "four", "--visibility", visibility)
        assert upscale(*words, *both, "-o", f"{name}.png") == 0
    assert upscale(*words, "--model", "two", "-o", "two.png") == 0
    assert upscale(*words, "--model", "four", "-o", "four.png") == 0
    assert upscale(*words, "--model", "two", "--model2", "four", "-o", "half.png") == 0
    two, four, quarter, half = (
        np.asarray(Image.open(f"{name}.png")).astype(float) for name in ("two", "four", "0.25", "half")
    )
    assert np.array_equal(np.asarray(Image.open("0.png")), two)
    assert np.array_equal(np.asarray(Image.open("1.png")), four)
    assert np.abs(quarter - (0.75 * two + 0.25 * four)).max() <= 1.0
    assert np.abs(half - (two + four) / 2).max() <= 1.0
    lines = [json.loads(line)["models"] for line in Path("r.jsonl").read_text().splitlines()]
    assert lines == [["two"], ["two", "four"], ["four"], ["two"], ["four"], ["two", "four"]]


@pytest.mark.parametrize(("alpha", "mode"), [("network", "RGBA"), ("fast", "RGBA"), ("drop", "RGB")])
def test_transparency(alpha: str, mode: str) -> None:
    photo("in.png", mode="RGBA")
    assert upscale("in.png", "-o", "o.webp", "--model", "two", "--alpha", alpha) == 0
    assert Image.open("o.webp").mode == mode


def test_transparency_in_a_format_without_it_is_told(capsys: pytest.CaptureFixture) -> None:
    photo("in.png", mode="RGBA")
    assert upscale("in.png", "-o", "o.jpg", "--model", "two") == 0
    assert "white" in capsys.readouterr().err


def test_the_report_has_a_line_for_each_picture() -> None:
    photo("pics/a.png", 24, 18)
    Path("pics/b.png").write_bytes(b"")
    photo("pics/c.png", 30, 20)
    words = ("pics", "-o", "out", "--model", "two", "--precision", "exact", "--report", "r.jsonl")
    assert upscale(*words) == 1
    first, bad, last = map(json.loads, Path("r.jsonl").read_text(encoding="utf-8").splitlines())
    assert list(first) == list(last) == REPORT_FIELDS
    assert (first["input"], first["output"]) == (str(Path("pics/a.png")), str(Path("out/a.png")))
    assert (first["input_size"], first["output_size"], first["models"]) == ([24, 18], [48, 36], ["two"])
    assert (first["strategy"], first["precision"], first["device"]) == ("whole", "float32", "cpu")
    assert first["load_seconds"] > 0
    assert last["load_seconds"] == 0
    assert 0 < first["seconds"] < 10
    assert first["peak_bytes"] >= 0
    assert bad["input"] == str(Path("pics/b.png"))
    assert "empty" in bad["error"]
    assert upscale(*words, "--overwrite") == 1
    assert len(Path("r.jsonl").read_text().splitlines()) == 6, "lines are appended"


def test_verify_compares_with_the_untiled_network(capsys: pytest.CaptureFixture) -> None:
    photo("in.png", 60, 40)
    words = ("--model", "two", "--precision", "exact", "--tile", "16", "--verify", "--report", "r.jsonl")
    assert upscale("in.png", "-o", "o.png", *words) == 0
    line = json.loads(Path("r.jsonl").read_text())
    assert line["strategy"] == "tiles"
    assert 0 <= line["verify_mean"] <= line["verify_max"] <= 1
    assert "verified" in capsys.readouterr().out


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
        (("--format", "gif"), "gif"),
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
def test_nothing_to_do(words: tuple, says: str, capsys: pytest.CaptureFixture) -> None:
    Path("empty").mkdir()
    photo("only-folders/sub/a.png")
    assert upscale(*words, "--model", "two") == 2
    assert says in capsys.readouterr().err


def test_without_a_model_the_one_that_ships_is_used() -> None:
    photo("in.png")
    assert upscale("in.png", "--report", "r.jsonl") == 0
    assert json.loads(Path("r.jsonl").read_text())["models"] == ["TrueScale 4x"]
    assert Image.open("in-upscaled.png").size == (96, 72)


@pytest.fixture
def none_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has deleted the model that ships."""
    monkeypatch.setattr(library, "_WEIGHTS", tmp_path / "deleted")


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


# -- models, inspect, help ---------------------------------------------------------------------------------------------


def test_models_are_listed_with_those_that_cannot_be_used(capsys: pytest.CaptureFixture) -> None:
    folder = Path("some")
    folder.mkdir()
    save_pth(compact(3, features=8, layers=1, channels=1), folder / "grey.pth")
    (folder / "broken.pth").write_bytes(b"")
    assert main(["models", "--models-dir", "some"]) == 0
    head, ours, row, bad = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "ARCHITECTURE", "SCALE", "CHANNELS", "PURPOSE", "SIZE", "TILES"]
    assert ours.startswith("TrueScale 4x  RealESRGAN Compact  4x     RGB ")
    assert row.startswith("grey ")
    assert "  3x     grey " in row
    assert bad.startswith("broken: ")
    assert "empty" in bad

    assert main(["models", "--models-dir", "some", "--json"]) == 0
    first, good, refused = json.loads(capsys.readouterr().out)
    assert first["name"] == "TrueScale 4x"
    assert (good["name"], good["scale"], good["input_channels"]) == ("grey", 3, 1)
    assert refused["name"] == "broken"
    assert "empty" in refused["error"]


def test_models_of_several_folders(models: Path, capsys: pytest.CaptureFixture) -> None:
    save_pth(compact(2, features=8, layers=1), Path("own.pth"))
    assert main(["models", "--models-dir", ".", "--models-dir", str(models)]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["NAME", "TrueScale", "own", "four", "two"]


@pytest.mark.usefixtures("none_ships")
def test_no_models(capsys: pytest.CaptureFixture) -> None:
    assert main(["models", "--models-dir", ".", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("by", ["name", "path"])
def test_inspect_tells_all_about_a_model(by: str, models: Path, capsys: pytest.CaptureFixture) -> None:
    word = "four" if by == "name" else str(models / "four.pth")
    assert main(["inspect", word]) == 0
    lines = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["scale"].strip() == "4x"
    assert len(lines["sha256"].strip()) == 64
    assert main(["inspect", word, "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["scale"], card["file_size"]) == (4, (models / "four.pth").stat().st_size)


def test_inspect_what_is_no_model(capsys: pytest.CaptureFixture) -> None:
    Path("bad.safetensors").write_bytes(b"\xff" * 64)
    assert main(["inspect", "bad.safetensors"]) == 1
    assert main(["inspect", "nothing.pth"]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", [(), ("upscale",), ("models",), ("inspect",), ("catalogue",), ("download",)])
def test_help_names_every_option(command: tuple, capsys: pytest.CaptureFixture) -> None:
    assert main([*command, "--help"]) == 0
    text = capsys.readouterr().out
    options = {
        (): "upscale models inspect catalogue download --version",
        (
            "upscale",
        ): "--model --models-dir --model2 --visibility --scale --width --height --fit --max-side --megapixels"
        " --precision --device --tile --memory --alpha --format --quality --recursive --skip-existing --overwrite"
        " --report --verify -o",
        ("models",): "--models-dir --json",
        ("inspect",): "--json FILE",
        ("catalogue",): "--for --scale --json",
        ("download",): "NAME --to --models-dir --quiet",
    }
    assert [word for word in options[command].split() if word not in text] == []


def test_version_and_no_command(capsys: pytest.CaptureFixture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("TrueScale ")
    assert main([]) == 2
    assert main(["enlarge"]) == 2
    assert "upscale" in capsys.readouterr().err


# -- the catalogue -----------------------------------------------------------------------------------------------------


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


def test_where_models_are_looked_for(tmp_path: Path) -> None:
    project = tmp_path / "webui" / "extensions" / "truescale"
    webui_models = tmp_path / "webui" / "models" / "ESRGAN"
    here = tmp_path / "here"
    for folder in (project, webui_models, here):
        folder.mkdir(parents=True)
    (project / "install.py").touch()
    assert model_folders((), {}, here, project) == [webui_models, project / "models"]
    (here / "models" / "ESRGAN").mkdir(parents=True)
    assert model_folders((), {}, here, project) == [here / "models" / "ESRGAN", webui_models, project / "models"]
    variable = {"TRUESCALE_MODELS": f"a{os.pathsep}b"}
    assert model_folders((), variable, here, project) == [Path("a"), Path("b")]
    assert model_folders([str(here)], variable, here, project) == [here]
    installed = tmp_path / "site-packages"
    assert model_folders((), {}, project, installed) == [project / "models" / "ESRGAN"], "packages hold no models"


# -- as a program ------------------------------------------------------------------------------------------------------


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "lib_upscaler", *words]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "ascii"}


def test_as_a_module_on_a_console_that_knows_no_korean_and_its_peak_includes_reading_and_writing() -> None:
    """The peak in a process of its own, as users have it: here it depends on what earlier tests have left in the heap,
    which the picture is read into without any more memory.
    """
    photo("한글.bmp", 3000, 2000)  # none of its pixels are needed any more once the small result is made
    words = command("upscale", "한글.bmp", "--model", "two", "--scale", "0.05", "--report", "r.jsonl")
    done = subprocess.run(words, env=environment(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert Path("한글-upscaled.png").is_file()
    assert rb"\ud55c\uae00.bmp -> " in done.stdout
    peak = json.loads(Path("r.jsonl").read_text())["peak_bytes"]
    pixels = 3000 * 2000
    assert 3 * pixels <= peak <= 20 * pixels, "a byte for each channel, and a few copies"


def test_the_start_needs_no_torch_and_survives_a_closed_pipe(models: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from lib_upscaler.cli import commands; commands.main(['--help'])"
    assert subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True).returncode == 0

    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(command("models"), env=environment(), stdout=writer, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(writer)
    assert done.returncode == 0
    assert done.stderr == b""


@pytest.mark.alone
@pytest.mark.skipif(os.name == "nt", reason="a process there cannot send Ctrl-C to one other")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_soon_and_leaves_nothing_half_done(number: signal.Signals, models: Path) -> None:
    photo("a.png", 16, 16)
    photo("b.png", 1500, 1500)  # a minute of work
    save_pth(compact(2, features=32, layers=80), Path("slow.pth"))
    # Where the tests run in the background, the shell has Ctrl-C ignored, and the program would respect that.
    code = "import runpy, signal as s; s.signal(s.SIGINT, s.default_int_handler); "
    code += "runpy.run_module('lib_upscaler', run_name='__main__', alter_sys=True)"
    words = [sys.executable, "-c", code, "upscale", "a.png", "b.png", "-o", "out", "--model", "slow.pth"]
    words += ["--device", "cpu"]
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stdout.readline().startswith("[1/2] a.png -> ")
        time.sleep(0.5)
        asked = time.monotonic()
        job.send_signal(number)
        _, said = job.communicate(timeout=30)
        assert time.monotonic() - asked < 15, "a second, on a machine that does nothing else"
    assert job.returncode == 130
    assert said.splitlines() == ["cancelled: 1 of 2 pictures finished, nothing half-done is left"]
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]
