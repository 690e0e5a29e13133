"""Hires Fix's second pass in a real WebUI: in tiles, by other seeds, once more, and the first pass is never lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likeness import likeness_anywhere
from model_names import ANIME
from second_checkpoint import add_twin
from webui_browser import Ui
from webui_http import OF_FORGE, picture
from webui_process import DataFolder, Host, Server

TITLE = "TrueScale Hires Fix"
TILES = {"Second pass": "one canvas in tiles"}
SAMPLERS = ["Euler", "Euler a", "DPM++ SDE", "DDIM", "UniPC"]
LATENT = ["Latent", "Latent (antialiased)", "Latent (bicubic)", "Latent (nearest)", "Latent (nearest-exact)"]
KEPT = "The second pass failed, the picture of the first is kept"


@pytest.fixture(scope="module")
def server(host: Host, new_data: Callable[..., DataFolder]) -> Iterator[Server]:
    """With a second checkpoint, the same network by another name, for a refiner."""
    data = new_data(scripts=("second_pass", "generations"), models=(ANIME,))
    add_twin(data, host)
    with Server(host, data) as running:
        yield running


def _arguments(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    """The accordion's, by their labels."""
    known = server.http.get("/sdapi/v1/script-info")
    ours = next(one for one in known if one["name"] == TITLE.lower() and not one["is_img2img"])
    labels = [one["label"] for one in ours["args"]]
    assert set(given) <= set(labels), labels
    return {TITLE: {"args": [True, *(given.get(label) for label in labels[1:])]}}


def _generate(server: Server, hires: dict[str, Any] | None = None, **values: Any) -> tuple[list, list[str]]:
    """288 x 64 to 576 x 128: two tiles of at most 512 px."""
    usual = {"prompt": "SEEDED a cat", "steps": 4, "seed": 5, "width": 288, "height": 64, "denoising_strength": 0.6}
    usual.update(enable_hr=True, hr_scale=2, hr_upscaler="Lanczos", sampler_name="Euler a", **OF_FORGE)
    if hires is not None:
        usual["alwayson_scripts"] = _arguments(server, hires)
    answer = server.http.post("/sdapi/v1/txt2img", {**usual, **values}, timeout=1200)
    return [picture(one) for one in answer["images"]], json.loads(answer["info"])["infotexts"]


def _off(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(_rgb(one).astype(int) - _rgb(other)).max())


def _mean_off(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(_rgb(one).astype(float) - _rgb(other)).mean())


def _rgb(image: Image.Image) -> np.ndarray:
    """Forge's saved pictures come back with an alpha channel."""
    return np.asarray(image.convert("RGB"))


# -- in tiles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_in_one_tile_it_is_the_hosts_own_picture(sampler: str, server: Server) -> None:
    (whole,), _ = _generate(server, hr_scale=1.5, sampler_name=sampler)
    (tile,), (text,) = _generate(server, TILES, hr_scale=1.5, sampler_name=sampler)
    assert "Hires second pass: one canvas in tiles" in text
    assert _off(tile, whole) == 0


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_tiles_are_near_the_whole(sampler: str, server: Server, measured: Callable[[str], None]) -> None:
    (first,), _ = _generate(server, enable_hr=False, sampler_name=sampler)
    (whole,), _ = _generate(server, sampler_name=sampler)
    (tiles,), (text,) = _generate(server, TILES, sampler_name=sampler)
    moved = _mean_off(whole, first.resize(whole.size, Image.Resampling.LANCZOS))
    measured(f"{sampler}: tiles {_mean_off(tiles, whole):.2f} levels from the whole, which is {moved:.2f} from Lanczos")
    assert tiles.size == (576, 128)
    assert 0 < _mean_off(tiles, whole) < 0.5 * moved
    assert "TrueScale:" not in text


@pytest.mark.parametrize("upscaler", [*LATENT, ANIME])
def test_all_kinds_of_upscalers(upscaler: str, server: Server) -> None:
    (whole,), _ = _generate(server, hr_upscaler=upscaler)
    (tiles,), (text,) = _generate(server, TILES, hr_upscaler=upscaler)
    assert tiles.size == (576, 128)
    assert 0 < _mean_off(tiles, whole) < 40
    assert "TrueScale:" not in text


def test_the_composition_is_kept(server: Server, measured: Callable[[str], None]) -> None:
    """How alike the result is to the first pass, and how much of that comes up again in parts of it."""
    (first,), _ = _generate(server, enable_hr=False)
    results = {}
    for kept in (False, True):
        asked = {**TILES, "Keep the composition": kept}
        (results[kept],), (text,) = _generate(server, asked, denoising_strength=0.9)
        small = results[kept].resize(first.size, Image.Resampling.BOX)
        again = likeness_anywhere(results[kept], first)
        measured(f"kept {kept}: alike {likeness_anywhere(small, first):.3f}, again in a part {again:.3f}")
        assert ("Hires keep composition: True" in text) == kept
    assert _mean_off(results[True], results[False]) > 0


