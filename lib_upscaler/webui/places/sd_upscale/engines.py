"""Which engine redraws: tile by tile, or one canvas where the WebUI and what is switched on in it allow that."""

from __future__ import annotations

from typing import Any

from ....errors import RequestError
from ....fields import ENGINES
from ...sampling.checkpoint import is_known
from ...sampling.guests import why_not

__all__ = ["ONE_CANVAS", "TILES", "engine_here", "engine_of"]

TILES, ONE_CANVAS, _AUTO = ENGINES


def engine_of(p: Any, asked: str) -> str:
    """TILES or ONE_CANVAS. asked: one of ENGINES. Raises RequestError where ONE_CANVAS is asked for and cannot be."""
    if asked == TILES:
        return TILES
    why = why_not(p)
    if asked == _AUTO:
        return TILES if why or not is_known() else ONE_CANVAS
    if why:
        raise RequestError("one canvas is not possible here", why, f"choose the engine {TILES}")
    return ONE_CANVAS


def engine_here(asked: str) -> str:
    """As ``engine_of``, before there is a ``p``: what may be switched on is not looked at."""
    return engine_of(None, asked)
