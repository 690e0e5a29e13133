"""SD Upscale: what is kept between runs, the bar, the preview and the plan."""

from __future__ import annotations

import re
from typing import Any

import pytest
from PIL import Image

from fake_host.running import FakeHost
from networks import STATES, off, picture, true_picture
from sd_upscaling import img2img, run
from small_networks import save_pth
from types_of_fixtures import Engine

# -- what is kept ------------------------------------------------------------------------------------------------------


def test_only_the_redraw_is_done_again_where_only_it_has_changed(host: FakeHost, engine: Engine) -> None:
    for values in ({"seed": 1}, {"seed": 2}, {"denoising_strength": 0.2}):
        run(host, img2img(host, **values), upscaler_1="two")
    run(host, img2img(host), upscaler_1="two", overlap=8, color_lock=1.0, batch=3)
    assert len(engine.pictures) == 1
    (plain,) = run(host, img2img(host, denoising_strength=0.0), upscaler_1="two").images
    assert off(plain, true_picture("two", picture(75, 50), (150, 100))) <= 1


def test_it_is_upscaled_again_where_picture_model_file_size_or_setting_has_changed(
    host: FakeHost, engine: Engine
) -> None:
    def again(image: Image.Image | None = None, **values: Any) -> int:
        before = len(engine.pictures)
        run(host, img2img(host, image), **{"upscaler_1": "two", **values})
        return len(engine.pictures) - before

    assert again() == 1
    assert again() == 0
    assert again(picture(75, 50, seed=2)) == 1
    assert again(upscaler_1="four") == 1
    assert again(scale=1.5) == 1
    assert again(precision="bf16") == 1
    assert again() == 1
    save_pth(STATES["four"], host.models / "two.pth")
    assert again() == 1
    assert again() == 0
    host.opts.data["truescale_precision"] = "auto"
    assert again() == 1


# -- progress ----------------------------------------------------------------------------------------------------------


def test_the_bar_counts_batches_of_tiles_of_all_pictures(host: FakeHost) -> None:
    seen = []

    def watch(p: Any, step: int) -> None:
        if step == 0:
            seen.append((host.state.job_no, host.state.job_count, host.state.job))

    run(host, img2img(host, n_iter=2), watch, batch=4)
    assert [each[:2] for each in seen] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert [each[2] for each in seen] == ["Tile 1 of 6", "Tile 5 of 6"] * 2


@pytest.mark.parametrize("wanted", [True, False])
def test_the_picture_is_shown_as_it_grows(wanted: bool, host: FakeHost) -> None:
    host.opts.data["live_previews_enable"] = wanted
    run(host, img2img(host))
    assert (host.state.id_live_preview == 6) is wanted
    assert (host.state.current_image is not None) is wanted


@pytest.mark.parametrize(
    ("size", "values", "words"),
    [
        ("1024x1536", {"scale": 2.0}, "35 tiles, 5 x 7, overlap 80, 2048x3072"),
        ("200x200", {"scale": 2.0}, "1 tile, 400x400"),
        ("1000x500", {"scale": 1.5, "tile_width": 768, "tile_height": 768}, "3 tiles, 3 x 1, overlap 400, 1500x750"),
        ("1024x1024", {"overlap": 512}, "choose at most 504 px"),
        ("1024x1024", {"tile_width": 32}, "at least 64 px"),
        ("", {}, ""),
        ("0x0", {}, ""),
    ],
)
def test_the_plan_is_told_before_the_run(size: str, values: dict[str, Any], words: str, host: FakeHost) -> None:
    source = dict(zip(("width", "height"), (int(side) for side in size.split("x") if side)))
    text = re.sub("<[^>]*>", "", host.ours("places.sd_upscale.panel")._plan_html(source, values))
    assert words.lower() in text.lower()
    assert bool(text) is bool(words)


@pytest.mark.parametrize(
    ("model", "side"), [({}, 512), ({"is_sd2": True}, 768), ({"is_sdxl": True}, 1024), ({"is_sd3": True}, 1024)]
)
def test_tiles_are_as_large_as_the_checkpoint_likes(model: dict[str, bool], side: int, host: FakeHost) -> None:
    from types import SimpleNamespace

    host.module("sd_models").model_data.sd_model = SimpleNamespace(**model)
    tiles = []
    run(
        host,
        img2img(host),
        lambda p, step: tiles.append((p.width, p.height)),
        tile_width=0,
        scale=16.0,
        tile_height=800,
    )
    assert set(tiles) == {(side, 800)}
