"""What the command line tells of models, where it looks for them, and its help."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lib_upscaler.cli.commands import main
from lib_upscaler.models.folders import model_folders
from small_networks import compact, save_pth

pytestmark = pytest.mark.usefixtures("at_a_console")


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


# -- what words mean ---------------------------------------------------------------------------------------------------


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
