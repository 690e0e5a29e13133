"""eslint and prettier over the scripts of the page, for ``install.py check``.

They lie in ``node_modules`` beside package.json, which git ignores, in the versions of package-lock.json. Nothing but
this check needs node, so that where it is not to be had the check says so and goes on.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from lib_upscaler.installation import private
from lib_upscaler.installation.requirements import ROOT

__all__ = ["check_scripts"]

OLDEST_NODE = (18, 18)
"""That eslint runs with."""

_INSTALL = ("ci", "--no-audit", "--no-fund", "--fetch-retries=1")


def check_scripts(root: Path = ROOT) -> int:
    """The exit status of both; 0 where they cannot be had. root: the folder of package.json."""
    npm = shutil.which("npm")
    if npm is None or _node_version() < OLDEST_NODE:
        return _skipped(f"node {'.'.join(map(str, OLDEST_NODE))} or newer, with npm, is not here")
    if not _is_installed(root):
        private.say("getting eslint and prettier ...")
        installed = subprocess.run([npm, *_INSTALL], cwd=root, capture_output=True, check=False)
        if installed.returncode:
            return _skipped("npm could not get them (npm ci says why)")
        shutil.copyfile(root / "package-lock.json", _mark(root))
    return subprocess.run([npm, "run", "--silent", "check"], cwd=root, check=False).returncode


def _skipped(reason: str) -> int:
    private.say(f"eslint and prettier are skipped: {reason}.")
    return 0


def _mark(root: Path) -> Path:
    """What was installed, written when all of it was."""
    return root / "node_modules" / "package-lock.installed.json"


def _is_installed(root: Path) -> bool:
    mark = _mark(root)
    return mark.is_file() and mark.read_bytes() == (root / "package-lock.json").read_bytes()


def _node_version() -> tuple[int, ...]:
    """() where there is none."""
    node = shutil.which("node")
    if node is None:
        return ()
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(map(int, re.findall(r"\d+", said)[:2]))
