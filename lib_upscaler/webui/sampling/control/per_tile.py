"""ControlNet where each tile is a generation of the host's: hooked for the canvas, and cut for the tile.

The extension would take ``p.init_images[0]``, a tile, or squeeze a unit's own picture into each. So it is shown a copy
of ``p`` that has the canvas, and makes one hint, which is the same for all tiles; its preprocessors remember theirs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Optional

from PIL import Image

from ....diffusion.canvas_conditioning import Part
from ....diffusion.grid import LATENT, RedrawGrid
from ....geometry import Region, Size
from ..replaced import Replaced
from .mikubill import cleaned_up, hooked, is_on, script_of
from .slices import SlicedHints

__all__ = ["ControlledTiles"]

Canvas = tuple[Image.Image, Optional[Image.Image]]
"""RGB, and L or None."""

_ENTRY = "controlnet_main_entry"
_VAE_CACHE = "controlnet_vae_cache"


class ControlledTiles:
    """For the tiles of one picture."""

    def __init__(self, base: Any, grid: RedrawGrid, canvas: Callable[[], Canvas]) -> None:
        """base: the ``p`` that the tiles' are copies of. canvas: picture and mask that they are cut out of; asked for
        where a ControlNet is on."""
        self._script = script_of(base)
        self._on = is_on(base)
        self._grid, self._make_canvas = grid, canvas
        self._canvas: Canvas | None = None
        self._view: Any = None
        self._calls = 0

    @contextmanager
    def generation(self, p: Any) -> Iterator[None]:
        """Around the host's generation of one tile."""
        with cleaned_up(p):
            if not self._on:
                yield
                return
            replaced = Replaced(self._script, _ENTRY, lambda p: self._enter(replaced.plain, p))
            try:
                yield
            finally:
                replaced.restore()

    @contextmanager
    def sampling(self, p: Any, region: Region) -> Iterator[None]:
        """Around its sampling. region: of the tile, px of the canvas. Raises TrueScaleError."""
        if not hooked(p):
            yield
            return
        network, canvas, tile = self._script.latest_network, self._grid.canvas, self._grid.tile
        latent = Size(canvas.width // LATENT, canvas.height // LATENT)
        box = Region(*(side // LATENT for side in (region.x, region.y, region.width, region.height)))
        with SlicedHints(network, self._view or p, latent, tile.area // LATENT**2) as hints:
            hints.sees(1, [Part(box)])
            yield

    def _enter(self, plain: Any, p: Any) -> None:
        """In place of the script's hooking, with the canvas in place of the tile."""
        if self._canvas is None:
            self._canvas = self._make_canvas()
        picture, mask = self._canvas
        view = copy.copy(p)
        view.width, view.height = self._grid.canvas.width, self._grid.canvas.height
        view.init_images, view.image_mask = [picture], mask
        setattr(view, _VAE_CACHE, getattr(self._view, _VAE_CACHE, None))
        plain(view)
        # What it has put there is for the generation that runs.
        p.sample = view.sample
        p.controlnet_control_loras = getattr(view, "controlnet_control_loras", [])
        if self._calls:
            self._script.detected_map = []  # saved with the first tile
        self._view, self._calls = view, self._calls + 1
