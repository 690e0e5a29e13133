"""Models one after the other, a clean-up before them, others' upscalers; and one plan for forecast and run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spandrel
import torch
from PIL import Image

from lib_upscaler import walker
from lib_upscaler.cli.commands import main
from lib_upscaler.errors import Cancelled, ModelNotFoundError, RequestError
from lib_upscaler.estimates import estimate
from lib_upscaler.geometry import Size
from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.planning.job import Step
from lib_upscaler.planning.sizing import ByDimensions, ByScale
from lib_upscaler.progress import Progress
from lib_upscaler.request import UpscaleRequest, UpscaleResult
from reference import levels, photo, true_output
from small_networks import compact, save_pth

STATES = {
    "one": compact(scale=1, features=4, layers=1),
    "two": compact(scale=2, features=8, layers=2),
    "four": compact(scale=4, features=8, layers=2, seed=3),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, state in STATES.items():
        save_pth(state, folder / f"{name}.pth")
    return folder


@pytest.fixture(scope="module")
def upscaler(folder: Path) -> Upscaler:
    return Upscaler(ModelLibrary([folder]), device="cpu")


def _do(upscaler: Upscaler, image: Image.Image, model: Any, **wanted: Any) -> UpscaleResult:
    return upscaler.upscale(image, UpscaleRequest(model, precision="exact", **wanted))


def _through(picture: np.ndarray, *names: str) -> np.ndarray:
    """By spandrel's own call, network after network in float32, ``(h, w, 3)`` in levels, not rounded."""
    planes = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.inference_mode():
        for name in names:
            planes = spandrel.ModelLoader("cpu").load_from_state_dict(dict(STATES[name])).eval()(planes)
    return planes[0].permute(1, 2, 0).double().numpy() * 255


def _off(image: Image.Image, expected: np.ndarray) -> float:
    return float(np.abs(np.asarray(image).astype(float) - expected).max())


