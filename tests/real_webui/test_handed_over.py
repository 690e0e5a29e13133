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

from lib_upscaler.pictures.reading import read_picture
from made_pictures import png
from model_names import VIDEO
from webui_browser import Ui
from webui_http import as_base64, picture
from webui_process import Server

Photo = Callable[[int, int], Image.Image]
Levels = Callable[..., np.ndarray]
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


# -- from files: every bit ---------------------------------------------------------------------------------------------


def _fine(path: Path) -> np.ndarray:
    """A PNG of 16 bits with steps too fine for 8; its values, white is 1."""
    y, x = np.mgrid[0:40, 0:48]
    planes = np.stack([(x * 97 + y * 311 + c * 9000 + 5) % 65536 for c in range(3)], axis=2).astype(np.uint16)
    path.write_bytes(png(planes))
    return planes / 65535


def _sixteen(path: Path) -> np.ndarray:
    """In levels of 255."""
    assert path.read_bytes()[24] == 16, "bits of each channel, in the header"
    return np.asarray(read_picture(path).image.color / 257)


def _with_panel(ui: Ui, **chosen: str) -> None:
    ui.tab("extras")
    ui.open_panel("truescale_extras")
    ui.choose("truescale_extras_upscaler_1", VIDEO)
    if chosen:
        ui.open_panel("truescale_extras_advanced")
    for name, value in chosen.items():
        ui.choose(f"truescale_extras_{name}", value)


@pytest.mark.parametrize("door", ["panel", "accordion"])
def test_an_upload_of_sixteen_bits_keeps_them(
    door: str, ui: Ui, server: Server, screenshots: Path, tmp_path: Path, true_levels: Levels
) -> None:
    if door == "panel":
        _with_panel(ui)
    else:
        ui.tab("extras")
        ui.choose("extras_upscaler_1", VIDEO)
    before = set(server.data.outputs())
    picture = _fine(tmp_path / "fine.png")
    ui.upload("extras_image", tmp_path / "fine.png")
    ui.run("extras")

    (saved,) = set(server.data.outputs()) - before
    assert np.abs(_sixteen(saved) - true_levels(picture, VIDEO)).max() <= 2 / 257
    assert "16" in ui.text("#tab_extras .truescale-statement")
    ui.shot(screenshots / f"deep-{door}.png")


def test_a_folder_of_sixteen_bits(
    ui: Ui, server: Server, screenshots: Path, tmp_path: Path, photo, true_levels
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    picture = _fine(folder / "a.png")
    photo(48, 40).save(folder / "b.png")
    _with_panel(ui)
    before = set(server.data.outputs())
    ui.page.locator("#mode_extras button", has_text="Batch from Directory").first.click()
    ui.page.locator("#extras_batch_input_dir textarea, #extras_batch_input_dir input").first.fill(str(folder))
    ui.run("extras")

    deep, flat = sorted(set(server.data.outputs()) - before)
    assert np.abs(_sixteen(deep) - true_levels(picture, VIDEO)).max() <= 2 / 257
    assert flat.read_bytes()[24] == 8
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "b.png"]
    ui.shot(screenshots / "deep-folder.png")


def test_an_earlier_result_of_that_name_stays(ui: Ui, server: Server, tmp_path: Path, photo: Photo) -> None:
    """Where the WebUI is to add a number, which it tells nobody."""
    added = {"Replace": "Add number suffix", "Override": "Number Suffix"}
    before = server.http.get("/sdapi/v1/options").get("save_images_replace_action")
    if before not in added:
        pytest.skip("this WebUI has no such setting")
    folder = tmp_path / "in"
    folder.mkdir()
    photo(48, 40).save(folder / "twice.png")
    _with_panel(ui)
    ui.page.locator("#mode_extras button", has_text="Batch from Directory").first.click()
    ui.page.locator("#extras_batch_input_dir textarea, #extras_batch_input_dir input").first.fill(str(folder))
    server.http.options(save_images_replace_action=added[before])
    try:
        ui.run("extras")
        (earlier,) = [path for path in server.data.outputs() if path.stem == "twice"]
        content = earlier.read_bytes()
        _fine(folder / "twice.png")
        ui.run("extras")
    finally:
        server.http.options(save_images_replace_action=before)
    assert earlier.read_bytes() == content
    (later,) = [path for path in server.data.outputs() if path.stem == "twice-1"]
    assert later.read_bytes()[24] == 16


def test_a_seamless_texture(
    ui: Ui, server: Server, screenshots: Path, tmp_path: Path, photo: Photo, true_levels: Levels
) -> None:
    texture = photo(48, 40)
    plane = Image.fromarray(np.tile(np.asarray(texture), (3, 3, 1)))
    expected = true_levels(plane, VIDEO)[160:320, 192:384]
    texture.save(tmp_path / "texture.png")
    _with_panel(ui, wrap="xy", precision="exact")
    before = set(server.data.outputs())
    ui.upload("extras_image", tmp_path / "texture.png")
    ui.run("extras")

    (saved,) = set(server.data.outputs()) - before
    with Image.open(saved) as image:
        result = np.asarray(image.convert("RGB"))
        assert "TrueScale seamless: xy" in image.info["postprocessing"]
    assert np.abs(result - expected).max() <= 1
    ui.page.locator("#truescale_extras_wrap").scroll_into_view_if_needed()
    ui.shot(screenshots / "seamless.png")


def test_depth_and_seamless_by_our_route(server: Server, tmp_path: Path, true_levels: Levels) -> None:
    picture = _fine(tmp_path / "fine.png")
    body = {"image": base64.b64encode((tmp_path / "fine.png").read_bytes()).decode(), "upscaler_1": VIDEO, "scale": 4}
    answer = server.http.post("/truescale/v1/upscale", {**body, "wrap": "x"})
    (tmp_path / "result.png").write_bytes(base64.b64decode(answer["image"]))
    expected = true_levels(np.tile(picture, (1, 3, 1)), VIDEO)[:, 192:384]
    assert np.abs(_sixteen(tmp_path / "result.png") - expected).max() <= 2 / 257
    assert answer["report"]["bits"] == 16


def test_a_gif_of_a_folder(ui: Ui, server: Server, screenshots: Path, tmp_path: Path, photo: Photo) -> None:
    """All its frames, in a GIF that takes the place of the picture that the WebUI has saved."""
    folder = tmp_path / "in"
    folder.mkdir()
    sources = [photo(48 + number, 40).crop((number, 0, 48 + number, 40)).quantize(200) for number in range(3)]
    sources[0].save(folder / "a.gif", save_all=True, append_images=sources[1:], duration=[100, 200, 70], loop=0)
    _with_panel(ui)
    before = set(_saved(server))
    ui.page.locator("#mode_extras button", has_text="Batch from Directory").first.click()
    ui.page.locator("#extras_batch_input_dir textarea, #extras_batch_input_dir input").first.fill(str(folder))
    ui.run("extras")

    (saved,) = set(_saved(server)) - before
    assert saved.suffix == ".gif"
    with Image.open(saved) as image:
        assert (image.n_frames, image.size) == (3, (192, 160))
        times = []
        for number in range(3):
            image.seek(number)
            times.append(image.info["duration"])
    assert times == [100, 200, 70]
    assert "3" in ui.text("#tab_extras .truescale-statement")
    ui.shot(screenshots / "gif.png")


def _saved(server: Server) -> list[Path]:
    return [file for file in (server.data.path / "outputs").rglob("*") if file.is_file()]
