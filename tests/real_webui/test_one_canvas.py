"""SD Upscale's engine "One canvas" in a real WebUI: the host's own picture in one tile, and all that the tiles have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from canvas_host import SCRIPT, answered, ask, by_the_host, off, redraw
from second_checkpoint import add_twin
from webui_browser import Ui
from webui_http import Background, as_base64
from webui_process import DataFolder, Host, Server, wait_until

SAMPLERS = ["Euler", "Euler a", "DPM++ SDE", "DPM++ 2M", "DDIM", "PLMS", "UniPC"]
ON_FORGE = ["Euler a", "DPM++ SDE", "DDIM", "UniPC"]
SECONDS = 3  # a second where the processor is idle


@pytest.fixture
def only_a1111(host: Host) -> None:
    """What takes too long on Forge's checkpoint, which is no tiny one, or is not there."""
    if host.is_forge:
        pytest.skip("not for this WebUI")


@pytest.fixture(scope="module")
def server(host: Host, new_data: Callable[..., DataFolder]) -> Iterator[Server]:
    """With a second checkpoint, the same network by another name, for a refiner."""
    data = new_data(scripts=("canvas",))
    add_twin(data, host)
    with Server(host, data) as running:
        yield running


@pytest.fixture
def image(host: Host, photo: Callable[[int, int], Image.Image]) -> Image.Image:
    """64 x 48 px of the latent: 2 x 2 tiles of 256 px and more; on Forge 40 x 32: 2 tiles."""
    return photo(320, 256) if host.is_forge else photo(512, 384)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_in_one_tile_it_is_the_hosts_own_picture(sampler: str, server: Server, image: Image.Image) -> None:
    if server.host.is_forge and sampler not in ON_FORGE:
        pytest.skip("a few will do")
    (whole,), (text,) = redraw(server, image, {"tile_width": 512}, sampler_name=sampler)
    theirs = by_the_host(server, image, sampler_name=sampler)
    (tiles,), _ = redraw(server, image, sampler_name=sampler)
    assert "TrueScale engine: One canvas" in text
    assert off(whole, image) > 20
    assert off(whole, theirs) == 0
    assert off(tiles, theirs) > 0  # so that the tiles do go through the network


def test_a_sampler_that_samples_nothing_is_no_error(server: Server, image: Image.Image) -> None:
    """DDIM, where few steps and a small denoising strength leave it none."""
    (redrawn,), _ = redraw(server, image, sampler_name="DDIM", steps=3, denoising_strength=0.2)
    assert redrawn.size == image.size


def test_the_batch_of_tiles_changes_nothing_that_can_be_seen(server: Server, image: Image.Image) -> None:
    (one,), _ = redraw(server, image)
    (again,), _ = redraw(server, image)
    (four,), _ = redraw(server, image, {"batch": 4})
    assert off(one, again) == 0
    assert off(one, four) <= 1


def test_the_tiles_are_one_picture(server: Server, image: Image.Image, measured: Callable[[str], None]) -> None:
    """Across the lines where tiles of a half would meet, steps are no larger than the whole's own."""
    theirs = np.asarray(by_the_host(server, image)).astype(float)
    (tiles,), _ = redraw(server, image)
    redrawn = np.asarray(tiles).astype(float)
    steps = {name: float(np.abs(np.diff(one, axis=1)).mean()) for name, one in (("whole", theirs), ("tiles", redrawn))}
    measured(f"mean difference from the whole {np.abs(redrawn - theirs).mean():.2f} levels, steps {steps}")
    assert np.abs(redrawn - theirs).mean() < 0.5 * np.abs(np.asarray(image).astype(float) - theirs).mean()


def test_pictures_of_a_batch(server: Server, photo) -> None:
    image = photo(288, 272)
    pictures, texts = redraw(server, image, n_iter=2, batch_size=2, steps=3)
    for number, text in enumerate(texts):
        assert f"Seed: {5 + number}," in text
    (third,), _ = redraw(server, image, seed=7, steps=3)
    assert len(pictures) == 4
    assert off(pictures[2], third) == 0
    assert off(pictures[0], pictures[1]) > 1


