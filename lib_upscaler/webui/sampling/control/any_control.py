"""The ControlNet of this WebUI, whichever it is: Mikubill's extension, or the one that is built into the Forge family.

That there are two is known here only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Union

from ....diffusion.grid import RedrawGrid
from . import integrated, mikubill
from .integrated_tiles import IntegratedTiles
from .per_tile import Canvas, ControlledTiles

__all__ = ["TileControl", "cleaned_up", "hooked", "is_known", "is_on", "tile_control", "why_not"]

TileControl = Union[ControlledTiles, IntegratedTiles]


def is_known(script: Any, p: Any) -> bool:
    """Whether a script of this generation is a ControlNet of which it is known what it does."""
    return script is not None and any(script is kind.script_of(p) for kind in (mikubill, integrated))


def is_on(p: Any) -> bool:
    """Whether one is installed and asked for anything."""
    return mikubill.is_on(p) or integrated.is_on(p)


def why_not(p: Any, each_tile_alone: bool = False) -> str:
    """What is asked for that tiles cannot have, in words; "" where they can. each_tile_alone: each tile is a generation
    of the host's, as in the engine Tiles."""
    script = mikubill.script_of(p)
    why = "" if script is None else mikubill.why_not(script, p, each_tile_alone)
    return why or integrated.why_not(p, each_tile_alone)


def hooked(p: Any) -> bool:
    """Whether one conditions this generation, whose scripts have run. Raises TrueScaleError where one is on and does
    not: the host only reports what a script raises, and would go on without."""
    return mikubill.hooked(p) or integrated.is_set_up(p)


@contextmanager
def cleaned_up(p: Any) -> Iterator[None]:
    """Around a generation of the host: where it fails, what the scripts have done is undone all the same."""
    with mikubill.cleaned_up(p), integrated.cleaned_up(p):
        yield


def tile_control(base: Any, grid: RedrawGrid, canvas: Callable[[], Canvas]) -> TileControl:
    """For tiles that are generations of the host's. base: the ``p`` that the tiles' are copies of. canvas: picture and
    mask that they are cut out of; asked for where a ControlNet is on."""
    kind = ControlledTiles if integrated.script_of(base) is None else IntegratedTiles
    return kind(base, grid, canvas)