@pytest.mark.parametrize("size", [(72, 240), (304, 88)])
def test_odd_sizes(size: tuple[int, int], server: Server) -> None:
    values = {"width": size[0], "height": size[1], "hr_scale": 2.4}
    (whole,), _ = _generate(server, **values)
    (tiles,), (text,) = _generate(server, TILES, **values)
    assert tiles.size == whole.size
    assert _off(tiles, whole) > 0  # so that tiles there were
    assert "TrueScale:" not in text


def test_to_2048(server: Server) -> None:
    (result,), (text,) = _generate(server, TILES, width=512, height=512, hr_scale=4, steps=2)
    assert result.size == (2048, 2048)
    assert "TrueScale:" not in text


def test_a_batch(server: Server) -> None:
    together, texts = _generate(server, TILES, batch_size=2, n_iter=2, steps=2)
    (third,), _ = _generate(server, TILES, seed=7, steps=2)
    assert [f"Seed: {seed}," in text for seed, text in zip((5, 6, 7, 8), texts)] == [True] * 4
    assert _mean_off(together[2], third) < _mean_off(together[0], third)


@pytest.mark.parametrize("tiles", [None, TILES])
def test_a_refiner(tiles: dict[str, Any] | None, server: Server) -> None:
    """It is the same network once more, so that nothing may change."""
    refined = {"refiner_checkpoint": "twin", "refiner_switch_at": 0.5}
    (with_it,), (text,) = _generate(server, tiles, **refined)
    (without,), _ = _generate(server, tiles)
    assert "Refiner: twin" in text
    assert _off(with_it, without) == 0


def test_prompts_of_its_own_and_styles(server: Server) -> None:
    (one,), (text,) = _generate(server, TILES, hr_prompt="a dog", hr_negative_prompt="a bird")
    (other,), _ = _generate(server, TILES)
    assert "Hires prompt" in text
    assert _off(one, other) > 0


@pytest.mark.parametrize(
    "values", [{"hr_checkpoint_name": "twin"}, {"override_settings": {"token_merging_ratio_hr": 0.5}}]
)
def test_a_checkpoint_of_its_own_and_merged_tokens(values: dict[str, Any], host: Host, server: Server) -> None:
    if host.is_forge and "hr_checkpoint_name" in values:
        pytest.skip("Forge knows the tiny checkpoint by its name alone")
    (whole,), _ = _generate(server, **values)
    (tiles,), (text,) = _generate(server, TILES, **values)
    assert 0 < _mean_off(tiles, whole) < 20
    assert "TrueScale:" not in text


def test_a_nested_img2img_after_it(server: Server) -> None:
    (plain,), _ = _generate(server, TILES)
    (nested,), (text,) = _generate(server, TILES, prompt="SEEDED a cat NESTED")
    assert nested.size == plain.size
    assert "TrueScale:" not in text


# -- memory, failures, stops -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["1", "3", "encode", "decode"])
def test_out_of_memory_in_a_whole_pass(where: str, server: Server) -> None:
    before = len(server.log)
    (result,), (text,) = _generate(server, prompt=f"SEEDED a cat NOMEMORY_{where}")
    assert result.size == (576, 128)
    assert KEPT not in text
    if where.isdigit():
        assert "once more in tiles" in server.log[before:]


@pytest.mark.parametrize("hires", [None, TILES])
@pytest.mark.parametrize("upscaler", ["Lanczos", "Latent"])
def test_a_failure_keeps_the_first_pass(hires: dict[str, Any] | None, upscaler: str, server: Server) -> None:
    first, _ = _generate(server, enable_hr=False, batch_size=2, prompt="SEEDED a cat FAILSAT_2")
    before, saved = _generate(server), len(server.data.outputs())
    values = {"hr_upscaler": upscaler, "batch_size": 2, "n_iter": 2, "save_images": True, "do_not_save_grid": True}
    values["override_settings"] = {"return_grid": False, "grid_save": False}
    kept, texts = _generate(server, hires, prompt="SEEDED a cat FAILSAT_2", **values)
    good, good_texts = kept[2:], texts[2:]
    kept, texts = kept[:2], texts[:2]
    assert [one.size for one in kept] == [(288, 64)] * 2
    assert [_off(one, other) for one, other in zip(kept, first)] == [0, 0]
    assert all(f"{KEPT}: out of luck" in text for text in texts)
    assert len(server.data.outputs()) == saved + 4
    assert [one.size for one in good] == [(576, 128)] * 2  # the network fails once
    assert not any("TrueScale:" in text for text in good_texts)
    again = _generate(server)
    assert _off(before[0][0], again[0][0]) == 0


