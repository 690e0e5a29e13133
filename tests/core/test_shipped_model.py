"""TrueScale 4x, the file that ships: there, small, described, the default; faithful where a formula can say so."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import spandrel
from PIL import Image, ImageDraw, ImageFont
from safetensors import safe_open

from lib_upscaler import ModelLibrary, Upscaler, UpscaleRequest
from lib_upscaler.cli.commands import main
from lib_upscaler.models.library import SHIPPED_MODEL, shipped_models

Enlarge = Callable[[Image.Image], Image.Image]

NAME = "TrueScale 4x"
HELD_BACK = ("morskie-oko", "viktor-forgacs")
PLAIN_COLORS = [
    (0, 0, 0),
    (255, 255, 255),
    (128, 128, 128),
    (64, 64, 64),
    (245, 245, 245),
    (20, 60, 200),
    (235, 219, 178),
]
PURE_COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]


@pytest.fixture(scope="module")
def file() -> Path:
    (path,) = shipped_models()
    return path


@pytest.fixture(scope="module")
def enlarged(file: Path) -> Enlarge:
    return new_upscaler(file)


def new_upscaler(file: Path) -> Enlarge:
    upscaler = Upscaler(ModelLibrary([], builtin=[file]), "cpu")
    return lambda picture: upscaler.upscale(picture, UpscaleRequest(NAME, precision="exact")).image


# -- the file ----------------------------------------------------------------------------------------------------------


def test_it_is_small_and_spandrel_alone_loads_it(file: Path) -> None:
    assert SHIPPED_MODEL == file.stem == NAME
    assert file.stat().st_size <= 1_500_000
    network = spandrel.ModelLoader().load_from_file(file)
    assert (network.architecture.id, network.scale, network.input_channels, network.output_channels) == (
        "Compact",
        4,
        3,
        3,
    )


def test_it_says_what_it_is(file: Path) -> None:
    with safe_open(str(file), framework="np") as opened:
        said = opened.metadata()
        shapes = {key: opened.get_slice(key).get_shape() for key in opened.keys()}  # noqa: SIM118 - not a dict
    assert (said["name"], said["license"], said["scale"]) == (NAME, "MIT", "4")
    assert {"architecture", "author", "description", "trained_with", "training_seconds"} <= set(said)
    settings = json.loads(said["settings"])
    assert shapes["body.0.weight"] == [settings["channels"], 3, 3, 3]
    assert len([shape for shape in shapes.values() if len(shape) == 4]) == settings["layers"] + 2
    for stem in HELD_BACK:
        assert stem in said["held_back"]
        assert stem not in said["trained_on"]
    assert json.loads(said["figures"])["over Lanczos on photos, dB"] >= 1


# -- the default -------------------------------------------------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with nothing but an empty folder of models, and no network."""

    def refused(*_: object) -> None:
        raise AssertionError("something tried to reach the network")

    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUESCALE_MODELS", str(folder))
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    return tmp_path


