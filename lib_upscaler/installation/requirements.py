"""Reads the one list of dependencies, pyproject.toml."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder."""


def requirements(*groups: str) -> list[str]:
    """The requirements in pyproject.toml, each as pip takes it.

    groups: ``dependencies`` or names of optional groups. Raises LookupError for a group that is not there.

    TOML's arrays of strings are Python's lists, so no TOML parser is needed (before 3.11, Python comes without one).
    """
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = []
    for group in groups:
        array = re.search(rf"^{re.escape(group)} = (\[.*?^\])$", text, re.MULTILINE | re.DOTALL)
        if array is None:
            raise LookupError(f"pyproject.toml has no list '{group}'")
        found += ast.literal_eval(array.group(1))
    return found
