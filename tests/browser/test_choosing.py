"""Seeing and choosing: presets, cards, what a run will take, what a result was made by, settings from a picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from panels_page import OpenPage, PanelsPage
from serving import Server

EXTRAS = "truescale_extras"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.linear_gradient("L").resize((30, 20)).convert("RGB").save(path)
    return path


def _opened(page: PanelsPage, picture: Path | None = None) -> PanelsPage:
    """The Extras with our panel open, the host's own upscaling off, and a picture."""
    page.show("#truescale_extras")
    if page.is_open("#extras_upscale"):
        page.page.locator("#extras_upscale > .label-wrap").click()
        page.settle()
    if picture is not None:
        page.upload("extras_image", picture)
    return page


def _says(page: PanelsPage, part: str, words: str) -> bool:
    return page.eventually(lambda: words in page.text(f"#{EXTRAS}_{part} p"))


# -- before ------------------------------------------------------------------------------------------------------------


def test_what_a_run_will_take_follows_the_sliders_and_the_picture_is_not_sent_again(
    page: PanelsPage, picture: Path
) -> None:
    _opened(page, picture)
    page.choose(f"{EXTRAS}_upscaler_1", "four")
    assert _says(page, "plan", "30x20 → 120x80 px")
    sent: list[int] = []
    page.page.on("request", lambda request: sent.append(len(request.post_data or "")))
    page.set_number(f"{EXTRAS}_scale", 2.5)
    assert _says(page, "plan", "30x20 → 75x50 px")
    page.pick(f"{EXTRAS}_size_by", "Longest side")
    page.set_number(f"{EXTRAS}_longest", 300)
    assert _says(page, "plan", "30x20 → 300x200 px")
    assert max(sent, default=0) < 20_000


def test_without_a_picture_the_card_is_there_and_no_size(page: PanelsPage) -> None:
    _opened(page)
    assert _says(page, "card", "RealESRGAN Compact 4x")
    assert page.text(f"#{EXTRAS}_plan p") == ""


def test_the_card_follows_the_choice(page: PanelsPage) -> None:
    _opened(page)
    page.choose(f"{EXTRAS}_upscaler_1", "two")
    assert _says(page, "card", "RealESRGAN Compact 2x")
    page.choose(f"{EXTRAS}_upscaler_1", "Lanczos")
    assert _says(page, "card", "run by the WebUI, or by another extension")


def test_the_scale_follows_the_model_where_that_is_wanted(page: PanelsPage) -> None:
    _opened(page)
    page.choose(f"{EXTRAS}_upscaler_1", "two")
    assert page.number(f"{EXTRAS}_scale") == 4
    page.page.locator(f"#{EXTRAS}_follow input").check()
    assert page.eventually(lambda: page.number(f"{EXTRAS}_scale") == 2)
    page.choose(f"{EXTRAS}_upscaler_1", "TrueScale 4x")
    assert page.eventually(lambda: page.number(f"{EXTRAS}_scale") == 4)


def test_lists_are_grouped_by_scale_and_searched_by_typing(page: PanelsPage) -> None:
    _opened(page)
    field = page.page.locator(f"#{EXTRAS}_upscaler_1 input")
    field.click()
    page.page.wait_for_selector("ul.options > li[data-truescale-group]")
    headings = page.page.locator("ul.options > li").evaluate_all(
        "all => all.map((one) => [one.innerText.replace('✓', '').trim(), one.dataset.truescaleGroup || ''])"
    )
    told = dict(headings)
    assert [heading for _, heading in headings if heading] == list(dict.fromkeys(h for _, h in headings if h))
    assert told["Lanczos"] == "Other upscalers"
    field.fill("true")
    page.page.wait_for_function("() => document.querySelectorAll('ul.options > li').length === 1")
    field.press("Enter")
    assert page.eventually(lambda: field.input_value() == "TrueScale 4x")


def test_a_model_follows_another_and_the_plan_says_so(page: PanelsPage, picture: Path) -> None:
    _opened(page, picture)
    page.choose(f"{EXTRAS}_upscaler_1", "one")
    page.choose(f"{EXTRAS}_followed_by", "two")
    page.set_number(f"{EXTRAS}_scale", 3)
    assert _says(page, "plan", "30x20 → 90x60 px")
    assert "Lanczos" not in page.choices(f"{EXTRAS}_followed_by")


# -- presets -----------------------------------------------------------------------------------------------------------


