"""The accordion "Get models" in a browser. Nothing is downloaded here: the tests of the panel do that."""

from __future__ import annotations

import pytest

from lib_upscaler.catalogue import entries, find
from panels_page import OpenPage, PanelsPage

OWN = "truescale_extras_catalogue"


def show(page: PanelsPage) -> None:
    page.show("#truescale_extras")
    assert page.is_open(f"#{OWN}")


def card(page: PanelsPage) -> str:
    return page.page.locator(f"#{OWN}_card").first.inner_text()


def can_download(page: PanelsPage) -> bool:
    return page.page.locator(f"button#{OWN}_download").is_enabled()


@pytest.mark.parametrize("server", ["gradio 3", "gradio 4"], indirect=True)
def test_a_model_is_found_by_typing_and_shows_its_licence(page: PanelsPage) -> None:
    show(page)
    assert not can_download(page)
    entry = find("4x-realesrgan-x4plus-anime-6b")
    field = page.page.locator(f"#{OWN}_model input")
    field.click()
    field.fill("anime 6b")
    page.settle()
    field.press("Enter")
    assert page.eventually(lambda: entry.license in card(page))
    assert f"{entry.size / 1e6:.1f} MB" in card(page)
    link = page.page.locator(f"#{OWN}_card a").first
    assert link.get_attribute("href") == entry.page
    assert link.get_attribute("target") == "_blank"


def test_the_filters_narrow_the_list_and_what_has_no_address_is_fetched_by_hand(page: PanelsPage) -> None:
    show(page)
    page.choose(f"{OWN}_for", "faces")
    page.choose(f"{OWN}_of_scale", "4x")
    expected = {entry.label for entry in entries() if "faces" in entry.purposes and entry.scale == 4}
    assert page.eventually(lambda: set(page.choices(f"{OWN}_model")) == expected)
    page.choose(f"{OWN}_for", "Everything")
    assert page.eventually(
        lambda: len(page.choices(f"{OWN}_model")) == len([entry for entry in entries() if entry.scale == 4])
    )
    page.choose(f"{OWN}_model", "4x UltraSharp")
    assert page.eventually(lambda: "Fetch it from its page" in card(page))
    assert not can_download(page)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_phone_it_fits_and_axe_finds_nothing_serious(open_page: OpenPage, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    page = open_page(width=390, height=844, dark=dark)
    show(page)
    page.choose(f"{OWN}_model", "4x UltraSharpV2")
    assert page.eventually(lambda: "made for" in card(page))
    assert page.script("() => document.documentElement.scrollWidth <= innerWidth")
    found = axe.run(page.page, context=f"#{OWN}", options={"resultTypes": ["violations"]}).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], node["html"][:200]) for one in serious for node in one["nodes"]] == []
