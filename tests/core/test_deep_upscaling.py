"""What has more than 8 bits goes through networks in float32, and is rounded once, at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cli_runs import upscale
from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.pictures.metadata import Metadata
from lib_upscaler.pictures.pixels import Pixels
from lib_upscaler.pictures.reading import read_picture
from lib_upscaler.pictures.writing import write_picture
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.planning.sizing import ByScale
from lib_upscaler.request import UpscaleReport, UpscaleRequest
from made_pictures import png, tiff
from reference import by_spandrel, photo
from small_networks import compact, save_safetensors

NETWORKS = {"one": compact(1, seed=5), "two": compact(2, seed=3)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, state in NETWORKS.items():
        save_safetensors(state, folder / f"{name}.safetensors")
    return folder


def true(state: dict, picture: np.ndarray) -> np.ndarray:
    """The untiled float32 network of ``(H, W, C)`` in [0, 1], cut off at black and white."""
    image = torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        output = by_spandrel(state).eval()(image)
    return output[0].permute(1, 2, 0).double().numpy().clip(0, 1)


def ramp(width: int = 64, height: int = 24) -> np.ndarray:
    """All of it in steps too fine for 8 bits, uint16."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * 37 + y * 211 + c * 9000 + 3) % 65536 for c in range(3)]
    return np.stack(planes, axis=2).astype(np.uint16)


def done(models: Path, picture: Pixels, **asked: object) -> tuple[Pixels, UpscaleReport]:
    result = Upscaler(ModelLibrary([models]), "cpu").upscale(picture, UpscaleRequest(**asked))
    return result.pixels, result.report


