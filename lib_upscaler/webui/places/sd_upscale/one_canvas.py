"""The engine "One canvas": the whole picture once through the host's img2img, and only its network gets tiles.

For the host it is a redraw in a single tile of the picture's size, so that mask, noise, colour lock and infotext are
those of the engine "Tiles"; sampling differs, and that what an interrupt leaves is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from ....diffusion.canvas_forecast import CanvasForecast, forecast
from ....diffusion.canvas_grid import CanvasGrid
from ....diffusion.grid import LATENT, RedrawGrid
from ....diffusion.redraw import Stop, Tile
from ....diffusion.redraw_whole import whole_grid
from ....errors import TrueScaleError
from ....geometry import Size
from ... import host
from ...host.progress import stop_kind
from ...sampling.control import cleaned_up, hooked
from ...sampling.in_tiles import in_tiles, network_grid
from ...sampling.prompts import HostPrompts
from ...sampling.speed import timed
from .prompts import TilePrompts
from .tiles import TileSampler

__all__ = ["CanvasSampler", "canvas_forecast", "is_one_tile"]

_STEPS = 20
"""Of a forecast where they are not known; hardly anything depends on them."""


def canvas_forecast(size: Size, tile: Size, batch: int, steps: int = _STEPS) -> CanvasForecast:
    """What the network will have to do for a picture of this size. Raises RequestError."""
    return forecast(_network_grid(whole_grid(size), tile, 0), steps, batch)


def is_one_tile(size: Size, tile: Size) -> bool:
    """Whether the network gets a picture of this size as a whole. Raises RequestError."""
    return _network_grid(whole_grid(size), tile, 0).is_whole


def _network_grid(grid: RedrawGrid, tile: Size, seed: int) -> CanvasGrid:
    canvas = grid.canvas
    return network_grid(Size(canvas.width // LATENT, canvas.height // LATENT), tile, seed)


class CanvasSampler(TileSampler):
    """Samples one picture as one canvas."""

    def __init__(
        self,
        base: Any,
        grid: RedrawGrid,
        seed: int,
        subseed: int,
        prompt: str,
        tile: Size,
        batch: int,
        composition: bool = False,
        prompts: TilePrompts | None = None,
        period: tuple[int, int] = (0, 0),
    ) -> None:
        """grid: of a ``WholeRedraw``. tile: px, of the network's tiles; batch: of them at once. composition: as of
        ``in_tiles``. prompts: of parts of the canvas. period: of the noise, as of ``NoiseField``; the host's own noise
        where there is none. Others: as of TileSampler.

        Raises RequestError.
        """
        only = None if prompts is None else prompts.only
        super().__init__(base, grid, seed, subseed, prompt if only is None else only, period=period)
        self._prompts = prompts if only is None else None
        self._host_prompts: HostPrompts | None = None
        self._network, self._batch, self._composition = _network_grid(grid, tile, seed), batch, composition

    @property
    def forecast(self) -> CanvasForecast:
        return forecast(self._network, max(1, int(self._base.steps)), self._batch)

    def begins(self, done: int, total: int) -> None:
        host.state().job = "One canvas"

    def _sample(self, tiles: Sequence[Tile]) -> list[Image.Image]:
        """The one tile. An Interrupt or Skip gives what the sampler has come to, as in any generation."""
        state = host.state()
        if state.interrupted or getattr(state, "stopping_generation", False):
            self._note = "not redrawn (interrupted)"
            raise Stop(whole=True)
        state.skipped = False
        p = self._copy(tiles)
        with cleaned_up(p):
            processed = host.module("processing").process_images(p)
        stopped, state.skipped = stop_kind(), False  # the host forgets a Skip only when its next picture begins
        if not processed.images:
            if not stopped and not getattr(state, "stopping_generation", False):
                raise TrueScaleError("the WebUI gave no picture back", "an extension may have removed it")
            self._note = "not redrawn (interrupted)"
            raise Stop(whole=True)
        if stopped:
            self._note = "partly redrawn (interrupted)" if stopped == "interrupt" else "partly redrawn (skipped)"
        self._last = p
        return list(processed.images[:1])

    def _copy(self, tiles: Sequence[Tile]) -> Any:
        p = super()._copy(tiles)
        if self._prompts is not None:
            self._host_prompts = HostPrompts(p, self._prompts.texts, self._prompts.number_of())
        return p

    def _hooked_sample(self, p: Any, sample: Callable[..., Any], regions: Sequence[Any]) -> Callable[..., Any]:
        """The host's noise is that of the canvas already, unless it is to come again; its network gets tiles, on this
        sampler alone."""

        def tiled(*arguments: Any, **named: Any) -> Any:
            p.overlay_images = p.mask_for_overlay = None  # it would blend over the mask once more
            hooked(p)  # or it is told
            if any(self._period):
                self._replace_noise(p, regions)
            px = self.forecast.work * self._network.size.area
            with timed(px), in_tiles(p, self._network, self._batch, self._composition, self._host_prompts):
                return sample(*arguments, **named)

        return tiled
