"""Which packages of our own there are (own_packages.txt), and the folder that they lie in. Standard library alone.

spandrel, which knows the architectures of models, is pinned by each WebUI in another version, most of them old. Ours
lies beside theirs: ``installation.own`` puts it there, ``models.spandrels`` imports it.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

__all__ = [
    "OLDEST_OF_HOST",
    "PACKAGES_VARIABLE",
    "PIN_FILE",
    "find",
    "folder_name",
    "host_is_too_old",
    "host_version",
    "pins",
    "places",
]

PACKAGES_VARIABLE = "TRUESCALE_PACKAGES"
"""Environment variable: the folder of our packages, in place of those that are looked for else."""

OLDEST_OF_HOST = (0, 3, 4)
"""The oldest spandrel of the surroundings that can serve where ours is not there."""

PIN_FILE = Path(__file__).with_name("own_packages.txt")

_PIN = re.compile(r'^(?P<package>\w+)==(?P<version>[\w.]+); python_version (?P<side>>=|<) "(?P<border>[\d.]+)" ')
# Not resolved: of an extension that is a link, it is the link's folder that lies in the WebUI.
_PROJECT = Path(os.path.abspath(__file__)).parents[1]


@cache
def pins(python: Sequence[int] = sys.version_info[:2]) -> dict[str, str]:
    """Package -> version, for that Python. Not to be changed."""
    found: dict[str, str] = {}
    for line in PIN_FILE.read_text(encoding="utf-8").splitlines():
        pin = _PIN.match(line)
        if pin is not None:
            border = tuple(map(int, pin["border"].split(".")))
            if (tuple(python[:2]) >= border) == (pin["side"] == ">="):
                found[pin["package"]] = pin["version"]
    return found


def folder_name(python: Sequence[int] = sys.version_info[:2]) -> str:
    """The name of the folder with exactly these versions: an update has another one."""
    wanted = pins(python)
    return f"spandrel-{wanted['spandrel']}-{wanted['spandrel_extra_arches']}"


def places(project: Path = _PROJECT) -> list[Path]:
    """Where the folder may lie, best first: in the extension's own folder, else in the WebUI's data folder."""
    chosen = os.environ.get(PACKAGES_VARIABLE)
    if chosen:
        return [Path(chosen)]
    # Without install.py it is installed as a package, whose surroundings are no place of ours.
    found = [project / "packages"] if (project / "install.py").is_file() else []
    if project.parent.name == "extensions":
        found.append(project.parents[1] / "truescale-packages")
    return found


def find(python: Sequence[int] = sys.version_info[:2]) -> Path | None:
    """The folder with our packages; None where they are not there. Takes a fraction of a millisecond."""
    folders = _folders(os.environ.get(PACKAGES_VARIABLE), tuple(python[:2]))
    return next((folder for folder, file in folders if os.path.isfile(file)), None)


@cache
def _folders(_chosen: str | None, python: Sequence[int]) -> tuple[tuple[Path, str], ...]:
    """Where to look for what: a list of models asks for each of them, and joining paths takes longer than to look."""
    folders = (place / folder_name(python) for place in places())
    return tuple((folder, str(folder / "spandrel" / "__init__.py")) for folder in folders)


def host_version(package: str) -> str:
    """The version that the surroundings (a WebUI, a virtual environment) have installed; "" where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def host_is_too_old() -> bool:
    """Whether the surroundings have a spandrel that cannot serve; a version that cannot be read is new enough."""
    numbers = re.match(r"\d+(\.\d+)*", host_version("spandrel"))
    return numbers is not None and tuple(map(int, numbers.group().split("."))) < OLDEST_OF_HOST
