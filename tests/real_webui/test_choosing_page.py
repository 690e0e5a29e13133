"""See, compare, choose, in Chromium on the real WebUI: forecasts, statements, the slider, presets, which model."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from model_names import ANIME, VIDEO
from webui_browser import Ui

EXTRAS = "truescale_extras"


def _opened(ui: Ui, image: Image.Image | None = None, file: Path | None = None) -> Ui:
    """The Extras with our panel open, the host's own upscaling off, and a picture."""
    ui.tab("extras")
    ui.open_panel("extras_upscale")
    ui.open_panel(EXTRAS)
    if image is not None:
        assert file is not None
        image.save(file)
        ui.upload("extras_image", file)
    return ui


def _says(ui: Ui, elem_id: str, words: str) -> None:
    ui.page.wait_for_function(
        "([id, words]) => (document.getElementById(id)?.innerText || '').includes(words)", arg=[elem_id, words]
    )


def test_the_forecast_and_the_statement_agree_with_the_picture(
    ui: Ui, photo, tmp_path: Path, screenshots: Path
) -> None:
    _opened(ui, photo(131, 100), tmp_path / "photo.png")
    ui.choose(f"{EXTRAS}_upscaler_1", VIDEO)
    ui.set_number(f"{EXTRAS}_scale", 2.5)
    _says(ui, f"{EXTRAS}_plan", "131x100 → 328x250 px")
    _says(ui, f"{EXTRAS}_card", "RealESRGAN Compact 4x")
    ui.run("extras")
    _says(ui, f"{EXTRAS}_statement", f"{VIDEO} · 131x100 → 328x250 px")
    assert ui.result("extras").size == (328, 250)
    _says(ui, f"{EXTRAS}_plan", "time")
    ui.shot(screenshots / "extras_statement.png")


def test_before_and_after(ui: Ui, photo, tmp_path: Path, screenshots: Path) -> None:
    _opened(ui, photo(120, 90), tmp_path / "photo.png")
    ui.choose(f"{EXTRAS}_upscaler_1", VIDEO)
    ui.run("extras")
    ui.page.locator("#truescale_compare_extras").click()
    handle = ui.page.get_by_role("slider", name="Divider between the two pictures")
    handle.wait_for()
    ui.page.keyboard.press("Home")
    assert handle.get_attribute("aria-valuenow") == "0"
    ui.page.keyboard.press("End")
    assert handle.get_attribute("aria-valuenow") == "100"
    ui.page.keyboard.press("ArrowLeft")
    ui.shot(screenshots / "compare.png")
    boxes = ui.page.locator(".truescale-dialog img").evaluate_all(
        "all => all.map((one) => { const b = one.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })"
    )
    assert boxes[0] == pytest.approx(boxes[1], abs=0.01)
    ui.page.keyboard.press("Escape")
    handle.wait_for(state="detached")
    assert ui.page.evaluate("() => document.activeElement.id") == "truescale_compare_extras"
    ui.page.locator("#extras_gallery img").first.click()  # the host's own lightbox still opens
    ui.page.wait_for_selector("#lightboxModal", state="visible")
    ui.page.keyboard.press("Escape")
    ui.page.wait_for_selector("#lightboxModal", state="hidden")


def test_which_model(ui: Ui, photo, tmp_path: Path, screenshots: Path) -> None:
    _opened(ui, photo(240, 200), tmp_path / "photo.png")
    ui.open_panel(f"{EXTRAS}_which")
    ui.page.locator(f"#{EXTRAS}_which_pick").click()
    ui.page.keyboard.press("Enter")
    for name in (VIDEO, ANIME, "broken", "Lanczos"):
        ui.choose(f"{EXTRAS}_which_models", name)
    ui.page.locator(f"#{EXTRAS}_which_run").click()
    grid = ui.page.locator(f"#{EXTRAS}_which_pictures figure")
    grid.nth(3).wait_for()
    assert [grid.nth(n).locator("figcaption").inner_text() for n in range(4)] == ["Source", VIDEO, ANIME, "Lanczos"]
    _says(ui, f"{EXTRAS}_which_note", "broken")
    sizes = grid.locator("img").evaluate_all("all => all.map((one) => [one.naturalWidth, one.naturalHeight])")
    assert sizes == [[768, 768]] * 4
    ui.shot(screenshots / "which.png")
    grid.nth(2).get_by_role("button", name="Use").click()
    ui.page.wait_for_function(
        "([id, name]) => document.querySelector(`#${id}_upscaler_1 input`).value === name", arg=[EXTRAS, ANIME]
    )


