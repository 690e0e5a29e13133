"""A real WebUI, set up beforehand, is started with the tiny checkpoint and driven by HTTP and in Chromium.

    python -m pytest tests/real_webui --webui DIR [--webui-python PYTHON] [--screenshots FOLDER]
                                      [--controlnet DIR] [--adetailer DIR]

Without ``--webui`` all is skipped. Nothing is written into DIR. The browser's tests need ``playwright`` and a Chromium
that is installed; without, they are skipped.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_names import ANIME, PLUS, VIDEO
from side_by_side import true_output
from webui_browser import Ui, open_ui
from webui_process import DataFolder, Host, Server

_MEASURED = pytest.StashKey[list]()
HERE = Path(__file__).resolve().parent


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("a real WebUI")
    group.addoption("--webui", metavar="DIR", type=Path, help="folder of an AUTOMATIC1111 WebUI or Forge that works")
    group.addoption("--webui-python", metavar="PYTHON", type=Path, help="its Python (default: that of its venv)")
    group.addoption("--controlnet", metavar="DIR", type=Path, help="folder of sd-webui-controlnet, for its tests")
    group.addoption("--adetailer", metavar="DIR", type=Path, help="folder of ADetailer, for its tests")
    group.addoption("--screenshots", metavar="FOLDER", type=Path, help="where screenshots go (default: pytest's own)")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """None beside another: there is one WebUI, and its times are measured."""
    return 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What was measured, whether or not the tests passed."""
    lines = config.stash.get(_MEASURED, [])
    if lines:
        terminalreporter.section("measured")
    for line in lines:
        terminalreporter.write_line(line)


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Takes a line for the report at the end."""
    lines = request.config.stash.setdefault(_MEASURED, [])
    return lambda line: lines.append(f"{request.node.name}: {line}")


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest) -> Host:
    folder = request.config.getoption("--webui", default=None)
    if folder is None:
        pytest.skip("needs a WebUI: --webui DIR")
    folder = folder.resolve()
    given = request.config.getoption("--webui-python")
    usual = [folder / "venv" / "bin" / "python", folder.parent / "venv" / "bin" / "python"]
    python = next((one for one in ([given] if given else usual) if one.exists()), None)
    if not (folder / "launch.py").is_file() or python is None:
        pytest.fail(f"{folder} is no WebUI, or its Python is not found: --webui-python PYTHON")
    return Host(folder, python.absolute())  # not resolved: the link makes it the venv's


@pytest.fixture(scope="session")
def controlnet(request: pytest.FixtureRequest) -> Path:
    """Mikubill's extension, as it is checked out; what it imports the WebUI's Python must have."""
    folder = request.config.getoption("--controlnet", default=None)
    if folder is None:
        pytest.skip("needs Mikubill's ControlNet: --controlnet DIR")
    if not (folder / "scripts" / "controlnet.py").is_file():
        pytest.fail(f"{folder} is no sd-webui-controlnet")
    return folder.resolve()


@pytest.fixture(scope="session")
def new_data(host: Host, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., DataFolder]:
    """Makes a fresh data folder: ``new_data(truescale=True, scripts=("probe",), models=(ANIME,), **settings)``."""

    def make(truescale: bool = True, scripts: tuple[str, ...] = ("probe",), models=(), **settings) -> DataFolder:
        data = DataFolder(tmp_path_factory.mktemp("webui"), shared / "webui-fixture", host.has.settings_at_start)
        if truescale:
            data.install_truescale()
        for name in scripts:
            data.install_script(HERE / "host_scripts" / f"{name}.py")
        data.add_models(*(shared / "models" / f"{name}.safetensors" for name in models))
        data.settings(**settings)
        return data

    return make


@pytest.fixture(scope="session")
def pickled(host: Host, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smaller network as a .pth, the only kind that each host itself lists, in the form of PyTorch 1: before 1.10
    AUTOMATIC1111 refuses what PyTorch 2.1 writes, and gives a Lanczos picture."""
    file = tmp_path_factory.mktemp("pickled") / f"{ANIME}.pth"
    program = (
        "import sys, torch, safetensors.torch as s;"
        " torch.save({'params_ema': s.load_file(sys.argv[1])}, sys.argv[2], _use_new_zipfile_serialization=False)"
    )
    host.run("-c", program, shared / "models" / f"{ANIME}.safetensors", file)
    return file


@pytest.fixture(scope="session")
def server(host: Host, new_data: Callable[..., DataFolder], pickled: Path) -> Iterator[Server]:
    """The one that most tests share. It is to be left as it was found."""
    data = new_data(scripts=("probe", "generations"), models=(PLUS, VIDEO))
    data.add_models(pickled)
    (data.esrgan / "broken.pth").write_bytes(b"no model" * 999)
    with Server(host, data) as running:
        yield running


@pytest.fixture
def screenshots(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = request.config.getoption("--screenshots") or tmp_path / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@pytest.fixture(scope="session")
def photo(shared: Path) -> Callable[[int, int], Image.Image]:
    """A part of a photo: ``photo(width, height)``, RGB."""

    def part(width: int, height: int) -> Image.Image:
        with Image.open(shared / "images" / "OST_009.png") as image:
            return image.convert("RGB").crop((100, 150, 100 + width, 150 + height))

    return part


@pytest.fixture
def true_levels(shared: Path, tmp_path: Path) -> Callable[..., np.ndarray]:
    """``true_levels(image, model, size=None)``: the network's true output, ``(H, W, 3)`` in levels.

    image: of Pillow, or ``(H, W, 3)`` with values from 0 to 1.
    """

    def levels(image: Image.Image | np.ndarray, model: str, size: tuple[int, int] | None = None) -> np.ndarray:
        source, result = tmp_path / "true-source.png", tmp_path / "true.npy"
        if isinstance(image, np.ndarray):
            source = source.with_suffix(".npy")
            np.save(source, image)
        else:
            image.convert("RGB").save(source)
        model_file = shared / "models" / f"{model}.safetensors"
        return true_output(model_file, source, result, *(size or ()))

    return levels


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's, since Playwright's own would be a download."""
    pytest.importorskip("playwright.sync_api", reason="needs playwright")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("needs Chromium")
    return found


@pytest.fixture
def ui(chromium: str, server: Server) -> Iterator[Ui]:
    """The shared WebUI's page, fresh; its scripts must run without errors."""
    with open_ui(chromium, server.port) as page:
        yield page
        assert page.errors == []
