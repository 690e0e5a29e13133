"""One canvas with an SDXL checkpoint, whose network is told the size of each tile. It is a tiny one with random
weights, but the host takes it for what it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from canvas_host import by_the_host, off, redraw
from webui_process import DataFolder, Host, Server

HERE = Path(__file__).resolve().parent
XL: dict[str, Any] = {
    "override_settings": {"sd_model_checkpoint": "xl"},
    "override_settings_restore_afterwards": False,
}


@pytest.fixture(scope="module")
def server(host: Host, shared: Path, new_data: Callable[..., DataFolder]) -> Iterator[Server]:
    if host.is_forge:
        pytest.skip("it knows a checkpoint by its widths")
    data = new_data(scripts=("canvas", "tiny_tower"))
    folder = data.path / "models" / "Stable-diffusion"
    host.run(HERE / "tiny_sdxl.py", host.folder, shared / "webui-fixture" / "clip", folder, "xl")
    with Server(host, data) as running:
        yield running


@pytest.fixture
def image(photo: Callable[[int, int], Image.Image]) -> Image.Image:
    """40 x 32 px of the latent: 2 tiles of 256 px."""
    return photo(320, 256)


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM"])
def test_in_one_tile_it_is_the_hosts_own_picture(sampler: str, server: Server, image: Image.Image) -> None:
    (whole,), (text,) = redraw(server, image, {"tile_width": 0}, sampler_name=sampler, **XL)  # 1024 for SDXL
    theirs = by_the_host(server, image, sampler_name=sampler, **XL)
    (tiles,), _ = redraw(server, image, sampler_name=sampler, **XL)
    assert "Model: xl" in text
    assert off(whole, image) > 20
    assert off(whole, theirs) == 0
    assert off(tiles, theirs) > 0


def test_each_tile_is_told_its_own_size(server: Server, image: Image.Image) -> None:
    """Original and target size are the tile's, the crop starts at 0, 0; each number as 128 cosines and 128 sines, of
    which the first are those of itself. The pooled prompt stays."""
    redraw(server, image, {"batch": 4}, prompt="SEEDED NOTED a cat", negative_prompt="a dog", **XL)
    calls = torch.load(server.data.path / "told.pt", weights_only=True)["calls"]
    assert len(calls) >= 4
    prompts = set()
    for latents, _, vector in calls:
        height, width = (8 * side for side in latents.shape[2:])
        assert (height, width) != (256, 320)
        assert vector.shape == (latents.shape[0], 1280 + 6 * 256)
        for place, number in enumerate((height, width, 0, 0, height, width)):
            at = 1280 + 256 * place
            assert vector[:, at].tolist() == pytest.approx([math.cos(number)] * len(vector), abs=2e-3)
            assert vector[:, at + 128].tolist() == pytest.approx([math.sin(number)] * len(vector), abs=2e-3)
        prompts |= {tuple(row[:1280].tolist()) for row in vector}
    assert len(prompts) == 2
