"""What the accordion in txt2img asks of one generation's Hires Fix, kept on that generation's own ``p``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["attach", "options_of"]

_ATTRIBUTE = "truescale_hires"


def attach(processing: Any, values: Mapping[str, Any]) -> None:
    """For this generation only: they go with ``processing``, and a nested generation has its own.

    values: checked ones of the place "hires", with the upscaler itself in place of its name; {} for none.
    """
    setattr(processing, _ATTRIBUTE, dict(values))


def options_of(processing: Any) -> dict[str, Any]:
    """Those attached to it, else none."""
    found = getattr(processing, _ATTRIBUTE, None)
    return found if isinstance(found, dict) else {}
