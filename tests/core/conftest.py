"""What several files of tests of one subject share."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# What is large is imported where it is used: the process that hands out the tests reads this file too.
if TYPE_CHECKING:
    from download_server import Server
    from installing import Project
    from lib_upscaler.catalogue import Entry

# -- the command line --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from small_networks import compact, save_pth, save_safetensors

    folder = tmp_path_factory.mktemp("models")
    save_safetensors(compact(2, features=8, layers=2), folder / "two.safetensors")
    save_pth(compact(4, features=8, layers=1, seed=1), folder / "four.pth")
    return folder


@pytest.fixture
def at_a_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    """An empty current folder, models where the environment says, a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUESCALE_MODELS", str(models))
    monkeypatch.setenv("TRUESCALE_CACHE", str(models.parent / "cache"))


@pytest.fixture
def none_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has deleted the model that ships."""
    from lib_upscaler.models import library

    monkeypatch.setattr(library, "_WEIGHTS", tmp_path / "deleted")


# -- install.py --------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Project:
    from installing import Project

    return Project(tmp_path)


# -- downloads ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    from download_server import Handler, Server

    monkeypatch.setenv("no_proxy", "*")
    facts = Server()
    handler = type("Handler", (Handler,), {"server_for_tests": facts})
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    facts.address = f"http://127.0.0.1:{running.server_address[1]}/"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield facts
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture
def get(server: Server, tmp_path: Path) -> Callable[..., Path]:
    """Downloads an entry into the folder "models", over the test's own unencrypted server."""
    from download_server import CALM, Listener
    from lib_upscaler.catalogue import download
    from lib_upscaler.catalogue.transfer import open_url

    opener = functools.partial(open_url, allowed=(server.address,))

    def run(entry: Entry, progress: Any = None, folder: Path = tmp_path / "models", **given: Any) -> Path:
        options = {"opener": opener, "environment": CALM, **given}
        return download(entry, folder, progress or Listener(), **options)

    return run


@pytest.fixture
def entry(server: Server) -> Entry:
    from download_server import make_entry

    return make_entry(f"{server.address}a/file.pth")
