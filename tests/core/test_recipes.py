"""Recipes: models one after the other, interpolated in their weights, and the mean over a picture's eight views."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lib_upscaler.cli.commands import main
from lib_upscaler.errors import Cancelled, ModelNotFoundError, RequestError, UnsupportedModelError
from lib_upscaler.estimates import estimate
from lib_upscaler.geometry import Size
from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.planning.sizing import ByScale
from lib_upscaler.request import UpscaleRequest, UpscaleResult
from reference import levels, mean_of_views, photo, true_output
from small_networks import compact, new_keys, rrdb, save_pth, save_safetensors

STATES = {
    "a": compact(scale=2, features=8, layers=2, seed=1),
    "b": compact(scale=2, features=8, layers=2, seed=2),
    "c": compact(scale=2, features=8, layers=2, seed=3),
    "wide": compact(scale=2, features=12, layers=2),
    "four": compact(scale=4, features=8, layers=2),
    "grey": compact(scale=2, channels=1, features=8, layers=2),
}
PICTURE = photo(22, 17)


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Upscaler:
    folder = tmp_path_factory.mktemp("models")
    for name, state in STATES.items():
        save_pth(state, folder / f"{name}.pth")
    return Upscaler(ModelLibrary([folder]), device="cpu")


def _do(upscaler: Upscaler, model: Any, image: np.ndarray = PICTURE, **wanted: Any) -> UpscaleResult:
    return upscaler.upscale(Image.fromarray(image), UpscaleRequest(model, precision="exact", **wanted))


def _between(shares: Mapping[str, float], states: Mapping[str, Mapping[str, Tensor]] = STATES) -> dict[str, Tensor]:
    """The weights by hand, in float64."""
    first = next(iter(shares))
    return {
        key: sum(states[name][key].double() * share for name, share in shares.items()).float()  # type: ignore[union-attr]
        for key in states[first]
    }


def _off(image: Image.Image, expected: np.ndarray) -> int:
    return int(np.abs(np.asarray(image).astype(int) - expected).max())


# -- interpolation in weights ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "shares"),
    [
        ("a@25 & b@75", {"a": 0.25, "b": 0.75}),
        ("a@12.5% & b", {"a": 0.125, "b": 0.875}),
        ("a&b", {"a": 0.5, "b": 0.5}),
        ("a@33.3 & b@33.3 & c@33.3", {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}),
        ("a@100 & b@0", {"a": 1.0}),
    ],
)
def test_one_network_between_several(recipe: str, shares: dict[str, float], upscaler: Upscaler) -> None:
    result = _do(upscaler, recipe)

    assert _off(result.image, levels(true_output(_between(shares), PICTURE))) <= 1
    assert result.report.passes == 1


def test_it_is_not_a_mix_of_results(upscaler: Upscaler) -> None:
    """Else the test before could not tell."""
    between = true_output(_between({"a": 0.25, "b": 0.75}), PICTURE)
    mixed = 0.25 * true_output(STATES["a"], PICTURE) + 0.75 * true_output(STATES["b"], PICTURE)
    assert np.abs(levels(between).astype(int) - levels(mixed)).max() > 2


def test_it_is_named_in_the_report_and_can_be_part_of_a_chain_and_of_a_mix(upscaler: Upscaler) -> None:
    result = _do(upscaler, "a@25 & b@75 > a", model2="c", visibility=0.5, size=ByScale(4))

    first = levels(true_output(_between({"a": 0.25, "b": 0.75}), PICTURE))
    chain = true_output(STATES["a"], first)
    twice = true_output(STATES["c"], levels(true_output(STATES["c"], PICTURE)))
    assert _off(result.image, levels((chain + twice) / 2)) <= 3  # rounding between the passes is the test's alone
    assert result.report.models == ("a@25 & b@75", "a", "c")


def test_two_shares_of_the_same_files_are_two_models(upscaler: Upscaler) -> None:
    one, other = (_do(upscaler, recipe).image for recipe in ("a@10 & b@90", "a@90 & b@10"))
    assert _off(one, np.asarray(other).astype(int)) > 2


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    for name in "ab":
        save_pth(STATES[name], tmp_path / f"{name}.pth")
    upscaler = Upscaler(ModelLibrary([tmp_path]), device="cpu")
    _do(upscaler, "a & b")
    (tmp_path / "b.pth").unlink()
    save_pth(STATES["c"], tmp_path / "b.pth")
    upscaler.library.refresh()

    result = _do(upscaler, "a & b")
    assert _off(result.image, levels(true_output(_between({"a": 0.5, "c": 0.5}), PICTURE))) <= 1
    assert len(upscaler.cache) == 1


def test_half_precision_and_other_wrappers_and_names_of_the_same_network(tmp_path: Path) -> None:
    """Old names of ESRGAN's weights beside new ones, float16 beside float32, a trainer's dict beside plain weights."""
    old, other = rrdb(scale=2, seed=1), rrdb(scale=2, seed=2)
    half = {key: value.half() for key, value in other.items()}
    save_pth(old, tmp_path / "old.pth")
    torch.save({"params_ema": new_keys(half)}, tmp_path / "new.pth")
    save_safetensors(half, tmp_path / "half.safetensors")
    upscaler = Upscaler(ModelLibrary([tmp_path]), device="cpu")
    expected = _between({"old": 0.75, "half": 0.25}, {"old": old, "half": half})

    for second in ("new", "half"):
        result = _do(upscaler, f"old@75 & {second}@25")
        assert _off(result.image, levels(true_output(expected, PICTURE))) <= 1


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("a & four", "Compact 2x (3 to 3 channels), the other RealESRGAN Compact 4x"),
        ("a & grey", "(1 to 1 channels)"),
        ("a & wide", "their networks differ in size: they have"),
    ],
)
def test_what_cannot_be_one_network_is_refused_in_words(recipe: str, words: str, upscaler: Upscaler) -> None:
    request = UpscaleRequest(recipe)
    for attempt in (lambda: _do(upscaler, recipe), lambda: upscaler.plan(Size(20, 20), request)):
        with pytest.raises(UnsupportedModelError) as caught:
            attempt()
        assert words in str(caught.value)
        assert "cannot interpolate 'a' and" in str(caught.value)
        assert "Upscaler 2" in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("a@25 & b@70", "come to 95 percent"),
        ("a@80 & b@30 & c", "come to 110 percent"),
        ("a@25", "come to 25 percent"),
    ],
)
def test_shares_that_cannot_be_are_refused_in_words(recipe: str, words: str, upscaler: Upscaler) -> None:
    with pytest.raises(RequestError, match=words):
        upscaler.library.find_chain(recipe)


@pytest.mark.parametrize(
    ("recipe", "missing"), [("a & tow", "tow"), ("tow@25 & a@75", "tow"), ("a &", ""), ("a@x & b", "a@x")]
)
def test_a_wrong_name_is_the_one_that_is_told(recipe: str, missing: str, upscaler: Upscaler) -> None:
    with pytest.raises(ModelNotFoundError, match=f"no model '{missing}'"):
        upscaler.library.find_chain(recipe)


def test_a_name_that_is_a_file_wins_and_quotes_keep_one_whole(tmp_path: Path) -> None:
    for name in ("a", "b", "a@25", "a & b", "Bob's", "a@25 & b@75"):
        save_pth(STATES["a"], tmp_path / f"{name}.pth")
    library = ModelLibrary([tmp_path])

    def parts(text: str) -> list[Any]:
        return [[(one.name, share) for one, share in getattr(stage, "parts", ((stage, 1.0),))] for stage in
                library.find_chain(text)]  # fmt: skip

    assert parts("a@25 & b@75") == [[("a@25 & b@75", 1.0)]]
    assert parts("a & b") == [[("a & b", 1.0)]]
    assert parts("a&b") == [[("a", 0.5), ("b", 0.5)]]
    assert parts('"a & b"@25 & a@75') == [[("a & b", 0.25), ("a", 0.75)]]
    assert parts('"a & b"@40 & a@25') == [[("a & b", 0.4), ("a@25", 0.6)]]
    assert parts("Bob's & b > a") == [[("Bob's", 0.5), ("b", 0.5)], [("a", 1.0)]]
    assert parts(f"{tmp_path / 'b.pth'}@40 & a@60") == [[("b", 0.4), ("a", 0.6)]]


def test_the_name_of_one_finds_it_again(upscaler: Upscaler) -> None:
    for text in ("a@25 & b@75", "a&b&c", "c > a@12.5 & b"):
        names = [entry.name for entry in upscaler.library.find_chain(text)]
        again = [entry.name for entry in upscaler.library.find_chain(" > ".join(names))]
        assert names == again


def test_the_command_line_takes_recipes(tmp_path: Path, upscaler: Upscaler) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "in.png")
    words = ["--models-dir", str(upscaler.library.folders[0]), "--device", "cpu", "--precision", "exact", "--tta"]
    done = main(
        ["upscale", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png"), "--model", "a@25 & b@75", *words]
    )

    assert done == 0
    expected = levels(mean_of_views(_between({"a": 0.25, "b": 0.75}), PICTURE))
    assert _off(Image.open(tmp_path / "out.png"), expected) <= 1


# -- the mean over eight views -----------------------------------------------------------------------------------------


def test_the_mean_over_eight_flips_and_turns(upscaler: Upscaler) -> None:
    result = _do(upscaler, "a", tta=True, verify=True)

    expected = levels(mean_of_views(STATES["a"], PICTURE))
    assert _off(result.image, expected) <= 1
    assert _off(result.image, levels(true_output(STATES["a"], PICTURE))) > 2
    assert result.report.verify_max is not None
    assert result.report.verify_max <= 1


def test_it_does_not_matter_how_the_picture_lies(upscaler: Upscaler) -> None:
    """What the mean is for: of a network alone this does not hold."""
    upright = np.asarray(_do(upscaler, "a", tta=True).image).astype(int)
    turned = _do(upscaler, "a", np.ascontiguousarray(np.rot90(PICTURE)), tta=True)
    assert _off(turned.image, np.rot90(upright)) <= 1


def test_in_tiles_with_alpha_and_another_size_it_is_the_same(upscaler: Upscaler) -> None:
    picture = photo(60, 41)
    tiled = _do(upscaler, "a", picture, tta=True, tile=24)
    assert tiled.report.tiles > 1
    assert _off(tiled.image, levels(mean_of_views(STATES["a"], picture))) <= 1

    image = Image.fromarray(PICTURE)
    alpha = np.tile(np.linspace(20, 230, 22).astype(np.uint8), (17, 1))
    image.putalpha(Image.fromarray(alpha))
    result = upscaler.upscale(image, UpscaleRequest("a", precision="exact", tta=True, size=ByScale(3)))
    assert result.image.mode == "RGBA"
    assert result.image.size == (66, 51)

    grey = Image.fromarray(PICTURE[..., 0])
    averaged = upscaler.upscale(grey, UpscaleRequest("grey", precision="exact", tta=True)).image
    one = PICTURE[..., :1]
    assert _off(averaged, levels(mean_of_views(STATES["grey"], one))[..., 0]) <= 1


def test_each_network_of_a_chain_is_averaged(upscaler: Upscaler) -> None:
    result = _do(upscaler, "a > b", tta=True)

    first = mean_of_views(STATES["a"], PICTURE)
    expected = levels(mean_of_views(STATES["b"], levels(first)))
    assert _off(result.image, expected) <= 3  # the test rounds in between


def test_the_forecast_counts_eight_views(upscaler: Upscaler) -> None:
    size = Size(60, 41)
    plain, averaged = (estimate(upscaler, size, UpscaleRequest("a", tta=tta)) for tta in (False, True))
    work = [sum(step.work for step in found.steps if hasattr(step, "work")) for found in (plain, averaged)]

    assert work[1] == 8 * work[0]
    assert averaged.memory_bytes > plain.memory_bytes


def test_progress_tells_the_views_and_a_cancel_is_heard(upscaler: Upscaler) -> None:
    notes: list[str] = []

    class Listener:
        def advance(self, fraction: float, note: str = "") -> None:
            notes.append(note)

        def cancelled(self) -> bool:
            return any("view 3 of 8" in note for note in notes)

    with pytest.raises(Cancelled):
        upscaler.upscale(Image.fromarray(PICTURE), UpscaleRequest("a", tta=True), Listener())
    assert any("view 1 of 8" in note for note in notes)
    assert not any("view 5 of 8" in note for note in notes)


def test_another_kind_of_upscaler_runs_once_and_that_is_told(upscaler: Upscaler) -> None:
    class Nearest:
        name, strategy = "Nearest", "by hand"
        calls = 0

        def enlarge(self, picture: np.ndarray, size: Size, progress: Any) -> np.ndarray:
            self.calls += 1
            return picture.repeat(2, axis=0).repeat(2, axis=1)

    nearest = Nearest()
    result = upscaler.upscale(Image.fromarray(PICTURE), UpscaleRequest(nearest, tta=True, size=ByScale(2)))
    assert nearest.calls == 1
    assert any("'Nearest' ran once" in text for text in result.report.warnings)
