"""What else may be switched on in a real WebUI while SD Upscale redraws, with both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from canvas_host import ask, by_the_host, off, redraw
from second_checkpoint import add_twin
from webui_http import as_base64
from webui_process import DataFolder, Host, Server

SIZE = (384, 256)
ENGINES = ["One canvas", "Tiles"]


@pytest.fixture(scope="module")
def server(host: Host, new_data: Callable[..., DataFolder]) -> Iterator[Server]:
    """With a LoRA of random weights, a style, and the same network by another name for a refiner."""
    if host.is_forge:
        pytest.skip("it knows a checkpoint by its widths")
    data = new_data(scripts=("guests",))
    folder = data.path / "models"
    (folder / "Lora").mkdir()
    save_file(_lora(), folder / "Lora" / "tinylora.safetensors")
    add_twin(data, host)
    (data.path / "styles.csv").write_text("name,prompt,negative_prompt\nold,an etching of {prompt},photo\n")
    with Server(host, data, ("--styles-file", str(data.path / "styles.csv"))) as running:
        yield running


def _lora() -> dict[str, torch.Tensor]:
    """For the attention in the middle of the U-Net, 128 channels wide."""
    random = torch.Generator().manual_seed(1)
    state = {}
    for name in ("q", "k", "v"):
        key = f"lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_{name}"
        state[f"{key}.lora_up.weight"] = torch.randn(128, 4, generator=random)
        state[f"{key}.lora_down.weight"] = torch.randn(4, 128, generator=random)
        state[f"{key}.alpha"] = torch.tensor(4.0)
    return state


@pytest.fixture
def image(photo: Callable[[int, int], Image.Image]) -> Image.Image:
    return photo(*SIZE)


def _redrawn(server: Server, image: Image.Image, engine: str, **values: Any) -> tuple[Image.Image, str]:
    script = {"engine": engine, "tile_width": 256}
    pictures, texts = redraw(server, image, script, **{"steps": 4, **values})
    assert len(pictures) == 1
    return pictures[0], texts[0]


def _is_the_hosts_own(server: Server, image: Image.Image, **values: Any) -> None:
    """In one tile, by either engine."""
    theirs = by_the_host(server, image, steps=4, **values)
    for engine in ENGINES:
        (ours,), _ = redraw(server, image, {"engine": engine, "tile_width": 512}, steps=4, **values)
        assert off(ours, theirs) == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_lora(engine: str, server: Server, image: Image.Image) -> None:
    with_it = "SEEDED a cat <lora:tinylora:1>"
    _is_the_hosts_own(server, image, prompt=with_it)
    plain, _ = _redrawn(server, image, engine)
    changed, text = _redrawn(server, image, engine, prompt=with_it)
    again, _ = _redrawn(server, image, engine)
    assert off(changed, plain) > 0
    assert off(again, plain) == 0
    assert "tinylora" in text


@pytest.mark.parametrize("engine", ENGINES)
def test_a_style(engine: str, server: Server, image: Image.Image) -> None:
    by_name, text = _redrawn(server, image, engine, prompt="SEEDED a cat", styles=["old"])
    written, _ = _redrawn(server, image, engine, prompt="an etching of SEEDED a cat", negative_prompt="photo")
    assert "an etching of SEEDED a cat" in text
    assert off(by_name, written) == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_refiner(engine: str, server: Server, image: Image.Image) -> None:
    """It is the same network once more, so that nothing may change."""
    refined, text = _redrawn(server, image, engine, refiner_checkpoint="twin", refiner_switch_at=0.6)
    plain, _ = _redrawn(server, image, engine)
    assert "Refiner: twin" in text
    assert off(refined, plain) == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_soft_inpainting(engine: str, server: Server, image: Image.Image) -> None:
    """What is masked is redrawn, and softly so; what is not stays."""
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).rectangle((0, 0, 180, 256), fill=255)
    given = {"mask": as_base64(mask), "mask_blur": 8, "inpainting_fill": 1, "steps": 8, "denoising_strength": 0.8}
    soft = {"alwayson_scripts": {"Soft Inpainting": {"args": [True, 1, 0.5, 4, 0, 0.5, 2]}}}
    plain, _ = _redrawn(server, image, engine, **given)
    softly, text = _redrawn(server, image, engine, **given, **soft)
    right, left = (240, 0, 384, 256), (0, 0, 130, 256)
    assert "Soft inpainting enabled: True" in text
    assert off(softly.crop(right), image.crop(right)) == 0
    assert off(softly.crop(left), image.crop(left)) > 20
    assert off(softly, plain) > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_prompt_that_is_drawn_by_the_seed(engine: str, server: Server, image: Image.Image) -> None:
    """The same one for all tiles, and in the infotext."""
    drawn, text = _redrawn(server, image, engine, prompt="SEEDED a __pet__")
    (pet,) = (pet for pet in ("cat", "dog", "owl", "fox") if f"SEEDED a {pet}" in text)
    written, _ = _redrawn(server, image, engine, prompt=f"SEEDED a {pet}")
    assert off(drawn, written) == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_what_changes_guidance(engine: str, server: Server, image: Image.Image) -> None:
    given = {"prompt": "SEEDED RESCALE a cat"}
    _is_the_hosts_own(server, image, **given)
    plain, _ = _redrawn(server, image, engine, prompt="SEEDED RES CALE a cat")
    rescaled, _ = _redrawn(server, image, engine, **given)
    assert np.abs(np.asarray(rescaled).astype(float) - np.asarray(plain)).mean() > 1


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
@pytest.mark.parametrize("title", ["Regional Prompter", "Tiled Diffusion"])
def test_what_divides_the_picture_is_refused_in_words(
    title: str, engine: str, server: Server, image: Image.Image
) -> None:
    answer = ask(server, image, {"engine": engine}, alwayson_scripts={title: {"args": [True]}})
    assert answer.status == 422
    assert f"{title} conditions on the picture as a whole" in answer.json["detail"]
    assert ask(server, image, {"engine": engine}, steps=1, alwayson_scripts={title: {"args": [False]}}).status == 200


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
def test_tiling_is_refused_in_words(engine: str, server: Server, image: Image.Image) -> None:
    answer = ask(server, image, {"engine": engine}, tiling=True)
    assert answer.status == 422
    assert "each tile would repeat itself" in answer.json["detail"]
