"""SD Upscale with a prompt for each tile in a real WebUI: what its text encoder made of each line reaches the network
at that tile, by both engines; the page describes the tiles, and a picture brings its lines back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from canvas_host import SCRIPT, ask, off, plain, redraw
from second_checkpoint import add_twin
from webui_browser import Ui, open_ui
from webui_process import DataFolder, Host, Server, wait_until

HERE = Path(__file__).resolve().parent
SIZE = (448, 256)
"""Two tiles of 256 px that overlap by 64: left edges 0 and 192. They meet at (192 + 256) / 2 = 224 px, column 28 of the
latent's 56."""
MEET = 28
PAIR = {"tile_width": 256, "overlap": 64}
XL: dict[str, Any] = {
    "override_settings": {"sd_model_checkpoint": "xl"},
    "override_settings_restore_afterwards": False,
}
TINY: dict[str, Any] = {
    "override_settings": {"sd_model_checkpoint": "tiny"},
    "override_settings_restore_afterwards": False,
}
CHECKPOINTS = [pytest.param(TINY, id="sd1"), pytest.param(XL, id="sdxl")]
USUAL = {"prompt": "a cat", "negative_prompt": "SEEDED", "steps": 4, "sampler_name": "Euler"}


@pytest.fixture(scope="module")
def server(host: Host, shared: Path, new_data: Callable[..., DataFolder]) -> Iterator[Server]:
    """With a tiny SDXL checkpoint, and the tiny one once more for a refiner; Forge knows a checkpoint by its widths."""
    data = new_data(scripts=("tile_prompts",) if host.is_forge else ("tile_prompts", "tiny_tower"))
    if not host.is_forge:
        folder = data.path / "models" / "Stable-diffusion"
        host.run(HERE / "tiny_sdxl.py", host.folder, shared / "webui-fixture" / "clip", folder, "xl")
        add_twin(data, host)
    with Server(host, data) as running:
        yield running


@pytest.fixture
def image(photo: Callable[[int, int], Image.Image]) -> Image.Image:
    return photo(*SIZE)


