"""Inside a WebUI: adds what its Python lacks, changes nothing that is there, and never stops its start."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shlex
import subprocess
import sys
from collections.abc import Callable

from ..own_packages import pins
from .explain import fetch_failure
from .own import put_own_packages

HOST_MODULES = ("torch", "torchvision", "numpy", "PIL")
"""What comes with a WebUI and is never installed here."""
SMALL_MODULES = ("einops", "safetensors", "typing_extensions", "tqdm", "psutil", "filelock")
"""What is added where it is missing; the packages are named as the modules."""


def say(text: str) -> None:
    """One line in the WebUI's console."""
    print(f"TrueScale: {text}", flush=True)


def prepare_host() -> None:
    """Add what the WebUI's Python lacks. Nothing that is there is changed, and no failure stops the WebUI's start."""
    try:
        wanted = missing_in_host()
        if wanted is None:
            return
        if wanted:
            install_in_host(wanted)
        put_own_packages(_pip_beside, say)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the WebUI starts, whatever is wrong here
        say(f"could not check what it needs ({type(error).__name__}: {error}). The WebUI starts without it.")


def missing_in_host() -> list[str] | None:
    """What pip shall add to the WebUI's packages; None where this is no WebUI's Python, which the user is told."""
    absent = [name for name in HOST_MODULES if not present(name)]
    if absent:
        say(f"this Python lacks {', '.join(absent)}, which a WebUI brings. Nothing was installed.")
        say("start the WebUI once more, or use TrueScale by itself: python install.py upscale PICTURE")
        return None
    return [name for name in SMALL_MODULES if not present(name)]


def present(module: str) -> bool:
    """Whether the module could be imported; it is not imported, which takes seconds with torch."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def install_in_host(wanted: list[str]) -> None:
    """Install without dependencies, so that no package that the WebUI pins is changed."""
    # Few retries: where there is no network, each start of the WebUI would wait for them.
    options = ["install", "--no-deps", "--retries", "1", "--timeout", "20", *wanted]
    try:
        host_pip(f"{' '.join(wanted)} for TrueScale")(options)
        failure = ""
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a host's pip fails in ways of its own
        failure = fetch_failure(str(error).strip() or type(error).__name__)
    importlib.invalidate_caches()
    absent = [name for name in wanted if not present(name)]
    if absent:
        say(f"could not install {' '.join(absent)}{f' ({failure})' if failure else ''}.")
        say("it will not work until that is there; the WebUI itself starts as usual. With the network up, restart the")
        say(f'WebUI, or run: "{sys.executable}" -m pip install --no-deps {" ".join(absent)}')


def _pip_beside(arguments: list[str]) -> None:
    """The WebUI's pip is looked for only where there is something to fetch: that takes as long as all else here."""
    host_pip(f"spandrel {pins()['spandrel']} for TrueScale, beside the WebUI's packages")(arguments)


def host_pip(what: str) -> Callable[[list[str]], object]:
    """A function that runs pip with a list of arguments: the WebUI's own (it knows its index), else plain pip.

    what: is installed; the WebUI says "Installing ...".
    """
    try:
        run_pip = importlib.import_module("launch").run_pip
    except (Exception, SystemExit):  # noqa: BLE001 - no WebUI, or a launcher that fails: plain pip does
        run_pip = None
    if run_pip is not None:
        return lambda arguments: run_pip(" ".join(map(_quoted, arguments)), what)
    return lambda arguments: subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)


def _quoted(word: str) -> str:
    """For the shell that a WebUI runs pip in; a path may have spaces."""
    if os.name == "nt":
        return f'"{word}"' if " " in word else word
    return shlex.quote(word)
