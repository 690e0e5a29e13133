"""Our scripts as a page loads them: in any order, late, and twice."""

from __future__ import annotations

from pathlib import Path

from panels_page import OpenPage, PanelsPage
from viewer_page import address_of, positions

JAVASCRIPT = Path(__file__).resolve().parents[2] / "javascript"
SCRIPTS = {file.stem: file.read_text(encoding="utf-8") for file in sorted(JAVASCRIPT.glob("*.js"))}
_LOAD = "(code) => { document.head.append(Object.assign(document.createElement('script'), {textContent: code})); }"
_FORGET = "() => { delete window.TrueScale; delete window.trueScaleScripts; }"
_SHARED = "() => Object.keys(TrueScale).sort()"


def _opens_a_comparison(page: PanelsPage) -> bool:
    address = address_of(positions(16, 16))
    sides = [{"src": address, "label": label} for label in ("A", "B")]
    page.script("([left, right]) => { TrueScale.compare(left, right); }", sides)
    page.page.wait_for_selector("#truescale_compare_dialog .truescale-stage[aria-busy=false]")
    page.page.keyboard.press("Escape")
    return page.page.locator("#truescale_compare_dialog").count() == 0


def test_the_order_in_which_they_come_does_not_matter(open_page: OpenPage) -> None:
    page = open_page()
    wanted = page.script(_SHARED)
    page.script(_FORGET)
    for name in reversed(SCRIPTS):  # the shared one last, when the page has long been built
        page.script(_LOAD, SCRIPTS[name])
    assert page.script(_SHARED) == wanted
    assert _opens_a_comparison(page)


def test_what_is_loaded_twice_runs_once(open_page: OpenPage) -> None:
    page = open_page()
    page.script("() => { window.was = {...TrueScale}; }")
    for code in SCRIPTS.values():
        page.script(_LOAD, code)
    assert page.script("() => Object.keys(was).every((name) => name === 'runs' || was[name] === TrueScale[name])")
    assert _opens_a_comparison(page)
