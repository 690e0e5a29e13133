"""The button below a gallery that upscales its pictures, and its dialog, as a user handles them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

import numpy as np
import pytest
from PIL import Image

from panels_page import OpenPage, PanelsPage
from serving import Server
from viewer_page import COMPARISON, positions, serious_in

BUTTON, DIALOG, NOTE = "#truescale_upscale_img2img", "#truescale_upscale_dialog", "#truescale_gallery_img2img_note"
COMPARE, LINE = "#truescale_compare_img2img", "#truescale_gallery_img2img_line"
THUMBNAILS = "#img2img_gallery .thumbnails img"
Ready = Callable[..., PanelsPage]


@pytest.fixture
def ready(open_page: OpenPage, tmp_path: Path) -> Ready:
    """Opens a page whose gallery in img2img has a picture twice as large as the source, and a square of it."""

    def make(size: tuple[int, int] = (48, 32), **options: object) -> PanelsPage:
        page = open_page(**options)
        positions(*size).save(tmp_path / "source.png")
        page.tab("img2img")
        page.upload("img2img_image", tmp_path / "source.png")
        page.page.locator("#img2img_generate").click()
        page.page.wait_for_selector(f"{THUMBNAILS} >> nth=1")
        page.settle()
        return page

    return make


def _open(page: PanelsPage) -> None:
    page.page.locator(BUTTON).click()
    page.page.wait_for_selector(DIALOG)
    page.settle()


def _upscale(page: PanelsPage) -> None:
    page.page.locator(f"{DIALOG} select").select_option("Fast preview")
    page.page.locator(f"{DIALOG} .truescale-primary").click()
    page.page.wait_for_selector(f"{NOTE} .truescale-statement")
    page.settle()


def _pictures(page: PanelsPage) -> list[Image.Image]:
    srcs = page.page.locator(THUMBNAILS).evaluate_all("all => all.map((one) => one.src)")
    return [Image.open(io.BytesIO(page.page.request.get(urljoin(page.page.url, src)).body())) for src in srcs]


def test_without_a_result_it_says_so(page: PanelsPage) -> None:
    page.tab("img2img")
    button = page.page.locator(BUTTON)
    assert button.get_attribute("aria-disabled") == "true"
    assert button.get_attribute("title") == "There is no result yet"
    button.focus()
    page.page.keyboard.press("Enter")
    assert page.page.locator(DIALOG).count() == 0


@pytest.mark.parametrize("server", ["gradio 3", "gradio 4"], indirect=True)
def test_the_result_comes_after_its_source_and_is_chosen(ready: Ready, server: Server) -> None:
    page = ready()
    before = _pictures(page)
    page.page.locator("#img2img_gallery .thumbnails button").nth(1).click()
    page.settle()
    _open(page)
    boxes = page.page.locator(f"{DIALOG} input")
    assert [box.is_checked() for box in boxes.all()] == [False, True]
    _upscale(page)
    after = _pictures(page)
    assert [one.size for one in after] == [(96, 64), (32, 32), (64, 64)]
    for one, other in zip(before, after):
        assert one.size == other.size
        assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).mean() < 4  # gradio 4 by itself makes them WebP
    assert page.eventually(
        lambda: (
            page.script(
                "(all) => [...document.querySelectorAll(all)].findIndex((one) => one.closest('.selected'))", THUMBNAILS
            )
            == 2
        )
    )
    assert "1 / 1" in page.text(NOTE)


def test_the_dialog_by_keyboard(ready: Ready) -> None:
    page = ready()
    page.page.locator(BUTTON).focus()
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(DIALOG)
    active = "() => document.activeElement.getAttribute('aria-label')"
    assert page.script(active) == "Picture 1 / 2"
    page.page.keyboard.press("Tab")
    assert page.script(active) == "Picture 2 / 2"
    page.page.keyboard.press("Space")
    assert page.page.locator(f"{DIALOG} input:checked").count() == 2
    page.page.keyboard.press("Escape")
    assert page.page.locator(DIALOG).count() == 0
    assert page.script("() => document.activeElement.id") == BUTTON[1:]
    assert page.text(NOTE) == ""


def test_the_preset_is_chosen_by_keyboard(ready: Ready) -> None:
    page = ready()
    page.page.locator(BUTTON).focus()
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(DIALOG)
    page.settle()
    seen = []
    for _ in range(6):  # two pictures, the list, "All", "Cancel" and "Upscale"
        page.page.keyboard.press("Tab")
        seen.append(page.script("() => document.activeElement.tagName"))
    assert sorted(seen) == [*["BUTTON"] * 3, *["INPUT"] * 2, "SELECT"]
    while page.script("() => document.activeElement.tagName") != "SELECT":
        page.page.keyboard.press("Tab")
    page.page.keyboard.type("Fast")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(f"{NOTE} .truescale-statement")
    assert page.script("() => localStorage.getItem('truescale_gallery_preset')") == "Fast preview"


def test_none_chosen_is_said_there(ready: Ready) -> None:
    page = ready()
    _open(page)
    all_or_none = page.page.locator(f"{DIALOG} button", has_text="All")
    all_or_none.click()
    assert page.page.locator(f"{DIALOG} input:checked").count() == 2
    all_or_none.click()
    assert page.page.locator(f"{DIALOG} input:checked").count() == 0
    page.page.locator(f"{DIALOG} .truescale-primary").click()
    assert page.text(f"{DIALOG} [role=alert]") == "Choose at least one picture"
    page.page.keyboard.press("Escape")


def test_the_presets_of_now_are_offered_and_the_last_one_is_remembered(ready: Ready) -> None:
    page = ready()
    page.show("#truescale_extras")
    page.press("truescale_extras_preset_save")
    page.page.locator("#truescale_extras_preset_name input, #truescale_extras_preset_name textarea").fill("New <one>")
    page.press("truescale_extras_preset_do")
    page.tab("img2img")
    _open(page)
    listed = page.page.locator(f"{DIALOG} option")
    assert page.eventually(lambda: listed.all_inner_texts()[-1] == "New <one>")
    _upscale(page)
    _open(page)
    assert page.page.locator(f"{DIALOG} select").input_value() == "Fast preview"
    page.page.keyboard.press("Escape")


def test_many_pictures_are_scrolled(ready: Ready) -> None:
    page = ready(width=390, height=500)
    page.script(
        """(list) => {
            const one = document.querySelector(list);
            for (let n = 0; n < 20; n += 1) one.append(one.firstElementChild.cloneNode(true));
        }""",
        "#img2img_gallery .thumbnails",
    )
    page.script("() => document.querySelector('#img2img_gallery .grid-container')?.remove()")
    _open(page)
    boxes = page.page.locator(f"{DIALOG} input")
    assert boxes.count() == 22
    field = page.page.locator(f"{DIALOG} .truescale-choosing")
    field.hover()
    page.page.mouse.wheel(0, 300)
    assert page.eventually(lambda: field.evaluate("(one) => one.scrollTop") > 100)
    page.page.keyboard.press("Escape")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(dark: bool, ready: Ready) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    page = ready(dark=dark, width=390)
    assert serious_in(page, axe, BUTTON) == []
    _open(page)
    page.page.locator(f"{DIALOG} input:checked").uncheck()
    page.page.locator(f"{DIALOG} .truescale-primary").click()
    assert serious_in(page, axe, DIALOG) == []
    beyond = page.page.locator(f"{DIALOG} *").evaluate_all(
        "all => all.filter((one) => one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML)"
    )
    assert beyond == []
    page.page.locator(f"{DIALOG} input").first.check()
    _upscale(page)
    assert serious_in(page, axe, NOTE) == []


def test_it_speaks_korean(ready: Ready) -> None:
    page = ready(korean=True)
    _open(page)
    texts = page.page.locator(f"{DIALOG} button, {DIALOG} label, {DIALOG} p").all_inner_texts()
    texts += page.page.locator(f"{DIALOG} [title]").evaluate_all("all => all.map((one) => one.title)")
    texts += page.page.locator(f"{DIALOG} option").all_inner_texts()[:4]
    assert [text for text in texts if re.search("[A-Za-z]{2}", text.replace("TrueScale", ""))] == []
    page.page.locator(f"{DIALOG} .truescale-primary").click()
    page.page.wait_for_selector(f"{NOTE} .truescale-statement")
    assert page.eventually(lambda: re.search("업스케일 완료", page.text(NOTE)))


@pytest.mark.parametrize("server", ["gradio 3", "gradio 4"], indirect=True)
def test_before_and_after_still_shows_what_the_run_was_made_from(ready: Ready, server: Server, tmp_path: Path) -> None:
    """Though the next source is there already."""
    page = ready()

    def source() -> str:
        page.page.locator(COMPARE).click()
        page.page.wait_for_selector(f"{COMPARISON} .truescale-stage[aria-busy=false]")
        words = page.page.locator(f"{COMPARISON} .truescale-tag").first.inner_text()
        page.page.keyboard.press("Escape")
        return words

    page.page.locator("#img2img_image").locator("button[title=Clear], button[title='Remove Image']").first.click()
    page.settle()
    Image.new("RGB", (64, 40)).save(tmp_path / "next.png")
    page.upload("img2img_image", tmp_path / "next.png")
    assert source() == "Source 48 x 32"
    _open(page)
    _upscale(page)
    assert page.eventually(lambda: page.page.locator(THUMBNAILS).count() == 3)
    page.settle()
    assert source() == "Source 48 x 32"
    page.page.locator("#img2img_generate").click()
    assert page.eventually(lambda: page.page.locator(THUMBNAILS).count() == 2)
    page.settle()
    assert source() == "Source 64 x 40"


@pytest.mark.parametrize("server", ["gradio 3", "gradio 4"], indirect=True)
def test_orders_that_are_given_while_another_one_runs_are_done_as_well(ready: Ready, server: Server) -> None:
    """One after the other: gradio would forget those that come while its function runs."""
    page = ready(size=(300, 200))
    for number in (0, 1, 0):
        page.page.locator(BUTTON).click()
        for box in page.page.locator(f"{DIALOG} input").all():
            box.set_checked(False)
        page.page.locator(f"{DIALOG} input").nth(number).check()
        page.page.locator(f"{DIALOG} select").select_option("Fast preview")
        page.page.locator(f"{DIALOG} .truescale-primary").click()
    assert re.fullmatch("Waiting for the upscaling under way to end: [12]", page.text(LINE))
    assert page.eventually(lambda: page.page.locator(THUMBNAILS).count() == 5)
    page.settle()
    assert [one.size for one in _pictures(page)] == [(600, 400), *2 * [(1200, 800)], (200, 200), (400, 400)]
    assert page.text(LINE) == ""
    assert page.page.locator(NOTE).first.inner_text().count("1 / 1") == 3


def test_one_without_an_answer_is_told_and_holds_up_no_other(ready: Ready) -> None:
    """As when the connection was lost: the host has ended the job, and the page hears nothing of it."""
    page = ready()
    page.page.route("**/internal/progress", lambda route: route.fulfill(json={"completed": True}))
    page.script(
        """() => {
            const plain = TrueScale.bridge.send;
            TrueScale.bridge.send = (panel, name, data) => {
                if (name !== "order") return plain(panel, name, data);
                TrueScale.bridge.send = plain;
            };
            window.requestProgress = (task, container, gallery, atEnd) => setTimeout(atEnd, 0);
            document.querySelector("#img2img_gallery").parentElement.id = "img2img_gallery_container";
        }"""
    )
    _open(page)
    page.page.locator(f"{DIALOG} .truescale-primary").click()
    _open(page)
    _upscale(page)
    assert page.eventually(lambda: page.page.locator(THUMBNAILS).count() == 3)
    assert "did not answer" in page.text(LINE)
