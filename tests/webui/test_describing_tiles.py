"""The button that lets the WebUI's interrogators write a line for each tile."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from fake_host.running import FakeHost
from networks import picture
from sd_upscaling import img2img, run
from types_of_fixtures import StartHost

PANEL = "truescale_sd"
SIX = {"upscaler_1": "None", "scale": 2.0, "tile_width": 64, "tile_height": 64, "overlap": 16}
"""Of 72 x 52 px: 144 x 104, 2 rows of 3 tiles with left edges 0, 40, 80 and upper edges 0, 40."""


@pytest.fixture
def source() -> Image.Image:
    return picture(72, 52)


def _events(host: FakeHost) -> list[tuple[list[str], Any, list[Any], list[Any]]]:
    """(ids of what sets it off, function, inputs, outputs) of each event of the page."""
    found = []
    for number, event in enumerate(host.demo.dependencies):
        targets = [target[0] if isinstance(target, (list, tuple)) else target for target in event["targets"]]
        parts = [[host.demo.blocks[each] for each in event[name]] for name in ("inputs", "outputs")]
        ids = [str(getattr(host.demo.blocks[each], "elem_id", "")) for each in targets if each is not None]
        found.append((ids, host.demo.fns[number].fn, *parts))
    return found


def _button(host: FakeHost, name: str) -> tuple[Any, list[Any]]:
    """The function behind a button, and its inputs."""
    (one,) = [each for each in _events(host) if f"{PANEL}_prompts_{name}" in each[0]]
    return one[1], one[2]


def _press(host: FakeHost, image: Any, by: str = "CLIP", lines: str = "", **values: Any) -> list[tuple[Any, str]]:
    """All updates of (lines, note): None for lines that stay."""
    function, inputs = _button(host, "describe")
    given = {f"{PANEL}_{name}": value for name, value in {**SIX, **values}.items()}
    told = {"of": "img2img_image", "width": 72, "height": 52, "target_width": 72, "target_height": 52}
    given.update(
        {
            "img2img_image": image,
            f"{PANEL}_prompts_interrogator": by,
            f"{PANEL}_tile_prompts": lines,
            f"{PANEL}_source": json.dumps(told),
        }
    )
    found = list(function(*(given.get(each.elem_id, getattr(each, "value", None)) for each in inputs)))
    return [(update.get("value") if isinstance(update, dict) else update, note) for update, note in found]


def _says(host: FakeHost, words: Callable[[Image.Image], str]) -> list[Image.Image]:
    """CLIP answers by ``words``; gives what it is shown."""
    shown: list[Image.Image] = []

    def answer(image: Image.Image) -> str:
        shown.append(image)
        return words(image)

    host.module("shared").interrogator.words = answer
    return shown


def test_a_line_for_each_tile_of_the_picture_that_is_redrawn(host: FakeHost, source: Image.Image) -> None:
    shown = _says(host, lambda image: f"tile {len(shown)}\nof it")
    *steps, (text, note) = _press(host, source)
    assert text == "\n".join(f"tile {number} of it" for number in range(1, 7))
    assert all(update is None for update, _ in steps)
    assert "6 / 6 <span>tiles are described</span>" in note
    seen: list[Image.Image] = []

    def sampled(p: Any, step: int) -> None:
        seen.extend(p.init_images if step == 0 else [])

    p = img2img(host, source, width=72, height=52)
    run(host, p, steps=sampled, **SIX, tile_prompts=text)
    assert [np.asarray(one).tolist() for one in shown] == [np.asarray(one).tolist() for one in seen]


def test_by_deepbooru(host: FakeHost, source: Image.Image) -> None:
    text, _ = _press(host, source, by="DeepBooru")[-1]
    assert text == "\n".join(["tag, another tag"] * 6)


def test_the_run_takes_the_upscaled_picture_that_was_described(host: FakeHost, source: Image.Image) -> None:
    _says(host, lambda image: "x")
    _press(host, source, upscaler_1="two")
    service = host.ours("upscaling.service").service()
    plain, calls = service.upscale, []
    service.upscale = lambda *given, **named: (calls.append(given), plain(*given, **named))[1]
    try:
        run(host, img2img(host, source, width=72, height=52), **{**SIX, "upscaler_1": "two"})
    finally:
        del service.upscale
    assert calls == []


def test_a_tile_that_shows_nothing_has_the_prompt_above(host: FakeHost) -> None:
    """The left half is of one colour: two tiles of the left column lie within."""
    half = picture(72, 52)
    half.paste((90, 120, 200), (0, 0, 40, 52))
    shown = _says(host, lambda image: "wall")
    text, note = _press(host, half)[-1]
    assert text == "\nwall\nwall\n\nwall\nwall"
    assert len(shown) == 4
    assert "2 <span>without anything to see: the prompt above</span>" in note


@pytest.mark.parametrize("how", ["the button", "Interrupt"])
def test_stopped_it_keeps_what_was_said_and_the_other_lines(how: str, host: FakeHost, source: Image.Image) -> None:
    def answer(image: Image.Image) -> str:
        if len(shown) == 2:
            if how == "the button":
                _button(host, "stop")[0]()
            else:
                host.state.interrupt()
        return f"new {len(shown)}"

    shown = _says(host, answer)
    text, note = _press(host, source, lines="a\nb\nc\nd\ne\nf")[-1]
    assert text == "new 1\nnew 2\nc\nd\ne\nf"
    assert "2 / 6" in note
    text, _ = _press(host, source)[-1]
    assert len(text.split("\n")) == 6


def test_stopped_before_the_first_nothing_changes(host: FakeHost, source: Image.Image) -> None:
    shown = _says(host, lambda image: "x")
    function = _button(host, "stop")[0]
    plain = host.ours("upscaling.service").service().upscale

    def stopped(*given: Any, **named: Any) -> Any:
        function()
        return plain(*given, **named)

    host.ours("upscaling.service").service().upscale = stopped
    try:
        update, note = _press(host, source, lines="a\nb\nc\nd\ne\nf", upscaler_1="two")[-1]
    finally:
        del host.ours("upscaling.service").service().upscale
    assert update is None
    assert "the lines are as they were" in note
    assert shown == []


@pytest.mark.parametrize("by", ["CLIP", "DeepBooru"])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("<urlopen error [Errno -2] Name or service not known>"), "could not describe the picture"),
        (IndexError("list index out of range"), "could not describe the picture: its model is not there"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "there is not enough memory for"),
    ],
)
def test_a_failure_is_told_in_words_and_the_lines_stay(
    by: str, error: Exception, words: str, host: FakeHost, source: Image.Image
) -> None:
    def fail(image: Image.Image) -> str:
        raise error

    host.module("shared").interrogator.words = host.module("deepbooru").model.words = fail
    *_, (update, note) = _press(host, source, by=by, lines="a\nb\nc\nd\ne\nf")
    assert update is None
    assert "truescale-problem" in note
    assert words in note
    assert not host.state.job
    assert host.module("deepbooru").model.stopped == (by == "DeepBooru")


def test_without_a_picture_it_says_so(host: FakeHost) -> None:
    update, note = _press(host, None, lines="a")[-1]
    assert update is None
    assert "there is no picture to describe" in note


def test_what_is_wrong_with_the_settings_is_said(host: FakeHost, source: Image.Image) -> None:
    update, note = _press(host, source, overlap=64)[-1]
    assert update is None
    assert "an overlap of 64 px leaves nothing of a tile" in note


def test_a_drawn_mask_comes_with_the_picture(host: FakeHost, source: Image.Image) -> None:
    """As gradio 3 hands it over."""
    shown = _says(host, lambda image: "x")
    _press(host, {"image": source, "mask": Image.new("L", source.size)})
    assert len(shown) == 6


def test_forges_canvas_keeps_its_picture_in_a_field(host: FakeHost) -> None:
    """The field has the class, and the canvas's HTML its id."""
    module = host.ours("panels.img2img_pictures")
    with gr.Blocks():
        canvas = gr.HTML("<div id='uuid_1'></div>", elem_id="img2img_sketch")
        other = gr.Textbox(elem_id="uuid_2", elem_classes=["logical_image_background"])
        field = gr.Textbox(elem_id="uuid_1", elem_classes=["logical_image_background"])
    for one in (canvas, other, field):
        module.remember(one, one.elem_id)
    assert module.components()["img2img_sketch"] is field


def test_a_webui_without_interrogators_says_so(start_host: StartHost, monkeypatch: pytest.MonkeyPatch) -> None:
    module = FakeHost.ours("host.interrogators")
    monkeypatch.setattr(module, "names", list)
    host = start_host()
    ids = {getattr(block, "elem_id", None) for block in host.demo.blocks.values()}
    assert "no interrogator" in host.component(f"{PANEL}_prompts_no_interrogator").value
    assert f"{PANEL}_prompts_describe" not in ids
    assert f"{PANEL}_tile_prompts" in ids


def test_presets_leave_the_lines_alone(host: FakeHost) -> None:
    """They belong to one picture."""
    of_presets = [one for one in _events(host) if any("preset" in each for each in one[0])]
    outputs = {part.elem_id for *_, parts in of_presets for part in parts}
    assert f"{PANEL}_prompt" in outputs
    assert f"{PANEL}_tile_prompts" not in outputs
