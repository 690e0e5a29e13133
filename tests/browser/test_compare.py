"""The comparison of a result with its source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from panels_page import OpenPage, PanelsPage
from viewer_page import COMPARISON, Stage, address_of, positions, same_page_boxes, serious_in

RED, BLUE = (255, 0, 0), (0, 0, 255)
EXTRAS, IMG2IMG = "#truescale_compare_extras", "#truescale_compare_img2img"


def solid(size: tuple[int, int], color: Any, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, color)


@pytest.fixture
def shared(look: OpenPage) -> Iterator[PanelsPage]:
    """A page for all tests; the dialog that a test opens in it is closed after it."""
    page = look()
    yield page
    page.page.keyboard.press("Escape")
    assert page.page.locator("dialog[open]").count() == 0


@pytest.fixture
def viewer(shared: PanelsPage) -> Stage:
    """Red of 30x20 px against blue of 75x50 px."""
    return Stage.compare(shared, solid((30, 20), RED), solid((75, 50), BLUE))


@pytest.fixture
def pixels(shared: PanelsPage) -> Stage:
    """A result of 160x240 px whose colours say where each of its pixels is, shown as squares, over the same."""
    stage = Stage.compare(shared, positions(160, 240), positions(160, 240))
    stage.press("Pixelated")
    stage.key("Home")
    return stage


# -- both pictures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"), [((30, 20), (75, 50)), ((31, 21), (78, 53)), ((131, 100), (328, 250)), ((400, 90), (37, 8))]
)
def test_both_pictures_line_up(shared: PanelsPage, before: tuple[int, int], after: tuple[int, int]) -> None:
    stage = Stage.compare(shared, solid(before, RED), solid(after, BLUE))
    for zoom in ("fit", "+", "+", "1:1"):
        if zoom != "fit":
            stage.press(zoom)
        source, result = stage.boxes()
        assert source == result
        assert result["width"] / result["height"] == pytest.approx(after[0] / after[1], rel=0.01)
    words = stage.page.locator(f"{COMPARISON} .truescale-tag").all_inner_texts()
    assert words == [f"Source {before[0]} x {before[1]}", f"Result {after[0]} x {after[1]}"]


def test_left_of_the_divider_is_the_source_and_right_of_it_the_result(viewer: Stage) -> None:
    for keys, percent in (("", 50), ("PageDown", 40), ("Shift+ArrowRight", 50), ("Home", 0), ("End", 100)):
        if keys:
            viewer.key(keys)
        for part in (0.05, 0.3, 0.36, 0.44, 0.56, 0.64, 0.95):
            expected = RED if part * 100 < percent else BLUE
            assert viewer.color(*viewer.point(part, 0.5)) == expected, (percent, part)


def test_one_picture_does_not_shine_through_the_other(shared: PanelsPage) -> None:
    clear = solid((64, 64), (0, 0, 0, 0), "RGBA")
    stage = Stage.compare(shared, clear, solid((64, 64), RED))
    board = {stage.color(*stage.point(0.3 + 0.01 * step, 0.4)) for step in range(8)}
    assert len(board) == 2, "not seen to be transparent"
    assert all(max(color) - min(color) < 40 for color in board), board
    assert stage.color(*stage.point(0.7, 0.4)) == RED


def test_a_picture_that_cannot_be_shown_is_said_in_words(shared: PanelsPage) -> None:
    stage = Stage.compare(shared, solid((30, 20), RED), "data:image/png;base64,AAAA")
    words = stage.page.locator(f"{COMPARISON} [role=alert]").inner_text()
    assert "Result" in words
    assert len(words.split()) > 8
    for key in ("ArrowLeft", "+", "Control+ArrowLeft", "0"):
        stage.key(key)  # which asks for nothing that is not there: errors of the page fail the test


# -- the divider -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "percent"),
    [
        *(("ArrowLeft", 49), ("ArrowDown", 49), ("ArrowRight", 51), ("ArrowUp", 51)),
        *(("Shift+ArrowLeft", 40), ("Shift+ArrowDown", 40), ("Shift+ArrowRight", 60), ("Shift+ArrowUp", 60)),
        *(("PageUp", 60), ("PageDown", 40), ("Home", 0), ("End", 100)),
    ],
)
def test_keys_move_the_divider(viewer: Stage, key: str, percent: int) -> None:
    assert viewer.now() == 50
    viewer.key(key)
    assert viewer.now() == percent
    box, (knob,) = viewer.picture(), same_page_boxes(viewer.panels, f"{COMPARISON} [role=slider]")
    assert knob["x"] + knob["width"] / 2 == pytest.approx(box["x"] + box["width"] * percent / 100, abs=1)


def test_the_divider_stays_inside(viewer: Stage) -> None:
    viewer.key("End")
    viewer.key("ArrowRight")
    assert viewer.now() == 100
    viewer.key("Home")
    viewer.key("PageDown")
    assert viewer.now() == 0


def test_the_handle_can_be_hit_and_is_described(viewer: Stage) -> None:
    (box,) = same_page_boxes(viewer.panels, f"{COMPARISON} [role=slider]")
    (knob,) = same_page_boxes(viewer.panels, f"{COMPARISON} .truescale-knob")
    assert min(box["width"], box["height"], knob["width"], knob["height"]) >= 44
    said = {name: viewer.handle.get_attribute(name) for name in ("aria-valuemin", "aria-valuemax", "aria-valuetext")}
    assert said == {"aria-valuemin": "0", "aria-valuemax": "100", "aria-valuetext": "Source 50 %, Result 50 %"}
    assert viewer.handle.get_attribute("aria-label")


def test_the_mouse_drags_the_handle(viewer: Stage) -> None:
    knob = same_page_boxes(viewer.panels, f"{COMPARISON} .truescale-knob")[0]
    start = (knob["x"] + 10, knob["y"] + 22)  # not its middle: it does not jump there
    to_quarter = viewer.picture()["width"] / 4
    viewer.drag(start, (start[0] - to_quarter, start[1]))
    assert viewer.now() == 25


def test_a_press_beside_the_handle_brings_it_there_while_all_is_seen(viewer: Stage) -> None:
    viewer.page.mouse.click(*viewer.point(0.8, 0.2))
    assert viewer.now() == 80
    viewer.drag(viewer.point(0.1, 0.2), viewer.point(0.3, 0.9))
    assert viewer.now() == 30


def test_a_finger_drags_the_divider(viewer: Stage) -> None:
    viewer.touch([viewer.point(0.5, 0.8)], [viewer.point(0.6, 0.8)], [viewer.point(0.75, 0.8)])
    assert viewer.now() == 75


# -- zooming and moving ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [(0.5, 0.5), (0.2, 0.8), (0.97, 0.1)])
def test_the_wheel_keeps_the_pixel_under_the_pointer(pixels: Stage, part: tuple[float, float]) -> None:
    x, y = pixels.point(*part)
    seen = pixels.color(x, y)
    assert seen[:2] == pytest.approx((part[0] * 160, part[1] * 240), abs=1.5)
    whole = pixels.picture()
    for _ in range(2):
        pixels.wheel(x, y, 4)
        assert pixels.color(x, y)[:2] == pytest.approx(seen[:2], abs=1)
    assert pixels.picture()["width"] > 3 * whole["width"]
    pixels.wheel(x, y, -30)
    assert pixels.picture()["width"] < whole["width"]  # smaller than the page, at 1:1
    assert pixels.picture()["width"] == 160


def test_it_is_zoomed_to_32_px_of_the_screen_for_each(pixels: Stage) -> None:
    pixels.wheel(*pixels.point(0.5, 0.5), 40)
    assert pixels.picture()["width"] == pytest.approx(160 * 32, abs=1)


def test_two_fingers_zoom_about_their_middle_and_move(pixels: Stage) -> None:
    whole = pixels.picture()
    x, y = pixels.point(0.4, 0.5)
    seen = pixels.color(x, y)
    pixels.touch(
        [(x - 40, y)],
        [(x - 40, y), (x + 40, y)],
        [(x - 60, y), (x + 60, y)],
        [(x - 120, y), (x + 120, y)],
        [(x - 90, y + 50), (x + 150, y + 50)],
    )
    assert pixels.picture()["width"] == pytest.approx(3 * whole["width"], rel=0.02)
    assert pixels.color(x + 30, y + 50)[:2] == pytest.approx(seen[:2], abs=1)
    assert pixels.now() == 0  # the first finger alone would have moved the divider


def test_buttons_and_keys_zoom(viewer: Stage) -> None:
    whole = viewer.picture()
    for way in (viewer.press, viewer.key):
        way("+")
        assert viewer.picture()["width"] == pytest.approx(1.5 * whole["width"])
        way("\u2212" if way == viewer.press else "-")
        assert viewer.picture() == whole
        way("+")
        way("+")
        way("Fit" if way == viewer.press else "0")
        assert viewer.picture() == whole
    viewer.press("1:1")
    assert viewer.picture()["width"] == 75


def test_1_to_1_is_of_the_screens_pixels(page: PanelsPage) -> None:
    metrics = {"width": 1280, "height": 900, "deviceScaleFactor": 2, "mobile": False}
    page.page.context.new_cdp_session(page.page).send("Emulation.setDeviceMetricsOverride", metrics)
    stage = Stage.compare(page, solid((30, 20), RED), solid((75, 50), BLUE))
    stage.press("1:1")
    assert stage.picture()["width"] == 37.5


def test_1_to_1_is_sharp(shared: PanelsPage) -> None:
    """Columns of a pixel, in turn black and white, in a picture whose middle is between two pixels of the screen."""
    stripes = Image.new("L", (75, 51))
    stripes.putdata([x % 2 * 255 for _ in range(51) for x in range(75)])
    stage = Stage.compare(shared, stripes, stripes)
    stage.press("1:1")
    stage.key("End")
    box = stage.picture()
    found = [stage.color(round(box["x"]) + x, round(box["y"]) + 25)[0] for x in range(20, 28)]
    assert found == [0, 255] * 4


def test_all_of_the_picture_is_seen_at_first_and_after_a_change_of_the_window(shared: PanelsPage) -> None:
    stage = Stage.compare(shared, solid((30, 20), RED), solid((300, 200), BLUE))
    try:
        for size in (None, (500, 800), (1280, 900)):
            if size:
                shared.page.set_viewport_size({"width": size[0], "height": size[1]})
                shared.settle()
            area, box = stage.area(), stage.picture()
            fitting = min(area["width"] / 300, area["height"] / 200)
            assert box["width"] == pytest.approx(300 * fitting)
            assert box["x"] == pytest.approx(area["x"] + (area["width"] - 300 * fitting) / 2, abs=1)
            assert box["y"] == pytest.approx(area["y"] + (area["height"] - 200 * fitting) / 2, abs=1)
    finally:
        shared.page.set_viewport_size({"width": 1280, "height": 900})


def test_a_drag_beside_the_handle_moves_a_picture_that_is_not_seen_in_whole(pixels: Stage) -> None:
    pixels.key("+", 3)
    pixels.key("PageUp", 5)
    before, (x, y) = pixels.picture(), (300, 300)
    seen = pixels.color(x, y)
    pixels.drag((x, y), (x + 120, y + 60))
    assert pixels.color(x + 120, y + 60) == seen
    after = pixels.picture()
    assert (after["x"] - before["x"], after["y"] - before["y"]) == (120, 60)
    assert pixels.now() == 50
    for key, change in (("ArrowLeft", "x"), ("ArrowUp", "y")):
        was = pixels.picture()
        pixels.key(f"Control+{key}")
        assert pixels.picture()[change] > was[change]
    assert pixels.now() == 50


def test_the_picture_cannot_be_moved_off_the_stage(pixels: Stage) -> None:
    pixels.key("+", 3)
    area = pixels.area()
    for way in (1, -1):
        for _ in range(4):
            pixels.drag((600, 400), (600 + way * 550, 400 + way * 350))
        box = pixels.picture()
        assert box["x"] <= 400
        assert box["x"] + box["width"] >= area["width"] - 400
        assert box["y"] <= area["y"] + 1
        assert box["y"] + box["height"] >= area["y"] + area["height"] - 1


@pytest.mark.parametrize("way", ["click", "tap"])
def test_two_clicks_or_taps_show_all(pixels: Stage, way: str) -> None:
    whole = pixels.picture()
    pixels.wheel(400, 300, 4)
    assert pixels.picture()["width"] > whole["width"]
    if way == "click":
        pixels.page.mouse.dblclick(500, 300)
    else:
        stop = (
            "() => window.addEventListener('dblclick', (event) => event.stopPropagation(), {capture: true, once: true})"
        )
        pixels.panels.script(stop)  # as in a browser that makes none of two taps
        pixels.touch([(500, 300)])
        pixels.touch([(505, 300)])
    assert pixels.picture() == whole


def test_pixelated(shared: PanelsPage) -> None:
    halves = solid((2, 1), RED)
    halves.putpixel((1, 0), BLUE)
    stage = Stage.compare(shared, halves, halves)
    stage.key("Home")
    button = stage.page.locator(f"{COMPARISON} button", has_text="Pixelated")
    mixed = stage.color(*stage.point(0.48, 0.3))
    assert mixed not in (RED, BLUE)
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert stage.color(*stage.point(0.48, 0.3)) == RED
    assert stage.color(*stage.point(0.52, 0.3)) == BLUE
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert stage.color(*stage.point(0.48, 0.3)) == mixed


# -- a dialog ----------------------------------------------------------------------------------------------------------

_LISTEN = """() => {
    window.heard = [];
    for (const where of [window, document]) {
        for (const type of ["keydown", "keypress", "keyup", "wheel", "paste"]) {
            where.addEventListener(type, (event) => window.heard.push(event.key || event.type));
        }
    }
}"""


def test_its_keys_and_wheel_are_not_the_hosts(page: PanelsPage) -> None:
    page.tab("Extras")
    page.script(_LISTEN)
    page.script("() => document.body.style.paddingBottom = '3000px'")
    stage = Stage.compare(page, solid((30, 20), RED), solid((75, 50), BLUE), EXTRAS)
    for key in ("ArrowLeft", "ArrowRight", "Control+Enter", "Alt+Enter", "s", "+", "Tab", "Enter"):
        stage.key(key)
    stage.wheel(600, 400, 2)
    stage.page.mouse.move(600, 20)  # over the buttons
    stage.page.mouse.wheel(0, 300)
    page.settle()
    assert page.script("() => window.heard") == []
    assert page.script("() => window.scrollY") == 0
    for _ in range(3):
        page.page.keyboard.down("Escape")  # held down: what it repeats would interrupt the host's run
    page.page.keyboard.up("Escape")
    assert not stage.is_open()
    assert page.script("() => window.heard") == []
    page.page.keyboard.press("ArrowLeft")
    assert page.script("() => window.heard.filter((key) => key === 'ArrowLeft').length") >= 2
    page.page.mouse.wheel(0, 300)
    assert page.eventually(lambda: page.script("() => window.scrollY") > 0)


def test_the_focus_stays_inside(viewer: Stage) -> None:
    focused = "() => document.activeElement.closest('dialog') && document.activeElement.outerHTML"
    count = viewer.page.locator(f"{COMPARISON} button, {COMPARISON} [role=slider]").count()
    for key in ("Tab", "Shift+Tab"):
        seen = []
        for _ in range(count):
            viewer.key(key)
            seen.append(viewer.panels.script(focused))
        assert None not in seen
        assert len(set(seen)) == count
    assert viewer.panels.script("() => document.activeElement.getAttribute('role')") == "slider"


def test_it_is_a_modal_dialog_with_a_name(viewer: Stage) -> None:
    dialog = viewer.page.get_by_role("dialog")
    assert dialog.count() == 1
    assert dialog.get_attribute("aria-modal") == "true"
    assert dialog.get_attribute("aria-label")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(look: OpenPage, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    page = look(dark=True) if dark else look()
    stage = Stage.compare(page, solid((30, 20), RED), solid((75, 50), BLUE))
    assert serious_in(page, axe, COMPARISON) == []
    stage.key("Escape")


def test_nothing_is_cut_off_on_a_phone(look: OpenPage) -> None:
    page = look(width=390, height=844)
    long = "a model with a long name that goes on and on 4x_plus_anime_6B_ultra"
    before, after = (
        {"src": "data:image/gif;base64,R0lGODlhAQABAAAAACw=", "label": name} for name in (long, long[::-1])
    )
    page.script("([before, after]) => { TrueScale.compare(before, after); }", [before, after])
    stage = Stage(page)
    page.settle()
    assert stage.cut_off() == []
    area = stage.area()
    assert area["height"] > 500
    assert area["y"] + area["height"] <= 844
    stage.key("Escape")


# -- the button --------------------------------------------------------------------------------------------------------


def prepare_extras(page: PanelsPage) -> None:
    page.show("#truescale_extras")
    page.page.locator("#extras_upscale > .label-wrap").click()
    page.settle()
    page.choose("truescale_extras_upscaler_1", "four")
    page.set_number("truescale_extras_scale", 2.5)


def put(page: PanelsPage, elem_id: str, folder: Path, picture: Image.Image) -> None:
    """A picture in place of the one that may be there."""
    clear = page.page.locator(f"#{elem_id} button[title=Clear], #{elem_id} button[title='Remove Image']")
    if clear.count():
        clear.first.click()
        page.settle()
    file = folder / f"{len(list(folder.iterdir()))}.png"
    picture.save(file)
    page.upload(elem_id, file)


def run(page: PanelsPage, tab: str) -> None:
    """Until there is another result than before."""
    address = f"() => (document.querySelector('#{tab}_gallery .grid-container img') || {{}}).src || ''"
    before = page.script(address)
    page.page.locator(f"#{tab}_generate").click()
    assert page.eventually(lambda: page.script(address) != before)
    page.settle()


def open_by(page: PanelsPage, button: str) -> Stage:
    """By keyboard."""
    page.page.locator(button).focus()
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(f"{COMPARISON} .truescale-stage[aria-busy=false]")
    return Stage(page)


def test_a_button_that_has_nothing_to_compare_says_why(shared: PanelsPage) -> None:
    page = shared
    for tab, selector in (("Extras", EXTRAS), ("img2img", IMG2IMG)):
        page.tab(tab)
        button = page.page.locator(selector)
        assert button.get_attribute("aria-disabled") == "true"
        assert button.get_attribute("title") == "There is no result yet"
        button.focus()
        page.page.keyboard.press("Enter")
        assert not Stage(page).is_open()
    assert page.page.locator(".truescale-compare").count() == 2  # txt2img has no source


def test_the_result_of_extras_is_compared_with_what_it_was_made_from(page: PanelsPage, tmp_path: Path) -> None:
    prepare_extras(page)
    stage = Stage(page)
    button = page.page.locator(EXTRAS)

    def colours() -> list[tuple[int, ...]]:
        open_by(page, EXTRAS)
        words = page.page.locator(f"{COMPARISON} .truescale-tag").all_inner_texts()
        assert words == ["Source 30 x 20", "Result 75 x 50"]
        source, result = stage.boxes()
        assert source == result
        found = [stage.color(*stage.point(part, 0.3)) for part in (0.2, 0.8)]
        stage.key("Escape")
        assert not stage.is_open()
        assert page.script("() => '#' + document.activeElement.id") == EXTRAS
        return found

    put(page, "extras_image", tmp_path, solid((30, 20), (200, 40, 40)))
    run(page, "extras")
    assert button.get_attribute("aria-disabled") == "false"
    first = colours()
    assert first[0] == (200, 40, 40)
    put(page, "extras_image", tmp_path, solid((30, 20), (40, 40, 200)))
    assert colours() == first, "the source was exchanged after the run"
    run(page, "extras")
    second = colours()
    assert second[0] == (40, 40, 200)
    assert second[1] != first[1]


def test_a_source_that_is_exchanged_during_the_run_is_not_taken(page: PanelsPage, tmp_path: Path) -> None:
    page.tab("img2img")
    put(page, "img2img_image", tmp_path, solid((30, 20), (200, 40, 40)))
    page.script(
        """(other) => {
            document.querySelector("#img2img_generate").click();
            document.querySelector("#img2img_image img").src = other;
        }""",
        address_of(solid((30, 20), BLUE)),
    )
    page.page.wait_for_selector("#img2img_gallery img")
    page.settle()
    stage = open_by(page, IMG2IMG)
    assert stage.color(*stage.point(0.2, 0.3)) == (200, 40, 40)


@pytest.mark.parametrize("server", ["gradio 3", "gradio 4"], indirect=True)
def test_in_img2img_it_compares_the_picture_that_is_selected(page: PanelsPage, tmp_path: Path) -> None:
    page.tab("img2img")
    put(page, "img2img_image", tmp_path, solid((30, 20), RED))
    run(page, "img2img")

    def sizes() -> list[str]:
        open_by(page, IMG2IMG)
        words = page.page.locator(f"{COMPARISON} .truescale-tag").all_inner_texts()
        page.page.keyboard.press("Escape")
        return words

    assert sizes() == ["Source 30 x 20", "Result 60 x 40"]
    page.page.locator("#img2img_gallery .thumbnail-small").nth(1).click()
    page.settle()
    assert sizes() == ["Source 30 x 20", "Result 20 x 20"]


def test_a_source_that_was_cropped_or_filled_lies_as_it_did(page: PanelsPage, tmp_path: Path) -> None:
    """A source of 40x20 px, green where a crop to a square cuts it off, over such a square."""
    page.tab("img2img")
    wide = solid((40, 20), RED)
    wide.paste((0, 255, 0), (0, 0, 9, 20))
    names = {RED: "red", (0, 255, 0): "green"}
    for number, (way, left, top) in enumerate(
        [("Crop and resize", "red", "red"), ("Resize and fill", "green", "nothing")]
    ):
        wide.putpixel((39, 19), (number, 0, 0))  # another result each time
        put(page, "img2img_image", tmp_path, wide)
        page.pick("resize_mode", way)
        run(page, "img2img")
        page.page.locator("#img2img_gallery .thumbnail-small").nth(1).click()
        page.settle()
        stage = open_by(page, IMG2IMG)
        assert names.get(stage.color(*stage.point(0.03, 0.5))) == left, way
        assert names.get(stage.color(*stage.point(0.4, 0.1)), "nothing") == top, way
        stage.key("Escape")


def test_the_focus_goes_back_to_a_button_that_was_drawn_again(page: PanelsPage, tmp_path: Path) -> None:
    page.tab("img2img")
    put(page, "img2img_image", tmp_path, solid((30, 20), RED))
    run(page, "img2img")
    stage = open_by(page, IMG2IMG)
    page.script(f"() => document.querySelector('{IMG2IMG}').remove()")
    assert page.eventually(lambda: page.page.locator(IMG2IMG).count() == 1)
    stage.key("Escape")
    assert page.script("() => '#' + document.activeElement.id") == IMG2IMG


def test_the_button_comes_back_but_not_twice_and_below_the_gallery_if_there_is_no_row(page: PanelsPage) -> None:
    page.tab("Extras")
    page.script(f"() => document.querySelector('{EXTRAS}').remove()")
    page.script("() => document.querySelector('#extras_generate').append(document.createElement('i'))")
    assert page.eventually(lambda: page.page.locator(EXTRAS).count() == 1)
    page.script("() => document.querySelector('#extras_generate').append(document.createElement('i'))")
    page.settle()  # the host's scripts have told ours of it
    assert page.page.locator(EXTRAS).count() == 1
    page.script(f"() => {{ document.querySelector('{EXTRAS}').remove(); image_buttons_extras.remove(); }}")
    assert page.eventually(lambda: page.page.locator(EXTRAS).count() == 1)
    (gallery,), (button,) = (same_page_boxes(page, selector) for selector in ("#extras_gallery", EXTRAS))
    assert button["y"] >= gallery["y"] + gallery["height"]
