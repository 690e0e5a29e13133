"""A second gradio for the tests, that of Forge: a folder that goes before the private environment's packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lib_upscaler.installation.private import VENV
from lib_upscaler.installation.requirements import requirements

__all__ = ["FOLDER", "add", "lacks", "why_not_here"]

PYTHONS = ((3, 10), (3, 12))
"""The first and the last one that WebUIs with it run on and for which all of it has wheels."""
FOLDER = VENV / "gradio4"
_LIST = "truescale.txt"


def why_not_here(python: tuple[int, int] = sys.version_info[:2]) -> str:
    """Why it cannot be had for a Python; "" where it can."""
    first, last = (".".join(map(str, version)) for version in PYTHONS)
    return "" if PYTHONS[0] <= python <= PYTHONS[1] else f"gradio 4 is tried with Python {first} to {last} only"


def lacks() -> str:
    """Why its folder cannot be used by this Python; "" where it can."""
    if why_not_here():
        return why_not_here()
    is_ours = Path(sys.prefix).resolve() == FOLDER.parent.resolve()
    return "" if is_ours and _is_complete() else f"needs {FOLDER}, which 'python install.py test' makes"


def _is_complete() -> bool:
    try:
        return (FOLDER / _LIST).read_text(encoding="utf-8") == "\n".join(requirements("gradio4"))
    except OSError:
        return False


def add(pip: list[str], environment: dict[str, str], say: Callable[[str], None]) -> None:
    """Make it where it is not there. What hinders that is only told.

    pip: the command of the environment in whose folder this is.
    """
    if why_not_here() or _is_complete():
        return
    say("adding gradio 4 for the tests ...")
    shutil.rmtree(FOLDER, ignore_errors=True)
    # All that is not in the list is the environment's own, PyTorch above all.
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:", "--no-deps"]
    command = [*pip, "install", *options, "--target", str(FOLDER), *requirements("gradio4")]
    if subprocess.run(command, env=environment).returncode != 0:
        say("the tests with gradio 4 will be skipped: pip failed; its last lines above say why.")
        return
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / _LIST).write_text("\n".join(requirements("gradio4")), encoding="utf-8")
