"""Upscaling pictures of the gallery, in Chromium on the real WebUI: results come after their sources, and are saved."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from likeness import decibels
from webui_browser import Ui, open_ui
from webui_process import Server

_TINY = {"steps": 1, "width": 128, "height": 96}
_BUTTON, _DIALOG, _NOTE = "#truescale_upscale_{}", "#truescale_upscale_dialog", "truescale_gallery_{}_note"
_THUMBNAILS = (
    """(tab) => TrueScale.galleryPictures(gradioApp().querySelector(`#${tab}_gallery`)).map((one) => one.src)"""
)
_BEYOND = """() => [...document.querySelectorAll('#truescale_upscale_dialog *')].filter((one) => {
    const box = one.getBoundingClientRect();
    return box.right > innerWidth + 1 || box.left < -1;
}).map((one) => one.outerHTML.slice(0, 200))"""


def _generated(ui: Ui, pictures: int = 1, prompt: str = "a cat") -> None:
    ui.tab("txt2img")
    for name, value in {**_TINY, "batch_size": pictures}.items():
        ui.set_number(f"txt2img_{name}", value)
    ui.page.locator("#txt2img_prompt textarea").fill(prompt)
    ui.run("txt2img")


def _shown(ui: Ui, tab: str = "txt2img") -> list[Path]:
    """The files in the gallery."""
    return [Path(unquote(src.split("file=")[1].split("?")[0])) for src in ui.page.evaluate(_THUMBNAILS, tab)]


def _says(ui: Ui, words: str, tab: str = "txt2img") -> None:
    ui.page.wait_for_function(
        "([id, words]) => (document.getElementById(id)?.innerText || '').includes(words)",
        arg=[_NOTE.format(tab), words],
    )


def _open(ui: Ui, tab: str = "txt2img") -> None:
    ui.page.locator(_BUTTON.format(tab)).click()
    ui.page.wait_for_selector(f"{_DIALOG} option >> nth=3", state="attached")


def _upscale(ui: Ui, tab: str = "txt2img", preset: str = "Fast preview") -> None:
    ui.page.locator(f"{_DIALOG} select").select_option(preset)
    ui.page.locator(f"{_DIALOG} .truescale-primary").click()
    ui.page.wait_for_selector(_DIALOG, state="detached")


def _prints(server: Server) -> dict[Path, str]:
    """Of all pictures that are saved."""
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in server.data.outputs()}


def _texts(file: Path) -> dict[str, str]:
    with Image.open(file) as image:
        return dict(image.text)


def test_the_chosen_picture(ui: Ui, server: Server, screenshots: Path) -> None:
    _generated(ui, 2)
    before, files = _shown(ui), _prints(server)
    grid = len(before) - 2  # the host puts a grid before them, as its settings say
    ui.page.locator("#txt2img_gallery .thumbnails button").nth(grid + 1).click()
    _open(ui)
    assert ui.page.locator(f"{_DIALOG} input:checked").count() == 1
    ui.shot(screenshots / "gallery_dialog.png")
    _upscale(ui)
    _says(ui, "1 / 1")
    ui.wait_for_end("txt2img")
    ui.shot(screenshots / "gallery_result.png")

    after = _shown(ui)
    assert after[:-1] == before, "the pictures that were there stay where they are"
    source, result = before[-1], after[-1]
    assert result.parent == source.parent
    now = _prints(server)
    assert {file: now[file] for file in files} == files, "no file was touched"
    assert set(now) - set(files) == {result}
    with Image.open(source) as small, Image.open(result) as large:
        assert large.size == (256, 192)
        assert large.text["parameters"] == small.text["parameters"]
        plain = np.asarray(small.convert("RGB").resize(large.size, Image.LANCZOS)).astype(float)
        assert decibels(large.convert("RGB"), plain) > 25, "it is the picture, larger"
    assert "Postprocess upscale by: 2" in _texts(result)["postprocessing"]
    assert "Postprocess upscaler: TrueScale 4x" in _texts(result)["postprocessing"]
    ui.page.wait_for_function("() => gradioApp().querySelector('#html_info_txt2img').innerText.includes('Postprocess')")
    assert ui.page.evaluate("() => document.querySelector('#txt2img_interrupt').style.display") != "block"


def test_all_by_keyboard(ui: Ui, server: Server) -> None:
    _generated(ui, 3)
    before = _shown(ui)
    ui.page.locator(_BUTTON.format("txt2img")).focus()
    ui.page.keyboard.press("Enter")
    ui.page.wait_for_selector(f"{_DIALOG} option >> nth=3", state="attached")
    assert ui.page.evaluate("() => document.activeElement.type") == "checkbox"
    ui.page.locator(f"{_DIALOG} select").focus()
    for letter in "Fast":
        ui.page.keyboard.press(letter)
    assert ui.page.locator(f"{_DIALOG} select").input_value() == "Fast preview"
    ui.page.keyboard.press("Tab")  # All
    ui.page.keyboard.press("Enter")
    assert ui.page.locator(f"{_DIALOG} input:checked").count() == len(before)
    ui.page.locator(f"{_DIALOG} input").first.focus()
    ui.page.keyboard.press("Enter")
    _says(ui, f"{len(before)} / {len(before)}")
    ui.wait_for_end("txt2img")
    after = _shown(ui)
    assert after[::2] == before
    assert all("-truescale" in file.name for file in after[1::2])
    assert ui.page.evaluate("() => document.activeElement.id") == _BUTTON.format("txt2img")[1:]

    ui.page.locator("#txt2img_gallery .thumbnails button").first.click()
    _open(ui)  # the same again: beside the earlier result
    _upscale(ui)
    _says(ui, "1 / 1")
    ui.wait_for_end("txt2img")
    again = _shown(ui)
    assert len(set(again)) == len(again) == len(after) + 1


def test_failures_are_told_there_and_cost_no_other_picture(ui: Ui, server: Server, screenshots: Path) -> None:
    _generated(ui, 2)
    before = _shown(ui)
    before[-1].rename(before[-1].with_suffix(".away"))
    try:
        _open(ui)
        ui.page.locator(f"{_DIALOG} button", has_text="All").click()
        _upscale(ui)
        _says(ui, "file is gone")
        _says(ui, f"{len(before) - 1} / {len(before)}")
        ui.wait_for_end("txt2img")
        ui.shot(screenshots / "gallery_problem.png")
        assert len(_shown(ui)) == 2 * (len(before) - 1)
    finally:
        before[-1].with_suffix(".away").rename(before[-1])
    _open(ui)
    for box in ui.page.locator(f"{_DIALOG} input:checked").all():
        box.uncheck()
    ui.page.locator(f"{_DIALOG} .truescale-primary").click()
    assert ui.text(f"{_DIALOG} [role=alert]") == "Choose at least one picture"
    ui.page.keyboard.press("Escape")


def test_interrupt_keeps_what_is_done(ui: Ui, server: Server) -> None:
    _generated(ui, 4)
    before, files = _shown(ui), _prints(server)
    _open(ui)
    ui.page.locator(f"{_DIALOG} button", has_text="All").click()
    _upscale(ui, preset="Photo")  # with the slow model that is here
    ui.page.wait_for_function(
        "() => (gradioApp().querySelector('.progressDiv .progress')?.textContent || '').includes('TrueScale')"
    )
    ui.page.locator("#txt2img_interrupt").click()
    _says(ui, "stopped")
    ui.wait_for_end("txt2img")
    after = _shown(ui)
    assert len(before) <= len(after) < 2 * len(before)
    assert set(before) <= set(after)
    now = _prints(server)
    assert {file: now[file] for file in files} == files
    assert set(now) - set(files) == set(after) - set(before)
    for file in set(now) - set(files):
        with Image.open(file) as image:
            image.load()


def test_orders_that_are_given_while_another_one_runs(ui: Ui, server: Server, screenshots: Path) -> None:
    _generated(ui, 2)
    before, files = _shown(ui), _prints(server)
    for preset in ("Photo", "Fast preview", "Fast preview"):  # the first with the slow model that is here
        _open(ui)
        for box in ui.page.locator(f"{_DIALOG} input").all():
            box.check()
        _upscale(ui, preset=preset)
    line = ui.page.locator("#truescale_gallery_txt2img_line")
    assert line.inner_text().endswith(": 2")
    line.scroll_into_view_if_needed()
    ui.shot(screenshots / "gallery_line.png")
    ui.page.wait_for_function(f"(tab) => ({_THUMBNAILS})(tab).length === {4 * len(before)}", arg="txt2img")
    ui.wait_for_end("txt2img")
    after = _shown(ui)
    assert after[::4] == before
    assert set(_prints(server)) - set(files) == set(after) - set(before)
    assert not line.inner_text()


def test_in_img2img(ui: Ui, photo: Callable[..., Image.Image], tmp_path: Path) -> None:
    photo(128, 96).save(tmp_path / "photo.png")
    ui.tab("img2img")
    ui.upload("img2img_image", tmp_path / "photo.png")
    ui.set_number("img2img_steps", 1)
    for side in ("width", "height"):
        ui.set_number(f"img2img_{side}", 128)
    ui.run("img2img")
    before = _shown(ui, "img2img")
    _open(ui, "img2img")
    _upscale(ui, "img2img")
    _says(ui, "1 / 1", "img2img")
    ui.wait_for_end("img2img")
    after = _shown(ui, "img2img")
    assert len(after) == len(before) + 1
    assert after[1].parent == before[0].parent


@pytest.mark.parametrize(("dark", "width"), [(True, 1400), (False, 390), (True, 390)])
def test_dark_and_on_a_phone(dark: bool, width: int, chromium: str, server: Server, screenshots: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    with open_ui(chromium, server.port, dark=dark, width=width, height=844) as ui:
        _generated(ui, 4)
        name = f"gallery_{'dark' if dark else 'light'}_{width}"
        ui.page.locator(_BUTTON.format("txt2img")).scroll_into_view_if_needed()
        ui.shot(screenshots / f"{name}_button.png")
        _open(ui)
        ui.shot(screenshots / f"{name}_dialog.png")
        assert ui.page.evaluate(_BEYOND) == []
        found = axe.run(ui.page, context=_DIALOG, options={"resultTypes": ["violations"]}).response["violations"]
        assert [one["id"] for one in found] == []
        _upscale(ui)
        _says(ui, "1 / 1")
        ui.wait_for_end("txt2img")
        ui.page.locator(f"#{_NOTE.format('txt2img')}").first.scroll_into_view_if_needed()
        ui.shot(screenshots / f"{name}_note.png")
        for context in (_BUTTON.format("txt2img"), f"#{_NOTE.format('txt2img')}"):
            found = axe.run(ui.page, context=context, options={"resultTypes": ["violations"]}).response["violations"]
            assert [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found] == []
        assert ui.errors == []
