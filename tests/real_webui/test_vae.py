"""Stable Diffusion's VAE in bands in ordinary generations: the same pictures, whatever is done around them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from webui_browser import Ui
from webui_http import Http, as_base64, picture
from webui_process import DataFolder, Host, Server, wait_until

Measured = Callable[[str], None]
WAYS = ("off", "always")


def _levels(one: Image.Image, other: Image.Image) -> int:
    assert one.size == other.size
    return int(np.abs(np.asarray(one.convert("RGB")).astype(int) - np.asarray(other.convert("RGB"))).max())


def _both(http: Http, make: Callable[[], list[Image.Image]]) -> tuple[list[Image.Image], list[Image.Image]]:
    """The pictures with "off", and with "always"."""
    made = []
    for way in WAYS:
        http.options(truescale_vae_bands=way)
        try:
            made.append(make())
        finally:
            http.options(truescale_vae_bands="when memory is short")
    return made[0], made[1]


def _img2img(http: Http, image: Image.Image, **values) -> list[Image.Image]:
    body = {"init_images": [as_base64(image)], "prompt": "a cat", "steps": 4, "seed": 3, "denoising_strength": 0.4}
    body |= {"width": image.width, "height": image.height, "sampler_name": "Euler"}
    return [picture(one) for one in http.post("/sdapi/v1/img2img", {**body, **values})["images"]]


@pytest.mark.parametrize(("width", "height"), [(768, 768), (328, 200)])
def test_txt2img(width: int, height: int, server: Server, measured: Measured) -> None:
    before = len(server.log)
    off, always = _both(server.http, lambda: server.http.txt2img(width=width, height=height, steps=1)[0])

    found = [_levels(one, other) for one, other in zip(off, always)]
    measured(f"{width}x{height}: {found} levels")
    assert max(found) <= 1
    assert np.asarray(off[0]).std() > 5, "a picture, whose levels can differ"
    assert "Traceback" not in server.log[before:]


def test_it_was_done_in_bands_and_the_page_says_so(ui: Ui, server: Server, screenshots: Path) -> None:
    server.http.options(truescale_vae_bands="always")
    try:
        ui.tab("txt2img")
        for name, number in (("steps", 2), ("width", 128), ("height", 128)):
            ui.set_number(f"txt2img_{name}", number)
        ui.run("txt2img")
        ui.page.locator("#html_info_txt2img, #html_log_txt2img").first.scroll_into_view_if_needed()
        ui.shot(screenshots / "vae.png")
        assert "VAE in bands" in ui.text("#tab_txt2img")
    finally:
        server.http.options(truescale_vae_bands="when memory is short")


def test_the_setting_is_on_the_page(ui: Ui, screenshots: Path) -> None:
    ui.tab("settings")
    setting = ui.page.locator("#setting_truescale_vae_bands")
    ui.page.locator("#settings button", has_text="Upscaling").first.click()
    setting.scroll_into_view_if_needed()
    ui.page.wait_for_timeout(500)
    ui.shot(screenshots / "vae-setting.png")
    assert "TrueScale: VAE in bands" in setting.inner_text()


def test_img2img_and_inpainting(server: Server, photo, measured: Measured) -> None:
    image, mask = photo(264, 200), Image.new("L", (264, 200))
    ImageDraw.Draw(mask).ellipse((60, 40, 200, 160), fill=255)
    for values in ({}, {"mask": as_base64(mask), "inpainting_fill": 1, "inpaint_full_res": False}):
        # The host's encoder draws from torch's generator, which no seed of its sets: twice, and it is where it was.
        off, always = _both(
            server.http, lambda values=values: [_img2img(server.http, image, **values) for _ in range(2)][1]
        )
        # The latent that is sampled from differs by a rounding, and sampling is no linear thing.
        found = [_levels(one, other) for one, other in zip(off, always)]
        measured(f"{'mask' if values else 'plain'}: {found} levels")
        assert max(found) <= 2


def test_hires_fix_and_sd_upscale(server: Server, photo, measured: Measured) -> None:
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "TrueScale 4x", "denoising_strength": 0.4}
    off, always = _both(server.http, lambda: server.http.txt2img(**hires)[0])
    script = {
        "script_name": "TrueScale SD Upscale",
        "script_args": [{"scale": 2, "tile_width": 128, "tile_height": 128}],
    }
    many, as_many = _both(server.http, lambda: _img2img(server.http, photo(120, 96), **script))
    found = [_levels(off[0], always[0]), _levels(many[0], as_many[0])]
    measured(f"{found} levels")
    assert max(found) <= 3


def test_interrupt_and_skip(server: Server, measured: Measured) -> None:
    """Of a generation: the host decodes what there is, in full."""
    server.http.options(truescale_vae_bands="always")
    try:
        for path in ("/sdapi/v1/interrupt", "/sdapi/v1/skip"):
            made: list = []
            thread = threading.Thread(
                target=lambda made=made: made.append(server.http.txt2img(steps=60, width=256, height=256))
            )
            thread.start()
            server.http.wait_for_progress(above=0.1, words="")
            server.http.post(path)
            thread.join(60)
            assert made[0][0][0].size == (256, 256)
    finally:
        server.http.options(truescale_vae_bands="when memory is short")
    assert server.http.txt2img()[0][0].size == (128, 128)


def test_tiling_pictures(server: Server, measured: Measured) -> None:
    if server.host.has.is_forge:
        pytest.skip("in Forge the option changes nothing")
    off, always = _both(server.http, lambda: server.http.txt2img(width=200, height=264, tiling=True)[0])
    plain = server.http.txt2img(width=200, height=264)[0]
    measured(f"{_levels(off[0], always[0])} levels")
    assert _levels(off[0], always[0]) <= 1
    assert _levels(off[0], plain[0]) > 1


def test_reload_and_options_of_the_command_line(
    host: Host, new_data: Callable[..., DataFolder], measured: Measured
) -> None:
    data = new_data(truescale_vae_bands="always")
    with Server(host, data, ("--medvram",)) as server:
        before = server.http.txt2img(width=264, height=200)[0][0]
        server.http.options(truescale_vae_bands="off")
        plain = server.http.txt2img(width=264, height=200)[0][0]
        server.http.options(truescale_vae_bands="always")
        for _ in range(2):
            _reload(server)
        after = server.http.txt2img(width=264, height=200)[0][0]
        assert "Traceback" not in server.log
    measured(f"{_levels(before, plain)} levels")
    assert _levels(before, plain) <= 1
    assert before.tobytes() == after.tobytes()


def _reload(server: Server) -> None:
    mark = len(server.log)
    server.http.post("/probe/reload")
    server.wait_for_log("Startup time:", 120, after=mark)
    wait_until(lambda: server.http.answers("/probe/status"), 60, lambda: server.log[mark:])
