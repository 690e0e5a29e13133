"""The page with our panels in Chromium, as a user handles it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator

__all__ = ["ARGUMENTS", "AT_REST", "PANELS", "TABS", "OpenPage", "PanelsPage"]

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Nothing but this machine is reached. With Playwright's routes for it the browser would keep nothing it has loaded.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)
PANELS = {
    "#truescale_extras": "Extras",
    "#truescale_hires": "txt2img",
    "#truescale_sd": "img2img",
    "#settings_upscaling": "Settings",
}
"""Our panels, and the tab that each is in."""
TABS = ("txt2img", "img2img", "Extras", "Settings")
AT_REST = Path(__file__).parent / "at_rest.js"
_MILLISECONDS = 30_000


class PanelsPage:
    """page: Playwright's. errors: of its scripts."""

    def __init__(self, context: BrowserContext, address: str, dark: bool = False, korean: bool = False) -> None:
        """context: with the script ``AT_REST``."""
        self.page = context.new_page()
        self.page.set_default_timeout(_MILLISECONDS)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        theme = "dark" if dark else "light"
        self.page.goto(f"{address}?__theme={theme}{'&korean' if korean else ''}", wait_until="domcontentloaded")
        self.page.wait_for_selector("body[data-ready]")
        self.settle()

    def close(self) -> None:
        self.page.close()

    def settle(self) -> None:
        """Until the server has answered, the host's scripts have told ours, and all of it is drawn."""
        self.page.evaluate("() => window.atRest()")

    def eventually(self, check: Callable[[], Any]) -> bool:
        """Whether it is true, at the latest after the server has had time to answer."""
        deadline = time.monotonic() + _MILLISECONDS / 1000
        while not check():
            if time.monotonic() > deadline:
                return False
            self.page.wait_for_timeout(20)
        return True

    def tab(self, name: str) -> None:
        """The tabs are in the order of ``TABS``, whatever the language."""
        self.page.locator("#tabs > .tab-nav > button").nth(TABS.index(name)).click()
        self.settle()

    def show(self, panel: str) -> Locator:
        """One of ``PANELS``, with all that it has behind accordions."""
        self.tab(PANELS[panel])
        for name in ("", "_which", "_catalogue", "_advanced"):
            label = self.page.locator(f"{panel}{name} > .label-wrap")
            if label.count() and not self.is_open(f"{panel}{name}"):
                label.click()
                self.settle()
        return self.page.locator(panel)

    def is_open(self, selector: str) -> bool:
        return "open" in self.page.locator(f"{selector} > .label-wrap").get_attribute("class").split()

    # -- widgets, by their ids -----------------------------------------------------------------------------------------

    def sees(self, elem_id: str) -> bool:
        return self.page.locator(f"#{elem_id}").first.is_visible()  # gradio gives the id of an HTML twice

    def pick(self, elem_id: str, value: str) -> None:
        """Of a group of radio buttons."""
        self.page.locator(f'#{elem_id} input[type=radio][value="{value}"]').check()
        self.settle()

    def choices(self, elem_id: str) -> list[str]:
        """What a drop-down offers."""
        field = self.page.locator(f"#{elem_id} input")
        field.click()
        self.page.wait_for_selector(f"#{elem_id} ul.options, ul.options")
        found = self.page.locator("ul.options > li").all_inner_texts()
        field.press("Escape")
        field.blur()
        self.settle()
        return [text.replace("✓", "").strip() for text in found]

    def choose(self, elem_id: str, value: str) -> None:
        """One of a drop-down, by keyboard as well as by mouse: typed, and taken."""
        field = self.page.locator(f"#{elem_id} input")
        field.click()
        field.fill(value)
        self.page.locator("ul.options > li", has_text=value).first.click()
        self.settle()

    def number(self, elem_id: str) -> float:
        return float(self.page.locator(f"#{elem_id} input[type=number]").input_value())

    def set_number(self, elem_id: str, value: float) -> None:
        field = self.page.locator(f"#{elem_id} input[type=number]")
        field.fill(str(value))
        field.blur()
        self.settle()

    def press(self, elem_id: str) -> None:
        """A button."""
        self.page.locator(f"button#{elem_id}").click()
        self.settle()

    def upload(self, elem_id: str, file: Path) -> None:
        self.page.locator(f"#{elem_id} input[type=file]").first.set_input_files(str(file))
        self.page.wait_for_selector(f"#{elem_id} img")
        self.settle()

    def text(self, selector: str) -> str:
        """What can be read in an element."""
        return " ".join(self.page.locator(selector).all_inner_texts()).strip()

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def generate(self, waits_for: str) -> None:
        """Press Generate in the Extras, until ``waits_for`` is there."""
        self.page.locator("#extras_generate").click()
        self.page.wait_for_selector(waits_for)
        self.settle()

    def result(self) -> Image.Image:
        """The picture in the gallery, in full."""
        address = self.page.locator("#extras_gallery img").first.get_attribute("src")
        image = Image.open(io.BytesIO(self.page.request.get(urljoin(self.page.url, address)).body()))
        image.load()
        return image

    def script(self, code: str, *argument: Any) -> Any:
        return self.page.evaluate(code, *argument)


OpenPage = Callable[..., PanelsPage]
"""What the fixture ``open_page`` is."""
