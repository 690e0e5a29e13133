"""Our panels, served on the fake host, in the Chromium of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from panels_page import ARGUMENTS, OpenPage, PanelsPage
from serving import Server
from tools.test_setup.browser import NoBrowserError, find_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser


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


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Not for longer than a module: as long as its driver is there, no other event loop runs in this thread."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        try:
            launched = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(ARGUMENTS))
        except Error as error:
            pytest.skip(f"{chromium} does not start: {error}")
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[OpenPage]:
    """Opens the page afresh: ``open_page(dark=False, korean=False, width=1280, height=900)``."""
    opened: list[PanelsPage] = []

    def make(**options: Any) -> PanelsPage:
        opened.append(PanelsPage(browser, server.address, **options))
        return opened[-1]

    yield make
    for page in opened:
        page.close()
    assert [error for page in opened for error in page.errors] == []


@pytest.fixture
def page(open_page: OpenPage) -> PanelsPage:
    return open_page()


@pytest.fixture(scope="module")
def look(browser: Browser, servers: Callable[[str], Server]) -> Iterator[OpenPage]:
    """Like ``open_page``, but one page for all tests of a module that only look at it, and open what they look at."""
    opened: dict[str, PanelsPage] = {}

    def make(**options: Any) -> PanelsPage:
        key = str(sorted(options.items()))
        if key not in opened:
            opened[key] = PanelsPage(browser, servers("gradio 3").address, **options)
        return opened[key]

    yield make
    for page in opened.values():
        page.close()
    assert [error for page in opened.values() for error in page.errors] == []
