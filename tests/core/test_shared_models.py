"""Real weights on real pictures: at most one level from the untiled float32 network, and a true seam error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.request import UpscaleRequest
from reference import levels, true_output

ANIME, PLUS, VIDEO = "RealESRGAN_x4plus_anime_6B", "RealESRGAN_x4plus", "realesr-animevideov3-x4"


@pytest.fixture(scope="module")
def upscaler(shared: Path) -> Upscaler:
    return Upscaler(ModelLibrary([shared / "models"]), device="cpu")


def _crop(shared: Path, width: int, height: int) -> Image.Image:
    with Image.open(shared / "images" / "OST_009.png") as image:
        return image.convert("RGB").crop((100, 150, 100 + width, 150 + height))


def _off(shared: Path, name: str, crop: Image.Image, result: Image.Image) -> int:
    true = true_output(load_file(str(shared / "models" / f"{name}.safetensors")), np.asarray(crop))
    return int(np.abs(np.asarray(result).astype(int) - levels(true)).max())


@pytest.mark.parametrize(("name", "size"), [(PLUS, (24, 20)), (ANIME, (64, 56)), (VIDEO, (131, 100))])
def test_whole(name: str, size: tuple[int, int], shared: Path, upscaler: Upscaler) -> None:
    crop = _crop(shared, *size)
    result = upscaler.upscale(crop, UpscaleRequest(name, precision="exact"))

    assert _off(shared, name, crop, result.image) <= 1
    assert result.report.strategy.startswith("whole")


@pytest.mark.parametrize(("name", "size", "tile"), [(ANIME, (112, 48), 56), (VIDEO, (131, 100), 48)])
def test_tiles(name: str, size: tuple[int, int], tile: int, shared: Path, upscaler: Upscaler) -> None:
    crop = _crop(shared, *size)
    result = upscaler.upscale(crop, UpscaleRequest(name, precision="exact", tile=tile))

    assert _off(shared, name, crop, result.image) <= 1
    assert result.report.tiles > 1
    assert result.report.seam_error <= 0.5


@pytest.mark.parametrize(("name", "blocks"), [(PLUS, 23), (ANIME, 6)])
def test_facts_of_the_real_networks(name: str, blocks: int, upscaler: Upscaler) -> None:
    (model,) = upscaler.load(UpscaleRequest(name))[name]

    # 1 + 15 per block + 1, then 1/2 + 1/4 + 2 x 1/4 at the higher resolutions, rounded up.
    assert model.facts.radius == 15 * blocks + 4
    assert len(model.facts.blocks) == 3 * blocks + 1  # the convolution behind them runs in bands as well
    assert model.facts.head


def test_bfloat16_keeps_45_decibels(shared: Path, upscaler: Upscaler) -> None:
    crop = _crop(shared, 64, 56)
    exact, small = (
        np.asarray(upscaler.upscale(crop, UpscaleRequest(ANIME, precision=p)).image).astype(float)
        for p in ("exact", "bf16")
    )

    assert 10 * np.log10(255**2 / np.square(exact - small).mean()) > 45
