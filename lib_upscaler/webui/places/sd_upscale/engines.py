"""Which engine redraws: tile by tile, or one canvas where the WebUI and what is switched on in it allow that."""

from __future__ import annotations

from typing import Any

from ....errors import RequestError
from ....fields import ENGINES
from ...sampling.checkpoint import is_known
from ...sampling.guests import why_not, why_not_each_alone

__all__ = ["ONE_CANVAS", "TILES", "engine_here", "engine_of"]

TILES, ONE_CANVAS, _AUTO = ENGINES


def engine_of(p: Any, asked: str, against: str = "") -> str:
    """TILES or ONE_CANVAS. asked: one of ENGINES. against: what else speaks against one canvas, in words. Raises
    RequestError where what is asked for cannot be."""
    why = "" if asked == TILES else why_not(p) or against
    if asked == ONE_CANVAS and why:
        todo = "switch it off" if why_not_each_alone(p) else f"choose the engine {TILES}"
        raise RequestError("one canvas is not possible here", why, todo)
    if asked == ONE_CANVAS or (asked == _AUTO and not why and is_known()):
        return ONE_CANVAS
    why = why_not_each_alone(p)
    if why:
        todo = "switch it off" if why_not(p) else f"choose the engine {ONE_CANVAS}"
        raise RequestError("a redraw in tiles is not possible here", why, todo)
    return TILES


def engine_here(asked: str, against: str = "") -> str:
    """As ``engine_of``, before there is a ``p``: what may be switched on is not looked at."""
    return engine_of(None, asked, against)