@pytest.mark.parametrize("call", [1, 2, 3, 4, 5, 6, 7, 8, 9, 11])
def test_an_interrupt_gives_a_picture(call: int, server: Server) -> None:
    (result,), (text,) = _generate(server, TILES, prompt=f"SEEDED a cat STOPAT_{call}", steps=6)
    assert result.size == (576, 128)
    assert KEPT not in text


def test_with_medvram(host: Host, new_data: Callable[..., DataFolder]) -> None:
    if host.is_forge:
        pytest.skip("Forge has no such flag")
    with Server(host, new_data(scripts=("second_pass",)), arguments=("--medvram",)) as running:
        (whole,), _ = _generate(running)
        (tiles,), (text,) = _generate(running, TILES)
        assert 0 < _mean_off(tiles, whole) < 20
        assert "TrueScale:" not in text
        (auto,), _ = _generate(running, {"Second pass": "auto"})
        assert _off(auto, whole) == 0  # there is memory


# -- seeds, once more --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ SDE"])
def test_a_seed_of_its_own(sampler: str, server: Server) -> None:
    plain, same, other = (
        _generate(server, {"Seed of the second pass": seed}, sampler_name=sampler, hr_scale=1.5) for seed in (-1, 5, 6)
    )
    assert _off(plain[0][0], same[0][0]) == 0
    assert _off(plain[0][0], other[0][0]) > 20
    assert "Hires second pass seed: 6" in other[1][0]
    assert "Seed: 5," in other[1][0]


@pytest.mark.parametrize("upscaler", ["Lanczos", "Latent"])
@pytest.mark.parametrize("way", ["whole", "one canvas in tiles"])
def test_once_more(upscaler: str, way: str, server: Server) -> None:
    asked = {"Second pass": way, "Then once more, by": 1.5, "Denoising of that pass": 0.2}
    (result,), (text,) = _generate(server, asked, hr_upscaler=upscaler, hr_scale=1.5)
    assert result.size == (648, 144)
    assert "Hires once more by: 1.5, Hires once more denoising: 0.2" in text
    assert "Denoising strength: 0.6" in text


# -- the page ----------------------------------------------------------------------------------------------------------


def test_on_the_page(ui: Ui, server: Server, screenshots: Path) -> None:
    ui.tab("txt2img")
    ui.set_number("txt2img_steps", 2)
    for side, length in (("width", 288), ("height", 64)):
        ui.set_number(f"txt2img_{side}", length)
    ui.open_panel("txt2img_hr")
    ui.choose("txt2img_hr_upscaler", "Lanczos")
    ui.set_number("txt2img_hr_scale", 2)
    ui.open_panel("truescale_hires")
    ui.choose("truescale_hires_second_pass", "one canvas in tiles")
    _says(ui, "truescale_hires_plan", "tiles per step")
    ui.shot(screenshots / "second_pass_panel.png", "#truescale_hires")
    ui.page.locator("#txt2img_prompt textarea").fill("SEEDED a cat")
    ui.run("txt2img")
    _says(ui, "html_log_txt2img", "tiles per step")
    ui.shot(screenshots / "second_pass_page.png")
    assert "Hires second pass: one canvas in tiles" in ui.text("#html_info_txt2img")

    ui.page.locator("#txt2img_prompt textarea").fill("SEEDED a cat FAILSAT_1")
    ui.run("txt2img")
    _says(ui, "html_log_txt2img", KEPT)
    ui.shot(screenshots / "second_pass_failed.png")


def test_the_hires_button_keeps_the_original(ui: Ui, server: Server, screenshots: Path) -> None:
    if not ui.page.locator("#txt2img_upscale").count():
        pytest.skip("this WebUI has no such button")
    ui.tab("txt2img")
    ui.set_number("txt2img_steps", 2)
    for side, length in (("width", 128), ("height", 128)):
        ui.set_number(f"txt2img_{side}", length)
    ui.page.locator("#txt2img_prompt textarea").fill("a cat")
    ui.run("txt2img")
    ui.page.locator("#txt2img_upscale").click()
    pictures = f"[...document.querySelectorAll('{_GALLERY}')]"
    ui.page.wait_for_function(f"() => new Set({pictures}.map((one) => one.src)).size >= 2")
    ui.page.wait_for_timeout(1000)
    ui.shot(screenshots / "hires_button.png")
    assert sorted(set(ui.page.evaluate(f"() => {pictures}.map((one) => one.naturalWidth)"))) == [128, 256]


_GALLERY = "#txt2img_gallery .thumbnail-item img"


def _says(ui: Ui, elem_id: str, words: str) -> None:
    ui.page.wait_for_function(
        "([id, words]) => (document.getElementById(id)?.innerText || '').includes(words)", arg=[elem_id, words]
    )