def test_a_picture_is_upscaled_offline_without_a_word_about_models(
    nowhere: Path, enlarged: Enlarge, capsys: pytest.CaptureFixture
) -> None:
    picture = Image.effect_mandelbrot((30, 20), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    picture.save("in.png")
    assert main(["upscale", "in.png", "--device", "cpu", "--report", "r.jsonl"]) == 0
    assert json.loads(Path("r.jsonl").read_text(encoding="utf-8"))["models"] == [NAME]
    assert capsys.readouterr().err == ""
    result = Image.open("in-upscaled.png")
    assert result.size == (120, 80)
    assert result.tobytes() == enlarged(picture).tobytes()


def test_it_is_first_in_the_list_and_inspected_by_its_name(nowhere: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["models"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(f"{NAME}  ")
    assert main(["inspect", NAME]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["licence:", "MIT"] for line in lines)
    assert any("over Lanczos on photos" in line for line in lines)


def test_a_file_of_the_same_name_does_not_take_its_place(nowhere: Path, file: Path) -> None:
    (nowhere / "models" / f"{NAME}.pth").write_bytes(b"not a model")
    assert ModelLibrary([nowhere / "models"], builtin=[file]).find(NAME).path == file


# -- what it does ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("color", PLAIN_COLORS, ids=str)
def test_flat_areas_stay_flat(color: tuple[int, int, int], enlarged: Enlarge) -> None:
    assert off(enlarged(Image.new("RGB", (40, 24), color)), color) <= 1


@pytest.mark.parametrize("color", PURE_COLORS, ids=str)
def test_flat_areas_of_pure_colors_stay_flat(color: tuple[int, int, int], enlarged: Enlarge) -> None:
    result = enlarged(Image.new("RGB", (40, 40), color))
    assert off(result.crop((16, 16, 144, 144)), color) <= 1
    assert off(result, color) <= 3  # at the border, where the network sees black outside


def off(picture: Image.Image, color: tuple[int, int, int]) -> int:
    """Levels, at most."""
    return int(np.abs(np.asarray(picture).astype(int) - color).max())


def test_two_runs_give_the_same_bytes(file: Path) -> None:
    picture = Image.effect_mandelbrot((90, 70), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    assert new_upscaler(file)(picture).tobytes() == new_upscaler(file)(picture).tobytes()


@pytest.mark.parametrize("angle", [0, 8, 20, 35, 45, 90])
@pytest.mark.parametrize(("dark", "bright"), [(64, 192), (40, 220)])
def test_no_halo_along_an_edge(angle: int, dark: int, bright: int, enlarged: Enlarge) -> None:
    side = 192
    rows, columns = (np.mgrid[: side * 4, : side * 4] - 387) / 4  # off the middle, and finer by 4 for a smooth edge
    distance = columns * np.cos(np.radians(angle)) + rows * np.sin(np.radians(angle))
    fine = Image.fromarray(np.where(distance >= 0, bright, dark).astype(np.uint8))
    small = fine.reduce(4).resize((side // 4, side // 4), Image.BICUBIC).convert("RGB")
    away = np.abs(np.asarray(Image.fromarray(distance.astype(np.float32)).reduce(4)))
    beside = (away >= 3) & (away < 9)
    beside[:16] = beside[-16:] = beside[:, :16] = beside[:, -16:] = False

    def halo(picture: Image.Image) -> np.ndarray:
        """Levels beyond the two that there are, beside the edge."""
        levels = np.asarray(picture.convert("L")).astype(float)[beside]
        return np.maximum(0, np.maximum(levels - bright, dark - levels))

    own, lanczos = halo(enlarged(small)), halo(small.resize((side, side), Image.LANCZOS))
    assert own.max() <= 0.06 * (bright - dark)
    assert own.mean() <= 0.3 * lanczos.mean()
    assert lanczos.max() > 0.06 * (bright - dark), "else this would show nothing"


def test_no_shift_of_colors_on_photos(shared: Path, enlarged: Enlarge) -> None:
    files = sorted((shared / "photos").glob("*.jpg"))
    assert files
    for photo in files:
        with Image.open(photo) as opened:
            opened.draft("RGB", (480, 480))
            small = opened.convert("RGB").resize((200, 140), Image.LANCZOS)
        shift = np.asarray(enlarged(small)).mean((0, 1)) - np.asarray(small).mean((0, 1))
        assert np.abs(shift).max() <= 0.5, photo.stem


def luma_psnr(one: Image.Image, other: Image.Image) -> float:
    """dB of the Y of ITU-R BT.601 in its video range; 4 px at the border are left out."""
    first, second = (
        np.asarray(picture).astype(float)[4:-4, 4:-4] @ (65.481, 128.553, 24.966) for picture in (one, other)
    )
    return float(10 * np.log10(255**2 / np.mean(((first - second) / 255) ** 2)))


def gains(originals: list[Image.Image], enlarged: Enlarge, smooth: float = 40.0) -> list[float]:
    """dB over Lanczos, of those of the pictures where Lanczos is below ``smooth`` dB."""
    found = []
    for large in originals:
        small = large.resize((large.width // 4, large.height // 4), Image.BICUBIC)
        lanczos = luma_psnr(small.resize(large.size, Image.LANCZOS), large)
        if lanczos < smooth:
            found.append(luma_psnr(enlarged(small), large) - lanczos)
    return found


def test_it_is_nearer_to_photos_it_never_saw_than_lanczos(shared: Path, enlarged: Enlarge) -> None:
    crops = []
    for stem in HELD_BACK:
        with Image.open(shared / "photos" / f"{stem}.jpg") as opened:
            photo = opened.convert("RGB")
        for size in (photo, photo.resize((photo.width // 2, photo.height // 2), Image.LANCZOS)):
            for across, down in ((0.2, 0.3), (0.5, 0.7), (0.8, 0.5)):
                left, top = round(across * (size.width - 512)), round(down * (size.height - 512))
                crops.append(size.crop((left, top, left + 512, top + 512)))
    found = gains(crops, enlarged)
    assert len(found) >= 8
    assert np.mean(found) >= 1.0
    assert min(found) > -0.1


@pytest.fixture
def fonts() -> Path:
    """Those of matplotlib. The families below are none that the network was trained on."""
    package = find_spec("matplotlib")
    if package is None or package.origin is None:
        pytest.skip("needs a font: those of matplotlib")
    return Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"


def page_of_text(font: Path, size: int, ground: str, ink: str) -> Image.Image:
    page = Image.new("RGB", (384, 384), ground)
    text = "\n".join("Sphinx of black quartz,judge my vow 0123456789 WHAT?"[i : i + 34] for i in range(18))
    letters = ImageFont.truetype(str(font), size)
    ImageDraw.Draw(page).multiline_text((5, 3), text, ink, letters, spacing=size // 3)
    return page


def test_it_is_nearer_to_text_than_lanczos(fonts: Path, enlarged: Enlarge) -> None:
    pages = [
        page_of_text(fonts / "STIXGeneral.ttf", 20, "white", "black"),
        page_of_text(fonts / "STIXGeneral.ttf", 28, "#181a20", "#ebdbb2"),
        page_of_text(fonts / "cmss10.ttf", 24, "#faf0dc", "#961e28"),
        page_of_text(fonts / "STIXGeneralBol.ttf", 36, "black", "#7fd1ff"),
    ]
    found = gains(pages, enlarged)
    assert len(found) == 4
    assert np.mean(found) >= 1.5


@pytest.mark.parametrize("size", [18, 26, 40])
@pytest.mark.parametrize(("ground", "ink"), [("#d2d2d2", "#323232"), ("#323232", "#d2d2d2"), ("#ebdbb2", "#641e28")])
def test_text_makes_a_page_neither_darker_nor_brighter(
    size: int, ground: str, ink: str, fonts: Path, enlarged: Enlarge
) -> None:
    small = page_of_text(fonts / "STIXGeneral.ttf", size, ground, ink).resize((96, 96), Image.BICUBIC)
    shift = np.asarray(enlarged(small)).mean((0, 1)) - np.asarray(small).mean((0, 1))
    assert np.abs(shift).max() <= 0.5