@pytest.fixture
def noted(server: Server) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was noted since it was last asked for."""
    if server.host.is_forge:
        pytest.skip("there the network is called by another object")
    (server.data.path / "note").touch()
    told = server.data.path / "told.pt"

    def generations() -> list[dict[str, Any]]:
        found = torch.load(told, weights_only=True)
        told.unlink()
        return found

    yield generations
    (server.data.path / "note").unlink()
    told.unlink(missing_ok=True)


def _redrawn(server: Server, image: Image.Image, engine: str, lines: str = "", script=None, **values: Any):
    asked = {**PAIR, "engine": engine, "tile_prompts": lines, **(script or {})}
    (result,), (text,) = redraw(server, image, asked, **{**USUAL, **values})
    return result, text


def _made_by_the_host(server: Server, noted: Callable, prompt: str, **values: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """(text, pooled vector) that its network is told of a prompt, in a generation of its own."""
    small = Image.new("RGB", (64, 64), "gray")
    answer = server.http.ask("/sdapi/v1/img2img", plain(small, **{**USUAL, **values, "prompt": prompt, "steps": 1}))
    assert answer.status == 200, answer.json
    (generation,) = noted()
    _, _, text, vector = generation["calls"][0]
    return text[0], vector[0, :1280] if vector.numel() else vector


def _is(text: torch.Tensor, vector: torch.Tensor, expected: tuple[torch.Tensor, torch.Tensor]) -> bool:
    pooled = vector[:1280] if vector.numel() else vector
    return torch.equal(text, expected[0]) and torch.equal(pooled, expected[1])


def _place(canvas: torch.Tensor, tile: torch.Tensor) -> int:
    """The column at which it was cut out of the canvas; what the network gets is scaled by the noise level."""
    width, is_there = tile.shape[2], tile / tile.norm()
    parts = [canvas[0, :, :, x : x + width] for x in range(canvas.shape[3] - width + 1)]
    (found,) = [x for x, part in enumerate(parts) if torch.allclose(part / part.norm(), is_there, atol=1e-5)]
    return found


@pytest.mark.parametrize("values", CHECKPOINTS)
@pytest.mark.parametrize("batch", [1, 2])
def test_each_tile_is_told_its_own_prompt(
    batch: int, values: dict[str, Any], server: Server, image: Image.Image, noted: Callable
) -> None:
    dog, cat = (_made_by_the_host(server, noted, prompt, **values) for prompt in ("a dog", "a cat"))
    _redrawn(server, image, "Tiles", "a dog\n", {"batch": batch}, **values)
    generations = noted()
    assert [one["prompts"] for one in generations] == ([["a dog", "a cat"]] if batch == 2 else [["a dog"], ["a cat"]])
    for generation in generations:
        for _, latents, text, vector in generation["calls"]:
            rows = vector if vector.numel() else [vector] * len(text)
            prompts = list(zip(text, rows))[: len(latents) // 2]  # the host's order: prompts, then negative ones
            for name, (one, pooled) in zip(generation["prompts"], prompts):
                assert _is(one, pooled, dog if name == "a dog" else cat)


@pytest.mark.parametrize("values", CHECKPOINTS)
@pytest.mark.parametrize("batch", [1, 2])
def test_each_of_the_networks_tiles_is_told_the_prompt_of_most_of_it(
    batch: int, values: dict[str, Any], server: Server, image: Image.Image, noted: Callable
) -> None:
    dog, cat = (_made_by_the_host(server, noted, prompt, **values) for prompt in ("a dog", "a cat"))
    negative = _made_by_the_host(server, noted, "SEEDED", **values)
    _redrawn(server, image, "One canvas", "a dog\n", {"batch": batch}, steps=8, **values)
    (generation,) = noted()
    assert generation["prompts"] == ["a cat"]
    seen, starts = set(), set()
    for canvas, latents, text, vector in generation["calls"]:
        rows = list(zip(latents, text, vector if vector.numel() else [vector] * len(text)))
        for (tile, one, pooled), (_, other, other_pooled) in zip(rows[::2], rows[1::2]):
            start, width = _place(canvas, tile), tile.shape[2]
            left, right = max(0, MEET - start), max(0, start + width - MEET)
            expected = "dog" if min(left, width) >= min(right, width) else "cat"
            assert _is(one, pooled, dog if expected == "dog" else cat), (start, width)
            assert _is(other, other_pooled, negative)
            seen.add(expected)
            starts.add(start)
    assert seen == {"dog", "cat"}
    assert len(starts) > 3  # the tiles move


def test_prompts_that_say_the_same_give_the_picture_of_one_prompt(server: Server, image: Image.Image) -> None:
    """Spaces are nothing to the text encoder, but to us they are two prompts; a longer negative prompt is another
    length, so that prompt and negative prompt come one after the other."""
    for negative in ("SEEDED", "SEEDED " + "and " * 90):
        one, _ = _redrawn(server, image, "One canvas", prompt="a dog", negative_prompt=negative)
        two, _ = _redrawn(server, image, "One canvas", "a dog\na  dog", negative_prompt=negative)
        other, _ = _redrawn(server, image, "One canvas", "a dog\n", negative_prompt=negative)
        assert off(one, two) == 0
        assert off(one, other) > 0


def test_a_prompt_of_several_lengths(server: Server, image: Image.Image, noted: Callable) -> None:
    """More than 75 tokens in one tile: repeated to a common length, in one call or several."""
    long = "a dog " * 40
    expected = _made_by_the_host(server, noted, long)[0]
    one, _ = _redrawn(server, image, "One canvas", f"{long}\na dog", {"batch": 2})
    (generation,) = noted()
    texts = [text for _, _, rows, _ in generation["calls"] for text in rows[::2]]
    firsts = [text for text in texts if torch.equal(text[: len(expected)], expected)]
    assert expected.shape[0] == 154
    assert firsts
    assert len(firsts) < len(texts)
    assert {text.shape[0] for text in texts} == {77, 154}
    assert off(one, image) > 20


def test_prompts_that_change_by_the_step(server: Server, image: Image.Image, noted: Callable) -> None:
    """Of 8 steps "a dog" to the fourth, then "a cat", as the host's own generation does."""
    values = {"steps": 8, "denoising_strength": 0.95}
    dog, cat = (_made_by_the_host(server, noted, prompt)[0] for prompt in ("a dog", "a cat"))
    line = "[a dog:a cat:0.5]"
    _redrawn(server, image, "One canvas", f"{line}\na picture", **values)
    (ours,) = noted()
    _redrawn(server, image, "One canvas", prompt=line, **values)
    (theirs,) = noted()

    def kinds(calls: list) -> list[str]:
        found = [text[0] for canvas, latents, text, _ in calls if _place(canvas, latents[0]) == 0]
        return ["dog" if torch.equal(one, dog) else "cat" if torch.equal(one, cat) else "none" for one in found]

    expected, seen = kinds(theirs["calls"]), kinds(ours["calls"])
    assert len(seen) == len(expected) > 4
    assert {"dog", "cat"} == set(expected)
    # Where most of the first tile of a step is the other's, it has that prompt.
    assert all(one in (other, "none") for one, other in zip(seen, expected))
    assert {"dog", "cat"} <= set(seen)


