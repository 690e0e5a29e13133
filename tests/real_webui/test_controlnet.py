"""Mikubill's ControlNet in a real WebUI, with SD Upscale's engines and with Hires Fix in tiles.

    python -m pytest tests/real_webui/test_controlnet.py --webui DIR --controlnet DIR
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from canvas_host import answered, ask, by_the_host, off, redraw
from webui_http import as_base64
from webui_process import DataFolder, Host, Server

SIZE = (384, 256)
"""Of the canvas: 48 x 32 px of the latent. Two tiles of 256 px and more."""


@pytest.fixture(scope="module")
def server(host: Host, controlnet: Path, new_data: Callable[..., DataFolder]) -> Iterator[Server]:
    if host.is_forge:
        pytest.skip("this family has a ControlNet of its own")
    data = new_data(scripts=("control",))
    (data.extensions / "test-control").rename(data.extensions / "zz-control")  # after the one that it reaches into
    data.install_extension(controlnet)
    with Server(host, data) as running:
        yield running


@pytest.fixture
def image(photo: Callable[[int, int], Image.Image]) -> Image.Image:
    return photo(*SIZE)


@pytest.fixture
def own() -> Image.Image:
    """A unit's own picture, no two places of which are alike."""
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (*SIZE[::-1], 3), np.uint8))


def units(*given: dict[str, Any]) -> dict[str, Any]:
    plain = {"enabled": True, "module": "none", "model": "tinycontrol", "resize_mode": "Just Resize"}
    return {"alwayson_scripts": {"ControlNet": {"args": [{**plain, **each} for each in given]}}}


def own_picture(image: Image.Image) -> dict[str, Any]:
    return {"image": as_base64(image)}


@dataclass
class Seen:
    """What the control network was given, as the host's script has noted it."""

    steps: list[tuple[torch.Tensor, float, int]]
    calls: list[tuple[torch.Tensor, torch.Tensor]]
    tiles: list[tuple[torch.Tensor, int]]

    @classmethod
    def of(cls, server: Server, run: Callable[[], Any]) -> Seen:
        file = server.data.path / "control.pt"
        file.unlink(missing_ok=True)
        run()
        return cls(**torch.load(file))

    def canvas_at(self, call: int) -> tuple[torch.Tensor, float]:
        """The sampler's latent and noise level at a call."""
        latent, level, _ = [step for step in self.steps if step[2] <= call][-1]
        return latent, level


def as_hint(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255


def places(part: torch.Tensor, whole: torch.Tensor) -> list[tuple[int, int]]:
    """Where ``(C, h, w)`` is found in ``(C, H, W)``, to the number, at multiples of 8: (x, y)."""
    height, width = part.shape[-2:]
    return [
        (x, y)
        for y in range(0, whole.shape[1] - height + 1, 8)
        for x in range(0, whole.shape[2] - width + 1, 8)
        if torch.equal(whole[:, y : y + height, x : x + width], part)
    ]


def check_calls(seen: Seen, canvas: torch.Tensor) -> set[tuple[int, int, int, int]]:
    """Each row's hint is the part of the canvas's hint that lies over the row's latent. Gives the tiles: x, y, w, h."""
    tiles = set()
    for number, (x, hint) in enumerate(seen.calls):
        latent, level = seen.canvas_at(number)
        hints = hint if len(hint) > 1 else hint.expand(len(x), -1, -1, -1)
        assert len(hints) == len(x)
        for row in range(len(x)):
            (place,) = places(hints[row], canvas)
            height, width = x.shape[-2:]
            left, top = place[0] // 8, place[1] // 8
            there = latent[:, :, top : top + height, left : left + width] / (level**2 + 1) ** 0.5
            assert hints.shape[-2:] == (8 * height, 8 * width)
            assert min(float((x[row] - each).abs().max()) for each in there) < 1e-4
            tiles.add((*place, 8 * width, 8 * height))
    return tiles


# -- one canvas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_own", [True, False], ids=["own picture", "source"])
@pytest.mark.parametrize(("tile", "batch"), [(256, 1), (256, 4)])
@pytest.mark.parametrize("model", ["tinycontrol", "tinyadapter"])
def test_a_tile_of_the_canvas_gets_its_part_of_the_hint(
    model: str, tile: int, batch: int, with_own: bool, server: Server, image: Image.Image, own: Image.Image
) -> None:
    given = units({"model": model, **(own_picture(own) if with_own else {})})
    script = {"tile_width": tile, "batch": batch}
    pictures: list[Any] = []
    seen = Seen.of(
        server, lambda: pictures.extend(redraw(server, image, script, prompt="SEEDED NOTED", steps=4, **given)[0])
    )
    tiles = check_calls(seen, as_hint(own if with_own else image))
    assert len(tiles) > 2  # the grid moves
    assert len(pictures) == 1
