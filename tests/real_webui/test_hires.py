"""txt2img with Hires Fix, by whatever upscaler: no picture is ever lost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from likeness import decibels
from model_names import ANIME, SHIPPED, VIDEO
from webui_process import Server


def _hires(server: Server, upscaler: str, **values) -> tuple[list, list[str]]:
    body = {"enable_hr": True, "hr_scale": 1.55, "hr_upscaler": upscaler, "denoising_strength": 0.5}
    return server.http.txt2img(**{**body, "batch_size": 2, "width": 136, "height": 104, **values})


def _sizes(server: Server) -> list[tuple[int, int]]:
    """Of both pictures: what the host makes of 210.8x161.2 px."""
    step = server.host.has.step_of_sizes
    return [(208, 160) if step is None else (round(210.8 / step) * step, round(161.2 / step) * step)] * 2


@pytest.mark.parametrize("upscaler", [ANIME, VIDEO, SHIPPED, "Lanczos", "Latent (bicubic)"])
def test_batches_of_odd_sizes(upscaler: str, server: Server) -> None:
    listed = [*server.http.upscalers(), *(one["name"] for one in server.http.get("/sdapi/v1/latent-upscale-modes"))]
    if upscaler not in listed:
        pytest.skip(f"this WebUI lists no {upscaler}")
    before = len(server.log)
    pictures, texts = _hires(server, upscaler)

    assert [one.size for one in pictures] == _sizes(server)
    assert all(f"Hires upscaler: {upscaler}" in text and "TrueScale:" not in text for text in texts)
    assert "Traceback" not in server.log[before:]


def test_a_broken_model_gives_lanczos(server: Server) -> None:
    before = len(server.log)
    plain, _ = _hires(server, "None", denoising_strength=0.1)  # Lanczos in every host; not all list it by that name
    pictures, texts = _hires(server, "broken", denoising_strength=0.1)

    assert [one.size for one in pictures] == _sizes(server)
    for one, other in zip(pictures, plain):
        assert decibels(one, np.asarray(other).astype(float)) > 30
    assert all("TrueScale: Lanczos instead of broken (failed)" in text for text in texts), texts
    assert "Hires Fix took Lanczos instead of 'broken'" in server.log[before:]
    assert (server.data.esrgan / "broken.pth").is_file(), "left as it was"


def test_the_accordion_by_the_api(server: Server) -> None:
    arguments = {"TrueScale Hires Fix": {"args": [True, VIDEO, 0.25, "exact", 64]}}
    (with_second, *_), (text, *_) = _hires(server, ANIME, alwayson_scripts=arguments)
    (alone, *_), (plain_text, *_) = _hires(server, ANIME)

    for words in (
        f"Hires upscaler 2: {VIDEO}",
        "Hires upscaler 2 visibility: 0.25",
        "Hires upscaler precision: exact",
        "Hires upscaler tile: 64",
    ):
        assert words in text
        assert words not in plain_text
    assert with_second.tobytes() != alone.tobytes()


def test_no_hires_no_words(server: Server) -> None:
    arguments = {"TrueScale Hires Fix": {"args": [True, VIDEO, 0.25, "exact", 64]}}
    _, (text, *_) = server.http.txt2img(alwayson_scripts=arguments)

    assert "Hires" not in text


@pytest.mark.parametrize("upscaler", [ANIME, "broken"])
def test_a_nested_img2img_as_adetailers(upscaler: str, server: Server) -> None:
    before = len(server.log)
    arguments = {"TrueScale Hires Fix": {"args": [True, VIDEO, 0.5, "exact", 0]}}
    pictures, texts = _hires(server, upscaler, prompt="a cat NESTED", alwayson_scripts=arguments)
    plain, _ = _hires(server, upscaler, alwayson_scripts=arguments, prompt="a cat")

    assert [one.size for one in pictures] == _sizes(server)
    assert pictures[0].tobytes() != plain[0].tobytes()
    assert all("Hires upscaler precision: exact" in text for text in texts)
    assert "Traceback" not in server.log[before:].replace("unexpected error", "")


def test_xyz_plot_over_upscaler_2(server: Server) -> None:
    arguments = _plot(server, "[TrueScale] Hires upscaler 2", ["None", VIDEO])
    pictures, texts = _hires(server, ANIME, script_name="x/y/z plot", script_args=arguments, batch_size=1)

    assert len(pictures) == 3, "the grid and two pictures"
    assert f"Hires upscaler 2: {VIDEO}" in texts[2]
    assert "Hires upscaler 2" not in texts[1]
    assert pictures[1].tobytes() != pictures[2].tobytes()


def _plot(server: Server, axis: str, values: list[str]) -> list:
    """Arguments of the plot in txt2img, of which hosts have others behind the axes: one axis, and single pictures."""
    plot = server.http.get("/probe/plot")
    arguments = [one["value"] for one in plot["arguments"]]
    arguments[:9] = [plot["axes"].index(axis), "", values, *[0, "", []] * 2]
    arguments[[one["label"] for one in plot["arguments"]].index("Include Sub Images")] = True
    return arguments


def test_a_seamless_texture(server: Server, true_levels: Callable[..., np.ndarray]) -> None:
    """What the upscaler makes of the first pass is the network's, of a plane tiled with it."""
    known = server.http.get("/sdapi/v1/script-info")
    ours = next(one for one in known if one["name"] == "truescale hires fix" and not one["is_img2img"])
    given = {"Precision": "exact", "Seamless": "xy"}
    arguments = {"TrueScale Hires Fix": {"args": [True, *(given.get(one["label"]) for one in ours["args"][1:])]}}
    seen = server.data.path / "resized"
    before = set(seen.glob("*-in.png")) if seen.is_dir() else set()
    _, (text, *_) = _hires(server, VIDEO, hr_scale=4, batch_size=1, width=72, height=64, alwayson_scripts=arguments)

    (given_file,) = set(seen.glob("*-in.png")) - before
    with Image.open(given_file) as first, Image.open(seen / given_file.name.replace("-in", "-out")) as enlarged:
        plane = np.tile(np.asarray(first.convert("RGB")), (3, 3, 1))
        result = np.asarray(enlarged.convert("RGB"))
    height, width = result.shape[:2]
    expected = true_levels(Image.fromarray(plane), VIDEO)[height : 2 * height, width : 2 * width]
    assert np.abs(result - expected).max() <= 1
    assert "Hires upscaler seamless: xy" in text
