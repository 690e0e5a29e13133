"""For a person: a private environment (.venv) with all that TrueScale needs, and the jobs that run in it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from itertools import chain, count
from pathlib import Path
from typing import Any

from .explain import NEWEST_PYTHON, OLDEST_PYTHON, hints, import_failure, pip_failure, sizes, unsupported
from .own import put_own_packages
from .requirements import ROOT, requirements

VENV = ROOT / ".venv"
STAMP = VENV / "truescale.json"
"""Says that the .venv is ours, and which requirements it holds."""
PIP_LOG = VENV / "pip.log"
SAMPLE = ROOT / "docs" / "sample.png"

GROUPS = {"upscale": ("host", "dependencies"), "test": ("host", "dependencies", "webui", "test")}
"""The groups of requirements that are installed for a job. Exact versions first: else pip fetches the newest, too."""
MODULES = {
    "upscale": ("torch", "torchvision", "spandrel", "spandrel_extra_arches", "numpy", "PIL", "psutil", "tqdm"),
    "test": ("torch", "torchvision", "spandrel", "spandrel_extra_arches", "pytest", "hypothesis", "ruff"),
}
"""What shows that they are there and work."""


class SetupError(Exception):
    """The environment cannot be made; ``str()`` says what is wrong and what to do, in words for an ordinary user."""


def say(text: str) -> None:
    """One line for the user, at once: the output of pip and of the job follows on the same stream."""
    print(f"TrueScale: {text}", flush=True)


def upscale(words: list[str]) -> int:
    """Upscale with the command line's options, from the user's folder; the exit status. No words: the sample."""
    make_ready("upscale")
    if not words:
        return _upscale_sample()
    # The user's folder stays the current one but is no place to import from: it may hold a numpy.py.
    return run_job(["-m", "lib_upscaler", "upscale", *words], PYTHONSAFEPATH="1")


def _upscale_sample() -> int:
    names = chain(["truescale-sample.png"], (f"truescale-sample-{number}.png" for number in count(2)))
    result = next(Path.cwd() / name for name in names if not os.path.lexists(name))
    say(f"no picture was named, so this enlarges a sample: {SAMPLE}")
    status = upscale([str(SAMPLE), "-o", str(result)])
    if status == 0:
        say(f"the result is {result}")
        say("With a picture of your own: python install.py upscale PICTURE")
    return status


def venv_python() -> Path:
    """The private environment's Python."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would lead a child's Python or pip out of the .venv."""
    strays = ("PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
    kept = {name: value for name, value in os.environ.items() if name.upper() not in strays}
    return {**kept, "PIP_USER": "0", **extra}


def run_job(arguments: list[str], cwd: Path | None = None, **environment: str) -> int:
    """Run the .venv's Python with these arguments to the end, with the project importable; its exit status.

    Ctrl-C reaches the job as well. It stops by itself and tidies up, so this process only waits for it.
    """
    environment = clean_environment(PYTHONPATH=str(ROOT), **environment)
    child: subprocess.Popen[bytes] | None = None

    def terminate(*_: object) -> None:
        if child is not None:
            child.terminate()

    # Handlers, not SIG_IGN: a child inherits that one, and keeps it where this process was started with it.
    handlers: dict[int, Any] = {signal.SIGINT: lambda *_: None, signal.SIGTERM: terminate}
    previous: dict[int, Any] = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        if previous[number] is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        child = subprocess.Popen([str(venv_python()), *arguments], env=environment, cwd=cwd)
        code = child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code  # as shells do for a child that a signal ended


def digest(job: str) -> str:
    """Identifies the requirements of a job: when they change, the environment is brought up to date."""
    return hashlib.sha256("\n".join(requirements(*GROUPS[job])).encode()).hexdigest()


def read_stamp() -> dict[str, str]:
    """What the .venv holds: job -> digest of its requirements; empty where that is unknown."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def is_ready(job: str) -> bool:
    """Whether the .venv is there, complete and up to date. Takes a fraction of a second."""
    return read_stamp().get(job) == digest(job) and runs_in_venv(
        f"import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, {MODULES[job]!r})))"
    )


def runs_in_venv(code: str) -> bool:
    """Whether the .venv's Python runs this code without an error."""
    return probe_venv(code) is None


