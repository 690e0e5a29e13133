"""What is said where ControlNet and tiles do not go together."""

from __future__ import annotations

from ....errors import TrueScaleError

__all__ = ["not_possible", "not_set_up"]


def not_possible(why: str) -> TrueScaleError:
    return TrueScaleError("ControlNet is not possible here", why, "switch the unit off, or upscale without a redraw")


def not_set_up() -> TrueScaleError:
    """The host only reports what a script raises, and would go on without."""
    what, why = "ControlNet could not be set up", "its error stands in the console"
    return TrueScaleError(what, why, "change its units, or switch them off")
