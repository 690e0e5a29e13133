"""From a picture and a request to exactly the picture asked for, and a true statement of what was done."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import spandrel
import torch
from PIL import Image

from effort import jobs
from lib_upscaler import walker
from lib_upscaler.errors import (
    Cancelled,
    ModelNotFoundError,
    RequestError,
    SizeError,
    TrueScaleError,
    UnsupportedPictureError,
)
from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.planning.sizing import ByDimensions, ByLongestSide, ByMegapixels, ByScale
from lib_upscaler.request import UpscaleRequest, UpscaleResult
from lib_upscaler.running.heap import can_steady_heap, return_heap
from reference import CPU, levels, photo, true_output
from small_networks import compact, save_pth

STATES = {
    "one": compact(scale=1, features=4, layers=1),
    "two": compact(scale=2, features=8, layers=2),
    "four": compact(scale=4, features=8, layers=2, seed=3),
    "grey": compact(scale=2, channels=1, features=8, layers=2, seed=4),
    "rgba": compact(scale=2, channels=4, features=8, layers=2, seed=5),
}


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Upscaler:
    folder = tmp_path_factory.mktemp("models")
    for name, state in STATES.items():
        save_pth(state, folder / f"{name}.pth")
    return Upscaler(ModelLibrary([folder]), device="cpu")


def _do(upscaler: Upscaler, image: Image.Image, model: str = "two", **wanted: Any) -> UpscaleResult:
    return upscaler.upscale(image, UpscaleRequest(model, precision="exact", **wanted))


def _image(width: int = 30, height: int = 20, mode: str = "RGB") -> Image.Image:
    return Image.fromarray(photo(width, height)).convert(mode)


def _off(image: Image.Image, expected: np.ndarray) -> float:
    return float(np.abs(np.asarray(image).astype(float).reshape(expected.shape) - expected).max())


# -- sizes -----------------------------------------------------------------------------------------------------------


def _half_up(value: Fraction) -> int:
    return max(1, int(value + Fraction(1, 2)))


def test_a_thousand_random_sizes_are_exact(upscaler: Upscaler) -> None:
    """The first 200 of them; all with ``pytest --long``."""
    chance = random.Random(0)
    for number in range(jobs(1000)):
        width, height = chance.randint(1, 12), chance.randint(1, 12)
        image = Image.new("RGB", (width, height), (40, 90, 200))
        model = chance.choice(["one", "two", "four"])
        kind = chance.choice(["scale", "crop", "stretch", "pad", "width", "side"])
        if kind == "scale":
            hundredths = chance.randint(5, 450)
            size: Any = ByScale(hundredths / 100)
            expected = tuple(_half_up(Fraction(side * hundredths, 100)) for side in (width, height))
        elif kind == "width":
            expected = (chance.randint(1, 50), 0)
            size = ByDimensions(width=expected[0])
            expected = (expected[0], _half_up(Fraction(height * expected[0], width)))
        elif kind == "side":
            side = chance.randint(1, 50)
            size = ByLongestSide(side)
            expected = tuple(_half_up(Fraction(s * side, max(width, height))) for s in (width, height))
        else:
            expected = chance.randint(1, 50), chance.randint(1, 50)
            size = ByDimensions(*expected, fit=kind)
        result = _do(upscaler, image, model, size=size)
        assert result.image.size == expected, (number, kind, (width, height), size, model)


@pytest.mark.parametrize("model", ["one", "two", "four", "grey"])
def test_the_models_own_scale_gives_the_networks_output(model: str, upscaler: Upscaler) -> None:
    image = _image()
    result = _do(upscaler, image, model)

    pixels = np.asarray(image)
    if model == "grey":
        true = np.concatenate([true_output(STATES[model], pixels[..., c : c + 1]) for c in range(3)], axis=2)
    else:
        true = true_output(STATES[model], pixels)
    assert _off(result.image, levels(true)) <= 1
    assert (result.report.passes, result.report.tiles, result.report.strategy) == (1, 1, "whole")


@pytest.mark.parametrize("scale", [1, 0.5])
def test_a_network_runs_once_at_any_size_where_that_is_asked_for(scale: float, upscaler: Upscaler) -> None:
    picture = photo(30, 20)
    result = _do(upscaler, Image.fromarray(picture), "four", size=ByScale(scale), always=True)
    native = levels(true_output(STATES["four"], picture))
    size = (round(30 * scale), round(20 * scale))
    assert result.report.passes == 1
    assert result.report.models == ("four",)
    assert _off(result.image, np.asarray(Image.fromarray(native).resize(size, Image.LANCZOS), float)) <= 2


def test_two_passes(upscaler: Upscaler) -> None:
    image = _image()
    result = _do(upscaler, image, "two", size=ByScale(4))

    # Between the passes nothing is rounded to 8 bits.
    first = np.asarray(true_output(STATES["two"], np.asarray(image)) / 255, np.float32)
    network = spandrel.ModelLoader("cpu").load_from_state_dict(dict(STATES["two"])).eval()
    with torch.inference_mode():
        second = network(torch.from_numpy(first).permute(2, 0, 1)[None])[0].permute(1, 2, 0).double().numpy() * 255
    assert _off(result.image, levels(second)) <= 1
    assert result.report.passes == 2
    assert result.image.size == (120, 80)


def test_one_pass_and_one_resample(upscaler: Upscaler) -> None:
    image = _image()
    result = _do(upscaler, image, "four", size=ByScale(3))

    true = true_output(STATES["four"], np.asarray(image)).astype(np.float32)
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(true[..., c])).resize((90, 60), Image.Resampling.LANCZOS))
        for c in range(3)
    ]
    assert _off(result.image, levels(np.stack(planes, axis=2))) <= 1
    assert result.report.passes == 1


@pytest.mark.parametrize("scale", [0.05, 0.5, 1])
def test_at_a_scale_of_one_or_less_only_1x_networks_run(scale: float, upscaler: Upscaler) -> None:
    image = _image(40, 40)
    result = _do(upscaler, image, "four", size=ByScale(scale))

    side = max(1, round(40 * scale))
    expected = np.asarray(image.resize((side, side), Image.Resampling.LANCZOS))
    assert _off(result.image, expected) <= 1
    assert (result.report.strategy, result.report.models, result.report.passes) == ("resampled", (), 0)
    assert result.report.warnings
    assert _do(upscaler, image, "one", size=ByScale(scale)).report.models == ("one",)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (ByDimensions(64, 64), (64, 43)),
        (ByDimensions(64, 64, fit="crop"), (64, 64)),
        (ByDimensions(64, 64, fit="pad"), (64, 64)),
        (ByDimensions(height=33), (50, 33)),
        (ByMegapixels(0.0024), (60, 40)),
    ],
)
def test_sizes_asked_for(size: Any, expected: tuple[int, int], upscaler: Upscaler) -> None:
    assert _do(upscaler, _image(), size=size).image.size == expected


def test_crop_keeps_the_middle(upscaler: Upscaler) -> None:
    whole = np.asarray(_do(upscaler, _image(), size=ByScale(2)).image)
    cropped = _do(upscaler, _image(), size=ByDimensions(40, 40, fit="crop")).image

    assert np.array_equal(np.asarray(cropped), whole[:, 10:50])


@pytest.mark.parametrize(("mode", "around"), [("RGB", 0), ("RGBA", 0), ("L", 0)])
def test_pad_puts_it_in_the_middle(mode: str, around: int, upscaler: Upscaler) -> None:
    image = _image(mode=mode)
    whole = np.asarray(_do(upscaler, image, size=ByScale(2)).image)
    padded = np.asarray(_do(upscaler, image, size=ByDimensions(60, 60, fit="pad")).image)

    assert np.array_equal(padded[10:50], whole)
    assert (padded[:10] == around).all()
    assert (padded[50:] == around).all()


# -- two models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["four", "grey", "one"])
def test_two_models_are_mixed(second: str, upscaler: Upscaler) -> None:
    image = _image()
    size = ByScale(2)
    result = _do(upscaler, image, model2=second, visibility=0.3, size=size)

    a, b = (np.asarray(_do(upscaler, image, model, size=size).image).astype(float) for model in ("two", second))
    assert np.abs(np.asarray(result.image) - (0.7 * a + 0.3 * b)).max() <= 1.01
    assert result.report.models == ("two", second)


@pytest.mark.parametrize(("visibility", "seen"), [(0.0, "two"), (1.0, "four")])
def test_the_model_that_is_not_seen_is_not_even_loaded(
    visibility: float, seen: str, upscaler: Upscaler, loads: list[str]
) -> None:
    upscaler.release()
    image, size = _image(), ByScale(3)
    result = _do(upscaler, image, model2="four", visibility=visibility, size=size)

    assert loads == [seen]
    assert result.report.models == (seen,)
    assert np.array_equal(np.asarray(result.image), np.asarray(_do(upscaler, image, seen, size=size).image))


# -- modes and alpha -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "expected"), [("1", "L"), ("L", "L"), ("P", "RGB"), ("RGB", "RGB"), ("LA", "LA"), ("RGBA", "RGBA")]
)
@pytest.mark.parametrize("model", ["two", "grey"])
def test_modes(mode: str, expected: str, model: str, upscaler: Upscaler) -> None:
    image = _image(mode=mode)
    result = _do(upscaler, image, model)

    assert (result.image.mode, result.image.size) == (expected, (60, 40))
    plain = _do(upscaler, image.convert(expected.rstrip("A")), model).image
    assert np.array_equal(np.asarray(result.image.convert(expected.rstrip("A"))), np.asarray(plain))


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "CMYK", "HSV", "YCbCr", "LAB"])
def test_other_modes_are_refused(mode: str, upscaler: Upscaler) -> None:
    with pytest.raises(UnsupportedPictureError):
        _do(upscaler, Image.new(mode, (8, 8)))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose networks run, once per pass."""
    names: list[str] = []
    plain = walker.run
    monkeypatch.setattr(
        walker, "run", lambda model, *rest, **more: (names.append(model.name), plain(model, *rest, **more))[1]
    )
    return names


