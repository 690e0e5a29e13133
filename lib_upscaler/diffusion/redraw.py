"""The loop: tiles in their order to the sampler, what comes back into the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from PIL import Image

from ..errors import RequestError, TrueScaleError
from ..geometry import Region, Size
from .blending import Blend
from .color_lock import low_frequencies
from .grid import ORDERS, Order, RedrawGrid, ordered, plan_grid

__all__ = ["Redraw", "RedrawListener", "RedrawSettings", "Redrawn", "Sampler", "Stop", "Tile", "padded"]

_BAND = 128
"""Rows that are put together at once."""


@dataclass(frozen=True)
class RedrawSettings:
    """tile: size of a tile, px. overlap: px. order: one of ORDERS. batch: tiles sampled at once.

    color_lock: 0 to 1. flatness: tiles whose detail (see ``detail_of``, in levels) is below are left as they are.

    Raises RequestError.
    """

    tile: Size = field(default_factory=lambda: Size(512, 512))
    overlap: int = 64
    order: Order = "rows"
    batch: int = 1
    color_lock: float = 0.5
    flatness: float = 0.0

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise RequestError(f"there is no order of tiles '{self.order}'", "", f"choose one of {', '.join(ORDERS)}")
        if not 0 <= self.color_lock <= 1:
            raise RequestError(f"a colour lock of {self.color_lock} is not possible", "", "choose one from 0 to 1")
        if self.batch < 1:
            raise RequestError(f"a batch of {self.batch} tiles is not possible", "", "choose at least 1")


@dataclass(frozen=True)
class Tile:
    """One tile for the sampler. region: on the canvas. picture: RGB, of the tile's size. mask: L, 255 where it is to be
    redrawn; None: everywhere."""

    number: int
    region: Region
    picture: Image.Image
    mask: Image.Image | None = None


class Stop(TrueScaleError):  # noqa: N818 - a signal of the sampler, not a failure
    """Raised by a sampler: ``whole`` to end here and keep what is done, else to leave these tiles as they are."""

    def __init__(self, whole: bool) -> None:
        super().__init__("stopped" if whole else "skipped")
        self.whole = whole


Sampler = Callable[[Sequence[Tile]], Sequence[Image.Image]]
"""Redraws tiles: pictures of the same sizes in the same order. Raises Stop, or whatever goes wrong."""


class RedrawListener(Protocol):
    """Who is told how it goes on."""

    def begins(self, done: int, total: int) -> None:
        """``done`` of ``total`` tiles are drawn; the next batch begins."""

    def shows(self, picture: Callable[[], Image.Image]) -> None:
        """The picture has grown; ``picture`` makes it, if wanted."""


@dataclass(frozen=True)
class Redrawn:
    """image: RGB, of the source's size. drawn, skipped: numbers of tiles. complete: False where it was ended early."""

    image: Image.Image
    drawn: int
    skipped: int
    complete: bool


