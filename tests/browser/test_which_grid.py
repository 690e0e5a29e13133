"""The crop picker, and the grid of what each model made of the crop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from panels_page import OpenPage, PanelsPage
from viewer_page import COMPARISON, CROPPING, Stage, address_of, positions, same_page_boxes, serious_in

PANEL = "#truescale_extras_which"
_STAND_IN = (Path(__file__).parent / "which_panel.js").read_text(encoding="utf-8")
_PICK = "([src, initial, options]) => { window.picked = TrueScale.pickCrop(src, initial, options); }"
NAMES = ["Source", "first 4x", "Second <4x> & more", "Contact sheet"]
COLORS = [(200, 200, 200), (255, 0, 0), (0, 0, 255), (9, 9, 9)]


# -- picking -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(look: OpenPage) -> Iterator[PanelsPage]:
    """A page for all tests; the dialog that a test opens in it is closed after it."""
    page = look()
    yield page
    page.page.keyboard.press("Escape")
    assert page.page.locator("dialog[open]").count() == 0


class Picker(Stage):
    """The dialog in which a crop is picked, on a picture whose colours say where each of its pixels is."""

    def __init__(
        self, page: PanelsPage, size: tuple[int, int] = (256, 200), initial: Any = None, **options: Any
    ) -> None:
        page.script(_PICK, [address_of(positions(*size)), initial, options])
        page.page.wait_for_selector(f"{CROPPING} .truescale-crop")
        page.page.wait_for_function(f"() => document.querySelector('{CROPPING} .truescale-crop').style.width")
        super().__init__(page, CROPPING)
        self.size = size

    def square(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of what is framed, in px of the picture, as it is seen."""
        (frame,) = same_page_boxes(self.panels, f"{CROPPING} .truescale-crop")
        box = self.picture()
        scale = box["width"] / self.size[0]
        edges = (frame["x"] - box["x"], frame["y"] - box["y"], frame["width"], frame["height"])
        return tuple(round(edge / scale) for edge in edges)

    def answer(self) -> dict[str, int] | None:
        return self.panels.script("() => window.picked")


def test_it_is_in_the_middle_at_first_and_answers_px_of_the_picture(shared: PanelsPage) -> None:
    picker = Picker(shared)
    assert picker.square() == (32, 4, 192, 192)
    picker.press("Use this crop")
    assert not picker.is_open()
    assert picker.answer() == {"x": 32, "y": 4, "width": 192, "height": 192}


@pytest.mark.parametrize(
    ("key", "moved"),
    [
        *(("ArrowLeft", (-1, 0)), ("ArrowRight", (1, 0)), ("ArrowUp", (0, -1)), ("ArrowDown", (0, 1))),
        *(("Shift+ArrowLeft", (-16, 0)), ("Shift+ArrowRight", (16, 0))),
        *(("Shift+ArrowUp", (0, -16)), ("Shift+ArrowDown", (0, 16))),
    ],
)
def test_keys_move_the_square_and_enter_picks_it(shared: PanelsPage, key: str, moved: tuple[int, int]) -> None:
    picker = Picker(shared, initial={"x": 60, "y": 70, "width": 64, "height": 64})
    picker.key(key)
    expected = (60 + moved[0], 70 + moved[1], 64, 64)
    assert picker.square() == expected
    picker.key("Enter")
    assert tuple(picker.answer().values()) == expected


def test_the_square_stays_on_the_picture(shared: PanelsPage) -> None:
    picker = Picker(shared)
    picker.key("Shift+ArrowRight", 9)
    picker.key("Shift+ArrowDown", 9)
    assert picker.square() == (64, 8, 192, 192)
    picker.drag(picker.point(0.7, 0.5), picker.point(-0.5, -0.5))
    assert picker.square() == (0, 0, 192, 192)