def _with_alpha(alpha: np.ndarray) -> Image.Image:
    image = _image(alpha.shape[1], alpha.shape[0])
    image.putalpha(Image.fromarray(alpha))
    return image


@pytest.mark.parametrize("value", [0, 1, 77, 254, 255])
def test_a_constant_alpha_stays_and_costs_no_pass(value: int, upscaler: Upscaler, runs: list[str]) -> None:
    result = _do(upscaler, _with_alpha(np.full((20, 30), value, np.uint8)))

    assert (np.asarray(result.image)[..., 3] == value).all()
    assert runs == ["two"]


@pytest.mark.parametrize("choice", ["network", "fast"])
def test_flat_alpha_stays_exactly_so(choice: str, upscaler: Upscaler, runs: list[str]) -> None:
    alpha = np.zeros((40, 120), np.uint8)
    alpha[:, 60:] = 255
    result = _do(upscaler, _with_alpha(alpha), alpha=choice)

    enlarged = np.asarray(result.image)[..., 3]
    assert (enlarged[:, : 2 * 58] == 0).all()
    assert (enlarged[:, 2 * 62 :] == 255).all()
    assert len(runs) == {"network": 2, "fast": 1}[choice]
    assert result.image.mode == "RGBA"


def _range_around(alpha: np.ndarray, times: int, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """The least and the most of the source around each place of a result ``times`` as large."""
    padded = np.pad(alpha, radius, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1, 2 * radius + 1))
    least, most = windows.min(axis=(2, 3)), windows.max(axis=(2, 3))
    return np.kron(least, np.ones((times, times), int)), np.kron(most, np.ones((times, times), int))


