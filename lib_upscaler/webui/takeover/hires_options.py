"""What the accordion in txt2img asks of one generation's Hires Fix, kept on that generation's own ``p``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..upscaling.jobs import Choice

__all__ = ["HiresOptions", "attach", "options_of"]

_ATTRIBUTE = "truescale_hires"


@dataclass(frozen=True)
class HiresOptions:
    """second: Upscaler 2, None for none. visibility: of it, 0 to 1.

    precision: None for that of the settings. tile: side of a tile in px, None where memory decides.
    """

    second: Choice | None = None
    visibility: float = 0.0
    precision: str | None = None
    tile: int | None = None

    @property
    def has_second(self) -> bool:
        return self.second is not None and self.visibility > 0


def attach(processing: Any, options: HiresOptions) -> None:
    """For this generation only: they go with ``processing``, and a nested generation has its own."""
    setattr(processing, _ATTRIBUTE, options)


def options_of(processing: Any) -> HiresOptions:
    """Those attached to it, else none."""
    found = getattr(processing, _ATTRIBUTE, None)
    return found if isinstance(found, HiresOptions) else HiresOptions()