def test_only_what_is_masked_is_redrawn(server: Server, image: Image.Image) -> None:
    mask, (width, height) = Image.new("L", image.size, 0), image.size
    ImageDraw.Draw(mask).rectangle((0, 0, 200, height), fill=255)
    (redrawn,), _ = redraw(server, image, mask=as_base64(mask), inpainting_fill=1, mask_blur=4)
    right, left = (260, 0, width, height), (0, 0, 160, height)
    assert off(redrawn.crop(right), image.crop(right)) == 0
    assert off(redrawn.crop(left), image.crop(left)) > 20


@pytest.mark.usefixtures("only_a1111")
@pytest.mark.parametrize("fill", [0, 2, 3])
def test_masked_content(fill: int, server: Server, image: Image.Image) -> None:
    """Fill, latent noise, latent nothing: the whole's own, also in tiles."""
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).rectangle((96, 96, 400, 300), fill=255)
    values = {"mask": as_base64(mask), "inpainting_fill": fill, "mask_blur": 0, "denoising_strength": 0.8}
    (tiles,), _ = redraw(server, image, **values)
    (whole,), _ = redraw(server, image, {"tile_width": 512}, **values)
    difference = np.abs(np.asarray(tiles).astype(float) - np.asarray(whole)).mean()
    assert 0 < difference < 0.5 * np.abs(np.asarray(image).astype(float) - np.asarray(whole)).mean()


@pytest.mark.usefixtures("only_a1111")
def test_the_autoencoder_in_bands(server: Server, image: Image.Image) -> None:
    results = []
    try:
        for bands in ("off", "always"):
            server.http.options(truescale_vae_bands=bands)
            (result,), _ = redraw(server, image, steps=3)
            results.append(result)
    finally:
        server.http.options(truescale_vae_bands="when memory is short")
    assert off(*results) <= 1


@pytest.mark.usefixtures("only_a1111")
def test_an_odd_size_and_the_colour_lock(server: Server, photo) -> None:
    image = photo(151, 137)
    (free,), (text,) = redraw(server, image, {"scale": 2})
    (locked,), _ = redraw(server, image, {"scale": 2, "color_lock": 1})
    source = np.asarray(image.resize((302, 274), Image.Resampling.LANCZOS)).astype(float)
    drifts = [abs(np.asarray(one).astype(float).mean() - source.mean()) for one in (free, locked)]
    assert free.size == locked.size == (302, 274)
    assert "Size: 302x274" in text
    assert drifts[1] <= max(1.0, drifts[0])


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM"])
def test_a_refiner_gets_tiles_too(sampler: str, server: Server, image: Image.Image) -> None:
    """It is the same network once more, so that nothing may change."""
    refined = {"refiner_checkpoint": "twin", "refiner_switch_at": 0.2, "sampler_name": sampler}
    (with_it,), (text,) = redraw(server, image, **refined)
    (without,), _ = redraw(server, image, sampler_name=sampler)
    assert "Refiner: twin" in text
    assert off(with_it, without) == 0


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM"])
def test_the_composition_of_the_whole(sampler: str, server: Server, image: Image.Image) -> None:
    """What comes of it only a trained checkpoint could show: that it changes the picture, and nothing in one tile."""
    given = {"sampler_name": sampler, "denoising_strength": 0.8}
    (without,), (plain,) = redraw(server, image, **given)
    (kept,), (text,) = redraw(server, image, {"composition": True}, **given)
    (whole,), _ = redraw(server, image, {"composition": True, "tile_width": 512}, **given)
    assert "TrueScale keep composition: True" in text
    assert "composition" not in plain
    assert off(kept, without) > 0
    assert off(whole, by_the_host(server, image, **given)) == 0


def test_an_interrupt_keeps_the_picture_as_it_stands(server: Server, image: Image.Image) -> None:
    job = Background(lambda: ask(server, image, {}, steps=60, denoising_strength=0.9))
    server.http.wait_for_progress(above=0.15, words="tile")
    at = time.monotonic()
    server.http.interrupt()
    answer = job.result(120)
    assert job.ended - at < SECONDS
    (result,), (text,) = answered(answer)
    assert "TrueScale: partly redrawn (interrupted)" in text
    assert result.size == image.size
    assert off(result, image) > 20