@pytest.mark.parametrize("choice", ["network", "fast"])
@pytest.mark.parametrize("levels", [(0, 128), (40, 200), (255, 3)])
def test_alpha_stays_within_what_the_source_has(choice: str, levels: tuple[int, int], upscaler: Upscaler) -> None:
    """A game's alpha of 0 and 128, where 128 is opaque, must not come out as 160."""
    alpha = np.full((24, 40), levels[0], np.uint8)
    alpha[6:18, 9:30] = levels[1]
    alpha[::7, ::5] = levels[1]
    enlarged = np.asarray(_do(upscaler, _with_alpha(alpha), alpha=choice).image)[..., 3]
    assert (enlarged.min(), enlarged.max()) == (min(levels), max(levels))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("size", [None, ByScale(0.6)])
def test_alpha_that_nobody_sees_costs_no_pass_and_stays_true(
    mode: str, size: Any, upscaler: Upscaler, runs: list[str]
) -> None:
    alpha = np.full((20, 30), 255, np.uint8)
    alpha[5:9, 10:20] = 254
    image = _with_alpha(alpha).convert(mode)
    result = _do(upscaler, image, size=size)
    opaque = _do(upscaler, image.convert(mode[:-1]), size=size)

    assert len(runs) == (2 if size is None else 0), "one each"
    enlarged = np.asarray(result.image)
    assert set(np.unique(enlarged[..., -1])) == {254, 255}
    np.testing.assert_array_equal(np.squeeze(enlarged[..., :-1]), np.asarray(opaque.image))


