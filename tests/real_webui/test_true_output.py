"""The host's own ways of upscaling give the network's true output."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from likeness import decibels, levels_off
from model_names import ANIME, VIDEO
from webui_process import Server

Photo = Callable[[int, int], Image.Image]
True_ = Callable[..., np.ndarray]
Measured = Callable[[str], None]


@pytest.fixture
def precision(server: Server) -> Iterator[Callable[[str], None]]:
    """Sets the default precision; as it was afterwards."""
    yield lambda name: server.http.options(truescale_precision=name)
    server.http.options(truescale_precision="auto")


def test_extras_exact(server: Server, photo: Photo, true_levels: True_, precision: Callable[[str], None]) -> None:
    precision("exact")
    source = photo(131, 100)
    result = server.http.extras(source, ANIME, 2.5)

    assert result.size == (328, 250)
    assert levels_off(result, true_levels(source, ANIME, (328, 250))) <= 1


@pytest.mark.parametrize("name", [ANIME, VIDEO])
def test_extras_auto(name: str, server: Server, photo: Photo, true_levels: True_, measured: Measured) -> None:
    source = photo(131, 100)
    result = server.http.extras(source, name)

    quality = decibels(result, true_levels(source, name))
    measured(f"{name}: {quality:.1f} dB")
    assert quality >= 45


def test_the_host_alone_is_far_off(server: Server, photo: Photo, true_levels: True_, measured: Measured) -> None:
    """And the setting gives it back, and takes it over again, at once."""
    source = photo(131, 100)
    true = true_levels(source, ANIME)
    server.http.options(truescale_takeover=False)
    try:
        host = server.http.extras(source, ANIME)
        listed = server.http.upscalers()
    finally:
        server.http.options(truescale_takeover=True)
    ours = server.http.extras(source, ANIME)

    assert (VIDEO in listed) == server.host.has.lists_safetensors
    assert VIDEO in server.http.upscalers()
    full = true[: host.height, : host.width]
    measured(f"host: {decibels(host, full):.1f} dB, ours: {decibels(ours, true):.1f} dB")
    assert decibels(host, full) < 30
    assert decibels(ours, true) >= 45


def test_the_cache_of_the_extras_follows_the_precision(
    server: Server, photo: Photo, true_levels: True_, precision: Callable[[str], None]
) -> None:
    source = photo(120, 90)
    true = true_levels(source, ANIME)
    precision("bf16")
    small = server.http.extras(source, ANIME)
    precision("exact")
    exact = server.http.extras(source, ANIME)

    assert levels_off(small, true) > 1
    assert levels_off(exact, true) <= 1


@pytest.mark.parametrize(("name", "least"), [("exact", None), ("auto", 45)])
def test_hires_fix(
    name: str,
    least: int | None,
    server: Server,
    photo: Photo,
    true_levels: True_,
    precision: Callable[[str], None],
    measured: Measured,
) -> None:
    precision(name)
    photo(128, 96).save(server.data.path / "first-pass.png")
    seen = server.data.path / "resized"
    for file in seen.glob("*"):
        file.unlink()
    values = {"prompt": "FIRSTPASS", "hr_scale": 4, "hr_upscaler": ANIME, "denoising_strength": 0.1}
    server.http.txt2img(enable_hr=True, width=128, height=96, **values)
    source, result = (Image.open(next(seen.glob(f"*-{end}.png"))) for end in ("in", "out"))

    assert (source.size, result.size) == ((128, 96), (512, 384))
    true = true_levels(source, ANIME)
    measured(f"{name}: {levels_off(result, true):.0f} levels, {decibels(result, true):.1f} dB")
    if least is None:
        assert levels_off(result, true) <= 1
    else:
        assert decibels(result, true) >= least


@pytest.mark.parametrize("alias", ["R-ESRGAN 4x+ Anime6B"])
def test_the_hosts_entry_to_be_fetched_takes_the_file_that_is_there(
    alias: str, server: Server, photo: Photo, true_levels: True_
) -> None:
    if alias not in server.http.upscalers():
        pytest.skip(f"this WebUI lists no {alias}")
    source = photo(64, 56)

    assert decibels(server.http.extras(source, alias), true_levels(source, ANIME)) >= 45


def test_the_route_keeps_alpha_and_size(server: Server, photo: Photo, true_levels: True_) -> None:
    source = photo(131, 100)
    opaque = source.convert("RGBA")
    result, answer = server.http.upscale(opaque, upscaler_1=ANIME, scale=2.5, precision="exact")

    assert (result.size, result.mode) == ((328, 250), "RGBA")
    assert result.getchannel("A").getextrema() == (255, 255)
    assert levels_off(result, true_levels(source, ANIME, (328, 250))) <= 1
    assert answer["report"]["precision"] == "float32"


def test_what_the_host_lacks_is_in_its_log_and_told_by_our_route(server: Server, measured: Measured) -> None:
    health = server.http.get("/truescale/v1/health")
    measured(f"TrueScale {health['version']}, missing here: {[one['hook'] for one in health['missing']]}")

    assert health["problem"] == ""
    assert server.log.count("this WebUI has no modules.") == len(health["missing"])
    for one in health["missing"]:
        assert f"this WebUI has no {one['hook']}: {one['without']}" in server.log
