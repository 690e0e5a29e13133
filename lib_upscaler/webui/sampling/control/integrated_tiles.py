"""The Forge family's ControlNet where each tile is a generation of the host's: hints of the canvas, cut for the tile.

The script would take ``p.init_images[0]``, a tile, or squeeze a unit's own picture into each. So it is shown a copy of
``p`` that has the canvas, once; what it has made of that is cut for each tile before the script hands it on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ....diffusion.grid import RedrawGrid
from ....geometry import Region, Size
from ..replaced import Replaced
from .integrated import SET_UP, cleaned_up, is_on, prepared, script_of
from .per_tile import Canvas
from .refusing import not_set_up
from .units import of_no_place

__all__ = ["IntegratedTiles"]

_HAND_ON = "process_before_every_sampling"
"""Of the script."""

_HINTS = ("control_cond", "control_cond_for_hr_fix")
_MASKS = ("control_mask", "control_mask_for_hr_fix")
"""Of a unit's params; where they are pictures."""


class IntegratedTiles:
    """For the tiles of one picture."""

    def __init__(self, base: Any, grid: RedrawGrid, canvas: Callable[[], Canvas]) -> None:
        """As of ``ControlledTiles``."""
        self._script, self._on = script_of(base), is_on(base)
        self._grid, self._make_canvas = grid, canvas
        self._canvas: Canvas | None = None
        self._failed = False
        self._made: list[tuple[Any, dict[str, Any]]] = []
        """Of each unit what the script has said, and made of the canvas."""

    @contextmanager
    def generation(self, p: Any) -> Iterator[None]:
        """Around the host's generation of one tile."""
        with cleaned_up(p):
            if not self._on:
                yield
                return
            begun: list[None] = []
            self._failed = False

            def enter(p: Any, unit: Any, params: Any, *more: Any, **named: Any) -> Any:
                number = len(begun)
                begun.append(None)
                if number == len(self._made):
                    said = replaced.plain(self._view(p), unit, params, *more, **named)  # in Classic, whether it is
                    self._made.append((said, dict(vars(params))))
                said, made = self._made[number]
                vars(params).update(made)
                return said

            def hand_on(*given: Any, **named: Any) -> None:
                failed, self._failed = self._failed, True  # until it is known: the host only reports an error here
                handed_on.plain(*given, **named)
                self._failed = failed

            replaced, handed_on = Replaced(self._script, SET_UP, enter), Replaced(self._script, _HAND_ON, hand_on)
            try:
                yield
            finally:
                replaced.restore()
                handed_on.restore()

    @contextmanager
    def sampling(self, p: Any, region: Region) -> Iterator[None]:
        """Around its sampling, which begins with the script's handing on. region: of the tile, px of the canvas. Raises
        TrueScaleError."""
        if self._on:
            for unit, params in prepared(self._script, p):
                for name in (*_HINTS, *_MASKS):
                    whole = name in _HINTS and of_no_place(unit)
                    setattr(params, name, self._part(getattr(params, name), region, whole))
        yield
        if self._failed:  # which the host has only reported
            raise not_set_up()

    def _view(self, p: Any) -> Any:
        """The tile's ``p`` with the canvas in place of the tile."""
        if self._canvas is None:
            self._canvas = self._make_canvas()
        picture, mask = self._canvas
        view = copy.copy(p)
        view.width, view.height = self._grid.canvas.width, self._grid.canvas.height
        view.init_images, view.image_mask = [picture], mask
        return view

    def _part(self, hint: Any, region: Region, whole: bool) -> Any:
        """For the tile. whole: of its size, not of its place."""
        if not isinstance(hint, Tensor) or hint.ndim != 4 or Size(hint.shape[3], hint.shape[2]) != self._grid.canvas:
            return hint
        if whole:
            return F.interpolate(hint, size=(region.height, region.width), mode="area")
        # A copy, since the script's models may change it.
        return hint[:, :, region.rows, region.columns].clone()
