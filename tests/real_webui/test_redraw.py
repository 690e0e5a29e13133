"""SD Upscale in a real WebUI: exact sizes, one picture whatever the order and batch, masks, stops, words."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageDraw

from model_names import VIDEO
from webui_http import Answer, Background, as_base64, picture
from webui_process import Server

SCRIPT = "TrueScale SD Upscale"
FURTHER = [None] * 27  # the script has 28 arguments, and the host cuts its scripts' arguments out by their number
SECONDS = 3  # a second where the processor is idle


def _asked(image: Image.Image, script: dict[str, Any], **values: Any) -> dict[str, Any]:
    chosen = {"upscaler_1": "TrueScale 4x", "tile_width": 128, "tile_height": 128, "overlap": 32, **script}
    plain = {"prompt": "a cat", "steps": 8, "seed": 5, "denoising_strength": 0.4, "sampler_name": "Euler"}
    size = {"width": image.width, "height": image.height}
    return {
        "init_images": [as_base64(image)],
        "script_name": SCRIPT,
        "script_args": [chosen, *FURTHER],
        **plain,
        **size,
        **values,
    }


def _ask(server: Server, image: Image.Image, script: dict[str, Any], **values: Any) -> Answer:
    return server.http.ask("/sdapi/v1/img2img", _asked(image, script, **values))


def _redrawn(server: Server, image: Image.Image, script: dict[str, Any] | None = None, **values: Any) -> tuple:
    """Pictures and infotexts."""
    answer = _ask(server, image, script or {}, **values)
    assert answer.status == 200, answer.json
    return [picture(one) for one in answer.json["images"]], json.loads(answer.json["info"])["infotexts"]


def _off(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max())


def test_a_source_of_sixteen_bits_is_scaled_and_not_white(server: Server) -> None:
    grey = np.linspace(0, 65535, 96 * 64).reshape(64, 96).astype(np.uint16)
    flat = {"upscaler_1": "None", "size_by": "Scale by", "scale": 2, "flatness": 255}  # nothing is redrawn
    (result,), _ = _redrawn(server, Image.fromarray(grey), flat)

    levels = np.asarray(result.convert("L")).astype(float)
    assert result.size == (192, 128)
    assert abs(levels.mean() - 127.5) <= 1
    assert (levels.min() <= 2, levels.max() >= 253) == (True, True)


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "DPM++ 2M", "DPM++ SDE", "UniPC"])
def test_one_picture_whatever_the_order_and_the_batch(sampler: str, server: Server, photo) -> None:
    image = photo(131, 101)
    (first,), (text,) = _redrawn(server, image, sampler_name=sampler)
    assert first.size == (262, 202)
    assert f"Script: {SCRIPT}" in text
    assert "Size: 262x202" in text
    for script in ({"batch": 2}, {"batch": 4, "order": "spiral"}, {"batch": 3, "order": "chess"}):
        (other,), _ = _redrawn(server, image, script, sampler_name=sampler)
        assert _off(first, other) <= 1, script


def test_pictures_of_a_batch(server: Server, photo) -> None:
    pictures, texts = _redrawn(server, photo(67, 51), {"scale": 1.7}, n_iter=2, batch_size=2)
    assert [one.size for one in pictures] == [(114, 87)] * 4
    for number, text in enumerate(texts):
        assert f"Seed: {5 + number}," in text
    assert _off(pictures[0], pictures[1]) > 1


def test_only_what_is_masked_is_redrawn(server: Server, photo) -> None:
    image = photo(131, 101)
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).rectangle((0, 0, 60, 101), fill=255)
    (redrawn,), _ = _redrawn(server, image, mask=as_base64(mask), inpainting_fill=1, mask_blur=4)
    (source,), _ = _redrawn(server, image, {"flatness": 99})
    right, left = (160, 0, 262, 202), (0, 0, 100, 202)
    assert _off(redrawn.crop(right), source.crop(right)) == 0
    assert _off(redrawn.crop(left), source.crop(left)) > 1


def test_transparency_is_put_on_the_hosts_background(server: Server, photo) -> None:
    background = ImageColor.getrgb(server.http.get("/sdapi/v1/options")["img2img_background_color"])
    image = photo(64, 48).convert("RGBA")
    image.putalpha(0)
    (result,), _ = _redrawn(server, image, {"flatness": 99})
    assert result.mode == "RGB"
    assert np.abs(np.asarray(result).astype(int) - background).max() <= 1  # white by default, in Neo grey


def test_an_interrupt_keeps_what_is_redrawn(server: Server, photo) -> None:
    image = photo(201, 301)
    job = Background(lambda: _ask(server, image, {"color_lock": 0}, steps=20, denoising_strength=0.6))
    server.http.wait_for_progress(above=0.15, words="tile")
    at = time.monotonic()
    server.http.interrupt()
    answer = job.result(120)
    assert job.ended - at < SECONDS
    assert answer.status == 200, answer.json
    result = picture(answer.json["images"][0])
    (source,), _ = _redrawn(server, image, {"flatness": 99})
    assert result.size == (402, 602)
    assert "TrueScale: partly redrawn (interrupted)" in json.loads(answer.json["info"])["infotexts"][0]
    assert _off(result.crop((0, 0, 402, 60)), source.crop((0, 0, 402, 60))) > 1
    assert _off(result.crop((0, 540, 402, 602)), source.crop((0, 540, 402, 602))) == 0


@pytest.mark.parametrize(
    ("script", "status", "word"),
    [
        ({"upscaler_1": "none of these"}, 404, "none of these"),
        ({"order": "backwards"}, 422, "backwards"),
        ({"colour_lock": 1}, 422, "color_lock"),
        ({"overlap": 500}, 422, "overlap"),
    ],
)
def test_wrong_arguments_are_refused_in_words(script: dict, status: int, word: str, server: Server, photo) -> None:
    answer = _ask(server, photo(131, 101), script)  # several tiles
    assert answer.status == status
    assert word in answer.json["detail"]


def test_what_goes_on_is_redrawn_so_that_it_still_does(server: Server, photo) -> None:
    """The step from the last column to the first is about one as any other."""
    image = photo(192, 128)
    steps = {}
    for wrap in ("none", "x"):
        script = {"scale": 1.0, "tile_width": 128, "tile_height": 128, "overlap": 32, "wrap": wrap}
        (result, *_), (text, *_) = _redrawn(server, image, script, denoising_strength=0.7)
        planes = np.asarray(result.convert("RGB")).astype(float)
        assert result.size == (192, 128)
        assert ("TrueScale seamless: x" in text) is (wrap == "x")
        steps[wrap] = np.abs(planes[:, -1] - planes[:, 0]).mean() / np.abs(np.diff(planes, axis=1)).mean()
    assert steps["x"] < 1.2
    assert steps["x"] < steps["none"]


def test_the_picture_that_is_redrawn_goes_on(server: Server, photo, true_levels) -> None:
    """Flat tiles are left as they are, here all of them: what comes out is the network's, on the tiled plane."""
    image = photo(64, 48)
    script = {"upscaler_1": VIDEO, "scale": 4.0, "precision": "exact", "flatness": 255, "wrap": "xy"}
    (result, *_), _ = _redrawn(server, image, script)
    plane = Image.fromarray(np.tile(np.asarray(image), (3, 3, 1)))
    expected = true_levels(plane, VIDEO)[192:384, 256:512]
    assert np.abs(np.asarray(result.convert("RGB")) - expected).max() <= 1