def test_a_preset_lives_on_after_a_reload(ui: Ui, screenshots: Path) -> None:
    _opened(ui)
    ui.choose(f"{EXTRAS}_upscaler_1", VIDEO)
    ui.set_number(f"{EXTRAS}_scale", 3)
    ui.page.locator(f"#{EXTRAS}_preset_save").click()
    ui.page.locator(f"#{EXTRAS}_preset_name textarea, #{EXTRAS}_preset_name input").fill("Mine")
    ui.page.locator(f"#{EXTRAS}_preset_do").click()
    _says(ui, f"{EXTRAS}_preset_note", "Mine")
    ui.shot(screenshots / "presets.png", f"#{EXTRAS}")
    ui.page.reload()
    ui.wait_until_ready()
    _opened(ui)
    assert ui.value(f"{EXTRAS}_scale") == "4"
    ui.page.wait_for_timeout(1500)
    ui.choose(f"{EXTRAS}_preset", "Mine")
    ui.page.wait_for_function(f"() => document.querySelector('#{EXTRAS}_scale input[type=number]').value === '3'")
    assert ui.value(f"{EXTRAS}_upscaler_1") == VIDEO


def test_the_panel_is_set_back_by_a_picture_of_ours(ui: Ui, photo, tmp_path: Path) -> None:
    _opened(ui, photo(64, 48), tmp_path / "photo.png")
    ui.choose(f"{EXTRAS}_upscaler_1", VIDEO)
    ui.choose(f"{EXTRAS}_size_by", "Longest side")
    ui.set_number(f"{EXTRAS}_longest", 200)
    ui.run("extras")
    made = tmp_path / "made.png"
    address = ui.page.locator("#extras_gallery img").first.evaluate("(one) => one.src")
    made.write_bytes(ui.page.request.get(address).body())
    ui.page.reload()
    ui.wait_until_ready()
    _opened(ui)
    ui.upload("extras_image", made)
    ui.page.locator(f"#{EXTRAS}_read").click()
    _says(ui, f"{EXTRAS}_read_note", "as it was")
    assert (ui.value(f"{EXTRAS}_upscaler_1"), ui.value(f"{EXTRAS}_longest")) == (VIDEO, "200")
    assert ui.value(f"{EXTRAS}_size_by") == "Longest side"


def test_a_batch_of_uploads(ui: Ui, photo, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.png" for name in ("first", "second", "third")]
    for number, file in enumerate(files):
        photo(40 + 8 * number, 32).save(file)
    _opened(ui)
    ui.choose(f"{EXTRAS}_upscaler_1", VIDEO)
    ui.page.locator("#mode_extras > .tab-nav > button").nth(1).click()
    ui.upload("extras_image_batch", *files)
    ui.run("extras")
    _says(ui, f"{EXTRAS}_statement", "third")
    told = ui.text(f"#{EXTRAS}_statement")
    for number, file in enumerate(files):
        assert f"{file.name}" in told or file.stem in told
        assert f"{40 + 8 * number}x32 → {160 + 32 * number}x128 px" in told
    assert ui.page.locator("#extras_gallery .thumbnails img, #extras_gallery .grid-container img").count() >= 3


def test_hires_fix_tells_before_and_after(ui: Ui, screenshots: Path) -> None:
    ui.tab("txt2img")
    ui.page.locator("#txt2img_prompt textarea").fill("a house")
    ui.open_panel("txt2img_hr")
    ui.choose("txt2img_hr_upscaler", ANIME)
    ui.open_panel("truescale_hires")
    for name, value in (("steps", 1), ("width", 128), ("height", 64)):
        ui.set_number(f"txt2img_{name}", value)
    _says(ui, "truescale_hires_plan", "128x64 → 256x128 px")
    _says(ui, "truescale_hires_card", "ESRGAN 4x")
    ui.run("txt2img")
    _says(ui, "html_log_txt2img", f"TrueScale · {ANIME} · 128x64 → 256x128 px")
    ui.shot(screenshots / "hires.png")


def test_sd_upscale_tells_before_and_after(ui: Ui, photo, tmp_path: Path, screenshots: Path) -> None:
    ui.tab("img2img")
    photo(128, 128).save(tmp_path / "photo.png")
    ui.upload("img2img_image", tmp_path / "photo.png")
    ui.page.locator("#tab_img2img #script_list input").click()
    ui.page.locator("ul.options > li", has_text="TrueScale SD Upscale").first.click()
    ui.page.wait_for_timeout(1500)
    ui.set_number("img2img_steps", 2)
    for side in ("width", "height"):
        ui.set_number(f"truescale_sd_tile_{side}", 128)
    _says(ui, "truescale_sd_plan", "128x128 → 256x256 px")
    assert not ui.page.locator("#truescale_sd_order").is_visible()  # it changes nothing in the result
    ui.shot(screenshots / "sd_panel.png", "#img2img_script_container")
    ui.run("img2img")
    _says(ui, "html_log_img2img", "128x128 → 256x256 px")
    _says(ui, "html_log_img2img", "tiles redrawn")
    ui.page.locator("#truescale_compare_img2img").click()
    ui.page.get_by_role("slider", name="Divider between the two pictures").wait_for()
    ui.shot(screenshots / "sd_compare.png")