@pytest.mark.parametrize("engine", ["One canvas", "Tiles"])
def test_with_a_refiner(engine: str, server: Server, image: Image.Image) -> None:
    """It is the same network once more, so that nothing may change."""
    if server.host.is_forge:
        pytest.skip("it knows a checkpoint by its widths")
    refiner = {"refiner_checkpoint": "twin", "refiner_switch_at": 0.5}
    plain_one, _ = _redrawn(server, image, engine, "a dog\n", **TINY)
    refined, text = _redrawn(server, image, engine, "a dog\n", **TINY, **refiner)
    assert "Refiner: twin" in text
    assert off(plain_one, refined) == 0


@pytest.mark.parametrize("engine", ["One canvas", "Tiles"])
def test_a_picture_says_its_lines_and_they_make_it_again(engine: str, server: Server, image: Image.Image) -> None:
    lines = 'a dog: "big", old\n'
    first, text = _redrawn(server, image, engine, lines)
    again, _ = _redrawn(server, image, engine, lines)
    assert "a cat\n" in text
    assert r'TrueScale prompt of each tile: "a dog: \"big\", old\n"' in text
    assert off(first, again) == 0
    assert off(first, _redrawn(server, image, engine)[0]) > 0


@pytest.mark.parametrize("engine", ["One canvas", "Tiles", "auto"])
def test_lines_that_do_not_fit_are_refused_in_words(engine: str, server: Server, image: Image.Image) -> None:
    answer = ask(server, image, {**PAIR, "engine": engine, "tile_prompts": "a\nb\nc"}, **USUAL)
    assert answer.status == 422
    assert "there are 3 lines with prompts and 2 tiles" in answer.json["detail"]
    assert "1 row x 2 columns" in answer.json["detail"]


@pytest.mark.parametrize("line", ["a dog AND a cat", "a dog <lora:none:1>"])
def test_what_one_canvas_cannot_have(line: str, server: Server, image: Image.Image) -> None:
    answer = ask(server, image, {**PAIR, "engine": "One canvas", "tile_prompts": f"{line}\n"}, **USUAL)
    assert (answer.status, "Choose the engine Tiles" in answer.json["detail"]) == (422, True)
    _, text = _redrawn(server, image, "auto", f"{line}\n", steps=1)
    assert "TrueScale engine" not in text  # tiles


# -- the page ----------------------------------------------------------------------------------------------------------


def _says(ui: Ui, elem_id: str, words: str) -> None:
    ui.page.wait_for_function(
        "([id, words]) => (document.getElementById(id)?.innerText || '').includes(words)", arg=[elem_id, words]
    )


def _opened(ui: Ui, image: Image.Image, file: Path) -> None:
    image.save(file)
    ui.tab("img2img")
    ui.upload("img2img_image", file)
    ui.page.locator("#tab_img2img #script_list input").click()
    ui.page.locator("ul.options > li", has_text=SCRIPT).first.click()
    ui.page.wait_for_timeout(1500)
    ui.set_number("img2img_steps", 2)
    ui.choose("truescale_sd_upscaler_1", "None")
    ui.set_number("truescale_sd_scale", 2)
    for side in ("width", "height"):
        ui.set_number(f"truescale_sd_tile_{side}", 256)
    ui.open_panel("truescale_sd_prompts")


