"""What ``install.py test`` and ``install.py check`` do in the private environment."""

from __future__ import annotations

from lib_upscaler.installation import private
from lib_upscaler.installation.requirements import ROOT

from .test_setup import second_gradio
from .test_setup.browser import install_browser

__all__ = ["check", "test"]

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
)
"""Modules that are run, with their arguments."""


def test(words: list[str]) -> int:
    """Run the tests with pytest's options, from the project's folder; the exit status. Raises SetupError."""
    private.make_ready("test")
    second_gradio.add([str(private.venv_python()), "-m", "pip"], private.clean_environment(), private.say)
    install_browser(private.say)
    return private.run_job(["-m", "pytest", *words], cwd=ROOT)


def check(words: list[str]) -> int:
    """Run all checks; the worst exit status. words: further options for ruff. Raises SetupError."""
    private.make_ready("test")
    return max(
        private.run_job(["-m", tool, *arguments, *(words if tool == "ruff" else [])], cwd=ROOT)
        for tool, *arguments in CHECKS
    )