def resized(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """By Pillow's Lanczos in floating point."""
    channels = [Image.fromarray(planes[:, :, c].astype(np.float32)) for c in range(planes.shape[2])]
    return np.stack([np.asarray(c.resize(size, Image.Resampling.LANCZOS)) for c in channels], axis=2)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_ramp_of_16_bits_is_the_float32_network_rounded_once(models: Path, name: str) -> None:
    picture = ramp()
    result, report = done(models, Pixels(picture, None, "RGB"), model=name, always=True)
    assert result.color.dtype == np.uint16
    assert report.bits == 16
    assert report.precision == "float32"
    assert np.abs(result.color - true(NETWORKS[name], picture / 65535) * 65535).max() <= 1


def test_passes_and_a_resample_between_are_not_rounded(models: Path) -> None:
    """Two networks, then another size: rounding in 16 bits in between would show."""
    picture = ramp()
    size = (160, 60)  # 2.5 times: two passes of 2x, made smaller
    result, _ = done(models, Pixels(picture, None, "RGB"), model="two", size=ByScale(2.5))
    expected = resized(true(NETWORKS["two"], true(NETWORKS["two"], picture / 65535)), size).clip(0, 1)
    assert np.abs(result.color - expected * 65535).max() <= 1

    mixed, _ = done(models, Pixels(picture, None, "RGB"), model="two", model2="one", visibility=0.25, size=ByScale(2))
    second = resized(true(NETWORKS["one"], picture / 65535), (128, 48)).clip(0, 1)
    expected = 0.75 * true(NETWORKS["two"], picture / 65535) + 0.25 * second
    assert np.abs(mixed.color - expected * 65535).max() <= 1


def test_repairing_first_keeps_the_depth(models: Path) -> None:
    picture = ramp()
    result, report = done(models, Pixels(picture, None, "RGB"), model="two", clean_up="one")
    expected = true(NETWORKS["two"], true(NETWORKS["one"], picture / 65535))
    assert np.abs(result.color - expected * 65535).max() <= 1
    assert report.bits == 16


def test_the_mean_of_views_in_16_bits(models: Path) -> None:
    picture = ramp(24, 20)
    result, _ = done(models, Pixels(picture, None, "RGB"), model="two", tta=True)
    total = np.zeros(1)
    for quarter in range(4):
        for flip in (lambda x: x, np.fliplr):
            seen = np.ascontiguousarray(flip(np.rot90(picture / 65535, quarter)))
            total = total + np.rot90(flip(true(NETWORKS["two"], seen)), -quarter)
    assert np.abs(result.color - total / 8 * 65535).max() <= 1


def test_alpha_of_16_bits_goes_through_as_grey(models: Path) -> None:
    alpha = ramp()[:, :, 0]
    alpha[:, :20], alpha[:, 40:] = 65535, 0
    result, _ = done(models, Pixels(ramp(), alpha, "RGBA"), model="two")
    assert result.alpha is not None
    assert result.alpha.dtype == np.uint16
    assert (result.alpha[:, :30] == 65535).all()
    assert (result.alpha[:, 90:] == 0).all()
    assert len(np.unique(result.alpha)) > 256, "steps finer than those of 8 bits"

    flat, _ = done(models, Pixels(ramp(), np.full((24, 64), 12345, np.uint16), "RGBA"), model="two")
    assert (flat.alpha == 12345).all()


def test_floating_point_comes_out_as_the_network_gave_it(models: Path) -> None:
    picture = (ramp() / 65535).astype(np.float32)
    result, report = done(models, Pixels(picture, None, "RGB"), model="two")
    assert result.color.dtype == np.float32
    assert report.bits == 32
    assert np.abs(result.color - true(NETWORKS["two"], picture)).max() < 1e-6


def test_highlights_are_resampled_and_added(models: Path) -> None:
    picture = (ramp() / 65535).astype(np.float32)
    picture[5:9, 7:12] = (4.0, 2.5, -0.5)
    result, report = done(models, Pixels(picture, None, "RGB"), model="two")
    within = picture.clip(0, 1)
    expected = true(NETWORKS["two"], within) + resized(picture - within, (128, 48))
    assert np.abs(result.color - expected).max() < 2e-5
    assert any("beyond black and white" in text for text in report.warnings)
    whole, report = done(models, Pixels(picture, None, "RGB"), model="two", depth="16")
    assert np.abs(whole.color - true(NETWORKS["two"], within) * 65535).max() <= 1
    assert any("cut off" in text for text in report.warnings)


def test_what_is_hidden_does_not_come_into_view(models: Path) -> None:
    """A flat grey beside brightness that nobody sees."""
    color, alpha = np.full((24, 32, 3), 0.5, np.float32), np.ones((24, 32), np.float32)
    color[:, 16:], alpha[:, 16:] = 100, 0
    result, _ = done(models, Pixels(color, alpha, "RGBA"), model="two")
    flat = true(NETWORKS["two"], np.full((24, 32, 3), 0.5))
    seen = result.alpha > 0.02
    assert seen[:, :32].all()
    assert np.abs(result.color - flat)[:, :24].max() < 1e-5
    assert result.color[seen].max() < 1


def test_highlights_beneath_glass_are_those_of_the_picture(models: Path) -> None:
    picture = (ramp() / 65535).astype(np.float32)
    picture[5:9, 7:12] = (4.0, 2.5, 3.5)
    alpha = np.tile(np.linspace(0.3, 0.9, 64, dtype=np.float32), (24, 1))
    result, _ = done(models, Pixels(picture, alpha, "RGBA"), model="two", alpha="fast")
    within = picture.clip(0, 1)
    rest = resized((picture - within) * alpha[:, :, None], (128, 48)) / resized(alpha[:, :, None], (128, 48))
    assert np.abs(result.color - true(NETWORKS["two"], within) - rest).max() < 5e-5


def test_a_white_that_is_255_is_told(models: Path) -> None:
    picture = np.full((16, 16, 3), 200, np.float32)
    picture[:4] = 0.5
    assert any(
        "brighter than white" in text for text in done(models, Pixels(picture, None, "RGB"), model="two")[1].warnings
    )
    picture[4:] = 0.5
    picture[0, 0] = 200
    report = done(models, Pixels(picture, None, "RGB"), model="two")[1]
    assert not any("brighter than white" in text for text in report.warnings)


@pytest.mark.parametrize(("depth", "kind"), [("8", np.uint8), ("16", np.uint16), ("32", np.float32)])
@pytest.mark.parametrize("source", [8, 16])
def test_the_depth_that_is_asked_for(models: Path, depth: str, kind: type, source: int) -> None:
    picture = ramp() if source == 16 else (ramp() // 257).astype(np.uint8)
    result, _ = done(models, Pixels(picture, None, "RGB"), model="two", depth=depth)
    assert result.color.dtype == kind
    top = {"8": 255, "16": 65535, "32": 1}[depth]
    expected = true(NETWORKS["two"], picture / (65535 if source == 16 else 255)) * top
    assert np.abs(result.color - expected).max() <= (1e-6 if depth == "32" else 0.51)


def test_bits_for_whom_knows_only_pillow(models: Path) -> None:
    request = UpscaleRequest(model="two")
    result = Upscaler(ModelLibrary([models]), "cpu").upscale(Pixels(ramp(), None, "RGB"), request)
    assert result.image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(result.image), np.floor(result.pixels.color / 257 + 0.5))


def test_verifying_is_told_in_levels_of_255(models: Path) -> None:
    _, report = done(models, Pixels(ramp(), None, "RGB"), model="two", verify=True)
    assert report.verify_max is not None
    assert report.verify_max <= 1 / 257


# -- on the command line -----------------------------------------------------------------------------------------------


def test_files_keep_their_depth(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ramp.png").write_bytes(png(ramp()))
    (tmp_path / "in" / "float.tif").write_bytes(tiff((ramp() / 65535).astype(np.float32), 2, format=3))
    Image.fromarray(photo(30, 20)).save(tmp_path / "in" / "eight.png")
    expected = true(NETWORKS["two"], ramp() / 65535)
    words = ("--model", models / "two.safetensors", "--report", tmp_path / "report.jsonl")

    assert upscale(tmp_path / "in", "-o", tmp_path / "png", *words) == 0
    ours = read_picture(tmp_path / "png" / "ramp.png").image
    assert np.abs(ours.color - expected * 65535).max() <= 1
    assert (tmp_path / "png" / "ramp.png").read_bytes()[24] == 16
    assert (tmp_path / "png" / "eight.png").read_bytes()[24] == 8
    assert (tmp_path / "png" / "float.png").read_bytes()[24] == 16
    assert "PNG holds at most 16 bits per channel" in capsys.readouterr().err
    assert '"bits": 16' in (tmp_path / "report.jsonl").read_text()

    assert upscale(tmp_path / "in", "-o", tmp_path / "tif", "--format", "tif", *words) == 0
    assert np.abs(read_picture(tmp_path / "tif" / "float.tif").image.color - expected).max() < 1e-6

    assert upscale(tmp_path / "in" / "ramp.png", "-o", tmp_path / "a.jpg", *words) == 0
    assert "JPEG holds at most 8 bits per channel" in capsys.readouterr().err
    assert upscale(tmp_path / "in" / "ramp.png", "-o", tmp_path / "b.png", "--depth", "8", *words) == 0
    with Image.open(tmp_path / "b.png") as image:
        assert image.mode == "RGB"
        assert np.abs(np.asarray(image) - expected * 255).max() <= 0.51
    assert (tmp_path / "b.png").read_bytes()[24] == 8


def test_a_plan_knows_the_depth(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def told(name: str) -> float:
        assert upscale(tmp_path / name, "--plan", "--model", models / "two.safetensors") == 0
        return float(capsys.readouterr().out.split(" GB of memory")[0].split(", ")[-1].split(" of ")[0])

    large = ramp(1400, 1200)
    (tmp_path / "deep.png").write_bytes(png(large))
    (tmp_path / "flat.png").write_bytes(png((large // 257).astype(np.uint8)))
    assert told("deep.png") > told("flat.png")


def test_a_result_is_never_less_than_its_file_was(models: Path, tmp_path: Path) -> None:
    """Written and read once more, to the bit."""
    result, _ = done(models, Pixels(ramp(), None, "RGB"), model="two")
    for name in ("a.png", "a.tif"):
        write_picture(result, tmp_path / name, Metadata())
        np.testing.assert_array_equal(read_picture(tmp_path / name).image.color, result.color)
