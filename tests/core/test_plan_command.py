"""``upscale --plan`` says what each picture would take, and does nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.cli.commands import main
from lib_upscaler.pictures import reading
from lib_upscaler.running.speeds import learn
from reference import CPU
from small_networks import compact, save_pth, save_safetensors


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_safetensors(compact(2, features=8, layers=2), folder / "two.safetensors")
    save_pth(compact(4, features=8, layers=1, seed=1), folder / "four.pth")
    return folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    """An empty current folder, models where the environment says, and nothing learned yet."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TRUESCALE_MODELS", str(models))
    monkeypatch.setenv("TRUESCALE_CACHE", str(tmp_path / "cache"))


def photo(name: str, width: int = 24, height: int = 18, mode: str = "RGB") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
    Image.fromarray(pixels, "RGBA").convert(mode).save(path)
    return path


def upscale(*words: object) -> int:
    return main(["upscale", *map(str, words), "--device", "cpu"])


def plan(*words: object) -> int:
    return upscale(*words, "--model", "two", "--precision", "exact", "--plan")


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*")}


def test_a_line_for_each_picture_and_nothing_is_written(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo("pics/a.png", 512, 768)
    photo("pics/b.jpg", 24, 18)
    before = files()
    monkeypatch.setattr(reading, "_pixels", lambda *_: pytest.fail("pixels were read"))

    assert plan("pics", "-o", "out", "--scale", 4) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{Path('pics/a.png')} -> {Path('out/a.png')}: 512x768 -> 2048x3072 px, 6.29 MP, whole, ")
    assert second.startswith(f"{Path('pics/b.jpg')} -> {Path('out/b.png')}: 24x18 -> 96x72 px, 0.01 MP, whole, float32")
    assert all("time not known before a first run" in line for line in (first, second))
    assert all(line.endswith("GB of memory") for line in (first, second))
    assert files() == before


def test_what_is_planned_is_what_is_done(capsys: pytest.CaptureFixture) -> None:
    photo("in.png", 90, 70)
    words = ("in.png", "--tile", 32, "--width", 300)
    assert plan(*words) == 0
    planned = capsys.readouterr().out
    assert upscale(*words, "--model", "two", "--precision", "exact") == 0
    done = capsys.readouterr().out

    # "300x233 px" and "24 tiles, margin 5 px" in both.
    for part in ("90x70 -> 300x233 px", done.split("s, ")[1].split(", seams")[0]):
        assert part in planned
        assert part in done


def test_time_is_told_after_a_run(capsys: pytest.CaptureFixture) -> None:
    photo("a.png", 64, 64)
    photo("b.png", 64, 64)
    assert upscale("a.png", "--model", "two", "--precision", "exact") == 0
    capsys.readouterr()
    assert plan("a.png", "b.png", "-o", "out") == 0
    said = capsys.readouterr()

    assert "not known" not in said.out
    assert "2 pictures, " in said.err


def test_the_size_is_that_of_the_upright_picture(capsys: pytest.CaptureFixture) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save("in.jpg", exif=exif.tobytes())

    assert plan("in.jpg") == 0
    assert "20x40 -> 40x80 px" in capsys.readouterr().out


def test_what_cannot_be_done_is_told_and_the_others_go_on(capsys: pytest.CaptureFixture) -> None:
    photo("a.png")
    Path("bad.png").write_bytes(b"<html>")
    photo("large.png", 3000, 3000)

    assert plan("bad.png", "large.png", "a.png", "-o", "out", "--memory", "70MB") == 1
    said = capsys.readouterr()
    assert said.out.startswith("a.png -> ")
    assert "error: bad.png: cannot read" in said.err
    assert "error: large.png: there is not enough memory" in said.err


def test_a_format_that_cannot_hold_the_result_is_told(capsys: pytest.CaptureFixture) -> None:
    photo("in.png", 24, 18)
    assert plan("in.png", "-o", "out.webp", "--width", 20_000) == 1
    assert "16383 px" in capsys.readouterr().err


def test_transparency_counts_where_the_format_keeps_it(capsys: pytest.CaptureFixture) -> None:
    photo("in.png", 200, 200, "RGBA")
    learn("", CPU, 1.0, 2e-7, ("network",))  # a very slow machine

    def seconds(output: str) -> float:
        assert plan("in.png", "-o", output) == 0
        return float(capsys.readouterr().out.split("about ")[1].split(" s,")[0])

    assert seconds("out.png") == pytest.approx(2 * seconds("out.jpg"), abs=1.5)


def test_pictures_that_are_left_out_are_named(capsys: pytest.CaptureFixture) -> None:
    photo("in.png")
    photo("out.png")

    assert plan("in.png", "-o", "out.png", "--skip-existing") == 0
    assert "skipped" in capsys.readouterr().out


def test_wrong_use_is_told_as_ever(capsys: pytest.CaptureFixture) -> None:
    photo("in.png")
    assert upscale("in.png", "--model", "tow", "--plan") == 2
    assert "'two'" in capsys.readouterr().err
    assert plan("in.png", "--scale", 99) == 2
    assert plan("none.png") == 1


def test_quiet_leaves_problems(capsys: pytest.CaptureFixture) -> None:
    photo("a.png")
    Path("bad.png").write_bytes(b"")
    assert plan("a.png", "bad.png", "-o", "out", "--quiet") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: bad.png")
    assert len(said.err.splitlines()) == 1


def test_help_names_it(capsys: pytest.CaptureFixture) -> None:
    assert main(["upscale", "--help"]) == 0
    assert "--plan" in capsys.readouterr().out
