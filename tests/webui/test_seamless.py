"""A texture that goes on at its other side does so in every place of the WebUI."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fake_host.running import FakeHost
from networks import encoded, off, picture, true_picture
from sd_upscaling import img2img, run

HIRES: dict[str, Any] = {"width": 64, "height": 48, "enable_hr": True, "hr_scale": 2.0, "hr_upscaler": "two"}


def _on_the_plane(network: str, image: Image.Image, wrap: str) -> np.ndarray:
    """The network's output on a plane tiled with the picture, of the picture in its middle."""
    times = 3 if "x" in wrap else 1, 3 if "y" in wrap else 1
    plane = Image.fromarray(np.tile(np.asarray(image.convert("RGB")), (times[1], times[0], 1)))
    whole = true_picture(network, plane)
    height, width = whole.shape[0] // times[1], whole.shape[1] // times[0]
    top, left = height * (times[1] // 2), width * (times[0] // 2)
    return whole[top : top + height, left : left + width]


def test_in_the_extras_and_told_and_read_back(host: FakeHost) -> None:
    ours = {"enabled": True, "upscaler_1": "four", "scale": 4, "wrap": "xy"}
    result = host.extras(picture(), ours=ours)
    assert off(result.pictures[0], _on_the_plane("four", picture(), "xy")) <= 1
    with Image.open(result.saved[0]) as saved:
        assert "TrueScale seamless: xy" in saved.info["postprocessing"]


def test_in_our_route(host: FakeHost) -> None:
    body = {"image": encoded(picture()), "upscaler_1": "two", "scale": 2, "wrap": "x"}
    answer = host.client().post("/truescale/v1/upscale", json=body).json()
    result = Image.open(io.BytesIO(base64.b64decode(answer["image"])))
    assert off(result, _on_the_plane("two", picture(), "x")) <= 1


def test_a_way_that_there_is_not_is_answered_in_words(host: FakeHost) -> None:
    body = {"image": encoded(picture()), "upscaler_1": "two", "scale": 2, "wrap": "z"}
    answer = host.client().post("/truescale/v1/upscale", json=body)
    assert answer.status_code == 422
    assert "xy" in answer.json()["detail"]


def test_in_hires_fix(host: FakeHost) -> None:
    made = host.txt2img(hires={"enabled": True, "wrap": "xy"}, **HIRES)
    first = Image.fromarray(host.module("processing").first_pass(1, 64, 48))
    assert off(made.images[0], _on_the_plane("two", first, "xy")) <= 1
    assert "Hires upscaler seamless: xy" in made.info


# -- SD Upscale --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["Tiles", "One canvas"])
def test_what_sd_upscale_redraws_goes_on(host: FakeHost, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tiles see the left side once more behind the right one; what comes out has the picture's size again."""
    processing = host.module("processing")
    seen: list[np.ndarray] = []
    plain = processing.process_images

    def watched(p: Any) -> Any:
        seen.extend(np.asarray(image.convert("RGB")) for image in getattr(p, "init_images", ()))
        return plain(p)

    monkeypatch.setattr(processing, "process_images", watched)
    source = picture(160, 128)
    values = {"engine": engine, "upscaler_1": "two", "scale": 2.0, "tile_width": 256, "tile_height": 256, "overlap": 32}
    made = run(host, img2img(host, source, width=160, height=128), wrap="x", **values)

    expected = _on_the_plane("two", source, "x")
    assert made.images[0].size == (320, 256)
    last = seen[-1]
    behind = 352 - 256 if engine == "Tiles" else 0  # where the last tile begins
    assert np.abs(last[:, 320 - behind : 352 - behind].astype(int) - expected[:, :32]).max() <= 1
    assert np.abs(last[:, : 320 - behind].astype(int) - expected[:, behind:]).max() <= 1
    assert "TrueScale seamless: x" in made.info


@pytest.mark.parametrize("sampler", ["Euler", "SDE"])
@pytest.mark.parametrize("engine", ["Tiles", "One canvas"])
def test_what_is_drawn_twice_has_the_same_noise(
    host: FakeHost, engine: str, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the two strips, which fade into each other, would be two pictures."""
    strips: list[tuple[np.ndarray, np.ndarray]] = []
    seamless = host.ours("places.sd_upscale.script").Seamless
    plain = seamless.closed

    def watched(self: Any, image: Image.Image) -> Image.Image:
        levels, width = np.asarray(image).astype(int), self.picture.width
        further = image.width - width
        strips.append((levels[:, :further], levels[:, width:]))
        return plain(self, image)

    monkeypatch.setattr(seamless, "closed", watched)
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)  # what the autoencoder draws is another matter
    flat = Image.new("RGB", (320, 256), (128, 128, 128))
    values = {"engine": engine, "scale": 1.0, "tile_width": 384, "tile_height": 384, "overlap": 32, "wrap": "x"}
    run(host, img2img(host, flat, width=320, height=256, denoising_strength=0.9, sampler_name=sampler), **values)
    ((first, again),) = strips
    assert first.std() > 10
    assert np.abs(first - again).max() <= 1


def test_together_with_control_net_it_is_refused_in_words(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.ours("places.sd_upscale.script"), "is_on", lambda _: True)
    with pytest.raises(Exception, match="together with ControlNet"):
        run(host, img2img(host, picture(160, 128), width=160, height=128), wrap="xy", upscaler_1="two")
