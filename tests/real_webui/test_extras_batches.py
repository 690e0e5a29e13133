"""Several pictures in the Extras in Chromium: their order, zip files, and pictures that the host stumbles over."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from webui_browser import Ui
from webui_process import Server

PANEL = "truescale_extras"
BROKEN_EXIF = b"Exif\0\0garbage garbage garbage"


@pytest.fixture
def opened(ui: Ui) -> Ui:
    ui.tab("extras")
    ui.open_panel(PANEL)
    ui.set_number(f"{PANEL}_scale", 2)
    return ui


def _mode(ui: Ui, text: str) -> None:
    ui.page.locator("#mode_extras button", has_text=text).click()
    ui.page.wait_for_timeout(500)


def _run_folder(ui: Ui, folder: Path, results: Path) -> None:
    _mode(ui, "Batch from Directory")
    ui.page.locator("#extras_batch_input_dir textarea").fill(str(folder))
    ui.page.locator("#extras_batch_output_dir textarea").fill(str(results))
    ui.run("extras")


def _widths(ui: Ui) -> list[int]:
    """Of the gallery's pictures, in its order; all are 2 times as wide as their sources."""
    lists = ("#extras_gallery .grid-container img", "#extras_gallery .thumbnails img")  # a host may show both
    found = [ui.page.eval_on_selector_all(each, "all => all.map((one) => one.src)") for each in lists]
    addresses = next(filter(None, found), [])
    sizes = ui.page.evaluate(
        """(all) => Promise.all(all.map(async (src) => {
            const image = new Image();
            image.src = src;
            await image.decode();
            return image.naturalWidth;
        }))""",
        addresses,
    )
    return [width // 2 for width in sizes]


def test_uploads_come_back_in_the_order_given(opened: Ui, photo, screenshots: Path, tmp_path: Path) -> None:
    names = {"z": 40, "a10": 24, "b": 56, "a9": 32}
    for name, width in names.items():
        photo(width, 32).save(tmp_path / f"{name}.png")
    _mode(opened, "Batch Process")
    opened.upload("extras_image_batch", *(tmp_path / f"{name}.png" for name in names))
    opened.run("extras")
    opened.page.wait_for_timeout(1500)
    opened.page.locator("#truescale_extras_statement").first.scroll_into_view_if_needed()
    opened.shot(screenshots / "batch-order.png")

    assert _widths(opened) == list(names.values())
    items = opened.page.locator("#truescale_extras_statement li").all_inner_texts()
    assert [text.split()[0].split("TrueScale")[0] for text in items] == list(names)


def test_a_folder_comes_back_in_natural_order(opened: Ui, photo, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in (10, 9, 1):
        photo(20 + number, 32).save(folder / f"page{number}.png")
    _run_folder(opened, folder, tmp_path / "out")

    assert _widths(opened) == [21, 29, 30]


def test_a_zip_file_is_the_pictures_in_it(opened: Ui, server: Server, photo, screenshots: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        for number in (10, 9):
            photo(20 + number, 32).save(tmp_path / f"{number}.png")
            packed.write(tmp_path / f"{number}.png", f"trip/zipped-{number}.png")
        packed.writestr("__MACOSX/._9.png", b"x")
        packed.writestr("trip/inner.zip", b"x")
        packed.writestr("../../evil.txt", b"x")
    (tmp_path / "damaged.zip").write_bytes(b"PK no zip")
    photo(48, 32).save(tmp_path / "zip-own.png")
    before = server.data.outputs()
    _mode(opened, "Batch Process")
    opened.upload("extras_image_batch", *(tmp_path / name for name in ("all.zip", "damaged.zip", "zip-own.png")))
    opened.start("extras")
    opened.page.wait_for_selector(".toast-body", timeout=60_000)
    opened.wait_for_end("extras")
    opened.shot(screenshots / "zip.png")

    assert _widths(opened) == [29, 30, 48]
    saved = {file.name for file in set(server.data.outputs()) - set(before)}
    assert saved == {"trip_zipped-9.png", "trip_zipped-10.png", "zip-own.png"}
    assert (
        "all.zip: 3 files are left out (hidden: 1, archives inside it (not opened): 1, not pictures: 1)" in server.log
    )
    assert "cannot take the pictures of 'damaged.zip'" in server.log


def test_no_picture_ends_a_batch(opened: Ui, server: Server, photo, screenshots: Path, tmp_path: Path) -> None:
    """Broken EXIF, none at all, rows that are missing, one bit with a transparent colour, no picture."""
    folder, results = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    photo(40, 32).save(folder / "1-exif.jpg", exif=BROKEN_EXIF)
    photo(41, 32).convert("1").save(folder / "2-bit.png", transparency=0)
    photo(300, 200).convert("P").save(folder / "3-cut.png")
    content = (folder / "3-cut.png").read_bytes()
    (folder / "3-cut.png").write_bytes(content[: len(content) * 3 // 4])
    (folder / "4-none.png").write_bytes(b"no picture")
    photo(42, 32).convert("CMYK").save(folder / "5-print.tif")
    photo(43, 32).save(folder / "6-plain.png")
    _run_folder(opened, folder, results)
    opened.shot(screenshots / "no-metadata.png")

    assert _widths(opened) == [40, 41, 42, 43]
    assert sorted(Image.open(file).width for file in results.iterdir()) == [80, 82, 84, 86]
    assert "What 1-exif.jpg says of itself cannot be read, and is left out" in server.log
    assert "2 of 6 pictures are missing: 3-cut.png, 4-none.png" in server.log


def test_uploads_that_are_no_pictures_cost_no_other(opened: Ui, server: Server, photo, tmp_path: Path) -> None:
    photo(40, 32).save(tmp_path / "upload-exif.jpg", exif=BROKEN_EXIF)
    (tmp_path / "none.png").write_bytes(b"no picture")
    photo(44, 32).save(tmp_path / "upload-plain.png")
    _mode(opened, "Batch Process")
    opened.upload(
        "extras_image_batch", *(tmp_path / name for name in ("upload-exif.jpg", "none.png", "upload-plain.png"))
    )
    opened.run("extras")

    assert _widths(opened) == [40, 44]
    assert "none.png is left out: the WebUI cannot read it" in server.log


def test_a_single_picture_with_broken_exif(opened: Ui, photo, tmp_path: Path) -> None:
    photo(40, 32).save(tmp_path / "single.jpg", exif=BROKEN_EXIF)
    opened.upload("extras_image", tmp_path / "single.jpg")
    opened.run("extras")

    assert opened.result("extras").size == (80, 64)


def test_by_the_api(server: Server, photo, tmp_path: Path) -> None:
    import base64

    photo(40, 32).save(tmp_path / "api.jpg", exif=BROKEN_EXIF)
    photo(41, 32).save(tmp_path / "api.png")
    first, second = (base64.b64encode((tmp_path / name).read_bytes()).decode() for name in ("api.jpg", "api.png"))
    asked = {"upscaling_resize": 2, "upscaler_1": "TrueScale 4x"}
    one = server.http.post("/sdapi/v1/extra-single-image", {"image": first, **asked})
    images = [{"data": first, "name": "1.jpg"}, {"data": second, "name": "2.png"}]
    several = server.http.post("/sdapi/v1/extra-batch-images", {"imageList": images, **asked})

    assert one["image"]
    assert len(several["images"]) == 2
