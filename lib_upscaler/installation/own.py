"""Puts the packages of our own (own_packages.txt) into their folder, once, and never among the WebUI's packages."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..own_packages import PIN_FILE, find, folder_name, host_is_too_old, host_version, pins, places
from .explain import fetch_failure

__all__ = ["put_own_packages"]

Pip = Callable[[list[str]], object]
"""Runs pip with these arguments; may raise whatever it likes."""

_NEW = ".new-"
_FORGOTTEN = 24 * 3600.0  # seconds, after which a half-made folder is nobody's

# One try and a short wait: where there is no network, each start of the WebUI would wait. Wheels only: no package's
# code is run. The hashes stand in the file.
_OPTIONS = ["install", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-compile"]
_OPTIONS += ["--retries", "0", "--timeout", "10", "--disable-pip-version-check", "--no-input"]


def put_own_packages(pip: Pip, say: Callable[[str], None], python: Sequence[int] = sys.version_info[:2]) -> None:
    """Fetch them where they are not there; says in a line or two what that means where it fails. Raises nothing of its
    own.

    python: the version that will run them, and for which ``pip`` installs.
    """
    wanted = pins(python)
    if find(python) is not None or all(host_version(package) == version for package, version in wanted.items()):
        return
    new, problem = _new_folder()
    if new is None:
        _tell_failure(say, problem, wanted["spandrel"])
        return
    try:
        problem = _installed(pip, new)
        if _is_complete(new, wanted):
            _take_place(new, new.parent / folder_name(python))
            problem = ""
    except OSError as error:
        problem = str(error)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    if find(python) is None:
        _tell_failure(say, fetch_failure(problem), wanted["spandrel"])


def _new_folder() -> tuple[Path | None, str]:
    """An empty folder beside where it shall be in the end, and what was wrong with the places before it."""
    problem = "no folder for them"
    for place in places():
        try:
            place.mkdir(parents=True, exist_ok=True)
            new = Path(tempfile.mkdtemp(prefix=_NEW, dir=place))
            new.chmod(0o755)  # other users of a shared WebUI read it
        except OSError as error:
            problem = str(error)
        else:
            return new, ""
    return None, problem


def _installed(pip: Pip, folder: Path) -> str:
    """What pip said that was wrong; "" where it saw nothing."""
    user = os.environ.pop("PIP_USER", None)  # does not go together with --target
    try:
        pip([*_OPTIONS, "--target", str(folder), "-r", str(PIN_FILE)])
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a host's pip fails in ways of its own
        return str(error).strip() or type(error).__name__
    finally:
        if user is not None:
            os.environ["PIP_USER"] = user
    return ""


def _is_complete(folder: Path, wanted: dict[str, str]) -> bool:
    return all(
        (folder / package / "__init__.py").is_file() and (folder / f"{package}-{version}.dist-info").is_dir()
        for package, version in wanted.items()
    )


def _take_place(new: Path, final: Path) -> None:
    """At once, so that nobody sees half of it. Older versions go; those of another Python stay."""
    shutil.rmtree(final, ignore_errors=True)
    new.rename(final)
    kept = {folder_name((3, minor)) for minor in range(9, 30)}
    for other in final.parent.iterdir():
        is_old_version = other.name.startswith("spandrel-") and other.name not in kept
        is_forgotten = other.name.startswith(_NEW) and time.time() - other.stat().st_mtime > _FORGOTTEN
        if is_old_version or is_forgotten:
            shutil.rmtree(other, ignore_errors=True)


def _tell_failure(say: Callable[[str], None], problem: str, version: str) -> None:
    say(f"could not fetch spandrel {version} for itself ({problem}).")
    if host_version("spandrel") and not host_is_too_old():
        say(f"models that only spandrel {version} knows will not load; the spandrel that is there serves the others.")
    else:
        say("it will not work until that is there; the WebUI itself starts as usual.")
    say("it is tried again at the next start.")
