"""Whether what TrueScale needs is there. Asked often; imports nothing that takes long."""

from __future__ import annotations

from ...errors import TrueScaleError
from ...installation.host import present
from ...own_packages import OLDEST_OF_HOST, find, host_is_too_old
from .lives import SCRIPTS

__all__ = ["check", "problem"]


def problem() -> str:
    """What is missing, in words for the panel; empty where all is there. What is installed later needs a restart."""
    words = SCRIPTS.of(_Health).words
    return str(TrueScaleError(*words)) if words else ""


def check() -> None:
    """Raises TrueScaleError where something is missing."""
    words = SCRIPTS.of(_Health).words
    if words:
        raise TrueScaleError(*words)


class _Health:
    """Looked at once: the look takes a few milliseconds. words: of the error; empty where there is none."""

    def __init__(self) -> None:
        why = _missing()
        todo = "restart the WebUI with the network up; its console says what went wrong"
        self.words = ("TrueScale cannot run", why, todo) if why else ()


def _missing() -> str:
    absent = [name for name in ("torch", "torchvision", "safetensors", "psutil") if not present(name)]
    ours_is_there = find() is not None
    if not ours_is_there and not present("spandrel"):
        absent.append("spandrel")
    if absent:
        return f"{', '.join(absent)} is not installed"
    if not ours_is_there and host_is_too_old():
        needed = ".".join(map(str, OLDEST_OF_HOST))
        return f"this WebUI brings a spandrel older than {needed}, and the one of TrueScale's own is not there yet"
    return ""
