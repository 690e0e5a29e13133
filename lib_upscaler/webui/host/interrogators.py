"""The WebUI's networks that say what a picture shows.

AUTOMATIC1111, Forge and reForge have them; Classic and Neo have none.
"""

from __future__ import annotations

import sys
from typing import Any

from PIL import Image

from ...errors import MemoryLimitError, TrueScaleError, memory_ran_out
from . import access

__all__ = ["described", "names"]

_CLIP, _BOORU = "CLIP", "DeepBooru"
_FAILED = "<error>"
"""What the host's CLIP says in place of words."""
_NO_FILE = "list index out of range"
"""What the host says where it could not fetch a model: it takes the first of no files."""


def names() -> list[str]:
    """Those that this WebUI has; none is loaded by a look."""
    there = {_CLIP: hasattr(_clip(), "interrogate"), _BOORU: hasattr(_booru(), "tag")}
    return [name for name, is_there in there.items() if is_there]


def described(image: Image.Image, name: str) -> str:
    """In one line. image: RGB. name: one of ``names()``. The host fetches the network at its first use.

    Raises TrueScaleError.
    """
    try:
        text = _clip().interrogate(image) if name == _CLIP else _tagged(image)
    except Exception as error:
        # Models that are fetched and run by others' code, which raises anything: all of it is told, and ends the job.
        access.log.warning("TrueScale: %s failed", name, exc_info=error)
        raise _in_words(name, error) from error
    if text.endswith(_FAILED):
        raise _in_words(name, RuntimeError(_last_reported()))
    return " ".join(text.split())


def _clip() -> Any:
    return getattr(access.module("shared"), "interrogator", None)


def _booru() -> Any:
    # Not imported by us: where the host has not done so, it does not use it.
    return getattr(sys.modules.get("modules.deepbooru"), "model", None)


def _tagged(image: Image.Image) -> str:
    model, text = _booru(), None
    try:
        text = str(model.tag(image))
        return text
    finally:
        if text is None and getattr(model, "model", None) is not None:
            model.stop()  # where it fails, the host leaves it on the device


def _last_reported() -> str:
    """Why: the host has caught it, and keeps the last few."""
    records = getattr(access.module("errors"), "exception_records", None)
    return str(records[-1].get("exception", "")) if records else ""


def _in_words(name: str, error: Exception) -> TrueScaleError:
    reason = str(error).split("\n")[0].strip(" .") or type(error).__name__
    if reason == _NO_FILE:
        reason = "its model is not there"
    if memory_ran_out(error):
        return MemoryLimitError(f"there is not enough memory for {name}", reason, "close what else uses the device")
    todo = "its model is fetched at the first use, which needs the network; the console has the details"
    return TrueScaleError(f"{name} could not describe the picture", reason, todo)
