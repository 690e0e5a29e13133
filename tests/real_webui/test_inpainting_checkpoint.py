"""One canvas with an inpainting checkpoint, whose network is told the mask and the masked picture of each tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file

from canvas_host import by_the_host, off, redraw
from webui_http import as_base64
from webui_process import DataFolder, Host, Server

FIRST = "model.diffusion_model.input_blocks.0.0.weight"
"""Of the U-Net: it takes the latent, and here the mask and the masked picture too."""


@pytest.fixture(scope="module")
def server(host: Host, new_data: Callable[..., DataFolder]) -> Iterator[Server]:
    """With the tiny checkpoint, and an inpainting one made from it."""
    if host.is_forge:
        pytest.skip("it knows a checkpoint by its widths")
    data = new_data(scripts=("canvas",))
    _make(data.path / "models" / "Stable-diffusion")
    with Server(host, data) as running:
        yield running


def _make(folder: Path) -> None:
    """9 channels go in, the further ones with random weights; the host knows the kind by the config beside it."""
    state = load_file(folder / "tiny.safetensors")
    weight = state[FIRST]
    further = torch.randn(weight.shape[0], 5, 3, 3, generator=torch.Generator().manual_seed(1)) * weight.float().std()
    state[FIRST] = torch.cat([weight, further.to(weight.dtype)], dim=1)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "paint.safetensors")
    config = (folder / "tiny.yaml").read_text(encoding="utf-8")
    changes = {
        "in_channels: 4": "in_channels: 9",
        "conditioning_key: crossattn": "conditioning_key: hybrid\n    finetune_keys: null",
        "ddpm.LatentDiffusion": "ddpm.LatentInpaintDiffusion",
    }
    for words, others in changes.items():
        assert config.count(words) == 1
        config = config.replace(words, others)
    (folder / "paint.yaml").write_text(config, encoding="utf-8")


@pytest.fixture
def image(photo: Callable[[int, int], Image.Image]) -> Image.Image:
    """64 x 48 px of the latent."""
    return photo(512, 384)


def _painting(image: Image.Image, **values: Any) -> dict[str, Any]:
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).rectangle((96, 64, 415, 319), fill=255)
    checkpoint = {"override_settings": {"sd_model_checkpoint": "paint"}, "override_settings_restore_afterwards": False}
    how = {"inpainting_fill": 1, "mask_blur": 0, "inpaint_full_res": False}
    return {"mask": as_base64(mask), **how, **checkpoint, **values}


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM"])
def test_in_one_tile_it_is_the_hosts_own_inpainting(sampler: str, server: Server, image: Image.Image) -> None:
    values = _painting(image, sampler_name=sampler)
    (whole,), (text,) = redraw(server, image, {"tile_width": 512}, **values)
    theirs = by_the_host(server, image, **values)
    assert "Model: paint" in text
    assert off(whole, image) > 20
    assert off(whole, theirs) == 0


def test_each_tile_is_told_its_own_part_of_the_mask_and_the_picture(server: Server, image: Image.Image) -> None:
    """What the network is told of a tile is found in what the host has made of the whole, to the bit, at one place; and
    the places of a step cover the canvas."""
    redraw(server, image, {"batch": 4}, **_painting(image, prompt="SEEDED NOTED a cat"))
    told = torch.load(server.data.path / "told.pt", weights_only=True)
    whole = told["whole"][0].numpy()
    assert whole.shape == (5, 48, 64)
    assert 0 < whole[0].mean() < 1  # the mask
    covered = np.zeros(whole.shape[1:], bool)
    for latents, given, _ in told["calls"]:
        assert latents.shape[0] == given.shape[0]
        assert latents.shape[2:] == given.shape[2:] != whole.shape[1:]
        for row in given.numpy():
            (y, x), *others = _places(row, whole)
            assert not others
            covered[y : y + row.shape[1], x : x + row.shape[2]] = True
    assert covered.all()


def _places(part: np.ndarray, whole: np.ndarray) -> list[tuple[int, int]]:
    """Where the part stands in the whole."""
    height, width = part.shape[1:]
    return [
        (y, x)
        for y in range(whole.shape[1] - height + 1)
        for x in range(whole.shape[2] - width + 1)
        if (whole[:, y : y + height, x : x + width] == part).all()
    ]