@pytest.mark.usefixtures("only_a1111")
@pytest.mark.parametrize("point", range(10))
def test_stopped_at_any_point(point: int, server: Server, image: Image.Image) -> None:
    """Interrupt and Skip in turn, from before the first step to near the last: a whole picture comes back, what was
    done of it is said, and the next ordinary generation is untouched."""
    before = by_the_host(server, image)
    job = Background(lambda: ask(server, image, {}, steps=24, denoising_strength=0.9))
    server.http.wait_for_progress(above=0.1 * point, words="tile" if point else "")
    kind = "skip" if point % 2 else "interrupt"
    server.http.ask(f"/sdapi/v1/{kind}", {})
    (result,), (text,) = answered(job.result(120))
    done = {"interrupt": "interrupted", "skip": "skipped"}[kind]
    assert result.size == image.size
    assert f"TrueScale: partly redrawn ({done})" in text or "TrueScale: not redrawn (interrupted)" in text
    if point:
        assert off(result, image) > 20
    assert off(before, by_the_host(server, image)) == 0


def test_a_failure_leaves_the_next_generation_untouched(server: Server, image: Image.Image) -> None:
    before = by_the_host(server, image)
    answer = ask(server, image, {}, prompt="SEEDED a cat FAILS")
    assert answer.status != 200
    assert "out of luck" in str(answer.json)
    assert off(before, by_the_host(server, image)) == 0


def test_what_conditions_on_the_picture_is_refused_in_words(server: Server, image: Image.Image) -> None:
    switched_on = {"enabled": True} if server.host.is_forge else True
    control = {"alwayson_scripts": {"ControlNet": {"args": [switched_on]}}}
    answer = ask(server, image, {}, **control)
    assert (answer.status, "ControlNet" in answer.json["detail"]) == (422, True)
    if not server.host.is_forge:  # where it is a real one, and has no model here
        _, (text,) = redraw(server, image, {"engine": "auto"}, steps=1, **control)
        assert "TrueScale engine" not in text  # tiles
    _, (text,) = redraw(server, image, {"engine": "auto"}, steps=1)
    assert "TrueScale engine: One canvas" in text


def test_too_small_tiles_are_refused_in_words(server: Server, image: Image.Image) -> None:
    answer = ask(server, image, {"tile_width": 128})
    assert (answer.status, "at least 256 px" in answer.json["detail"]) == (422, True)


def test_on_the_page(ui: Ui, photo, tmp_path: Path, screenshots: Path) -> None:
    ui.tab("img2img")
    photo(256, 192).save(tmp_path / "photo.png")
    ui.upload("img2img_image", tmp_path / "photo.png")
    ui.page.locator("#tab_img2img #script_list input").click()
    ui.page.locator("ul.options > li", has_text=SCRIPT).first.click()
    ui.page.wait_for_timeout(1500)
    ui.set_number("img2img_steps", 2)
    ui.set_number("img2img_denoising_strength", 0.9)
    ui.choose("truescale_sd_upscaler_1", "None")
    for side in ("width", "height"):
        ui.set_number(f"truescale_sd_tile_{side}", 256)
    ui.choose("truescale_sd_engine", "One canvas")
    ui.page.locator("#truescale_sd_composition input").check()
    _says(ui, "truescale_sd_plan", "tiles per step")
    ui.shot(screenshots / "one_canvas_panel.png", "#img2img_script_container")
    ui.run("img2img")
    _says(ui, "html_log_img2img", "tiles per step")
    ui.shot(screenshots / "one_canvas_page.png")

    text = ui.text("#html_info_img2img")
    assert "TrueScale engine: One canvas" in text
    assert "TrueScale keep composition: True" in text
    ui.page.reload()
    ui.wait_until_ready()
    ui.tab("img2img")
    assert ui.value("truescale_sd_engine") == "Tiles"
    ui.page.locator("#img2img_prompt textarea").fill("a cat\nSteps: " + text.partition("Steps: ")[2])
    ui.page.locator("#img2img_tools #paste").first.click()
    wait_until(lambda: ui.value("truescale_sd_engine") == "One canvas", 20, lambda: "the engine was not pasted")
    assert ui.page.locator("#truescale_sd_composition input").is_checked()
    ui.shot(screenshots / "one_canvas_pasted.png", "#img2img_script_container")


def _says(ui: Ui, elem_id: str, words: str) -> None:
    ui.page.wait_for_function(
        "([id, words]) => (document.getElementById(id)?.innerText || '').includes(words)", arg=[elem_id, words]
    )
