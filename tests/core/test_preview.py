"""The picture that is looked at while it grows: what is finished is the result, the rest is the source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.progress import NO_PROGRESS
from lib_upscaler.request import UpscaleRequest
from reference import photo
from small_networks import compact, save_pth


class Watching:
    """A progress that keeps every picture it is shown."""

    def __init__(self) -> None:
        self.pictures: list[Image.Image] = []

    def advance(self, fraction: float, note: str = "") -> None:
        NO_PROGRESS.advance(fraction, note)

    def cancelled(self) -> bool:
        return False

    def preview(self, picture: Callable[[], Image.Image]) -> None:
        self.pictures.append(picture().copy())


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Upscaler:
    folder: Path = tmp_path_factory.mktemp("models")
    save_pth(compact(scale=4, features=4, layers=1), folder / "four.pth")
    return Upscaler(ModelLibrary([folder]), device="cpu")


def _shown(upscaler: Upscaler, image: Image.Image, **wanted: object) -> tuple[list[np.ndarray], np.ndarray]:
    """The pictures shown, and the result; levels."""
    watching = Watching()
    request = UpscaleRequest("four", precision="exact", **wanted)
    result = upscaler.upscale(image, request, watching).image
    return [np.asarray(picture).astype(int) for picture in watching.pictures], np.asarray(result).astype(int)


def test_it_grows_tile_by_tile_out_of_the_source(upscaler: Upscaler) -> None:
    source = photo(64, 32)
    shown, result = _shown(upscaler, Image.fromarray(source), tile=32)
    enlarged = source.astype(int).repeat(4, axis=0).repeat(4, axis=1)
    assert shown[0].shape == result.shape
    assert np.abs(shown[0][:, :128] - result[:, :128]).max() <= 1  # the first tile is finished
    assert np.abs(shown[0][:, 128:] - enlarged[:, 128:]).max() == 0  # the second one is still the source
    assert np.abs(shown[-1] - result).max() <= 1


def test_of_a_large_picture_every_nth_pixel_is_shown(upscaler: Upscaler) -> None:
    shown, result = _shown(upscaler, Image.fromarray(photo(600, 40)), tile=300)
    assert max(shown[-1].shape) <= 1024
    assert np.abs(shown[-1] - result[::3, ::3]).max() <= 1  # 2400 px in 800


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_grey_and_transparent_pictures_are_shown_in_colour_without_alpha(mode: str, upscaler: Upscaler) -> None:
    image = Image.fromarray(photo(40, 30)).convert("L").convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    shown, result = _shown(upscaler, image)
    color = result[:, :, :3] if mode == "RGBA" else result[:, :, None].repeat(3, axis=2)
    assert np.abs(shown[-1] - color).max() <= 1  # the pass over the alpha has shown nothing


def test_nobody_watches(upscaler: Upscaler) -> None:
    image = Image.fromarray(photo(40, 30))
    shown, watched = _shown(upscaler, image)
    alone = upscaler.upscale(image, UpscaleRequest("four", precision="exact")).image
    assert shown
    assert np.array_equal(np.asarray(alone), watched)
