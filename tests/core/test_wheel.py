"""What is installed by pip: the core and its command line; what only a WebUI or a clone needs stays out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
NOT_INSTALLED = ("installation", "webui")
"""Rooms of lib_upscaler that a WebUI or install.py enters."""
DATA = {"catalogue/models.json", "own_packages.txt", "py.typed", "weights/TrueScale 4x.safetensors"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that becomes the wheel, built by setuptools alone: no network, no pip."""
    pytest.importorskip("setuptools", "61", reason="older ones cannot read pyproject.toml")
    project = tmp_path_factory.mktemp("project")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project / name)
    for name in ("lib_upscaler", "scripts", "tools", "tests"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    words = [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q", "build", "--build-base", "out"]
    done = subprocess.run([*words, "--build-lib", "wheel"], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(project / "lib_upscaler")  # what runs below is what was built
    return project / "wheel"


def test_the_wheel_has_all_of_the_core_and_nothing_of_the_webui_the_installation_the_tools_or_the_tests(
    built: Path,
) -> None:
    package = ROOT / "lib_upscaler"
    code = {file.relative_to(package).as_posix() for file in package.rglob("*.py")}
    core = {name for name in code if name.split("/")[0] not in NOT_INSTALLED}
    assert len(code) - len(core) > 50, "rooms of these names are there to be left out"
    files = {file.relative_to(built).as_posix() for file in built.rglob("*") if file.is_file()}
    assert files == {f"lib_upscaler/{name}" for name in core | DATA}


def test_the_command_line_runs_from_the_wheel(built: Path, tmp_path: Path) -> None:
    Image.new("RGB", (9, 7), (200, 40, 90)).save(tmp_path / "small.png")
    environment = {**os.environ, "PYTHONPATH": str(built), "TRUESCALE_CACHE": str(tmp_path / "cache")}
    words = [sys.executable, "-m", "lib_upscaler", "upscale", "small.png", "-o", "large.png", "--scale", "2.5"]
    done = subprocess.run(
        [*words, "--device", "cpu"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "small.png -> large.png: 9x7 -> 23x18 px" in done.stdout
    assert Image.open(tmp_path / "large.png").size == (23, 18)