def probe_venv(code: str) -> str | None:
    """Run code in the .venv: None where that went well, else the last line of what it said."""
    try:
        done = subprocess.run(
            [str(venv_python()), "-c", code],
            env=clean_environment(),
            cwd=VENV,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else (done.stdout.strip().splitlines() or ["no message"])[-1]


def make_ready(job: str) -> None:
    """Make, complete or repair the .venv where it is not ready. Raises SetupError."""
    if not is_ready(job):
        _make_ready(job)
    command = [str(venv_python()), "-m", "pip"]
    put_own_packages(
        lambda arguments: subprocess.run([*command, *arguments], env=clean_environment(), cwd=VENV, check=True),
        say,
        _python_of_venv(),
    )


def _python_of_venv() -> tuple[int, ...]:
    """The first two numbers of its version; those of this Python where that cannot be read."""
    try:
        found = re.search(
            r"^version(?:_info)? *= *(\d+)\.(\d+)", (VENV / "pyvenv.cfg").read_text("utf-8"), re.MULTILINE
        )
    except (OSError, ValueError):
        found = None
    return (int(found[1]), int(found[2])) if found else sys.version_info[:2]


def _make_ready(job: str) -> None:
    while True:
        reused = is_sound_venv()
        if reused:
            say(f"bringing the Python environment in {VENV} up to date")
        else:
            make_venv()
        install_packages(job)
        say("checking that it works ...")
        problem = probe_venv("import " + ", ".join(MODULES[job]))
        if problem is None:
            break
        if not reused:
            raise SetupError(import_failure(problem, sys.platform, str(VENV)))
        say(f"the environment is damaged ({problem}); making it anew.")
        remove_venv()
    held = {name: digest(name) for name in GROUPS if set(GROUPS[name]) <= set(GROUPS[job])}
    STAMP.write_text(json.dumps({**read_stamp(), **held}), encoding="utf-8")
    say("the environment is ready.\n")


def is_sound_venv() -> bool:
    """Whether there is a .venv of ours to install into; raises SetupError where it is somebody else's."""
    works = runs_in_venv(
        f"import sys, pip; sys.exit(not {OLDEST_PYTHON} <= sys.version_info[:2] <= {NEWEST_PYTHON}"
        " or sys.prefix == sys.base_prefix)"
    )
    if STAMP.exists():
        return works
    if VENV.exists() and (works or not is_rubbish(VENV)):
        raise SetupError(f"there is a {VENV} that this program did not make. Rename or delete it, and run this again.")
    return False


def is_rubbish(folder: Path) -> bool:
    """Whether a folder without a working Python is the rest of a virtual environment, and no file of the user's."""
    return folder.is_dir() and ((folder / "pyvenv.cfg").exists() or not any(folder.iterdir()))


def remove_venv() -> None:
    """Delete the .venv."""
    try:
        if VENV.exists():
            shutil.rmtree(VENV)
    except OSError as error:
        raise SetupError(f"cannot delete {VENV} ({error}). Close what uses it, and delete it.") from error


def make_venv() -> None:
    """Make an empty .venv in place of a broken one. Raises SetupError, and before anything is touched where it can."""
    kind = platform_name()
    problem = unsupported(sys.version_info[:2], kind, sys.implementation.name, sys.maxsize > 2**32)
    if problem:
        raise SetupError(problem)
    if not all(map(importlib.util.find_spec, ("venv", "ensurepip"))):
        raise SetupError(
            "this Python cannot make virtual environments: its module 'venv' or 'ensurepip' is missing. "
            "On Debian and Ubuntu: sudo apt install python3-venv"
        )
    extra_index = bool(os.environ.get("PIP_EXTRA_INDEX_URL"))
    download, disk = sizes(kind, sys.version_info[:2], extra_index)
    say(f"setting up a private Python environment in {VENV}")
    say(f"Python {sys.version.split()[0]}; about {download:.1f} GB to download and {disk:.1f} GB on the disk, once.")
    say("Outside of that folder only pip's cache of downloads grows.")
    for line in [] if extra_index else hints(kind):
        say(line)
    needed = (download + disk) * 1e9  # the downloads lie beside what is unpacked until all is done
    free = shutil.disk_usage(ROOT).free
    if free < needed:
        raise SetupError(f"this needs {needed / 1e9:.1f} GB on the disk of {ROOT}, where {free / 1e9:.1f} GB are free.")
    remove_venv()
    try:
        VENV.mkdir()
        STAMP.write_text("{}", encoding="utf-8")  # from here on it is ours, however far this gets
    except OSError as error:
        raise SetupError(f"cannot write to {ROOT} ({error}). Move TrueScale to a folder of your own.") from error
    # When the .venv's own Python runs this, what it was made from has to make it anew.
    python = getattr(sys, "_base_executable", sys.executable) if Path(sys.prefix) == VENV else sys.executable
    command = [python, "-m", "venv", str(VENV)]
    made = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, errors="replace")
    if made.returncode != 0:
        said = (made.stdout + made.stderr).strip()
        raise SetupError(f"Python could not make the environment. On Debian: sudo apt install python3-venv\n{said}")


def platform_name() -> str:
    """System and processor, such as "linux-x86_64", "win-amd64", "macosx-arm64"."""
    if sys.platform == "darwin":
        return f"macosx-{platform.machine()}"  # sysconfig says "universal2" for both kinds
    return sysconfig.get_platform()


def install_packages(job: str) -> None:
    """pip-install the requirements of a job into the .venv. Raises SetupError with the reason."""
    scratch = VENV / "tmp"  # /tmp is in memory on many systems, and too small for PyTorch
    scratch.mkdir(exist_ok=True)
    if PIP_LOG.exists():
        PIP_LOG.unlink()  # pip appends
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    # Wheels only: nothing is compiled, and no package's code runs while it is installed.
    options = ["--disable-pip-version-check", "--no-input", "--only-binary", ":all:", "--log", str(PIP_LOG)]
    command = [str(venv_python()), "-m", "pip", "install", *options, *requirements(*GROUPS[job])]
    try:
        done = subprocess.run(command, env=clean_environment(**places), cwd=VENV)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if done.returncode != 0:
        log = PIP_LOG.read_text(encoding="utf-8", errors="replace") if PIP_LOG.exists() else ""
        raise SetupError(f"{pip_failure(log)} (All that pip said: {PIP_LOG})")
