"""The report: a line of JSON for each picture, in a file here or at an address."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import RequestError, TrueScaleError
from ..models.entry import SUFFIXES
from ..pictures.formats import is_picture_path
from .addresses import Address, Place, put, read_text

__all__ = ["Report", "check_report"]

_SENT_EVERY = 60.0
"""Seconds between two uploads of a report that goes to an address: objects cannot be added to."""


class Report:
    """Appends to what is there. Its failure is told by ``add``'s answer, and costs no picture."""

    def __init__(self, place: Place) -> None:
        """Raises PictureReadError where what is there already cannot be read."""
        self._place = place
        self._copy: Path | None = None
        if isinstance(place, Address):
            before = read_text(place)
            handle, name = tempfile.mkstemp(prefix="truescale-report-")
            self._copy = Path(name)
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(before or "")
        self._sent = time.monotonic()

    def add(self, line: dict[str, Any]) -> str:
        """Append a line; what went wrong, "" for nothing."""
        try:
            # A name that is not Unicode is kept as JSON's own escape.
            with self._local.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
            if self._copy is not None and time.monotonic() - self._sent > _SENT_EVERY:
                self._send()
        except (OSError, TrueScaleError) as error:
            return self._failed(error)
        return ""

    def close(self) -> str:
        """What went wrong, "" for nothing."""
        if self._copy is None:
            return ""
        try:
            self._send()
        except TrueScaleError as error:
            return self._failed(error)
        self._copy.unlink()
        return ""

    @property
    def _local(self) -> Path:
        if self._copy is not None:
            return self._copy
        assert isinstance(self._place, Path)
        return self._place

    def _send(self) -> None:
        assert self._copy is not None
        assert isinstance(self._place, Address)
        put(self._copy, self._place, overwrite=True)
        self._sent = time.monotonic()

    def _failed(self, error: Exception) -> str:
        kept = f"; what goes there is in '{self._copy}'" if self._copy is not None else ""
        return f"the report '{self._place}' cannot be written on ({error}){kept}"


def check_report(report: Place, pictures: Iterable[Place]) -> None:
    """Before any work: whether the report can be written; it is not made yet. Raises RequestError.

    pictures: sources and results, which it may not be.
    """
    what = f"cannot write the report '{report}'"
    named = RequestError(what, "that is the name of a picture or a model", "choose one such as report.jsonl")
    if is_picture_path(report.name) or report.name.lower().endswith(SUFFIXES):
        raise named
    if isinstance(report, Address):
        return
    path = os.path.realpath(report)
    if any(isinstance(file, Path) and os.path.realpath(file) == path for file in pictures):
        raise named
    folder = Path(path).parent
    try:
        if report.exists():
            report.open("a").close()
        elif not folder.is_dir():
            raise RequestError(what, f"there is no folder '{folder}'", "create it first")
        elif not os.access(folder, os.W_OK | os.X_OK):
            raise RequestError(what, f"no writing into '{folder}'", "choose another place with --report")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise RequestError(what, why, "choose another place with --report") from error
