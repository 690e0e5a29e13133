"""What is kept of a generation whose second pass failed."""

from __future__ import annotations

from typing import Any

from ....errors import TrueScaleError, memory_ran_out
from ... import host
from ...takeover.failing import note_picture

__all__ = ["kept", "tell"]


def kept(samples: Any, decoded: Any) -> Any:
    """The first pass's pictures as the host expects them of the second.

    samples: its latents. decoded: its pictures ``(B, 3, H, W)`` in [-1, 1], where the second pass was to enlarge these;
    None: the host decodes the latents.
    """
    return samples if decoded is None else host.module("processing").DecodedSamples(list(decoded))


def tell(p: Any, what: str, error: BaseException) -> None:
    """On the page, below the pictures, and in the infotext of each of the batch. what: failed, and what is kept."""
    host.log.error("TrueScale: %s", what, exc_info=error)
    words = f"{what}: {_in_words(error)}"
    host.warn(words)
    if hasattr(p, "comment"):
        p.comment(f"TrueScale: {words}")
    for number in range(1, p.batch_size + 1):
        note_picture(p, number, words)


def _in_words(error: BaseException) -> str:
    """What went wrong, and what helps."""
    if isinstance(error, TrueScaleError):
        return str(error)
    words = str(error).strip().split("\n")[0].strip(" .") or type(error).__name__
    if memory_ran_out(error):
        return f"memory ran out ({words}); choose a smaller size, or smaller batches"
    return words if type(error) in (Exception, RuntimeError) else f"{type(error).__name__}: {words}"
