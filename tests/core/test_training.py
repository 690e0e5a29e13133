"""The training of the model that ships: the same crops and weights each time, and nothing trained on that judges."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor

from lib_upscaler.models.card import read_card
from lib_upscaler.models.library import entry_of
from small_networks import compact, rrdb, save_pth, save_safetensors
from tools.training import export, rendered
from tools.training.__main__ import main
from tools.training.dataset import Crops, Photos, batches, training_photos
from tools.training.loop import Training, enlarged, new_network
from tools.training.settings import TrainingSettings

TINY = replace(
    TrainingSettings(), channels=8, layers=2, crop=16, batch=2, steps=6, warmup=2, average=0.5, precision="float32"
)
HELD_BACK = ("morskie-oko", "viktor-forgacs")


def photo_of(width: int, height: int) -> Image.Image:
    """Rings, a gradient and grain: something to see at every place and size."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    rings = 50 * np.sin(((rows - 90) ** 2 + (columns - 70) ** 2) / 2000)[..., None]
    grain = np.random.default_rng(1).normal(0, 9, (height, width, 3))
    return Image.fromarray(np.clip(rings + grain + 90 + columns[..., None] / width * 60, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    file = tmp_path_factory.mktemp("photos") / "rings.png"
    photo_of(400, 330).save(file)
    return Photos([file])


@pytest.fixture(scope="module")
def fonts() -> list[Path]:
    found = fonts_of_matplotlib()
    return found or pytest.skip("needs a font: those of matplotlib")


def fonts_of_matplotlib() -> list[Path]:
    package = find_spec("matplotlib")
    if package is None or package.origin is None:
        return []
    folder = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"
    return [folder / "DejaVuSans.ttf", folder / "DejaVuSerif-Bold.ttf"]


@pytest.fixture
def crops(photos: Photos) -> Crops:
    """With text among them where there is a font."""
    found = fonts_of_matplotlib()
    return Crops(TINY if found else replace(TINY, text=0.0), photos, found)


# -- crops -------------------------------------------------------------------------------------------------------------


def test_the_same_seed_and_step_give_the_same_batch(crops: Crops) -> None:
    small, large = crops.batch(5)
    assert (small.shape, large.shape) == ((2, 3, 16, 16), (2, 3, 64, 64))
    assert small.dtype == large.dtype == torch.float32
    assert 0 <= min(small.min(), large.min()) <= max(small.max(), large.max()) <= 1
    again = replace(crops).batch(5)
    assert torch.equal(again[0], small)
    assert torch.equal(again[1], large)
    assert not torch.equal(crops.batch(6)[1], large)
    assert not torch.equal(replace(crops, settings=replace(crops.settings, seed=1)).batch(5)[1], large)


def test_batches_made_ahead_are_those_of_their_steps(crops: Crops) -> None:
    made = list(batches(crops, 3, 12))
    assert [step for step, _, _ in made] == list(range(3, 12))
    for step, small, large in made:
        expected = crops.batch(step)
        assert torch.equal(small, expected[0])
        assert torch.equal(large, expected[1])


def levels(pictures: Tensor) -> np.ndarray:
    """``(B, H, W, 3)``, 0 to 255."""
    return np.round(pictures.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)


def far_from_reduced(small: np.ndarray, large: np.ndarray) -> int:
    """Levels, at most, between a small crop and Pillow's bicubic reduction of its large one."""
    reduced = Image.fromarray(large).resize((small.shape[1], small.shape[0]), Image.BICUBIC)
    return int(np.abs(np.asarray(reduced).astype(int) - small).max())


def distances(crops: Crops, pairs: int) -> list[int]:
    small, large = map(levels, replace(crops, settings=replace(crops.settings, batch=pairs)).batch(0))
    return [far_from_reduced(one, other) for one, other in zip(small, large)]


def test_clean_crops_are_the_large_ones_reduced(crops: Crops) -> None:
    clean = replace(crops, settings=replace(crops.settings, clean=1.0))
    # They are turned after they were made smaller, and Pillow rounds between its two directions: a level or two.
    assert max(distances(clean, 60)) <= 2


def test_the_share_of_degraded_crops(crops: Crops) -> None:
    detailed = replace(TINY, photo=1.0, text=0.0, drawing=0.0, texture=0.0, clean=0.7)
    far = np.array(distances(replace(crops, settings=detailed), 200)) > 2
    assert 0.2 <= far.mean() <= 0.4
    # By chance some of those that are meant to be degraded get the plain filter and nothing else.
    assert np.mean(np.array(distances(replace(crops, settings=replace(detailed, clean=0.0)), 50)) > 2) > 0.8


def test_photos_held_back_are_not_trained_on(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", *(f"{stem}.jpg" for stem in HELD_BACK), "notes.txt"):
        Image.new("RGB", (4, 4)).save(tmp_path / name) if not name.endswith("txt") else (tmp_path / name).touch()
    assert [file.name for file in training_photos(tmp_path)] == ["a.jpg", "b.png"]
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match="no photos to train on"):
        training_photos(tmp_path)


# -- pictures that need no camera --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text", "drawing", "texture", "smooth"])
def test_rendered_pictures(kind: str, fonts: list[Path]) -> None:
    detail = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        if kind == "text":
            picture = rendered.text_on(random, Image.new("RGB", (96, 96), "white"), fonts)
        else:
            picture = getattr(rendered, kind)(random, 96)
        assert (picture.mode, picture.size) == ("RGB", (96, 96))
        steps = np.abs(np.diff(np.asarray(picture).astype(int), axis=1))
        detail.append(int(steps.max()))
    if kind == "smooth":
        assert max(detail) <= 10, "a gradient of 96 px climbs less than three levels a pixel along its line"
        assert min(detail) == 0, "some are flat"
    else:
        assert np.median(detail) > 30


def test_text_is_antialiased_and_readable(fonts: list[Path]) -> None:
    page = np.asarray(rendered.text_on(np.random.default_rng(3), Image.new("RGB", (128, 128), "white"), fonts))
    assert 0.02 < (page.min(axis=2) < 128).mean() < 0.7, "ink covers a part of the page"
    assert len(np.unique(page.reshape(-1, 3), axis=0)) > 20


# -- training ----------------------------------------------------------------------------------------------------------


def training(crops: Crops, folder: Path, said: list[str] | None = None, **changes: object) -> Training:
    settings = replace(crops.settings, **changes)
    say = said.append if said is not None else lambda _: None
    return Training(settings, replace(crops, settings=settings), folder, {}, torch.device("cpu"), say)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


class StopAt:
    """The crops, until a step at which somebody presses Ctrl-C."""

    def __init__(self, crops: Crops, step: int) -> None:
        self.crops, self.step = crops, step

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        if step == self.step:
            raise KeyboardInterrupt
        return self.crops.batch(step)


def test_two_trainings_and_one_that_was_stopped_are_equal_to_the_bit(crops: Crops, tmp_path: Path) -> None:
    first, second = (training(crops, tmp_path / name) for name in ("first", "second"))
    start = {key: value.clone() for key, value in first.weights().items()}
    for each in (first, second):
        assert not each.resume()
        each.run(validate_every=1000)
    assert same(first.weights(), second.weights())
    assert not same(first.weights(), start)

    said: list[str] = []
    stopped = training(crops, tmp_path / "third", said)
    stopped.crops = StopAt(stopped.crops, 3)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(validate_every=1000)
    assert "after step 3" in said[-1]
    assert not same(stopped.weights(), first.weights())
    resumed = training(crops, tmp_path / "third")
    torch.rand(7)  # a run that goes on has another stream of random numbers
    assert resumed.resume()
    assert resumed.step == 3
    resumed.run(validate_every=1000)
    assert same(resumed.weights(), first.weights())
    assert same(resumed.network.state_dict(), first.network.state_dict())


def test_a_run_does_not_go_on_with_other_settings(crops: Crops, tmp_path: Path) -> None:
    training(crops, tmp_path, steps=1).run(validate_every=1000)
    assert training(crops, tmp_path, steps=9).resume(), "more steps are no other settings"
    with pytest.raises(ValueError, match="other settings"):
        training(crops, tmp_path, rate=1e-4).resume()


def test_the_average_follows_from_near_to_far(crops: Crops, tmp_path: Path) -> None:
    run = training(crops, tmp_path, steps=1)
    before = {key: value.clone() for key, value in run.network.state_dict().items()}
    run.run(validate_every=1000)
    after, average = run.network.state_dict(), run.average.state_dict()
    key = "body.0.weight"
    assert not torch.equal(after[key], before[key])
    assert torch.allclose(average[key], 0.1 * before[key] + 0.9 * after[key], atol=1e-7)

    early = {key: value.clone() for key, value in average.items()}
    later = training(crops, tmp_path, steps=2)
    later.resume()
    later.step = 500  # from here on it is the average of the settings, a half here
    later.settings = replace(later.settings, steps=501)
    later.run(validate_every=1000)
    assert torch.allclose(
        later.average.state_dict()[key], (early[key] + later.network.state_dict()[key]) / 2, atol=1e-7
    )


def test_the_log_has_the_loss_and_the_rate(crops: Crops, tmp_path: Path) -> None:
    run = training(crops, tmp_path, finish=0)
    run.run(validate_every=1000)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    line = next(line for line in lines if "loss" in line)
    assert line["step"] == 6
    assert 0 < line["loss"] < 1
    # The last of six steps, two of which warm up: three quarters down a cosine.
    assert line["rate"] == pytest.approx(1e-3 * (1 + math.cos(0.75 * math.pi)) / 2)


def test_the_finish_has_a_cosine_of_its_own(crops: Crops, tmp_path: Path) -> None:
    run = training(crops, tmp_path, steps=8, finish=2, finish_rate=4e-4)
    run.run(validate_every=1000)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert next(line for line in lines if "loss" in line)["rate"] == pytest.approx(2e-4)  # the second of two steps


def test_the_finish_keeps_the_mean_of_thin_strokes(crops: Crops, tmp_path: Path) -> None:
    """Squared errors have their least at the mean, absolute ones at the median."""
    error = torch.zeros(1, 3, 32, 32)
    error[..., 0] = 1.0  # a column in 32 is missing
    run = training(crops, tmp_path, steps=8, finish=2)
    absolute = [float(run._loss(0, error - shift)) for shift in (0.0, 1 / 32)]
    squared = [float(run._loss(7, error - shift)) for shift in (0.0, 1 / 32)]
    assert absolute[0] < absolute[1]
    assert squared[1] < squared[0]


def test_the_network_is_one_that_spandrel_knows_and_runs_alike(tmp_path: Path) -> None:
    network = new_network(TINY)
    small = photo_of(21, 17)
    result = enlarged(network, small)
    assert result.size == (84, 68)
    planes = torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = network(planes)[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    assert np.abs(np.asarray(result) - expected).max() <= 0.51


# -- the file ----------------------------------------------------------------------------------------------------------


def test_what_is_exported_says_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    weights = new_network(TINY).state_dict()
    export.export({k: v.contiguous() for k, v in weights.items()}, file, TINY, ["hills", "pier"], 12.4)
    export.with_metadata(file, {"figures": json.dumps({"dB": 1.5})})
    with safe_open(str(file), framework="pt") as opened:
        said = opened.metadata()
        kept = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - not a dict
    assert same(kept, weights)
    assert (said["name"], said["scale"], said["license"]) == ("TrueScale 4x", "4", "MIT")
    assert json.loads(said["settings"]) == asdict(TINY)
    assert "hills, pier" in said["trained_on"]
    assert said["training_seconds"] == "12"
    card = read_card(file)
    assert (card.architecture, card.scale, card.license) == ("RealESRGAN Compact", 4, "MIT")
    assert card.figures == {"dB": 1.5}
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


# -- the command -------------------------------------------------------------------------------------------------------


def test_help_and_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "train --photos" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["train"])
    assert "--photos" in capsys.readouterr().err
    assert main(["train", "--photos", str(tmp_path / "none"), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")


@pytest.fixture
def judged(tmp_path: Path, fonts: list[Path], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Photos of the names held back, small networks of the others' names: options of the command."""
    pytest.importorskip("skimage", reason="scikit-image comes with the extra 'training'")
    from tools.training import measure

    for name in ("training_fonts", "validation_fonts"):  # the test environment lacks those of the extra
        monkeypatch.setattr(measure, name, lambda: fonts)
    for folder in ("photos", "models"):
        (tmp_path / folder).mkdir()
    for stem in HELD_BACK:
        photo_of(1040, 1030).save(tmp_path / "photos" / f"{stem}.png")
    save_pth(compact(features=8, layers=1), tmp_path / "models" / "realesr-animevideov3-x4.pth")
    save_safetensors(rrdb(features=8, blocks=1), tmp_path / "models" / "RealESRGAN_x4plus.safetensors")
    save_safetensors(compact(features=8, layers=2, seed=1), tmp_path / "own.safetensors")
    words = ["--photos", tmp_path / "photos", "--models", tmp_path / "models", "--model", tmp_path / "own.safetensors"]
    return list(map(str, words))


def test_measure_prints_a_table_and_writes_the_card(
    judged: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    own = tmp_path / "own.safetensors"
    assert main(["measure", *judged, "--limit", "1", "--card", str(own)]) == 0
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [row[0].strip() for row in rows[2:]] == [
        "Lanczos",
        "bicubic",
        "animevideov3-x4",
        "R-ESRGAN 4x+",
        "TrueScale 4x",
    ]
    lanczos = dict(zip((cell.strip() for cell in rows[0]), (cell.strip() for cell in rows[2])))
    assert lanczos["photos: over Lanczos, dB"] == "+0.00"
    assert 10 < float(lanczos["photos: PSNR, dB"]) < 40
    figures = read_card(own).figures
    assert figures["two runs give the same bytes"] == "yes"
    assert f"{figures['luma PSNR on photos, dB']:.2f}" == rows[-1][1].strip()
    assert figures["over Lanczos on text, dB"] < 0, "random weights are far from any text"


def test_figures_are_written_only_into_the_file_that_is_measured(
    judged: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = save_safetensors(compact(), tmp_path / "other.safetensors")
    before = entry_of(other)
    assert main(["measure", *judged, "--card", str(other)]) == 1
    assert "other.safetensors" in capsys.readouterr().err
    assert entry_of(other) == before


def test_the_picture_has_four_panels_with_their_names(judged: list[str], tmp_path: Path) -> None:
    assert main(["picture", *judged, "--out", str(tmp_path / "docs" / "p.png")]) == 0
    with Image.open(tmp_path / "docs" / "p.png") as sheet:
        assert sheet.width == 1200
        levels = np.asarray(sheet.convert("L")).astype(int)
    side = sheet.height - 34
    assert [int(levels[:side, left : left + side].std()) > 5 for left in (0, 302, 602, 902)] == [True] * 4
    labels = levels[side:]
    assert [bool((labels[:, left : left + 300] < 100).any()) for left in (0, 300, 600, 900)] == [True] * 4


def test_psnr_and_ssim() -> None:
    pytest.importorskip("skimage", reason="scikit-image comes with the extra 'training'")
    from tools.training.figures import psnr, ssim

    original = photo_of(64, 48)
    assert ssim(original, original) == pytest.approx(1)
    # A grey picture 10 levels brighter is 10 * 219 / 255 brighter in luma, which has a range of 219.
    grey, brighter = (Image.new("RGB", (64, 48), (value,) * 3) for value in (100, 110))
    assert psnr(brighter, grey) == pytest.approx(20 * math.log10(255 / (10 * 219 / 255)))
    framed = grey.copy()
    framed.paste((0, 0, 0), (0, 0, 4, 48))
    assert psnr(framed, grey) == math.inf, "the border is left out"
    assert ssim(photo_of(64, 48).rotate(180), original) < 0.5
    with pytest.raises(ValueError, match="sizes differ"):
        psnr(grey.crop((0, 0, 60, 48)), grey)
