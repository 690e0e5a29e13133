"""Pictures that go on at their other side: the result is the network's output on a plane tiled with the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cli_runs import upscale
from lib_upscaler.errors import RequestError
from lib_upscaler.geometry import Size
from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.pictures.resample import lanczos
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.planning.sizing import ByDimensions, ByScale
from lib_upscaler.request import UpscaleRequest
from reference import by_spandrel, photo
from small_networks import compact, rrdb, save_safetensors

NETWORKS = {"two": compact(2, seed=3), "four": rrdb(4), "four grey": compact(4, channels=1, seed=4)}


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Upscaler:
    folder = tmp_path_factory.mktemp("models")
    for name, state in NETWORKS.items():
        save_safetensors(state, folder / f"{name}.safetensors")
    return Upscaler(ModelLibrary([folder]), "cpu")


def repeated(picture: np.ndarray, wrap: str) -> np.ndarray:
    """Three times along each axis that goes on."""
    return np.tile(picture, (3 if "y" in wrap else 1, 3 if "x" in wrap else 1, 1))


def middle(planes: np.ndarray, wrap: str) -> np.ndarray:
    """The middle third along each axis that goes on."""
    for axis, letter in enumerate("yx"):
        if letter in wrap:
            third = planes.shape[axis] // 3
            planes = planes.take(range(third, 2 * third), axis)
    return planes


def true(state: dict, picture: np.ndarray) -> np.ndarray:
    """The untiled network on ``(H, W, C)`` levels, in levels; a grey one gets the channels one by one."""
    model = by_spandrel(state).eval()
    image = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)
    batch = image[:, None] if model.input_channels == 1 else image[None]
    with torch.inference_mode():
        output = model(batch.contiguous())
    planes = output[:, 0] if model.input_channels == 1 else output[0]
    return planes.permute(1, 2, 0).double().numpy().clip(0, 1) * 255


@pytest.mark.parametrize("wrap", ["x", "y", "xy"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_result_is_the_networks_on_the_tiled_plane(upscaler: Upscaler, name: str, wrap: str) -> None:
    picture = photo(40, 36)
    request = UpscaleRequest(model=name, wrap=wrap, precision="exact")
    result = np.asarray(upscaler.upscale(Image.fromarray(picture), request).image)
    expected = middle(true(NETWORKS[name], repeated(picture, wrap)), wrap)
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() <= 0.51
    # Without, the borders are something else: what the test sees is not nothing.
    plain = np.asarray(upscaler.upscale(Image.fromarray(picture), UpscaleRequest(model=name)).image)
    assert np.abs(plain - expected).max() > 2


def test_in_tiles_too(upscaler: Upscaler) -> None:
    picture = photo(90, 70)
    result = upscaler.upscale(Image.fromarray(picture), UpscaleRequest(model="two", wrap="xy", tile=32))
    assert result.report.tiles > 4
    expected = middle(true(NETWORKS["two"], repeated(picture, "xy")), "xy")
    assert np.abs(np.asarray(result.image) - expected).max() <= 0.51


def test_through_several_passes_and_a_resample(upscaler: Upscaler) -> None:
    """2.5 times by two passes of 2x: 100x90, each step on the tiled plane."""
    picture = photo(40, 36)
    request = UpscaleRequest(model="two", wrap="xy", size=ByScale(2.5), depth="32")
    result = upscaler.upscale(Image.fromarray(picture), request).pixels.color * 255.0
    once = middle(true(NETWORKS["two"], repeated(picture, "xy")), "xy")
    twice = middle(true(NETWORKS["two"], repeated(once, "xy")), "xy")
    channels = [Image.fromarray(repeated(twice, "xy")[:, :, c].astype(np.float32)) for c in range(3)]
    resized = np.stack([np.asarray(c.resize((300, 270), Image.Resampling.LANCZOS)) for c in channels], axis=2)
    assert np.abs(result - middle(resized, "xy").clip(0, 255)).max() < 0.05


@pytest.mark.parametrize(("size", "target"), [((31, 17), (77, 40)), ((40, 36), (13, 100)), ((7, 5), (2, 3))])
def test_resampling_sees_the_other_side(size: tuple[int, int], target: tuple[int, int]) -> None:
    picture = photo(*size)
    got = lanczos(picture, Size(*target), bits=32, wrap=(True, True)) * 255
    channels = [Image.fromarray(np.tile(picture, (5, 5, 1))[:, :, c].astype(np.float32)) for c in range(3)]
    large = (target[0] * 5, target[1] * 5)
    resized = np.stack([np.asarray(c.resize(large, Image.Resampling.LANCZOS)) for c in channels], axis=2)
    centre = resized[2 * target[1] : 3 * target[1], 2 * target[0] : 3 * target[0]]
    assert np.abs(got - centre.clip(0, 255)).max() < 0.01


def test_transparency_goes_on_as_well(upscaler: Upscaler) -> None:
    picture = photo(40, 36, 4)
    picture[:, :6, 3], picture[:, 30:, 3] = 0, 255  # a hard edge where left and right meet
    result = upscaler.upscale(Image.fromarray(picture), UpscaleRequest(model="two", wrap="xy"))
    alone = Image.fromarray(np.tile(picture, (3, 3, 1)))
    whole = np.asarray(upscaler.upscale(alone, UpscaleRequest(model="two")).image)[72:144, 80:160]
    difference = np.abs(np.asarray(result.image).astype(int) - whole)
    assert difference[:, :, 3].max() <= 1
    # What lies hidden is ours to choose; colours that do not see it are those of the plane, above and below too.
    assert difference[:, 40:56].max() <= 1


class Nearest:
    """An upscaler of another kind."""

    name, strategy = "nearest", "nearest"

    def enlarge(self, picture: np.ndarray, size: Size, progress: object) -> np.ndarray:
        blurred = np.asarray(Image.fromarray(picture).resize((size.width, size.height), Image.Resampling.BICUBIC))
        return np.ascontiguousarray(blurred)


def test_upscalers_of_others_get_the_other_side(upscaler: Upscaler) -> None:
    picture = photo(40, 36)
    request = UpscaleRequest(model=Nearest(), size=ByScale(2.5), wrap="xy")
    result = np.asarray(upscaler.upscale(Image.fromarray(picture), request).image)
    plane = Image.fromarray(np.tile(picture, (3, 3, 1))).resize((300, 270), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(result, np.asarray(plane)[90:180, 100:200])


def test_the_mean_of_views_goes_on(upscaler: Upscaler) -> None:
    picture = photo(24, 20)
    request = UpscaleRequest(model="two", wrap="xy", tta=True)
    result = np.asarray(upscaler.upscale(Image.fromarray(picture), request).image)
    total = np.zeros(1)
    plane = repeated(picture, "xy")
    for quarter in range(4):
        for flip in (lambda x: x, np.fliplr):
            seen = np.ascontiguousarray(flip(np.rot90(plane, quarter)))
            total = total + np.rot90(flip(true(NETWORKS["two"], seen)), -quarter)
    assert np.abs(result - middle(total / 8, "xy")).max() <= 0.51


def test_verifying_compares_with_the_tiled_plane(upscaler: Upscaler) -> None:
    report = upscaler.upscale(
        Image.fromarray(photo(40, 36)), UpscaleRequest(model="four", wrap="x", verify=True)
    ).report
    assert report.verify_max is not None
    assert report.verify_max <= 1


def test_what_cannot_go_on_is_refused_in_words() -> None:
    with pytest.raises(RequestError, match="none, x, y, xy"):
        UpscaleRequest(model="two", wrap="z")  # type: ignore[arg-type]


def test_an_estimate_counts_what_comes_beside(upscaler: Upscaler) -> None:
    def planned(wrap: str) -> int:
        plan = upscaler.plan(Size(200, 160), UpscaleRequest(model="two", wrap=wrap, size=ByDimensions(400, 320)))
        (run,) = plan.stages[-1][1].walk(3, "none").steps
        return run.task.size.area

    assert planned("none") == 200 * 160
    assert planned("none") < planned("x") < planned("xy")


def test_on_the_command_line(upscaler: Upscaler, tmp_path: Path) -> None:
    picture = photo(40, 36)
    Image.fromarray(picture).save(tmp_path / "a.png")
    model = upscaler.library.folders[0] / "two.safetensors"
    assert upscale(tmp_path / "a.png", "-o", tmp_path / "b.png", "--model", model, "--wrap", "xy") == 0
    with Image.open(tmp_path / "b.png") as image:
        result = np.asarray(image)
    assert np.abs(result - middle(true(NETWORKS["two"], repeated(picture, "xy")), "xy")).max() <= 0.51
    assert upscale(tmp_path / "a.png", "-o", tmp_path / "c.png", "--model", model, "--wrap", "z") == 2
