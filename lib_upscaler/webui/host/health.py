"""Whether what TrueScale needs is there. Asked often; imports nothing that takes long."""

from __future__ import annotations

from functools import lru_cache

from ...installation.host import OLDEST_SPANDREL, present, version_of

__all__ = ["problem"]


@lru_cache(maxsize=1)
def problem() -> str:
    """What is missing, in words for the panel; empty where all is there. What is installed later needs a restart."""
    absent = [name for name in ("torch", "torchvision", "spandrel", "safetensors", "psutil") if not present(name)]
    if absent:
        return (
            f"TrueScale cannot run: {', '.join(absent)} is not installed. Restart the WebUI with the network up;"
            " its console says what went wrong."
        )
    if version_of("spandrel") < OLDEST_SPANDREL:
        needed = ".".join(map(str, OLDEST_SPANDREL))
        return f"TrueScale cannot run: this WebUI brings a spandrel older than {needed}. Update the WebUI."
    return ""
