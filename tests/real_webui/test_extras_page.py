"""The Extras tab in Chromium: from a model file dropped into the folder to the picture."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likeness import levels_off
from model_names import ANIME, PLUS, VIDEO
from webui_browser import Ui
from webui_process import Server

Measured = Callable[[str], None]
PANEL = "truescale_extras"


@pytest.fixture
def opened(ui: Ui) -> Ui:
    ui.tab("extras")
    ui.open_panel(PANEL)
    return ui


def _upload(ui: Ui, image: Image.Image, file: Path) -> None:
    image.save(file)
    ui.upload("extras_image", file)


def test_a_dropped_model(opened: Ui, server: Server, shared: Path, photo, true_levels, tmp_path: Path) -> None:
    """Found by the refresh button, in all lists of the page, and exact: an opaque 131x100 RGBA at 2.5."""
    new = server.data.esrgan / "dropped.safetensors"
    shutil.copyfile(shared / "models" / f"{ANIME}.safetensors", new)
    try:
        assert "dropped" not in opened.choices(f"{PANEL}_upscaler_1")
        opened.page.locator(f"#{PANEL}_refresh").click()
        opened.page.wait_for_timeout(1500)
        lists = [f"{prefix}_{one}" for prefix in (PANEL, "extras") for one in ("upscaler_1", "upscaler_2")]
        assert all("dropped" in opened.choices(one) for one in filter(opened.is_enabled, lists))

        opened.choose(f"{PANEL}_upscaler_1", "dropped")
        opened.set_number(f"{PANEL}_scale", 2.5)
        opened.open_panel(f"{PANEL}_advanced")
        opened.choose(f"{PANEL}_precision", "exact")
        _upload(opened, photo(131, 100).convert("RGBA"), tmp_path / "opaque.png")
        opened.run("extras")
        result = opened.result("extras")

        assert result.size == (328, 250)
        assert result.mode == ("RGBA" if server.host.has.hands_over_transparency else "RGB")
        assert result.convert("RGBA").getchannel("A").getextrema() == (255, 255)
        assert levels_off(result, true_levels(photo(131, 100), ANIME, (328, 250))) <= 1
        assert "Postprocess upscaler: dropped" in result.info["postprocessing"]
        opened.tab("txt2img")
        opened.page.locator("#txt2img_hr > .label-wrap").click()
        opened.page.wait_for_timeout(700)
        assert "dropped" in opened.choices("txt2img_hr_upscaler")
    finally:
        new.unlink()
        server.http.post("/truescale/v1/refresh")


def test_the_accordion_of_the_host(ui: Ui, server: Server, photo, true_levels, tmp_path: Path) -> None:
    server.http.options(truescale_precision="exact")
    try:
        ui.tab("extras")
        ui.choose("extras_upscaler_1", ANIME)
        _upload(ui, photo(64, 56), tmp_path / "photo.png")
        ui.run("extras")
    finally:
        server.http.options(truescale_precision="auto")

    assert levels_off(ui.result("extras"), true_levels(photo(64, 56), ANIME)) <= 1


@pytest.mark.parametrize(
    ("way", "numbers", "fit", "size"),
    [
        ("Scale to", {"width": 200, "height": 200}, "crop", (200, 200)),
        ("Scale to", {"width": 200, "height": 200}, "inside", (200, 150)),
        ("Longest side", {"longest": 333}, None, (333, 250)),
        ("Megapixels", {"megapixels": 0.1}, None, None),
    ],
)
def test_sizes(way: str, numbers: dict, fit: str | None, size, opened: Ui, photo, tmp_path: Path) -> None:
    opened.choose(f"{PANEL}_size_by", way)
    for name, number in numbers.items():
        opened.set_number(f"{PANEL}_{name}", number)
    if fit is not None:
        opened.choose(f"{PANEL}_fit", fit)
    _upload(opened, photo(64, 48), tmp_path / "photo.png")
    opened.run("extras")
    result = opened.result("extras")

    if size is None:
        assert result.width * result.height == pytest.approx(100_000, rel=0.01)
    else:
        assert result.size == size


def test_progress(opened: Ui, server: Server, photo, screenshots: Path, tmp_path: Path, measured: Measured) -> None:
    """The bar rises from the start to the end, in words too, and the picture grows in the live preview."""
    server.host.has.needs("progress_in_extras")
    opened.choose(f"{PANEL}_upscaler_1", PLUS)
    _upload(opened, photo(320, 240), tmp_path / "photo.png")
    opened.start("extras")
    seen, previews = [], 0
    while opened.page.locator("#tab_extras .progressDiv").count():
        now = server.http.progress()
        if "TrueScale" in (now["textinfo"] or ""):
            seen.append(now["progress"])
            previews += now["current_image"] is not None
            if now["progress"] > 0.3 and not (screenshots / "progress.png").exists():
                opened.shot(screenshots / "progress.png")
        opened.page.wait_for_timeout(200)
    opened.wait_for_end("extras")

    measured(f"{len(seen)} values from {seen[0]:.2f} to {seen[-1]:.2f}, {previews} with a preview")
    assert seen[0] < 0.3
    assert seen[-1] > 0.8
    assert seen == sorted(seen)
    assert previews
    assert (screenshots / "progress.png").exists()
    assert opened.result("extras").size == (1280, 960)


def test_interrupt(opened: Ui, server: Server, photo, screenshots: Path, tmp_path: Path) -> None:
    server.host.has.needs("interrupt_in_extras")
    before = server.data.outputs()
    opened.choose(f"{PANEL}_upscaler_1", PLUS)
    _upload(opened, photo(320, 240), tmp_path / "photo.png")
    opened.start("extras")
    server.http.wait_for_progress(above=0.05)
    opened.page.locator("#extras_interrupt").click()
    opened.wait_for_end("extras")
    opened.shot(screenshots / "interrupted.png")

    assert server.data.outputs() == before
    assert opened.page.locator("#extras_gallery img").count() == 0
    opened.choose(f"{PANEL}_upscaler_1", "TrueScale 4x")
    opened.run("extras")
    assert opened.result("extras").size == (1280, 960)


def test_an_error_in_words(opened: Ui, photo, screenshots: Path, tmp_path: Path) -> None:
    opened.choose(f"{PANEL}_upscaler_1", "broken")
    _upload(opened, photo(64, 48), tmp_path / "photo.png")
    opened.run("extras")
    opened.page.locator("#tab_extras .error").first.scroll_into_view_if_needed()
    opened.shot(screenshots / "error.png")

    assert "cannot load the model 'broken.pth'" in opened.text("#tab_extras .error")


def test_bad_files_in_a_batch(opened: Ui, server: Server, photo, screenshots: Path, tmp_path: Path) -> None:
    """Ten files, of which one is no picture and one would take more memory than allowed: eight results."""
    server.host.has.needs("leaves_pictures_out")
    source, results = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(10):
        photo(32 + number, 24).save(source / f"{number}.png")
    (source / "3.png").write_bytes(b"no picture")
    Image.new("RGB", (4000, 4000), "gray").save(source / "5.png")
    opened.page.locator("#mode_extras button", has_text="Batch from Directory").click()
    opened.page.locator("#extras_batch_input_dir textarea").fill(str(source))
    opened.page.locator("#extras_batch_output_dir textarea").fill(str(results))
    opened.open_panel(f"{PANEL}_advanced")
    opened.set_number(f"{PANEL}_memory", 0.5)
    opened.start("extras")
    opened.page.wait_for_selector(".toast-body", timeout=60_000)
    opened.wait_for_end("extras")
    opened.shot(screenshots / "batch.png")

    sizes = sorted(Image.open(file).size for file in results.glob("*.png"))
    assert sizes == [(4 * (32 + number), 96) for number in range(10) if number not in (3, 5)]
    assert "2 of 10 pictures are missing: 3.png, 5.png" in server.log


def test_both_accordions_warn(opened: Ui, screenshots: Path) -> None:
    opened.choose("extras_upscaler_1", ANIME)
    opened.page.wait_for_timeout(700)
    opened.shot(screenshots / "twice.png")

    assert "would be enlarged twice" in opened.text(f"#{PANEL}")


def test_transparency_grey_and_profile_stay(opened: Ui, server: Server, shared: Path) -> None:
    opened.choose(f"{PANEL}_upscaler_1", VIDEO)
    opened.set_number(f"{PANEL}_scale", 1.5)
    opened.upload("extras_image", shared / "images" / "children-alpha.png")
    before = server.data.outputs()
    opened.run("extras")
    source, result = Image.open(shared / "images" / "children-alpha.png"), opened.result("extras")
    (saved,) = set(server.data.outputs()) - set(before)

    assert result.mode == Image.open(saved).mode == "RGBA"
    small = np.asarray(result.getchannel("A").resize(source.size, Image.BOX)).astype(float)
    assert np.abs(small - np.asarray(source.getchannel("A"))).mean() < 3