@pytest.mark.parametrize(("size", "crop"), [((100, 60), (100, 60)), ((256, 90), (192, 90)), ((1, 1), (1, 1))])
def test_of_a_smaller_picture_it_takes_the_whole_side(
    shared: PanelsPage, size: tuple[int, int], crop: tuple[int, int]
) -> None:
    picker = Picker(shared, size)
    picker.key("Enter")
    assert picker.answer() == {"x": (size[0] - crop[0]) // 2, "y": 0, "width": crop[0], "height": crop[1]}


def test_the_size_is_changed_about_its_middle(shared: PanelsPage) -> None:
    picker = Picker(shared, initial={"x": 100, "y": 50, "width": 64, "height": 64})
    range_ = picker.page.get_by_label("Size of the crop")
    assert [range_.get_attribute(name) for name in ("min", "max")] == ["32", "512"]
    range_.fill("96")
    assert picker.square() == (84, 34, 96, 96)
    range_.press("ArrowLeft")  # of the range, not of the square
    assert picker.square() == (92, 42, 80, 80)
    range_.fill("512")
    assert picker.square() == (0, 0, 256, 200)


def test_what_is_framed_is_what_is_answered(shared: PanelsPage) -> None:
    """The picture's own pixels at the corners of the frame say so, zoomed and moved."""
    picker = Picker(shared, initial={"x": 100, "y": 90, "width": 32, "height": 32})
    picker.wheel(*picker.point(116 / 256, 106 / 200), 6)
    (frame,) = same_page_boxes(picker.panels, f"{CROPPING} .truescale-crop")
    start = (frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    picker.drag(start, (start[0] + 50, start[1] - 30))
    (frame,) = same_page_boxes(picker.panels, f"{CROPPING} .truescale-crop")
    scale = frame["width"] / 32
    left, top = picker.color(round(frame["x"] + scale / 2), round(frame["y"] + scale / 2))[:2]
    picker.key("Enter")
    answer = picker.answer()
    assert (answer["x"], answer["y"]) == pytest.approx((left, top), abs=1)
    assert (answer["x"], answer["y"]) != (100, 90)


def test_a_press_on_the_picture_brings_the_square_there_while_all_is_seen(shared: PanelsPage) -> None:
    picker = Picker(shared, initial={"x": 0, "y": 0, "width": 32, "height": 32})
    picker.page.mouse.click(*picker.point(0.5, 0.75))
    assert picker.square() == pytest.approx((128 - 16, 150 - 16, 32, 32), abs=1)


def test_a_finger_moves_the_square(shared: PanelsPage) -> None:
    picker = Picker(shared, initial={"x": 100, "y": 50, "width": 64, "height": 64})
    start, end = picker.point(132 / 256, 82 / 200), picker.point(82 / 256, 132 / 200)
    picker.touch([start], [end])
    assert picker.square() == pytest.approx((50, 100, 64, 64), abs=1)


@pytest.mark.parametrize("way", ["Escape", "Cancel", "Enter on Cancel"])
def test_giving_up_answers_null(shared: PanelsPage, way: str) -> None:
    shared.tab("Extras")
    shared.page.locator("#extras_generate").focus()
    picker = Picker(shared)
    if way == "Escape":
        picker.key("Escape")
    elif way == "Cancel":
        picker.press("Cancel")
    else:
        picker.page.locator(f"{CROPPING} button", has_text="Cancel").focus()
        picker.key("Enter")
    assert not picker.is_open()
    assert picker.answer() is None
    assert shared.script("() => document.activeElement.id") == "extras_generate"


def test_it_says_where_the_square_is(shared: PanelsPage) -> None:
    picker = Picker(shared)
    square = picker.page.locator(f"{CROPPING} .truescale-crop")
    assert square.get_attribute("aria-label")
    assert shared.script("() => document.activeElement.className") == "truescale-crop"
    picker.key("ArrowRight")
    status = picker.page.locator(f"{CROPPING} [role=status]")
    assert shared.eventually(lambda: status.inner_text() == "192 x 192, x 33, y 4")


def test_a_picture_that_cannot_be_shown_is_said_in_words(shared: PanelsPage) -> None:
    shared.script(_PICK, ["data:image/png;base64,AAAA", None, {}])
    words = shared.page.wait_for_selector(f"{CROPPING} [role=alert]").inner_text()
    assert len(words.split()) > 6


# -- the panel ---------------------------------------------------------------------------------------------------------


class Panel:
    """The stand-in for the panel, in a page of its own."""

    def __init__(self, page: PanelsPage) -> None:
        self.panels, self.page = page, page.page
        page.tab("Extras")
        page.script(_STAND_IN)
        page.settle()

    def heard(self, channel: str) -> list[Any]:
        """What has been said on it."""
        return [json.loads(text) for text in self.panels.script("(name) => window.which.heard[name]", channel)]

    def pick(self) -> None:
        self.page.locator(f"{PANEL}_pick").click()

    def answer(self, colors: list[Any], names: list[str]) -> None:
        """As the server's at the end of a run."""
        srcs = [address_of(Image.new("RGB", (64, 64), color)) for color in colors]
        self.panels.script("([srcs, names]) => window.which.answer(srcs, names)", [srcs, names])
        self.panels.settle()

    def captions(self) -> list[str]:
        return self.page.locator(f"{PANEL}_pictures figcaption").all_inner_texts()

    def figure(self, number: int) -> Any:
        return self.page.locator(f"{PANEL}_pictures figure").nth(number)

    def compared(self) -> tuple[list[str], list[tuple[int, ...]]]:
        """The labels and colours of both sides of the comparison that is open; it is closed."""
        self.page.wait_for_selector(f"{COMPARISON} .truescale-stage[aria-busy=false]")
        stage = Stage(self.panels)
        labels = self.page.locator(f"{COMPARISON} .truescale-tag > :first-child").all_inner_texts()
        colors = [stage.color(*stage.point(part, 0.4)) for part in (0.2, 0.8)]
        stage.key("Escape")
        return labels, colors


@pytest.fixture
def panel(page: PanelsPage) -> Panel:
    return Panel(page)


@pytest.fixture(scope="module")
def run(look: OpenPage) -> Panel:
    """One for all tests, after a run of two models."""
    panel = Panel(look())
    panel.answer(COLORS, NAMES)
    return panel


def _crop(x: int) -> dict[str, Any]:
    """Of a picture of 256x200."""
    return {"x": x, "y": 4, "width": 192, "height": 192, "of": [256, 200]}


def test_the_crop_is_written_for_the_server_and_shown(panel: Panel, tmp_path: Path) -> None:
    panel.pick()
    note = panel.page.locator(f"{PANEL}_preview")
    assert note.inner_text() == "Load a picture into Extras first"
    assert panel.heard("crop") == []
    file = tmp_path / "source.png"
    positions(256, 200).save(file)
    panel.panels.upload("extras_image", file)
    panel.pick()
    panel.page.wait_for_selector(f"{CROPPING} .truescale-crop")
    panel.page.keyboard.press("ArrowRight")
    panel.page.keyboard.press("Enter")
    assert panel.panels.eventually(lambda: panel.heard("crop") == [_crop(33)])
    assert panel.panels.script("() => document.activeElement.id") == f"{PANEL}_pick"[1:]
    assert note.inner_text() == "192 x 192, x 33, y 4"
    preview = note.get_by_role("img")
    assert preview.get_attribute("aria-label")
    (box,), (row,) = (same_page_boxes(panel.panels, one) for one in (f"{PANEL}_preview canvas", f"{PANEL}_pick"))
    assert (box["width"], box["height"]) == (96, 96)
    assert box["y"] >= row["y"] + row["height"]
    stage = Stage(panel.panels)
    assert stage.color(round(box["x"] + 48), round(box["y"] + 48))[:2] == pytest.approx((33 + 96, 4 + 96), abs=3)

    panel.pick()  # it begins where it was
    panel.page.wait_for_selector(f"{CROPPING} .truescale-crop")
    panel.page.keyboard.press("ArrowLeft")
    panel.page.keyboard.press("Enter")
    assert panel.panels.eventually(lambda: panel.heard("crop")[-1] == _crop(32))
    panel.pick()
    panel.page.keyboard.press("Escape")
    assert len(panel.heard("crop")) == 2


def test_a_crop_goes_with_a_picture_of_its_size(panel: Panel) -> None:
    show = """(src) => new Promise((done) => {
        const image = document.querySelector("#extras_image img") || document.createElement("img");
        image.addEventListener("load", () => setTimeout(done, 50), {once: true});
        image.src = src;
        document.querySelector("#extras_image").append(image);
    })"""
    panel.panels.script(show, address_of(positions(256, 200)))
    panel.pick()
    panel.page.wait_for_selector(f"{CROPPING} .truescale-crop")
    panel.page.keyboard.press("Enter")
    preview = panel.page.locator(f"{PANEL}_preview canvas")
    assert panel.panels.eventually(lambda: preview.count() == 1)
    panel.panels.script(show, address_of(Image.new("RGB", (256, 200), (10, 200, 10))))
    (box,) = same_page_boxes(panel.panels, f"{PANEL}_preview canvas")
    assert Stage(panel.panels).color(round(box["x"] + 48), round(box["y"] + 48)) == (10, 200, 10)
    panel.panels.script(show, address_of(positions(100, 100)))
    assert preview.count() == 0
    assert panel.heard("crop") == [_crop(32), None]


def test_the_grid_has_a_picture_for_each_model(run: Panel) -> None:
    assert run.captions() == NAMES[:-1]
    shown = run.page.locator(f"{PANEL}_pictures figure img").evaluate_all("all => all.map(one => one.src)")
    assert shown == [address_of(Image.new("RGB", (64, 64), color)) for color in COLORS[:-1]]
    save = run.page.get_by_role("link", name="Save the contact sheet")
    assert save.get_attribute("download") == "which-model.png"
    assert save.get_attribute("href") == address_of(Image.new("RGB", (64, 64), COLORS[-1]))
    buttons = run.figure(0).get_by_role("button").all_inner_texts()
    assert buttons == ["Compare"]  # the source cannot be chosen


def test_a_model_is_chosen_with_a_click(run: Panel) -> None:
    for number in (2, 1):
        run.page.get_by_role("button", name=f"Use {NAMES[number]}").click()
    run.page.get_by_role("button", name=f"Use {NAMES[1]}").click()
    told = run.heard("chosen")
    assert [one["name"] for one in told] == [NAMES[2], NAMES[1], NAMES[1]]
    assert len({one["count"] for one in told}) == 3, "the same choice again would change nothing"
    assert NAMES[1] in run.page.locator(f"{PANEL}_pictures [role=status]").inner_text()


def test_a_click_on_a_picture_compares_it_with_the_source(run: Panel) -> None:
    run.figure(2).locator("img").click()
    assert run.compared() == (["Source", NAMES[2]], [COLORS[0], COLORS[2]])
    assert run.panels.script("() => document.activeElement.tagName") == "BUTTON"
    run.page.keyboard.press("Enter")
    assert run.compared()[0] == ["Source", NAMES[2]]


def test_two_are_compared_with_each_other(run: Panel) -> None:
    buttons = [run.page.get_by_role("button", name=f"Compare {name}", exact=True) for name in NAMES[:-1]]

    def pressed() -> list[str]:
        return [button.get_attribute("aria-pressed") for button in buttons]

    assert pressed() == ["false"] * 3
    buttons[1].click()
    buttons[1].click()  # off again
    buttons[2].click()
    assert pressed() == ["false", "false", "true"]
    buttons[1].click()
    assert run.compared() == (NAMES[1:3], COLORS[1:3])
    assert pressed() == ["false"] * 3
    for number in (0, 2):
        buttons[number].click()
    assert run.compared() == (["Source", NAMES[2]], [COLORS[0], COLORS[2]])


def test_the_grid_follows_each_run_and_survives_being_drawn_again(panel: Panel) -> None:
    assert panel.captions() == []
    panel.answer(COLORS, NAMES)
    assert panel.panels.eventually(lambda: panel.captions() == NAMES[:-1])
    panel.panels.script("() => window.which.again()")
    panel.panels.settle()
    assert panel.captions() == NAMES[:-1]
    panel.panels.script("() => document.querySelector('#truescale_extras_which_pictures').remove()")
    panel.panels.script("() => window.which.again()")
    assert panel.panels.eventually(lambda: panel.captions() == NAMES[:-1])
    panel.answer(COLORS[1:], NAMES)  # the names of a run whose pictures are not all there yet
    assert panel.captions() == NAMES[:-1]
    panel.answer([*COLORS, (1, 2, 3)], ["Source", "a", "b", "c", "Contact sheet"])
    assert panel.panels.eventually(lambda: panel.captions() == ["Source", "a", "b", "c"])
    panel.answer([], [])
    assert panel.panels.eventually(lambda: panel.captions() == [])


def test_the_real_panel(page: PanelsPage, tmp_path: Path) -> None:
    """From the crop to the upscaler that is chosen."""
    page.show("#truescale_extras")
    if not page.is_open(PANEL):
        page.page.locator(f"{PANEL} > .label-wrap").click()
    file = tmp_path / "source.png"
    positions(64, 48).save(file)
    page.upload("extras_image", file)
    page.page.locator(f"{PANEL}_pick").click()
    page.page.wait_for_selector(f"{CROPPING} .truescale-crop")
    page.page.get_by_label("Size of the crop").fill("32")
    page.page.locator(f"{CROPPING} .truescale-crop").focus()
    page.page.keyboard.press("Enter")
    for name in ("four", "two"):
        page.choose("truescale_extras_which_models", name)
    page.page.keyboard.press("Escape")
    page.page.locator(f"{PANEL}_run").click()
    figures = page.page.locator(f"{PANEL}_pictures figcaption")
    assert page.eventually(lambda: figures.all_inner_texts() == ["Source", "four", "two"])
    page.settle()
    page.page.locator(f"{PANEL}_pictures").get_by_role("button", name="Use two").click()
    field = page.page.locator("#truescale_extras_upscaler_1 input")
    assert page.eventually(lambda: field.input_value() == "two")
    page.page.locator(f"{PANEL}_pictures").get_by_role("button", name="Compare with the source: four").click()
    page.page.wait_for_selector(f"{COMPARISON} .truescale-stage[aria-busy=false]")
    stage = Stage(page)
    stage.key("End")  # the source in whole, as the networks of these tests make what they like
    for part in (0.2, 0.7):  # of the crop's 32 px from x = 16 on
        assert stage.color(*stage.point(part, 0.4))[0] == pytest.approx(16 + 32 * part, abs=2)


def test_it_can_be_used_by_keyboard(run: Panel) -> None:
    wanted = run.page.locator(f"{PANEL}_pictures button, {PANEL}_pictures a").count()
    run.page.locator(f"{PANEL}_run").focus()
    reached = set()
    for _ in range(wanted + 3):
        run.page.keyboard.press("Tab")
        reached.add(
            run.panels.script(
                f"() => document.activeElement.closest('{PANEL}_pictures') && document.activeElement.outerHTML"
            )
        )
    assert len(reached - {None}) == wanted == 8


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(run: Panel, look: OpenPage, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    panel = run
    if dark:
        panel = Panel(look(dark=True))
        panel.answer(COLORS, NAMES)
    panel.figure(1).get_by_role("button", name="Use").click()
    assert serious_in(panel.panels, axe, f"{PANEL}_pictures") == []
    Picker(panel.panels)
    assert serious_in(panel.panels, axe, CROPPING) == []
    panel.page.keyboard.press("Escape")


def test_nothing_is_cut_off_on_a_phone(look: OpenPage) -> None:
    panel = Panel(look(width=390, height=844))
    panel.answer(
        COLORS, ["Source", "a_model_with_a_long_name_that_goes_on_and_on_4x_plus_anime_6B", "b", "Contact sheet"]
    )
    assert panel.panels.script("() => document.documentElement.scrollWidth <= innerWidth")
    boxes = same_page_boxes(panel.panels, f"{PANEL}_pictures figure")
    assert all(box["width"] >= 140 and box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    picker = Picker(panel.panels)
    assert picker.cut_off() == []
    assert picker.area()["height"] > 400
    picker.key("Escape")