def test_a_network_for_rgba_gets_the_alpha_with_the_colours(upscaler: Upscaler, runs: list[str]) -> None:
    picture = photo(30, 20, 4)
    image = _do(upscaler, Image.fromarray(picture), "rgba", verify=True)

    true = true_output(STATES["rgba"], picture)
    true[..., 3] = np.clip(true[..., 3], *_range_around(picture[..., 3], 2, 2))
    assert _off(image.image, true) <= 1
    assert image.report.verify_max <= 1
    assert runs == ["rgba"]


def test_a_network_for_rgba_takes_an_opaque_picture_as_opaque(upscaler: Upscaler) -> None:
    picture = np.dstack([photo(30, 20), np.full((20, 30), 255, np.uint8)])
    result = _do(upscaler, Image.fromarray(picture).convert("RGB"), "rgba")

    assert result.image.mode == "RGB"
    assert _off(result.image, true_output(STATES["rgba"], picture)[..., :3]) <= 1


def test_a_picture_without_pixels_is_refused(upscaler: Upscaler) -> None:
    with pytest.raises(UnsupportedPictureError, match="no pixels"):
        _do(upscaler, Image.new("RGB", (0, 5)))


def test_fast_alpha_is_resampled(upscaler: Upscaler) -> None:
    alpha = photo(30, 20, 1)[..., 0]
    result = _do(upscaler, _with_alpha(alpha), alpha="fast")

    resampled = np.asarray(Image.fromarray(alpha).resize((60, 40), Image.Resampling.LANCZOS))
    expected = np.clip(resampled, *_range_around(alpha, 2, 2)).astype(int)
    assert np.abs(np.asarray(result.image)[..., 3].astype(int) - expected).max() <= 1


def test_dropped_alpha_shows_white(upscaler: Upscaler) -> None:
    alpha = photo(30, 20, 1)[..., 0]
    image = _with_alpha(alpha)
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    result = _do(upscaler, image, alpha="drop")

    assert result.image.mode == "RGB"
    flat = true_output(STATES["two"], np.asarray(white.convert("RGB")))
    # Pillow rounds its composition in another way: up to a level more, times the network's gain.
    assert np.abs(np.asarray(result.image) - flat).mean() < 1.5


def test_hidden_colours_do_not_matter(upscaler: Upscaler) -> None:
    alpha = np.zeros((24, 36), np.uint8)
    alpha[6:18, 8:28] = 255
    clean = np.asarray(_with_alpha(alpha)).copy()
    junk = clean.copy()
    junk[alpha == 0, :3] = np.random.default_rng(0).integers(0, 256, ((alpha == 0).sum(), 3))

    results = [np.asarray(_do(upscaler, Image.fromarray(pixels)).image) for pixels in (clean, junk)]
    assert np.array_equal(results[0], results[1])


def test_alpha_of_a_cropped_size(upscaler: Upscaler) -> None:
    alpha = np.zeros((20, 30), np.uint8)
    alpha[:, 15:] = 255
    whole = np.asarray(_do(upscaler, _with_alpha(alpha), size=ByScale(2)).image)
    cropped = np.asarray(_do(upscaler, _with_alpha(alpha), size=ByDimensions(40, 40, fit="crop")).image)

    assert np.array_equal(cropped, whole[:, 10:50])


# -- the statement ---------------------------------------------------------------------------------------------------


@pytest.mark.alone
@pytest.mark.skipif(not can_steady_heap(CPU), reason="elsewhere memory that was freed may be used again unseen")
def test_the_peak_holds_the_canvas_and_the_finished_picture(upscaler: Upscaler) -> None:
    _do(upscaler, _image(), "four")
    return_heap()  # else what earlier tests have left is used again
    report = _do(upscaler, _image(400, 300), "four", memory=400_000_000).report

    assert 2 * 1600 * 1200 * 3 <= report.peak_bytes <= 400_000_000


def test_the_report(upscaler: Upscaler) -> None:
    upscaler.release()
    first = _do(upscaler, _image(60, 50), tile=32, size=ByScale(3), verify=True).report
    second = _do(upscaler, _image(60, 50), tile=32, size=ByScale(3)).report

    assert (first.input_size.width, first.output_size.height) == (60, 150)
    assert first.models == ("two",)
    assert first.passes == 2
    # 2 x 2 tiles of 60x50 px, then 4 x 4 of 120x100 px; the pass that was cut most counts.
    assert (first.strategy, first.tiles) == ("tiles", 16)
    assert first.margin >= 4
    assert first.seam_error <= 0.5
    assert (first.precision, first.precision_db, first.device) == ("float32", None, "cpu")
    assert first.load_seconds > 0
    assert second.load_seconds < 0.05
    assert first.seconds > 0
    assert first.verify_max is not None
    assert first.verify_max <= 1
    assert 0 <= first.verify_mean <= first.verify_max
    assert (second.verify_max, second.verify_mean) == (None, None)
    told = json.loads(json.dumps(first.to_json()))
    assert told["input_size"] == [60, 50]
    assert told["output_size"] == [180, 150]
    assert told["models"] == ["two"]