def test_a_preset_is_saved_chosen_renamed_and_deleted(page: PanelsPage) -> None:
    _opened(page)
    page.choose(f"{EXTRAS}_upscaler_1", "two")
    page.set_number(f"{EXTRAS}_scale", 3)
    page.press(f"{EXTRAS}_preset_save")
    name = page.page.locator(f"#{EXTRAS}_preset_name textarea, #{EXTRAS}_preset_name input")
    name.fill("Mine")
    page.press(f"{EXTRAS}_preset_do")
    assert _says(page, "preset_note", "Mine")
    page.set_number(f"{EXTRAS}_scale", 8)
    page.choose(f"{EXTRAS}_preset", "Fast preview")
    assert page.eventually(lambda: page.number(f"{EXTRAS}_scale") == 2)
    page.choose(f"{EXTRAS}_preset", "Mine")
    assert page.eventually(lambda: page.number(f"{EXTRAS}_scale") == 3)
    assert page.page.locator(f"#{EXTRAS}_upscaler_1 input").input_value() == "two"
    page.page.reload()  # the page is as the host built it at its start
    page.page.wait_for_selector("body[data-ready]")
    _opened(page)
    assert page.eventually(lambda: "Mine" in page.choices(f"{EXTRAS}_preset"))
    page.choose(f"{EXTRAS}_preset", "Mine")

    page.press(f"{EXTRAS}_preset_rename")
    assert page.eventually(lambda: name.input_value() == "Mine")
    name.fill("Ours")
    name.press("Enter")
    assert page.eventually(lambda: page.page.locator(f"#{EXTRAS}_preset input").input_value() == "Ours")
    page.press(f"{EXTRAS}_preset_delete")
    page.press(f"{EXTRAS}_preset_do")
    assert page.eventually(lambda: "Ours" not in page.choices(f"{EXTRAS}_preset"))


def test_a_built_in_preset_is_not_deleted(page: PanelsPage) -> None:
    _opened(page)
    page.choose(f"{EXTRAS}_preset", "Photo")
    page.press(f"{EXTRAS}_preset_delete")
    assert _says(page, "preset_note", "Choose one of your own presets")
    assert "Photo" in page.choices(f"{EXTRAS}_preset")


# -- after -------------------------------------------------------------------------------------------------------------


def test_the_statement_is_below_the_picture_after_each_run(page: PanelsPage, picture: Path) -> None:
    _opened(page, picture)
    page.choose(f"{EXTRAS}_upscaler_1", "four")
    page.generate("#extras_gallery img")
    assert _says(page, "statement", "four · 30x20 → 120x80 px")
    assert "float32" in page.text(f"#{EXTRAS}_statement p")
    page.set_number(f"{EXTRAS}_scale", 2)
    page.page.locator("#extras_generate").click()
    assert _says(page, "statement", "30x20 → 60x40 px")
    page.page.locator(f"#{EXTRAS} > .label-wrap input[type=checkbox]").uncheck()
    page.page.locator("#extras_generate").click()
    assert page.eventually(lambda: page.text(f"#{EXTRAS}_statement p") == "")


def test_a_picture_sets_the_panel_back_as_it_was(page: PanelsPage, picture: Path, tmp_path: Path) -> None:
    _opened(page, picture)
    page.choose(f"{EXTRAS}_upscaler_1", "two")
    page.set_number(f"{EXTRAS}_scale", 2.5)
    page.generate("#extras_gallery img")
    made = tmp_path / "made.png"
    result = page.result()
    assert "TrueScale precision" in result.info["postprocessing"]
    made.write_bytes(
        page.page.request.get(page.page.locator("#extras_gallery img").first.evaluate("e => e.src")).body()
    )

    page.page.reload()
    page.page.wait_for_selector("body[data-ready]")
    _opened(page, made)
    page.press(f"{EXTRAS}_read")
    assert _says(page, "read_note", "The panel is set as it was for this picture")
    assert page.number(f"{EXTRAS}_scale") == 2.5
    assert page.page.locator(f"#{EXTRAS}_upscaler_1 input").input_value() == "two"


def test_comments_of_a_generation_are_translated_word_by_word(open_page: OpenPage) -> None:
    page = open_page(korean=True)
    line = "TrueScale · four · 30x20 → 120x80 px, 0.01 MP · whole, in one piece · seconds: 0.2"
    page.script(
        "(line) => { const box = document.createElement('div'); box.id = 'html_log_img2img';"
        " const p = document.createElement('p'); p.className = 'comments'; p.textContent = line; box.append(p);"
        " gradioApp().append(box); }",
        line,
    )
    assert page.eventually(lambda: "whole" not in page.text("#html_log_img2img"))
    told = page.text("#html_log_img2img")
    assert told.startswith("TrueScale · four · 30x20 → 120x80 px, 0.01 MP · ")
    assert "0.2" in told
    assert "seconds" not in told


def test_what_one_panel_has_found_the_others_list_when_they_are_opened(page: PanelsPage, server: Server) -> None:
    new = server.models / "4x_found.pth"
    new.write_bytes((server.models / "four.pth").read_bytes())
    try:
        _opened(page)
        page.press(f"{EXTRAS}_refresh")
        page.show("#truescale_sd")
        assert page.eventually(lambda: "4x_found" in page.choices("truescale_sd_upscaler_1"))
    finally:
        new.unlink()
        page.press("truescale_sd_refresh")
