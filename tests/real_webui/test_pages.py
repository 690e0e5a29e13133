"""The panels as they look, in each theme and in Korean; pasting of infotext; the step after generating."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from model_names import VIDEO
from webui_browser import Ui, open_ui
from webui_process import DataFolder, Host, Server

PANEL, HIRES = "truescale_extras", "truescale_hires"
_INFOTEXT = (
    "a cat\nSteps: 2, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 128x128, Denoising strength: 0.5, Hires upscale: 2,"
    f" Hires upscaler: TrueScale 4x, Hires upscaler 2: {VIDEO}, Hires upscaler 2 visibility: 0.25,"
    " Hires upscaler precision: exact, Hires upscaler tile: 64"
)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_screenshots(dark: bool, chromium: str, server: Server, screenshots: Path) -> None:
    theme = "dark" if dark else "light"
    with open_ui(chromium, server.port, dark=dark, height=1600) as ui:
        _shoot(ui, screenshots, theme)
        assert ui.errors == []


def _shoot(ui: Ui, folder: Path, name: str) -> None:
    ui.tab("extras")
    ui.shot(folder / f"{name}-rest.png")
    ui.open_panel(PANEL)
    ui.open_panel(f"{PANEL}_advanced")
    ui.shot(folder / f"{name}-open.png")
    ui.page.locator(f"#{PANEL}_size_by input[type=radio]").nth(1).check()
    ui.page.wait_for_timeout(700)
    ui.shot(folder / f"{name}-size.png", f"#{PANEL}")
    ui.tab("txt2img")
    ui.open_panel(HIRES)
    ui.shot(folder / f"{name}-hires.png")
    ui.tab("settings")
    ui.page.locator("#settings > .tab-nav > button", has_text="Upscaling").or_(
        ui.page.locator("#settings > .tab-nav > button", has_text="업스케일링")
    ).first.click()
    ui.page.wait_for_timeout(500)
    ui.shot(folder / f"{name}-settings.png")


def test_narrow(chromium: str, server: Server, screenshots: Path) -> None:
    """As on a phone: nothing sticks out."""
    with open_ui(chromium, server.port, width=420, height=1600) as ui:
        ui.tab("extras")
        ui.open_panel(PANEL)
        ui.shot(screenshots / "narrow.png", f"#{PANEL}")
        box = ui.page.locator(f"#{PANEL}").bounding_box()
        assert box["x"] + box["width"] <= 420


def test_korean(host: Host, new_data: Callable[..., DataFolder], chromium: str, screenshots: Path) -> None:
    """Every label of the panels is translated."""
    with Server(host, new_data(localization="ko_KR")) as server, open_ui(chromium, server.port, height=1600) as ui:
        _shoot(ui, screenshots, "korean")
        ui.tab("extras")
        words = ui.page.evaluate(_LATIN_LABELS, f"#{PANEL}") + ui.page.evaluate(_LATIN_LABELS, f"#{HIRES}")

    assert [word for word in dict.fromkeys(words) if word not in _NAMES] == []


_NAMES = ("TrueScale", "TrueScale Hires Fix", "webui", "dpmpp_2m", "ddim")
_LATIN_LABELS = """(selector) => [...gradioApp().querySelectorAll(
    `${selector} span, ${selector} p, ${selector} .info`
)].filter((e) => !e.children.length && /[a-z]{3}/.test(e.textContent) && !/[\\uac00-\\ud7a3]/.test(e.textContent)
    && !e.closest(".truescale-hidden"))
  .map((e) => e.textContent.trim())"""


def test_infotext_is_pasted(ui: Ui) -> None:
    ui.tab("txt2img")
    ui.page.locator("#txt2img_prompt textarea").fill(_INFOTEXT)
    ui.page.locator("#paste").first.click()
    ui.page.wait_for_timeout(2500)

    assert ui.is_on(HIRES)
    assert ui.value(f"{HIRES}_upscaler_2") == VIDEO
    assert ui.value(f"{HIRES}_upscaler_2_visibility") == "0.25"
    assert ui.value(f"{HIRES}_precision") == "exact"
    assert ui.value(f"{HIRES}_tile") == "64"
    ui.page.locator("#txt2img_prompt textarea").fill(_INFOTEXT.split(", Hires upscaler 2:")[0])
    ui.page.locator("#paste").first.click()
    ui.page.wait_for_timeout(2500)

    assert not ui.is_on(HIRES)
    assert ui.value(f"{HIRES}_upscaler_2") == "None"


def test_the_step_after_generating(
    host: Host, new_data: Callable[..., DataFolder], chromium: str, screenshots: Path
) -> None:
    host.has.needs("step_after_generating")
    data = new_data(models=(VIDEO,), postprocessing_enable_in_main_ui=["TrueScale"])
    with Server(host, data) as server, open_ui(chromium, server.port, height=1600) as ui:
        ui.tab("txt2img")
        ui.set_number("txt2img_steps", 2)
        ui.set_number("txt2img_width", 128)
        ui.set_number("txt2img_height", 96)
        ui.open_panel("truescale_step_1")
        ui.set_number("truescale_step_1_scale", 2.5)
        ui.shot(screenshots / "step.png")
        ui.run("txt2img")
        assert ui.result("txt2img").size == (320, 240)
        assert ui.errors == []
