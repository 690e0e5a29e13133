"""Imports run one way: scripts -> lib_upscaler.webui -> core. The core needs no WebUI, and its pure parts no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lib_upscaler"
WEBUI, INSTALLATION = PACKAGE / "webui", PACKAGE / "installation"  # the one runs in a host, the other is run by one
CORE = sorted(path for path in PACKAGE.rglob("*.py") if not {WEBUI, INSTALLATION} & set(path.parents))
HOST = ("modules", "modules_forge", "gradio", "launch", "scripts")
FORBIDDEN = (*HOST, "lib_upscaler.webui", "lib_upscaler.installation")

BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked in this test", name=name)

sys.meta_path.insert(0, Block())
"""


def imports(source: str, package: str) -> set[str]:
    """Full names of all that a module of ``package`` imports, anywhere in it, as well by name at run time."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                found.add(str(node.args[0].value))
    return found


def forbidden(names: set[str]) -> set[str]:
    return {name for name in names if any(f"{name}.".startswith(f"{bad}.") for bad in FORBIDDEN)}


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "line",
    [
        "import modules.shared",
        "import gradio as gr",
        "from modules import devices",
        "from . import webui",
        "from .webui.panels import x",
        "from lib_upscaler import webui",
        "def f():\n    import gradio",
        "importlib.import_module('modules.shared')",
    ],
)
def test_the_search_sees_every_way_to_import(line: str) -> None:
    assert forbidden(imports(line, "lib_upscaler"))


@pytest.mark.parametrize(
    "line", ["import torch.nn.modules", "from .modules_list import x", "from torch.nn import modules"]
)
def test_the_search_takes_nothing_else_for_the_host(line: str) -> None:
    assert not forbidden(imports(line, "lib_upscaler"))


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_core_module_imports_nothing_of_a_host(path: Path) -> None:
    package = ".".join(path.parent.relative_to(ROOT).parts)
    assert forbidden(imports(path.read_text(encoding="utf-8"), package)) == set()


def test_core_runs_without_a_webui_and_gradio() -> None:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in CORE]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    assert {"lib_upscaler", "lib_upscaler.running.engine", "lib_upscaler.cli.commands"} <= set(names)
    code = BLOCK.format(blocked=("modules", "gradio")) + "".join(f"import {name}\n" for name in names)
    result = python(code)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "name",
    [
        *("catalogue", "errors", "geometry", "progress", "store", "models.facts", "models.folders", "models.library"),
        *("models.texts", "planning.budget", "planning.job", "planning.passes", "planning.sizing", "planning.tiling"),
    ],
)
def test_pure_module_needs_no_torch(name: str) -> None:
    result = python(BLOCK.format(blocked=("torch", "torchvision", "spandrel")) + f"import lib_upscaler.{name}")
    assert result.returncode == 0, result.stderr


def test_face_is_complete() -> None:
    import lib_upscaler

    assert lib_upscaler.__all__
    for name in lib_upscaler.__all__:
        assert getattr(lib_upscaler, name, None) is not None, name
