"""Whether what TrueScale needs is there. Asked often; imports nothing that takes long."""

from __future__ import annotations

from ...installation.host import OLDEST_SPANDREL, present, version_of
from ...own_packages import find
from .lives import SCRIPTS

__all__ = ["problem"]


def problem() -> str:
    """What is missing, in words for the panel; empty where all is there. What is installed later needs a restart."""
    return SCRIPTS.of(_Health).problem


class _Health:
    """Looked at once: the look takes a few milliseconds."""

    def __init__(self) -> None:
        self.problem = _problem()


def _problem() -> str:
    absent = [name for name in ("torch", "torchvision", "safetensors", "psutil") if not present(name)]
    ours_is_there = find() is not None
    if not ours_is_there and not present("spandrel"):
        absent.append("spandrel")
    if absent:
        return (
            f"TrueScale cannot run: {', '.join(absent)} is not installed. Restart the WebUI with the network up;"
            " its console says what went wrong."
        )
    if not ours_is_there and version_of("spandrel") < OLDEST_SPANDREL:
        needed = ".".join(map(str, OLDEST_SPANDREL))
        return (
            f"TrueScale cannot run: this WebUI brings a spandrel older than {needed}, and the one of TrueScale's own"
            " is not there yet. Restart the WebUI with the network up; its console says what went wrong."
        )
    return ""