def _dark_and_light() -> Image.Image:
    """224 x 208 px; twice as large 448 x 416: 2 rows of 2 tiles. The right half lighter; a pattern in all of it."""
    small = Image.effect_noise((224, 208), 30).point(lambda level: level // 2)
    small.paste(small.crop((112, 0, 224, 208)).point(lambda level: level + 120), (112, 0))
    return small.convert("RGB")


def test_the_page_describes_the_tiles_and_the_run_takes_the_lines(ui: Ui, tmp_path: Path, screenshots: Path) -> None:
    _opened(ui, _dark_and_light(), tmp_path / "halves.png")
    ui.shot(screenshots / "tile_prompts_empty.png", "#truescale_sd_prompts")
    ui.page.locator("#truescale_sd_prompts_describe").click()
    _says(ui, "truescale_sd_prompts_note", "4 / 4 tiles are described")
    ui.page.wait_for_timeout(1500)  # gradio writes the last of a job's texts once more
    lines = ui.value("truescale_sd_tile_prompts").split("\n")
    lights = [int(line.removeprefix("a picture, ").partition(" ")[0]) for line in lines]
    assert len(lines) == 4
    assert max(lights[0::2]) < min(lights[1::2])  # left tiles and right ones
    assert all(line.endswith("of 255 light") for line in lines)
    field = ui.page.locator("#truescale_sd_tile_prompts textarea")
    field.fill("\n".join(["a dog", *lines[1:3], ""]))
    field.blur()
    _says(ui, "truescale_sd_prompts_table", "the prompt above")
    _says(ui, "truescale_sd_plan", "3 / 4 tiles with a prompt of their own")
    ui.shot(screenshots / "tile_prompts_described.png", "#img2img_script_container")

    ui.run("img2img")
    text = ui.text("#html_info_img2img")
    assert "TrueScale prompt of each tile" in text
    ui.page.reload()
    ui.wait_until_ready()
    ui.tab("img2img")
    assert ui.value("truescale_sd_tile_prompts") == ""
    ui.page.locator("#img2img_prompt textarea").fill("a cat\nSteps: " + text.partition("Steps: ")[2])
    ui.page.locator("#img2img_tools #paste").first.click()
    wanted = "\n".join(["a dog", *lines[1:3], ""])
    wait_until(lambda: ui.value("truescale_sd_tile_prompts") == wanted, 20, lambda: "the lines were not pasted")


def test_the_page_says_what_is_wrong(ui: Ui, server: Server, tmp_path: Path, screenshots: Path) -> None:
    """Lines that do not fit, and an interrogator whose model cannot be fetched: the lines stay."""
    _opened(ui, _dark_and_light(), tmp_path / "halves.png")
    field = ui.page.locator("#truescale_sd_tile_prompts textarea")
    field.fill("a dog\na cat")
    field.blur()
    _says(ui, "truescale_sd_plan", "there are 2 lines with prompts and 4 tiles")
    offline = server.data.path / "offline"
    offline.touch()
    try:
        ui.page.locator("#truescale_sd_prompts_describe").click()
        _says(ui, "truescale_sd_prompts_note", "CLIP could not describe the picture: its model is not there")
        ui.choose("truescale_sd_prompts_interrogator", "DeepBooru")
        ui.page.locator("#truescale_sd_prompts_describe").click()
        _says(ui, "truescale_sd_prompts_note", "DeepBooru could not describe the picture: its model is not there")
    finally:
        offline.unlink()
    assert ui.value("truescale_sd_tile_prompts") == "a dog\na cat"
    ui.shot(screenshots / "tile_prompts_refused.png", "#img2img_script_container")


def test_on_a_narrow_page(chromium: str, server: Server, tmp_path: Path, screenshots: Path) -> None:
    with open_ui(chromium, server.port, width=420, height=1200) as ui:
        _opened(ui, _dark_and_light(), tmp_path / "halves.png")
        ui.page.locator("#truescale_sd_prompts_describe").click()
        _says(ui, "truescale_sd_prompts_note", "4 / 4 tiles are described")
        _says(ui, "truescale_sd_prompts_table", "Which line is which tile")
        ui.page.wait_for_timeout(500)
        ui.shot(screenshots / "tile_prompts_narrow.png", "#truescale_sd_prompts")
        wider = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert ui.page.evaluate(wider) <= 0
        assert ui.errors == []
