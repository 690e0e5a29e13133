"""The Chromium in which the tests look at the panels: which one there is, and Debian's where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["NoBrowserError", "find_browser", "install_browser"]

CHOSEN = "TRUESCALE_BROWSER"
"""Environment variable: the browser to take."""
WITHOUT = "TRUESCALE_NO_BROWSER"
"""Environment variable: where it is 1, no browser is looked for nor installed."""

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
MAC_PLACES = tuple(f"/Applications/{name}.app/Contents/MacOS/{name}" for name in ("Google Chrome", "Chromium"))
MAC_PLACES += ("/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",)
WINDOWS_FOLDERS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
WINDOWS_PLACES = ("Google/Chrome/Application/chrome.exe", "Chromium/Application/chrome.exe")
WINDOWS_PLACES += ("Microsoft/Edge/Application/msedge.exe",)

OS_RELEASE = Path("/etc/os-release")
_APT = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=60", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20")
APT_STEPS = (
    ((*_APT, "update"), 120),
    ((*_APT, "install", "-y", "--no-install-recommends", "--download-only", "chromium"), 240),
    ((*_APT, "install", "-y", "--no-install-recommends", "chromium"), 240),
)
"""Commands with the seconds that each may take: what waits for the network is apart from what must not be cut off."""


class NoBrowserError(Exception):
    """There is none to take; ``str()`` says why."""


def find_browser(system: str = sys.platform, environment: Mapping[str, str] = os.environ) -> str:
    """The path of a browser of the Chromium family. Raises NoBrowserError. ``system`` as in ``sys.platform``."""
    if environment.get(WITHOUT) == "1":
        raise NoBrowserError(f"{WITHOUT} is set")
    chosen = environment.get(CHOSEN)
    if chosen:
        if not Path(chosen).is_file():
            raise NoBrowserError(f"there is no {chosen}, which {CHOSEN} names")
        return chosen
    for place in _places(system, environment):
        if os.path.isfile(place) and (not system.startswith("linux") or _answers(place)):
            return place
    raise NoBrowserError(f"no Chromium, Chrome or Edge was found; {CHOSEN} can name one")


def _places(system: str, environment: Mapping[str, str]) -> list[str]:
    if system == "win32":
        folders = [environment[name] for name in WINDOWS_FOLDERS if environment.get(name)]
        return [os.path.join(folder, *place.split("/")) for place in WINDOWS_PLACES for folder in folders]
    found = [shutil.which(name, path=environment.get("PATH")) for name in COMMANDS]
    return [*(place for place in found if place), *(MAC_PLACES if system == "darwin" else ())]


def _answers(program: str) -> bool:
    """Whether it runs at all: Ubuntu's chromium-browser may be no more than words about its snap."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def install_browser(say: Callable[[str], None]) -> None:
    """Install Debian's chromium where no browser is found and this can be done. What hinders that is only told."""
    if os.environ.get(WITHOUT) == "1":
        return
    try:
        find_browser()
        return
    except NoBrowserError as error:
        problem = str(error)
    if os.environ.get(CHOSEN) or not _can_install():
        say(f"the tests in a browser will be skipped: {problem}.")
        return
    say("installing Debian's package chromium for the tests in a browser ...")
    for command, seconds in APT_STEPS:
        hindrance = _hindrance(command, seconds)
        if hindrance:
            say(f"the tests in a browser will be skipped: {' '.join(command)} failed: {hindrance}")
            return


def _can_install() -> bool:
    """Root on a Debian or what derives from it. Not on Ubuntu, where the package is a snap."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    try:
        lines = OS_RELEASE.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    facts = dict(line.replace('"', "").split("=", 1) for line in lines if "=" in line)
    family = {facts.get("ID"), *facts.get("ID_LIKE", "").split()}
    return "debian" in family and "ubuntu" not in family


def _hindrance(command: tuple[str, ...], seconds: int) -> str:
    """Run it; why it failed, or ""."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        done = subprocess.run(command, env=environment, timeout=seconds, text=True, errors="replace", **streams)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stdout.strip().splitlines() or ["no message"])[-1]