def test_verify_finds_a_difference(upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = walker.run

    def brighter(*arguments: Any, **more: Any) -> Any:
        done = plain(*arguments, **more)
        done.pixels[:5] = done.pixels[:5] // 2
        return done

    monkeypatch.setattr(walker, "run", brighter)
    assert _do(upscaler, _image(), verify=True).report.verify_max > 10


# -- progress and cancel ---------------------------------------------------------------------------------------------


class Recorder:
    def __init__(self, cancel_at: int = 10**9) -> None:
        self.fractions: list[float] = []
        self.asked, self.cancel_at = 0, cancel_at

    def advance(self, fraction: float, note: str = "") -> None:
        self.fractions.append(fraction)

    def cancelled(self) -> bool:
        self.asked += 1
        return self.asked > self.cancel_at


@pytest.mark.parametrize(
    "wanted",
    [
        dict(model="two"),
        dict(model="two", size=ByScale(4)),
        dict(model="two", model2="four", visibility=0.5),
        dict(model="four", size=ByScale(0.5)),
        dict(model="two", tile=16, verify=True),
        dict(model="grey"),
    ],
)
def test_progress_rises_from_nought_to_one(wanted: dict[str, Any], upscaler: Upscaler) -> None:
    recorder = Recorder()
    image = _image(40, 40)
    image.putalpha(Image.fromarray(photo(40, 40, 1)[..., 0]))
    upscaler.upscale(image, UpscaleRequest(precision="exact", **wanted), recorder)

    assert recorder.fractions == sorted(recorder.fractions)
    assert recorder.fractions[0] >= 0
    assert recorder.fractions[-1] == 1


@pytest.mark.parametrize("size", [ByScale(4), ByScale(3.3), ByScale(0.5)])
def test_cancel_at_any_time(size: ByScale, upscaler: Upscaler) -> None:
    recorder = Recorder()
    request = UpscaleRequest("two", precision="exact", size=size)
    upscaler.upscale(_image(), request, recorder)
    asked = recorder.asked
    assert asked >= 1

    for moment in range(0, asked, max(1, asked // 10)):
        with pytest.raises(Cancelled):
            upscaler.upscale(_image(), request, Recorder(cancel_at=moment))


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        dict(precision="int8"),
        dict(alpha="cut"),
        dict(visibility=1.5),
        dict(visibility=-0.1),
        dict(visibility=float("nan")),
        dict(visibility="half"),
        dict(visibility=0.5),
        dict(tile=0),
        dict(tile=15),
        dict(tile=True),
        dict(tile="big"),
        dict(tile=33.5),
        dict(memory=0),
        dict(memory=-5),
        dict(memory="2GB"),
        dict(memory=float("inf")),
    ],
)
def test_requests_that_cannot_be_are_refused_in_words(wanted: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        UpscaleRequest("two", **wanted)

    assert len(str(caught.value)) > 20


def test_sizes_beyond_memory_are_refused_before_any_work(upscaler: Upscaler) -> None:
    recorder = Recorder()
    with pytest.raises(SizeError, match="GB"):
        upscaler.upscale(_image(), UpscaleRequest("two", size=ByDimensions(300_000, 200_000)), recorder)
    with pytest.raises(TrueScaleError):
        upscaler.upscale(_image(), UpscaleRequest("two", size=ByScale(30), memory=1000), recorder)

    assert recorder.fractions == []


def test_an_unknown_model_is_named(upscaler: Upscaler) -> None:
    with pytest.raises(ModelNotFoundError, match="fourteen"):
        _do(upscaler, _image(), "fourteen")


def test_fifty_pictures_load_the_model_once(upscaler: Upscaler, loads: list[str]) -> None:
    upscaler.release()
    for number in range(50):
        _do(upscaler, _image(8 + number % 3, 8))

    assert loads == ["two"]


def test_the_picture_given_is_not_changed(upscaler: Upscaler) -> None:
    alpha = np.zeros((20, 30), np.uint8)
    alpha[:, 15:] = 255
    image = _with_alpha(alpha)
    before = image.tobytes()
    _do(upscaler, image)

    assert image.tobytes() == before
