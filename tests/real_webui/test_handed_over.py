"""Pictures that the host hands over: nothing is lost in its accordion and API, and what cannot be done is said."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from model_names import VIDEO
from webui_browser import Ui
from webui_http import as_base64, picture
from webui_process import Server

Photo = Callable[[int, int], Image.Image]
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
DEEP = re.compile("16( or 32)? bits")  # Pillow 10 and later know which
ROUTE = "/sdapi/v1/extra-single-image"


def _deep(path: Path) -> Path:
    grey = (np.linspace(0, 65535, 48 * 40).reshape(40, 48)).astype(np.uint16)
    Image.fromarray(grey).save(path)
    return path


def _body(data: bytes) -> dict:
    return {"image": base64.b64encode(data).decode(), "upscaler_1": VIDEO, "upscaling_resize": 4}


def test_sixteen_bits_are_refused_by_the_hosts_api(server: Server, tmp_path: Path) -> None:
    answer = server.http.ask(ROUTE, _body(_deep(tmp_path / "depth.png").read_bytes()))
    assert answer.status >= 400
    assert DEEP.search(str(answer.json))


def test_transparency_is_kept_by_the_hosts_api_as_by_ours(server: Server, photo: Photo) -> None:
    source = photo(64, 48).convert("RGBA")
    pixels = np.asarray(source).copy()
    pixels[:, :24] = (255, 0, 255, 0)
    source = Image.fromarray(pixels)
    server.http.options(truescale_precision="exact")
    try:
        theirs = picture(server.http.post(ROUTE, {**_body(b""), "image": as_base64(source)})["image"])
        ours, _ = server.http.upscale(source, upscaler_1=VIDEO, scale=4)
    finally:
        server.http.options(truescale_precision="auto")
    assert theirs.mode == "RGBA"
    assert theirs.tobytes() == ours.convert("RGBA").tobytes()


def test_a_profile_is_kept_by_the_hosts_api(server: Server, photo: Photo) -> None:
    buffer = io.BytesIO()
    photo(64, 48).save(buffer, "PNG", icc_profile=PROFILE)
    result = picture(server.http.post(ROUTE, _body(buffer.getvalue()))["image"])
    assert result.info.get("icc_profile") == PROFILE


@pytest.mark.parametrize("door", ["panel", "accordion"])
def test_an_upload_of_sixteen_bits_is_refused_in_words(
    door: str, ui: Ui, server: Server, screenshots: Path, tmp_path: Path
) -> None:
    ui.tab("extras")
    if door == "panel":
        if server.host.has.upscaling_as_accordion:
            ui.page.locator("#extras_upscale > .label-wrap").click()
        ui.open_panel("truescale_extras")
        ui.choose("truescale_extras_upscaler_1", VIDEO)
    else:
        ui.choose("extras_upscaler_1", VIDEO)
    ui.upload("extras_image", _deep(tmp_path / "depth.png"))
    ui.run("extras")
    ui.page.locator("#tab_extras .error", has_text=DEEP).wait_for()
    ui.shot(screenshots / f"deep-{door}.png")
