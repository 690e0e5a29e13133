"""The WebUI's page in Chromium, as a user sees it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["Ui", "open_ui"]

_ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_READY = """() => {
    const app = typeof gradioApp === 'function' && gradioApp();
    return app && app.querySelector('#tabs') && app.querySelector('#txt2img_prompt textarea')
        && app.querySelector('#setting_sd_model_checkpoint, .model_selection');
}"""
_SHOW_TAB = """(id) => {
    const panes = [...gradioApp().querySelectorAll('#tabs > .tabitem')];
    const buttons = gradioApp().querySelectorAll('#tabs > .tab-nav > button');
    buttons[panes.findIndex((pane) => pane.id === id)].click();
}"""
# A job that is refused at once shows its bar for a moment only.
_WATCH = """(bar) => {
    window.barWasSeen = false;
    const observer = new MutationObserver(() => {
        if (!gradioApp().querySelector(bar)) return;
        window.barWasSeen = true;
        observer.disconnect();
    });
    observer.observe(document.body, {childList: true, subtree: true});
}"""
# When its accordion Hires. fix is opened, without any extension.
_OWN_ERRORS_OF_THE_HOST = ("Cannot read properties of undefined (reading 'props')",)
_MILLISECONDS = 120_000


@contextlib.contextmanager
def open_ui(chromium: str, port: int, dark: bool = False, width: int = 1400, height: int = 1000) -> Iterator[Ui]:
    """A fresh browser with the page of this port; nothing but this machine can be reached from it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(_ARGUMENTS))
        context = browser.new_context(viewport={"width": width, "height": height}, locale="en-US")
        context.route("**/*", _only_local)
        page = context.new_page()
        page.set_default_timeout(_MILLISECONDS)
        ui = Ui(page)
        page.on("pageerror", lambda error: ui.noticed(str(error)))
        theme = "dark" if dark else "light"
        page.goto(f"http://127.0.0.1:{port}/?__theme={theme}", wait_until="domcontentloaded")
        ui.wait_until_ready()
        try:
            yield ui
        finally:
            browser.close()


def _only_local(route) -> None:
    address = urlsplit(route.request.url)
    if address.scheme in ("data", "blob") or address.hostname in ("127.0.0.1", "localhost"):
        route.continue_()
    else:
        route.abort()


class Ui:
    """page: Playwright's. errors: of its scripts, but for those that the host has of itself."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []

    def noticed(self, error: str) -> None:
        if error not in _OWN_ERRORS_OF_THE_HOST:
            self.errors.append(error)

    def wait_until_ready(self) -> None:
        self.page.wait_for_function(_READY)
        self.page.wait_for_timeout(1500)  # the host's own callbacks and the translation

    def tab(self, name: str) -> None:
        """By its id without ``tab_``, which no language changes: extras, txt2img."""
        self.page.evaluate(_SHOW_TAB, f"tab_{name}")
        self.page.wait_for_timeout(500)

    # -- gradio's components -------------------------------------------------------------------------------------------

    def open_panel(self, elem_id: str) -> None:
        """Open an accordion that is closed."""
        self.page.locator(f"#{elem_id} > .label-wrap").click()
        self.page.wait_for_timeout(700)

    def is_on(self, elem_id: str) -> bool:
        """Of an accordion that is a switch."""
        return self.page.locator(f"#{elem_id}-checkbox input").is_checked()

    def is_enabled(self, elem_id: str) -> bool:
        """Of a drop-down; Classic's second upscaler is not before it has a visibility."""
        return self.page.locator(f"#{elem_id} input").first.is_enabled()

    def choices(self, elem_id: str) -> list[str]:
        """What a drop-down offers."""
        field = self.page.locator(f"#{elem_id} input")
        field.click()
        self.page.wait_for_selector(f"#{elem_id} ul.options")
        found = self.page.locator(f"#{elem_id} ul.options > li").all_inner_texts()
        field.press("Escape")
        field.blur()
        return [text.replace("✓", "").strip() for text in found]

    def choose(self, elem_id: str, value: str) -> None:
        """One of a drop-down, or of radio buttons."""
        radio = self.page.locator(f"#{elem_id} input[type=radio][value='{value}']")
        if radio.count():
            radio.check()
        else:
            self._pick(elem_id, value)
        self.page.wait_for_timeout(500)

    def _pick(self, elem_id: str, value: str) -> None:
        """In gradio 4 a list that is brought up to date while it is open closes, so that it is opened again."""
        from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

        for left in (2, 1, 0):
            self.page.locator(f"#{elem_id} input").click()
            try:
                return self.page.locator(f"#{elem_id} ul.options > li[aria-label='{value}']").click(timeout=10_000)
            except PlaywrightTimeoutError:
                if not left:
                    raise
                self.page.locator(f"#{elem_id} input").blur()

    def value(self, elem_id: str) -> str:
        """Of a field, of a slider's number, or of radio buttons."""
        chosen = self.page.locator(f"#{elem_id} input[type=radio]:checked")
        field = chosen if chosen.count() else self.page.locator(f"#{elem_id} input, #{elem_id} textarea")
        return field.first.input_value()

    def set_number(self, elem_id: str, value: float) -> None:
        """Of a slider."""
        field = self.page.locator(f"#{elem_id} input[type=number]")
        field.fill(str(value))
        field.press("Tab")
        self.page.wait_for_timeout(300)

    def upload(self, elem_id: str, *files: Path) -> None:
        """Into a picture or a list of files."""
        self.page.locator(f"#{elem_id} input[type=file]").first.set_input_files([str(file) for file in files])
        self.page.wait_for_timeout(1500)

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def start(self, tab: str) -> None:
        """Press Generate; the job's bar is there, or was."""
        self.page.evaluate(_WATCH, self._bar(tab))
        self.page.locator(f"#{tab}_generate").first.click()
        self.page.wait_for_function("() => window.barWasSeen")

    def wait_for_end(self, tab: str) -> None:
        """Until the job's bar is gone, and the result is there."""
        self.page.wait_for_selector(self._bar(tab), state="detached")
        self.page.wait_for_timeout(1500)

    def _bar(self, tab: str) -> str:
        """The host's, or, in the Extras of hosts that have none there, gradio's clock beside each result."""
        has_one = tab != "extras" or self.page.evaluate("typeof submit_extras === 'function'")
        return f"#tab_{tab} " + (".progressDiv" if has_one else ".meta-text")

    def run(self, tab: str) -> None:
        """A whole job."""
        self.start(tab)
        self.wait_for_end(tab)

    def result(self, tab: str) -> Image.Image:
        """The picture in the gallery, in full."""
        address = self.page.locator(f"#{tab}_gallery img").first.get_attribute("src")
        image = Image.open(io.BytesIO(self.page.request.get(urljoin(self.page.url, address)).body()))
        image.load()
        return image

    def text(self, selector: str) -> str:
        """What can be read in an element."""
        return " ".join(self.page.locator(selector).all_inner_texts())

    def shot(self, file: Path, element: str | None = None) -> None:
        """A screenshot of the page, or of an element."""
        target = self.page.locator(element).first if element else self.page
        target.screenshot(path=str(file))
