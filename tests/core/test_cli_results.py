"""What a person gets who upscales by a command: pictures, lines, a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import spandrel
import torch
from PIL import Image

from cli_runs import photo, upscale
from small_networks import compact, save_pth

pytestmark = pytest.mark.usefixtures("at_a_console")


REPORT_FIELDS = [
    *("input", "output", "input_size", "output_size", "frames", "models", "strategy", "tiles", "margin", "seam_error"),
    *("precision", "precision_db", "device", "bits", "seconds", "load_seconds", "peak_bytes", "warnings"),
]


def true_output(model: Path, picture: Path) -> np.ndarray:
    """spandrel's own untiled call in float32, (h, w, 3) 0 to 255, not rounded."""
    network = spandrel.ModelLoader().load_from_file(model)
    planes = torch.from_numpy(np.asarray(Image.open(picture).convert("RGB")).copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        return network(planes)[0].permute(1, 2, 0).numpy() * 255.0


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
