"""The panels by keyboard, on a phone, in the dark, and for those who do not see them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from panels_page import PANELS, OpenPage, PanelsPage

# -- keyboard ----------------------------------------------------------------------------------------------------------

_WIDGETS = """(panel) => {
    const root = document.querySelector(panel);
    const found = [...root.querySelectorAll("input, textarea, select, button, .label-wrap")];
    const groups = new Set(), wanted = [];
    for (let one of found) {
        const isAccordion = one.className.includes("label-wrap");
        if (isAccordion) one = one.querySelector("[aria-expanded]") || one;
        if (one.offsetParent === null || one.disabled || one.type === "file") continue;
        if (one.type === "radio") {  // one of a group is in the order of the key Tab, the arrows lead to the others
            if (groups.has(one.name)) continue;
            groups.add(one.name);
        }
        const name = one.closest("[id^=truescale], [id^=setting_truescale]").id;
        one.dataset.wanted = one.type === "radio" ? one.name : String(wanted.length);
        wanted.push([one.dataset.wanted, `${name} ${isAccordion ? "accordion" : one.type}`]);
    }
    return wanted;
}"""
_BEFORE = """(panel) => {
    const before = document.createElement("button");
    const root = document.querySelector(panel);
    root.parentElement.insertBefore(before, root);
    before.focus();
}"""
_FOCUSED = """(panel) => {
    const one = document.activeElement;
    const root = document.querySelector(panel);
    if (!root.contains(one)) return null;
    return one.type === "radio" ? one.name : one.dataset.wanted || "";
}"""


def _steps(page: PanelsPage, panel: str) -> Any:
    """Press Tab from before the panel to its end: what has the focus, each time."""
    page.script(_BEFORE, panel)
    for _ in range(300):
        page.page.keyboard.press("Tab")
        focused = page.script(_FOCUSED, panel)
        if focused is None:
            return
        yield focused


@pytest.mark.parametrize("panel", PANELS)
def test_every_widget_is_reached_by_the_key_tab(look: OpenPage, panel: str) -> None:
    page = look()
    page.show(panel)
    wanted = page.script(_WIDGETS, panel)
    assert len(wanted) >= 5
    reached = set(_steps(page, panel))
    assert [name for mark, name in wanted if mark not in reached] == []


@pytest.mark.parametrize("panel", ["#truescale_extras", "#truescale_hires"])
@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_accordions_are_opened_by_keyboard(page: PanelsPage, panel: str, key: str) -> None:
    page.tab(PANELS[panel])
    for selector in (panel, f"{panel}_advanced"):
        label = page.page.locator(f"{selector} > .label-wrap")
        if label.count() == 0:
            continue
        switch = label.locator("xpath=descendant-or-self::*[@aria-expanded]")
        assert switch.get_attribute("aria-expanded") == "false"
        switch.focus()
        page.page.keyboard.press(key)
        assert page.eventually(lambda: page.is_open(selector)), selector  # noqa: B023 - called at once
        assert switch.get_attribute("aria-expanded") == "true"


@pytest.mark.parametrize("panel", PANELS)
def test_the_focus_can_be_seen(look: OpenPage, panel: str) -> None:
    page = look()
    page.show(panel)
    unseen = []
    for _ in _steps(page, panel):
        box = page.script("() => document.activeElement.getBoundingClientRect().toJSON()")
        clip = {"x": max(0, box["x"] - 8), "y": max(0, box["y"] - 8)}
        clip |= {"width": box["width"] + 16, "height": box["height"] + 16}
        focused = _shot(page, clip)
        page.script("() => { window.had = document.activeElement; window.had.blur(); }")
        blurred = _shot(page, clip)
        page.script("() => window.had.focus({focusVisible: true, preventScroll: true})")
        if ImageChops.difference(focused, blurred).getbbox() is None:
            unseen.append(page.script("() => document.activeElement.outerHTML.slice(0, 200)"))
    assert unseen == []


def _shot(page: PanelsPage, clip: dict[str, float]) -> Image.Image:
    return Image.open(io.BytesIO(page.page.screenshot(clip=clip, animations="disabled"))).convert("RGB")


# -- a phone -----------------------------------------------------------------------------------------------------------

_BEYOND = """(panel) => [...document.querySelectorAll(`${panel}, ${panel} *`)].filter((one) => {
    const box = one.getBoundingClientRect();
    return one.checkVisibility() && box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
}).map((one) => `${one.tagName} ${one.id} ${one.className}`)"""
_CUT = """(panel) => [...document.querySelectorAll(`${panel} span, ${panel} p, ${panel} button`)].filter((one) =>
    one.checkVisibility() && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX === "hidden"
).map((one) => one.innerText)"""


@pytest.mark.parametrize("korean", [False, True], ids=["English", "Korean"])
@pytest.mark.parametrize("panel", PANELS)
def test_nothing_is_cut_off_on_a_phone(look: OpenPage, panel: str, korean: bool) -> None:
    page = look(width=390, height=844, korean=korean)
    page.show(panel)
    ways = page.page.locator(f"{panel}_size_by input[type=radio]")
    for number in range(max(1, ways.count())):
        if ways.count():
            ways.nth(number).check()
            page.settle()
        assert page.script("() => document.documentElement.scrollWidth <= innerWidth")
        assert page.script(_BEYOND, panel) == []
        assert page.script(_CUT, panel) == []


# -- themes ------------------------------------------------------------------------------------------------------------

_CONTRAST = """(element) => {
    const numbers = (color) => { const n = color.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
    const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
    const layers = [];
    for (let one = element; one; one = one.parentElement) layers.push(numbers(getComputedStyle(one).backgroundColor));
    const ground = layers.reduceRight((below, top) => over(top, below), [255, 255, 255]);
    const light = (color) => {
        const [r, g, b] = color.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const pair = [light(over(numbers(getComputedStyle(element).color), ground)), light(ground)].sort((a, b) => b - a);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
}"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_our_own_words_stand_out_from_the_ground(open_page: OpenPage, dark: bool, tmp_path: Path) -> None:
    """4.5 is what WCAG 2 asks for (AA)."""
    page = open_page(dark=dark)
    assert page.script("() => document.body.classList.contains('dark')") is dark
    page.show("#truescale_extras")
    page.choose("extras_upscaler_1", "two")
    assert page.eventually(lambda: page.sees("truescale_extras_twice"))
    page.script(
        "() => document.querySelector('#truescale_extras_twice .truescale-note')"
        ".insertAdjacentHTML('afterend', '<p class=truescale-problem>What is wrong</p>')"
    )
    for selector in ("[id$=_twice] .truescale-note", ".truescale-problem", "[id$=_about] .truescale-note"):
        assert page.page.locator(f"#truescale_extras {selector}").evaluate(_CONTRAST) >= 4.5, selector
    page.show("#truescale_hires")
    assert page.page.locator("#truescale_hires_note .truescale-note").evaluate(_CONTRAST) >= 4.5
    source = tmp_path / "source.png"
    Image.new("RGB", (64, 64)).save(source)
    page.show("#truescale_sd")
    page.upload("img2img_image", source)
    page.page.wait_for_selector("#truescale_sd_plan .truescale-note")
    assert page.page.locator("#truescale_sd_plan .truescale-note").first.evaluate(_CONTRAST) >= 4.5


# -- axe ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("panel", PANELS)
def test_axe_finds_nothing_serious(look: OpenPage, panel: str, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    page = look(dark=dark)
    page.show(panel)
    found = axe.run(page.page, context=panel, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [
        f"{one['id']}: {one['help']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
    assert serious == []
