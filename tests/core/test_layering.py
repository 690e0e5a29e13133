"""What importing loads. How imports run is held by the contracts in pyproject.toml (``install.py check``)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lib_upscaler"
WEBUI = PACKAGE / "webui"
PURE = (
    *(
        "catalogue",
        "batch.inputs",
        "cli.options",
        "errors",
        "fields",
        "geometry",
        "models.facts",
        "models.foreign",
        "models.folders",
        "models.library",
        "models.spandrels",
        "own_packages",
    ),
    *("models.ldsr.cost", "models.ldsr.layout", "models.ldsr.schedule", "models.ldsr.settings", "models.texts"),
    *("planning.budget", "planning.job", "planning.latent_tiles", "planning.ldsr", "planning.passes"),
    *("planning.sizing", "planning.tiling"),
    *("progress", "request", "store"),
)

BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked in this test", name=name)

sys.meta_path.insert(0, Block())
"""


def imported(names: list[str], without: tuple[str, ...], then: str = "") -> subprocess.CompletedProcess[str]:
    """A Python that imports the modules where those of ``without`` cannot be imported."""
    code = BLOCK.format(blocked=without) + "".join(f"import {name}\n" for name in names) + then
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def core() -> list[str]:
    files = (file for file in sorted(PACKAGE.rglob("*.py")) if WEBUI not in file.parents and file.stem != "__main__")
    names = (".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files)
    return [name[: -len(".__init__")] if name.endswith(".__init__") else name for name in names]


IN_THE_WAY = """
import types
print(*(name for name in lib_upscaler.__all__ if isinstance(getattr(lib_upscaler, name), types.ModuleType)))
"""


def test_core_runs_without_a_webui_and_gradio_and_no_module_takes_a_name_of_the_face() -> None:
    """A module of such a name would take its place as soon as it is imported."""
    names = core()
    assert {"lib_upscaler", "lib_upscaler.running.engine", "lib_upscaler.cli.commands"} <= set(names)
    assert {f"lib_upscaler.{file.stem}" for file in PACKAGE.glob("[!_]*.py")} <= set(names)
    result = imported(names, without=("modules", "gradio", "fastapi"), then=IN_THE_WAY)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def test_pure_modules_need_no_torch() -> None:
    result = imported([f"lib_upscaler.{name}" for name in PURE], without=("torch", "torchvision", "spandrel"))
    assert result.returncode == 0, result.stderr


def test_these_tests_would_see_it() -> None:
    assert imported(["lib_upscaler.running.engine"], without=("torch",)).returncode != 0


def test_face_is_complete() -> None:
    import lib_upscaler

    assert lib_upscaler.__all__
    for name in lib_upscaler.__all__:
        assert getattr(lib_upscaler, name, None) is not None, name


def test_a_webuis_start_loads_no_torch_no_spandrel_and_nothing_that_reads_pictures() -> None:
    """Of ours; each second that the start of a WebUI takes longer is everyone's."""
    names = [
        "entry",
        "places.api",
        "places.extras",
        "places.hires_fix.accordion",
        "places.sd_upscale.panel",
        "places.xyz",
    ]
    late = ("torch", "spandrel", "_truescale_spandrel", "lib_upscaler.pictures", "lib_upscaler.running")
    code = "import sys\n" + "".join(f"import lib_upscaler.webui.{name}\n" for name in names)
    code += f"print([name for name in sys.modules if (name + '.').startswith({tuple(f'{one}.' for one in late)!r})])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr
