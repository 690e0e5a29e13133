"""What the tests of install.py have in common."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from lib_upscaler import own_packages
from lib_upscaler.installation import private

__all__ = ["ROOT", "Project", "copy_project", "own_packages_in", "write"]


ROOT = Path(__file__).resolve().parents[2]


def write(path: Path, code: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(code), encoding="utf-8")


# ---- in a WebUI -----------------------------------------------------------------------------------------------------


def copy_project(root: Path) -> None:
    """As much of the project as install.py needs."""
    for part in (Path("lib_upscaler", "installation"), Path("tools")):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__py*"))
    for name in ("install.py", "pyproject.toml", "lib_upscaler/own_packages.py", "lib_upscaler/own_packages.txt"):
        shutil.copy(ROOT / name, root / name)
    write(root / "lib_upscaler" / "__init__.py", "")


def own_packages_in(folder: Path) -> Path:
    """What pip makes of own_packages.txt, as far as it matters here."""
    for package, version in own_packages.pins().items():
        write(folder / package / "__init__.py", f"__version__ = {version!r}\n")
        write(folder / f"{package}-{version}.dist-info" / "METADATA", f"Name: {package}\nVersion: {version}\n")
    return folder


# ---- for a person ---------------------------------------------------------------------------------------------------


class Project:
    """A copy of the project with a stand-in for `lib_upscaler`, and a .venv in which pip notes its calls."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "my tools" / "TrueScale"
        copy_project(self.root)
        self.ours = own_packages_in(self.root / "packages" / own_packages.folder_name())
        self.upscaler("import json, os, sys; print(json.dumps([os.getcwd(), sys.argv[1:]])); sys.exit(7)")
        self.venv = self.root / ".venv"
        self.calls = folder / "calls.txt"
        self.user = folder / "user"
        self.user.mkdir()

    def upscaler(self, code: str) -> None:
        """What `python -m lib_upscaler` does."""
        write(self.root / "lib_upscaler" / "__main__.py", code)

    def make_venv(self, pip: str = "", stamped: bool = True) -> None:
        """A virtual environment with empty modules, as far as an interrupted set-up may come."""
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.venv)], check=True)
        site = next(self.venv.rglob("site-packages"))
        for names in private.MODULES.values():
            for name in names:
                write(site / f"{name}.py", "")
        write(site / "pip" / "__init__.py", "")
        write(
            site / "pip" / "__main__.py",
            f"import json, sys\nopen({str(self.calls)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n{pip}\n",
        )
        if stamped:
            write(self.venv / "truescale.json", "{}")

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(self.root / "install.py"), *words],
            cwd=self.user,
            env={**os.environ, "PIP_NO_INDEX": "1", "TRUESCALE_NO_BROWSER": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def pip_calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.calls.read_text().splitlines()] if self.calls.exists() else []
