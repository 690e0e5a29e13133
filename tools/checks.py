"""What ``install.py test`` and ``install.py check`` do in the private environment."""

from __future__ import annotations

from lib_upscaler.installation import private
from lib_upscaler.installation.requirements import ROOT

from .page_scripts import check_scripts
from .test_setup import second_gradio
from .test_setup.browser import install_browser

__all__ = ["check", "test"]

STYLE = (["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."])
STRUCTURE = (
    ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],  # it cannot be run with -m
    ["-m", "mypy"],
)
"""What the .venv's Python is run with."""


def test(words: list[str]) -> int:
    """Run the tests with pytest's options, from the project's folder; the exit status. Raises SetupError."""
    private.make_ready("test")
    second_gradio.add([str(private.venv_python()), "-m", "pip"], private.clean_environment(), private.say)
    install_browser(private.say)
    return private.run_job(["-m", "pytest", *words], cwd=ROOT)


def check(words: list[str]) -> int:
    """Run ruff, the contracts on imports, mypy, and what looks at the page's scripts; the worst exit status.

    words: further options for ruff. Raises SetupError.
    """
    private.make_ready("test")
    done = [private.run_job([*arguments, *words], cwd=ROOT) for arguments in STYLE]
    if private.runs_in_venv("import importlinter, mypy"):
        done += [private.run_job(arguments, cwd=ROOT) for arguments in STRUCTURE]
    else:
        private.say("the contracts on imports and the types are checked with Python 3.10 and newer.")
    return max(*done, check_scripts())