def _lanczos(true: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    planes = [Image.fromarray(np.ascontiguousarray(true[..., c], np.float32)) for c in range(3)]
    return np.stack([np.asarray(plane.resize(size, Image.Resampling.LANCZOS)) for plane in planes], axis=2)


# -- chains ------------------------------------------------------------------------------------------------------------


def test_a_chain_at_its_own_scale(upscaler: Upscaler) -> None:
    picture = photo(20, 14)
    result = _do(upscaler, Image.fromarray(picture), "one > two")

    assert result.image.size == (40, 28)
    assert _off(result.image, levels(_through(picture, "one", "two"))) <= 1
    assert (result.report.models, result.report.passes) == (("one", "two"), 2)


def test_the_last_one_is_repeated_and_resampled_once(upscaler: Upscaler) -> None:
    picture = photo(20, 14)
    result = _do(upscaler, Image.fromarray(picture), "one > two", size=ByScale(3))

    assert _off(result.image, levels(_lanczos(_through(picture, "one", "two", "two"), (60, 42)))) <= 1
    assert result.report.passes == 3


def test_each_of_a_chain_runs_also_where_the_size_asks_for_less(upscaler: Upscaler) -> None:
    picture = photo(20, 14)
    result = _do(upscaler, Image.fromarray(picture), "two > one", size=ByScale(1))

    assert _off(result.image, levels(_lanczos(_through(picture, "two", "one"), (20, 14)))) <= 1


def test_a_chain_is_mixed_and_its_alpha_goes_the_same_way(upscaler: Upscaler) -> None:
    picture = photo(20, 14)
    image = Image.fromarray(picture)
    mixed = _do(upscaler, image, "one > two", model2="two", visibility=0.25)
    expected = 0.75 * _through(picture, "one", "two") + 0.25 * true_output(STATES["two"], picture)
    assert _off(mixed.image, levels(expected)) <= 1

    image.putalpha(Image.fromarray(photo(20, 14, 1)[..., 0]))
    alpha = np.asarray(_do(upscaler, image, "one > two").image)[..., 3]
    plane = np.asarray(image)[..., 3].astype(float)
    for name in ("one", "two"):  # grey in, grey out
        plane = _through(np.repeat(plane[..., None], 3, axis=2), name) @ np.array([0.299, 0.587, 0.114])
    source = np.asarray(image)[..., 3]
    for (y, x), value in np.ndenumerate(levels(plane)):
        around = source[max(0, y // 2 - 2) : y // 2 + 3, max(0, x // 2 - 2) : x // 2 + 3]  # no transparency of its own
        assert abs(int(alpha[y, x]) - int(np.clip(value, around.min(), around.max()))) <= 1


def test_a_name_that_is_a_file_wins_and_quotes_keep_one_whole(tmp_path: Path) -> None:
    for name in ("one", "two", "one > two"):
        save_pth(STATES["two" if name == "two" else "one"], tmp_path / f"{name}.pth")
    library = ModelLibrary([tmp_path])

    def names(text: str) -> list[str]:
        return [entry.name for entry in library.find_chain(text)]

    assert names("one > two") == ["one > two"]
    assert names("two>one") == ["two", "one"]
    assert names('"one > two" > two') == ["one > two", "two"]
    assert names("'one > two'>'two'") == ["one > two", "two"]
    assert names(f"{tmp_path / 'two.pth'} > one") == ["two", "one"]


@pytest.mark.parametrize(("text", "missing"), [("one > tow", "'tow'"), ("one >", "''"), ("three", "'three'")])
def test_a_wrong_name_in_a_chain_is_the_one_that_is_told(text: str, missing: str, upscaler: Upscaler) -> None:
    with pytest.raises(ModelNotFoundError, match=f"no model {missing}"):
        upscaler.library.find_chain(text)


# -- cleaning up -------------------------------------------------------------------------------------------------------


def test_cleaning_up_is_one_job_before_another(upscaler: Upscaler) -> None:
    picture = photo(20, 14)
    result = _do(upscaler, Image.fromarray(picture), "two", clean_up="one")

    clean = levels(true_output(STATES["one"], picture))
    assert _off(result.image, levels(true_output(STATES["two"], clean))) <= 1
    assert result.report.models == ("one", "two")
    assert result.report.input_size == Size(20, 14)


def test_one_that_enlarges_cleans_up_at_the_pictures_own_size(upscaler: Upscaler) -> None:
    picture = photo(20, 14)
    result = _do(upscaler, Image.fromarray(picture), "two", clean_up="four")

    clean = levels(_lanczos(true_output(STATES["four"], picture), (20, 14)))
    assert (
        _off(result.image, levels(true_output(STATES["two"], clean))) <= 2
    )  # a level of the first is two of the second


def test_the_command_line_does_what_python_does(
    folder: Path, upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    image = Image.fromarray(photo(20, 14))
    image.save("in.png")
    words = ("upscale", "in.png", "--models-dir", str(folder), "--device", "cpu", "--precision", "exact")
    assert main([*words, "-o", "chain.png", "--model", "one > two", "--scale", "3"]) == 0
    assert main([*words, "-o", "clean.png", "--model", "two", "--clean-up", "one"]) == 0

    chain = _do(upscaler, image, "one > two", size=ByScale(3)).image
    assert Image.open("chain.png").tobytes() == chain.tobytes()
    assert Image.open("clean.png").tobytes() == _do(upscaler, image, "two", clean_up="one").image.tobytes()


@pytest.mark.parametrize("words", [("--model", "one > tow"), ("--model", "two", "--clean-up", "tow")])
def test_a_wrong_name_ends_before_anything_is_done(
    words: tuple[str, ...], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo(20, 14)).save("in.png")
    assert main(["upscale", "in.png", "--models-dir", str(folder), "--device", "cpu", *words]) == 2
    assert "'tow'" in capsys.readouterr().err


# -- others' upscalers -------------------------------------------------------------------------------------------------


class Bicubic:
    """Another's upscaler. ``size``: what it gives, None for what it is asked for."""

    name, strategy = "Bicubic", "by another"

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        self.size, self.pictures = size, []

    def enlarge(self, picture: np.ndarray, size: Size, progress: Progress) -> np.ndarray:
        self.pictures.append(picture)
        target = self.size or (size.width, size.height)
        return np.asarray(Image.fromarray(picture).resize(target, Image.Resampling.BICUBIC))


def test_anothers_upscaler_gets_rgb_and_the_size_is_exact(upscaler: Upscaler) -> None:
    image = Image.fromarray(photo(20, 14)).convert("LA")
    other = Bicubic((64, 64))
    result = _do(upscaler, image, other, size=ByDimensions(50, 30, "crop"))

    assert (result.image.mode, result.image.size) == ("LA", (50, 30))
    assert [picture.shape for picture in other.pictures] == [(14, 20, 3)]
    report = result.report
    assert (report.models, report.strategy, report.precision, report.passes) == (
        ("Bicubic",),
        "by another",
        "unknown",
        1,
    )


def test_anothers_upscaler_is_mixed_with_a_network(upscaler: Upscaler) -> None:
    picture = photo(20, 14)
    image = Image.fromarray(picture)
    result = _do(upscaler, image, "two", model2=Bicubic(), visibility=0.25)

    bicubic = np.asarray(image.resize((40, 28), Image.Resampling.BICUBIC), float)
    assert _off(result.image, levels(0.75 * true_output(STATES["two"], picture) + 0.25 * bicubic)) <= 1
    assert (result.report.models, result.report.precision) == (("two", "Bicubic"), "float32")


def test_anothers_upscaler_has_no_scale_of_its_own(upscaler: Upscaler) -> None:
    with pytest.raises(RequestError, match="no scale of its own"):
        _do(upscaler, Image.fromarray(photo(20, 14)), Bicubic())


def test_a_cancel_is_heard_before_anothers_upscaler_begins(upscaler: Upscaler) -> None:
    class Now:
        def advance(self, fraction: float, note: str = "") -> None:
            pass

        def cancelled(self) -> bool:
            return True

    other = Bicubic()
    with pytest.raises(Cancelled):
        upscaler.upscale(Image.fromarray(photo(20, 14)), UpscaleRequest(other, size=ByScale(2)), Now())
    assert other.pictures == []


# -- one plan ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        dict(model="four", size=ByScale(3)),
        dict(model="two", size=ByScale(4)),
        dict(model="one > two", size=ByScale(3)),
        dict(model="two", model2="four", visibility=0.5, size=ByScale(2.5)),
        dict(model="two", model2=Bicubic(), visibility=0.5, size=ByScale(2.5)),
        dict(model="four", size=ByScale(0.5)),
        dict(model="two", alpha="fast"),
        dict(model="two", tile=16),
    ],
)
@pytest.mark.parametrize("transparent", [False, True])
def test_the_steps_of_an_estimate_are_those_carried_out(
    wanted: dict[str, Any], transparent: bool, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried_out: list[Step] = []
    plain = walker._Steps._carried_out

    def watched(self: walker._Steps, step: Step, picture: np.ndarray, progress: Progress) -> np.ndarray:
        carried_out.append(step)
        return plain(self, step, picture, progress)

    monkeypatch.setattr(walker._Steps, "_carried_out", watched)
    image = Image.fromarray(photo(40, 30))
    if transparent:
        image.putalpha(Image.fromarray(photo(40, 30, 1)[..., 0]))
    request = UpscaleRequest(**{"precision": "exact", **wanted})
    estimated = estimate(upscaler, Size(40, 30), request, alpha=transparent)
    planned = upscaler.upscale(image, request, plan=estimated.plan)

    # The very objects, not equal ones: there is no second description.
    assert [id(step) for step in estimated.steps] == [id(step) for step in carried_out]
    assert len(carried_out) >= 1
    assert planned.image.tobytes() == upscaler.upscale(image, request).image.tobytes()


def test_a_plan_is_for_its_own_request_and_size(upscaler: Upscaler) -> None:
    image, request = Image.fromarray(photo(20, 14)), UpscaleRequest("two", precision="exact")
    plan = upscaler.plan(Size(20, 14), request)
    assert plan.output == Size(40, 28)

    for other_image, other_request in ((image.rotate(90, expand=True), request), (image, UpscaleRequest("four"))):
        with pytest.raises(RequestError, match="another picture or request"):
            upscaler.upscale(other_image, other_request, plan=plan)
