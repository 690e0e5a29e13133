"""LDSR as one of the library's models: its name, its card, and the way of every model through the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ldsr_models import TINY, network, save_ckpt, save_safetensors, state_dict
from lib_upscaler.cli.commands import main
from lib_upscaler.errors import Cancelled, RequestError, UnsupportedModelError
from lib_upscaler.estimates import estimate
from lib_upscaler.geometry import Size
from lib_upscaler.models.card import read_card
from lib_upscaler.models.ldsr.settings import LdsrSettings
from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.planning.sizing import ByDimensions, ByScale
from lib_upscaler.request import UpscaleRequest, UpscaleResult
from lib_upscaler.running.ldsr.sampler import LdsrSampler
from reference import levels, photo, true_output
from small_networks import compact, save_pth

STATES = {"two": compact(scale=2, features=8, layers=2), "one": compact(scale=1, features=4, layers=1)}
FEW = LdsrSettings(steps=3)
PICTURE = photo(20, 14)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_ckpt(state_dict(TINY), folder / "model.ckpt")
    for name, state in STATES.items():
        save_pth(state, folder / f"{name}.pth")
    return folder


@pytest.fixture(scope="module")
def upscaler(folder: Path) -> Upscaler:
    return Upscaler(ModelLibrary([folder]), device="cpu")


def _do(upscaler: Upscaler, image: Any, model: Any = "LDSR", **wanted: Any) -> UpscaleResult:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    return upscaler.upscale(image, UpscaleRequest(model, precision="exact", **{"ldsr": FEW, **wanted}))


def _sampled(picture: np.ndarray, settings: LdsrSettings = FEW) -> np.ndarray:
    """By the networks and the sampler alone, decoded as a whole: ``(h, w, 3)`` in levels, not rounded."""
    planes = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)
    done = LdsrSampler(network(TINY)).upscale(planes, settings, torch.device("cpu"))
    return done.picture.permute(1, 2, 0).double().numpy() * 255


def _off(image: Image.Image, expected: np.ndarray) -> float:
    return float(np.abs(np.asarray(image).astype(float) - expected).max())


# -- the file ----------------------------------------------------------------------------------------------------------


def test_it_is_listed_by_its_name_whatever_the_file_is_called(tmp_path: Path) -> None:
    for name in ("model.ckpt", "sub/last.ckpt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_ckpt(state_dict(TINY), tmp_path / name)
    save_safetensors(state_dict(TINY), tmp_path / "my-ldsr.safetensors")
    save_pth(STATES["two"], tmp_path / "model.pth")  # another kind of that name keeps it

    found = {entry.name: entry.path.name for entry in ModelLibrary([tmp_path]).models()}
    assert set(found) == {"LDSR", f"LDSR [{tmp_path.name}, safetensors]", "LDSR [sub]", "model"}
    assert found["LDSR"] == "model.ckpt"
    assert found["model"] == "model.pth"


def test_its_card_is_one_like_any(folder: Path, capsys: pytest.CaptureFixture) -> None:
    card = read_card(folder / "model.ckpt", name="LDSR")
    assert (card.architecture, card.scale, card.purpose) == ("LDSR", 4, "upscaling")
    assert main(["models", "--models-dir", str(folder)]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("LDSR"))
    assert "4x" in row
    assert main(["inspect", "LDSR", "--models-dir", str(folder)]) == 0


def test_where_it_is_not_there_the_command_line_says_where_to_get_it_and_where_to_put_it(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    save_pth(STATES["two"], tmp_path / "two.pth")
    Image.fromarray(PICTURE).save(tmp_path / "in.png")
    assert main(["upscale", str(tmp_path / "in.png"), "--model", "ldsr", "--models-dir", str(tmp_path)]) != 0
    told = capsys.readouterr().err
    assert "https://heibox.uni-heidelberg.de/" in told
    assert f"put it into {tmp_path}" in told
    assert "not fetched" in told


# -- the pipeline ------------------------------------------------------------------------------------------------------


def test_its_picture_is_the_samplers(upscaler: Upscaler) -> None:
    result = _do(upscaler, PICTURE, verify=True)

    assert result.image.size == (80, 56)
    assert _off(result.image, levels(_sampled(PICTURE))) <= 1
    assert (result.report.models, result.report.strategy, result.report.passes) == (("LDSR",), "sampled", 1)
    assert result.report.verify_max is not None
    assert result.report.verify_max <= 1


def test_the_same_seed_gives_the_same_picture_and_another_one_another(upscaler: Upscaler) -> None:
    first, again, other = (_do(upscaler, PICTURE, ldsr=LdsrSettings(steps=3, seed=seed)).image for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_exact_sizes_of_all_kinds(upscaler: Upscaler) -> None:
    true = _sampled(PICTURE)
    planes = [Image.fromarray(np.ascontiguousarray(true[..., c], np.float32)) for c in range(3)]
    lanczos = np.stack([np.asarray(plane.resize((50, 35), Image.Resampling.LANCZOS)) for plane in planes], axis=2)
    assert _off(_do(upscaler, PICTURE, size=ByScale(2.5)).image, levels(lanczos)) <= 1
    assert _do(upscaler, PICTURE, size=ByDimensions(77, 33, "crop")).image.size == (77, 33)
    twice = _do(upscaler, PICTURE, size=ByScale(5))
    assert (twice.image.size, twice.report.passes) == ((100, 70), 2)


def test_alpha_grey_and_palettes(upscaler: Upscaler) -> None:
    image = Image.fromarray(PICTURE)
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 20).astype(np.uint8), (14, 1))))
    result = _do(upscaler, image).image
    assert (result.mode, result.size) == ("RGBA", (80, 56))

    grey = Image.fromarray(PICTURE[..., 0])
    expected = _sampled(np.repeat(PICTURE[..., :1], 3, axis=2)) @ np.array([0.299, 0.587, 0.114])
    assert _off(_do(upscaler, grey).image, levels(expected)) <= 1


def test_in_a_chain_and_mixed_and_after_a_clean_up(upscaler: Upscaler) -> None:
    before = true_output(STATES["two"], PICTURE).clip(0, 255)
    chain = _do(upscaler, PICTURE, "two > LDSR")
    assert chain.image.size == (160, 112)
    # 16 bits in between are not quite what they were, and a latent's px may fall to the entry beside.
    assert np.abs(np.asarray(chain.image).astype(float) - _sampled(before)).mean() <= 0.6

    mixed = _do(upscaler, PICTURE, "LDSR", model2="two", visibility=0.5, size=ByScale(4))
    assert mixed.report.models == ("LDSR", "two")
    clean = _do(upscaler, PICTURE, "LDSR", clean_up="one")
    assert _off(clean.image, levels(_sampled(levels(true_output(STATES["one"], PICTURE))))) <= 1


def test_in_tiles_it_says_so(upscaler: Upscaler) -> None:
    result = _do(upscaler, photo(100, 80), tile=64)
    assert result.report.strategy == "sampled in tiles"
    assert result.report.tiles > 1


def test_as_the_webui(upscaler: Upscaler) -> None:
    settings = LdsrSettings(mode="webui", steps=2)
    result = _do(upscaler, photo(30, 24), ldsr=settings)
    assert _off(result.image, levels(_sampled(photo(30, 24), settings))) <= 1


def test_views_are_not_averaged_and_that_is_told(upscaler: Upscaler) -> None:
    result = _do(upscaler, PICTURE, tta=True)
    assert any("'LDSR' ran once" in text for text in result.report.warnings)


def test_it_cannot_be_interpolated(upscaler: Upscaler) -> None:
    with pytest.raises(UnsupportedModelError):
        _do(upscaler, PICTURE, "LDSR & two")


# -- before and while it runs ------------------------------------------------------------------------------------------


def test_the_forecast(upscaler: Upscaler) -> None:
    size = Size(100, 80)
    found = estimate(upscaler, size, UpscaleRequest("LDSR", ldsr=FEW))
    assert (found.output, found.strategy, found.passes, found.problem) == (Size(400, 320), "sampled", 1, "")
    assert 0 < found.memory_bytes < found.free_bytes
    assert estimate(upscaler, size, UpscaleRequest("LDSR", ldsr=FEW, tile=64)).tiles > 1
    short = estimate(upscaler, size, UpscaleRequest("LDSR", ldsr=FEW, memory=1_000_000))
    assert "memory" in short.problem

    more = estimate(upscaler, size, UpscaleRequest("LDSR", ldsr=LdsrSettings(steps=30)))
    work = [sum(step.work for step in each.steps if hasattr(step, "work")) for each in (found, more)]
    assert work[1] > 3 * work[0]
    _do(upscaler, photo(100, 80))
    timed = estimate(upscaler, size, UpscaleRequest("LDSR", ldsr=FEW, precision="exact"))
    assert timed.seconds is not None


def test_progress_and_cancel(upscaler: Upscaler) -> None:
    notes: list[str] = []

    class Listener:
        def advance(self, fraction: float, note: str = "") -> None:
            notes.append(note)

        def cancelled(self) -> bool:
            return any("step 2" in note for note in notes)

    with pytest.raises(Cancelled):
        upscaler.upscale(Image.fromarray(PICTURE), UpscaleRequest("LDSR", ldsr=LdsrSettings(steps=9)), Listener())
    assert not any("step 4" in note for note in notes)


def test_the_model_stays_loaded_and_is_counted(folder: Path) -> None:
    upscaler = Upscaler(ModelLibrary([folder]), device="cpu")
    assert _do(upscaler, PICTURE).report.load_seconds > 0
    assert _do(upscaler, PICTURE).report.load_seconds == 0
    assert upscaler.cache.bytes > 1_000_000
    upscaler.cache.release()
    assert upscaler.cache.bytes == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], LdsrSettings(steps=2)),
        (
            ["--ldsr-seed", "7", "--ldsr-sampler", "ddim", "--ldsr-eta", "0.5"],
            LdsrSettings(steps=2, seed=7, sampler="ddim", eta=0.5),
        ),
        (["--ldsr-mode", "webui"], LdsrSettings(mode="webui", steps=2)),
    ],
)
def test_the_command_line(words: list[str], expected: LdsrSettings, folder: Path, tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "in.png")
    common = ["--model", "LDSR", "--models-dir", str(folder), "--device", "cpu", "--precision", "exact"]
    out = tmp_path / "out.png"
    assert main(["upscale", str(tmp_path / "in.png"), "-o", str(out), *common, "--ldsr-steps", "2", *words]) == 0
    assert _off(Image.open(out), levels(_sampled(PICTURE, expected))) <= 1


def test_what_cannot_be_asked_for_is_told() -> None:
    with pytest.raises(RequestError):
        LdsrSettings(steps=201)
    with pytest.raises(RequestError):
        LdsrSettings(mode="webui", sampler="dpmpp_2m")
