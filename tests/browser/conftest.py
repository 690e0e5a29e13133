"""Our panels, served on the fake host, in the Chromium of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from panels_page import ARGUMENTS, AT_REST, OpenPage, PanelsPage
from serving import Server
from tools.test_setup.browser import NoBrowserError, find_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright


@pytest.fixture(scope="session")
def chromium() -> str:
    pytest.importorskip("playwright.sync_api", reason="needs playwright, which 'python install.py test' installs")
    try:
        return find_browser()
    except NoBrowserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """``servers("gradio 3")`` and ``servers("gradio 4")``, each started when a test first asks for it."""
    started: dict[str, Server] = {}

    def start(gradio: str) -> Server:
        if gradio not in started:
            started[gradio] = Server(tmp_path_factory.mktemp("panels"), gradio_4=gradio == "gradio 4")
        return started[gradio]

    yield start
    for server in started.values():
        server.stop()


@pytest.fixture
def server(servers: Callable[[str], Server], request: pytest.FixtureRequest) -> Server:
    """With gradio 3, unless a test asks for another one: indirectly, by ``parametrize``."""
    return servers(getattr(request, "param", "gradio 3"))


class Chromium:
    """One for all tests in a row that want it, since it takes seconds to start."""

    def __init__(self) -> None:
        self._driver: Playwright | None = None
        self._browser: Browser | None = None
        self._windows: dict[tuple[int, int], BrowserContext] = {}

    def start(self, path: str) -> Chromium:
        """Skips the test where it does not start."""
        from playwright.sync_api import Error, sync_playwright

        if self._driver is None:
            self._driver = sync_playwright().start()
            try:
                self._browser = self._driver.chromium.launch(executable_path=path, headless=True, args=list(ARGUMENTS))
            except Error as error:
                self.stop()
                pytest.skip(f"{path} does not start: {error}")
        return self

    def stop(self) -> None:
        if self._browser is not None:
            self._browser.close()
        if self._driver is not None:
            self._driver.stop()
        self._driver = self._browser = None
        self._windows.clear()

    def blank(self, address: str) -> Page:
        """A page of nothing of ours."""
        page = self._browser.new_page()
        page.goto(address)
        return page

    def open(
        self, address: str, width: int = 1280, height: int = 900, stays: bool = False, **options: Any
    ) -> PanelsPage:
        """stays: beside others that are opened later. A page behind them in one window is hardly drawn any more, so it
        gets its own; else pages of one size share a window and what it keeps of gradio's scripts, all there is to keep.
        """
        size = width, height
        if stays or size not in self._windows:
            window = self._browser.new_context(viewport={"width": width, "height": height}, locale="en-US")
            window.add_init_script(path=AT_REST)
        else:
            window = self._windows[size]
        if not stays:
            self._windows[size] = window
        return PanelsPage(window, address, **options)


_chromium = Chromium()
_HERE = Path(__file__).parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Iterator[None]:
    """As long as the browser's driver is there, no other event loop runs in this thread; other tests need one."""
    try:
        return (yield)
    finally:
        if nextitem is None or _HERE not in nextitem.path.parents:
            _chromium.stop()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Chromium:
    """Not for longer than a module: it may have been stopped between two."""
    return _chromium.start(chromium)


@pytest.fixture
def open_page(browser: Chromium, server: Server) -> Iterator[OpenPage]:
    """Opens the page afresh: ``open_page(dark=False, korean=False, width=1280, height=900)``."""
    opened: list[PanelsPage] = []

    def make(**options: Any) -> PanelsPage:
        opened.append(browser.open(server.address, **options))
        return opened[-1]

    yield make
    for page in opened:
        page.close()
    assert [error for page in opened for error in page.errors] == []


@pytest.fixture
def page(open_page: OpenPage) -> PanelsPage:
    return open_page()


@pytest.fixture(scope="module")
def look(browser: Chromium, servers: Callable[[str], Server]) -> Iterator[OpenPage]:
    """Like ``open_page``, but one page for all tests of a module that only look at it, and open what they look at."""
    opened: dict[str, PanelsPage] = {}

    def make(**options: Any) -> PanelsPage:
        key = str(sorted(options.items()))
        if key not in opened:
            opened[key] = browser.open(servers("gradio 3").address, stays=True, **options)
        return opened[key]

    yield make
    for page in opened.values():
        page.close()
    assert [error for page in opened.values() for error in page.errors] == []