class Redraw:
    """One picture to redraw. ``grid`` says beforehand what it takes."""

    def __init__(self, source: Image.Image, settings: RedrawSettings, mask: Image.Image | None = None) -> None:
        """source: RGB, already of the size of the result. mask: L, of the same size, 255 where it is redrawn.

        Raises RequestError.
        """
        if mask is not None and mask.size != source.size:
            raise RequestError("the mask does not fit the picture", f"{mask.size} and {source.size}", "")
        self.settings = settings
        self.grid: RedrawGrid = plan_grid(Size(*source.size), settings.tile, settings.overlap)
        self._source = padded(np.asarray(source.convert("RGB")), self.grid.canvas)
        self._mask = None if mask is None else padded(np.asarray(mask.convert("L")), self.grid.canvas)
        self._tiles = self.grid.tiles
        self._blend = Blend(self.grid)
        self._preview: np.ndarray | None = None
        """What was shown last, the canvas in levels."""
        self._unseen: list[Region] = []
        """Tiles that have come in since then."""

    @property
    def canvas(self) -> tuple[Image.Image, Image.Image | None]:
        """Picture and mask that the tiles are cut out of, of the grid's ``canvas``."""
        return Image.fromarray(self._source), None if self._mask is None else Image.fromarray(self._mask)

    def todo(self) -> list[int]:
        """Numbers of the tiles that are redrawn, in order: those that are flat or outside of the mask are left out."""
        detail = [detail_of(self._cut(self._source, tile)) for tile in self._tiles]
        wanted = [
            number
            for number, tile in enumerate(self._tiles)
            if detail[number] >= self.settings.flatness
            and (self._mask is None or self._cut(self._mask, tile).max() > 0)
        ]
        chosen = set(wanted)
        return [number for number in ordered(self.grid, self.settings.order, detail) if number in chosen]

    def run(self, sampler: Sampler, listener: RedrawListener) -> Redrawn:
        """Redraw. What the sampler raises but Stop goes through."""
        todo = self.todo()
        drawn, complete = 0, True
        batches = [todo[first : first + self.settings.batch] for first in range(0, len(todo), self.settings.batch)]
        for number, batch in enumerate(batches):
            listener.begins(number * self.settings.batch, len(todo))
            try:
                pictures = sampler([self._tile(each) for each in batch])
            except Stop as stop:
                if stop.whole:
                    complete = False
                    break
                continue
            if len(pictures) != len(batch):
                raise TrueScaleError(f"{len(batch)} tiles were to be redrawn and {len(pictures)} came back")
            for each, picture in zip(batch, pictures):
                self._put(each, picture)
                drawn += 1
            listener.shows(self.preview)
        return Redrawn(self.image(), drawn, len(self._tiles) - drawn, complete)

    def image(self) -> Image.Image:
        """The picture as it is now, RGB, of the source's size."""
        width, height = self.grid.size.width, self.grid.size.height
        levels, agreement = np.empty((height, width, 3), np.uint8), self._blend.agreement()
        for top in range(0, height, _BAND):  # so that the whole is never there in float once more
            band = Region(0, top, self.grid.canvas.width, min(_BAND, height - top))
            levels[band.rows] = self._levels(band, self._blend.rows(top, band.bottom, agreement))[:, :width]
        return Image.fromarray(levels)

    def preview(self) -> Image.Image:
        """As ``image``, but quick, since only new tiles are looked at; where they overlap texture is softer yet."""
        if self._preview is None:
            self._preview = self._source.copy()
        for region in self._unseen:
            self._preview[region.rows, region.columns] = self._levels(region, self._blend.mean(region))
        self._unseen.clear()
        return Image.fromarray(self._preview[: self.grid.size.height, : self.grid.size.width].copy())

    def _levels(self, region: Region, change: np.ndarray) -> np.ndarray:
        """uint8: the source there, changed as far as the mask lets it be."""
        if self._mask is not None:
            change = change * (self._cut(self._mask, region)[:, :, None] / np.float32(255))
        levels = np.floor(change + self._cut(self._source, region) + np.float32(0.5))
        return levels.clip(0, 255).astype(np.uint8)

    def _tile(self, number: int) -> Tile:
        region = self._tiles[number]
        mask = None if self._mask is None else Image.fromarray(self._cut(self._mask, region).copy())
        return Tile(number, region, Image.fromarray(self._cut(self._source, region).copy()), mask)

    def _put(self, number: int, picture: Image.Image) -> None:
        region = self._tiles[number]
        source = self._cut(self._source, region).astype(np.float32)
        tile = np.asarray(picture.convert("RGB"), np.float32)
        if tile.shape != source.shape:
            raise TrueScaleError(
                "a tile came back in another size", f"{tile.shape[1]}x{tile.shape[0]}, not {region.size}", ""
            )
        change = tile - source
        coarse = low_frequencies(change)
        self._blend.add(number, change - np.float32(self.settings.color_lock) * coarse, change - coarse)
        self._unseen.append(region)

    @staticmethod
    def _cut(planes: np.ndarray, region: Region) -> np.ndarray:
        return planes[region.rows, region.columns]


def detail_of(pixels: np.ndarray) -> float:
    """The mean difference of horizontal and vertical neighbours, in levels: 0 is flat, photos have 2 to 20."""
    levels = pixels.astype(np.float32)
    return float(np.abs(np.diff(levels, axis=0)).mean() + np.abs(np.diff(levels, axis=1)).mean()) / 2


def padded(planes: np.ndarray, canvas: Size) -> np.ndarray:
    """Grown to the canvas on the right and below, by reflection; by the edge where there is nothing to reflect."""
    for axis, target in ((0, canvas.height), (1, canvas.width)):
        while planes.shape[axis] < target:
            missing = target - planes.shape[axis]
            reflects = planes.shape[axis] > 1
            padding = [(0, 0)] * planes.ndim
            padding[axis] = (0, min(missing, planes.shape[axis] - 1) if reflects else missing)
            planes = np.pad(planes, padding, mode="reflect" if reflects else "edge")
    return planes
