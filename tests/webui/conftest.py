"""The fake host, started with our extension in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# What is large is imported where it is used: the process that hands out the tests reads this file too.
if TYPE_CHECKING:
    from PIL import Image

    from fake_host.running import FakeHost
    from lib_upscaler.pipeline import Upscaler
    from types_of_fixtures import Engine, StartHost

if find_spec("gradio") is None:  # gradio 3 needs what has no wheels from Python 3.13 on
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder for bytecode: each host is imported anew, but need not be compiled anew."""
    return str(tmp_path_factory.mktemp("compiled"))


@pytest.fixture
def start_host(tmp_path: Path, compiled: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartHost]:
    """Starts a fake host with these settings.

    flags: its command line. models: the networks in its models/ESRGAN. ui: whether its page is built at once.
    change: what is done to it before it loads anything of ours.
    """
    import gradio

    from fake_host.running import FakeHost, environment
    from networks import STATES
    from small_networks import save_pth

    started: list[FakeHost] = []

    def start(
        flags: str = "--api",
        models: dict[str, Any] | None = None,
        ui: bool = True,
        change: Callable[[FakeHost], None] = lambda host: None,
        **settings: Any,
    ) -> FakeHost:
        for name, value in environment(tmp_path, flags).items():
            monkeypatch.setenv(name, value)
        host = FakeHost(tmp_path)
        for name, state in (STATES if models is None else models).items():
            save_pth(state, host.models / f"{name}.pth")
        monkeypatch.setattr(sys, "pycache_prefix", compiled)
        monkeypatch.setattr(sys, "dont_write_bytecode", False)
        monkeypatch.setattr(gradio, "Warning", host.warnings.append)
        monkeypatch.setattr(gradio.routes.App, "create_app", lambda *_: None)  # slow, and no page is ever served
        started.append(host)
        host.module("modelloader")
        host.opts.data.update(settings)
        change(host)
        return host.start(ui=ui)

    _forget_ours()
    yield start
    for host in started:
        host.remove()
    _forget_ours()


@pytest.fixture
def host(start_host: StartHost) -> FakeHost:
    """With the three networks of ``STATES``, precise arithmetic, and no errors so far."""
    host = start_host(truescale_precision="exact")
    assert host.reported == []
    return host


@pytest.fixture
def wide() -> Image.Image:
    """40 x 32 px of the latent, two tiles of at most 32: no two places are alike."""
    return _noise(1)


@pytest.fixture
def own() -> Image.Image:
    """As ``wide``, of another content."""
    return _noise(2)


@pytest.fixture
def with_another(start_host: StartHost) -> FakeHost:
    """As ``host``, with an upscaler of another extension in the list."""
    from another_upscaler import add_another

    return start_host(truescale_precision="exact", change=add_another)


def pytest_report_header() -> str:
    return "" if find_spec("gradio") is not None else "tests/webui are left out: gradio is not installed"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The core's engine, watched, and made to fail where a test wants it to."""
    from lib_upscaler.pipeline import Upscaler
    from types_of_fixtures import Engine

    watched, plain = Engine(), Upscaler.upscale

    def upscale(self: Upscaler, image: Image.Image, *args: Any, **kwargs: Any) -> Any:
        watched.pictures.append(image)
        watched.before(image)
        return plain(self, image, *args, **kwargs)

    monkeypatch.setattr(Upscaler, "upscale", upscale)
    return watched


def _noise(seed: int) -> Image.Image:
    import numpy as np
    from PIL import Image

    from sd_upscaling import WIDE

    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*WIDE[::-1], 3), np.uint8))


def _forget_ours() -> None:
    """A WebUI is a process of its own: the next one must not see what our library remembers of this one."""
    for name in [name for name in sys.modules if name.startswith("lib_upscaler.webui")]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    """Whatever a test does to PyTorch's layers, the next one finds them untouched."""
    import torch

    before = torch.nn.Conv2d.forward
    yield
    assert torch.nn.Conv2d.forward is before


@pytest.fixture
def queue(host: FakeHost) -> Iterator[Any]:
    """The queue of this host's process, paused at first."""
    there = host.ours("panels.queue_jobs").queue()
    there.pause()
    yield there
    there.interrupt()
    assert there.wait(60)
