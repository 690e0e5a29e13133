"""A picture that goes on at its other side, redrawn so that it still does.

What is redrawn goes on to the right and below for a while with what stands at the left and above, so that this stretch
is redrawn twice: as the beginning of the picture, and as what follows its end. Both are cross-faded. The beginning then
continues the end as any two neighbouring pixels that were redrawn together do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..geometry import Size
from ..pictures.wrapping import wrapped
from .blending import step
from .grid import LATENT

__all__ = ["Seamless"]


@dataclass(frozen=True)
class Seamless:
    """picture: its size. further: px that are redrawn twice, to the right and below; 0 where it does not go on."""

    picture: Size
    further: tuple[int, int]

    @classmethod
    def of(cls, picture: Size, axes: tuple[bool, bool], overlap: int) -> Seamless:
        """axes: whether it goes on across, and down. overlap: px, as of tiles; at most half the picture."""
        sides = picture.width, picture.height
        across, down = (
            min(-(-max(overlap, LATENT) // LATENT) * LATENT, side // 2) if goes_on else 0
            for side, goes_on in zip(sides, axes)
        )
        return cls(picture, (across, down))

    @property
    def canvas(self) -> Size:
        """What is redrawn."""
        return Size(self.picture.width + self.further[0], self.picture.height + self.further[1])

    @property
    def period(self) -> tuple[int, int]:
        """px after which the noise comes again, across and down; 0: it does not, or the latent has no such px."""
        across, down = (
            side if more and side % LATENT == 0 else 0 for side, more in zip(self.picture.sides, self.further)
        )
        return across, down

    def opened(self, image: Image.Image) -> Image.Image:
        """With its beginning once more behind its end. image: of any mode of 8 bits with pixels of their own."""
        if not any(self.further):
            return image
        across, down = self.further
        return Image.fromarray(wrapped(np.asarray(image), (across, down))[down:, across:])

    def closed(self, redrawn: Image.Image) -> Image.Image:
        """The picture, of what was redrawn of ``opened``."""
        if not any(self.further):
            return redrawn
        planes = np.asarray(redrawn)
        for axis, (side, more) in enumerate(zip(self.picture.sides, self.further)):
            planes = _closed(planes, 1 - axis, side, more)
        return Image.fromarray(planes)


def _closed(planes: np.ndarray, axis: int, side: int, more: int) -> np.ndarray:
    """The first ``side`` px along an axis; the first ``more`` of them faded in from what follows behind."""
    kept = planes.take(range(side), axis)
    if not more:
        return kept
    shape = [1] * planes.ndim
    shape[axis] = more
    weight = step(np.arange(more) + 0.5, 0, more).reshape(shape)
    begins, goes_on = kept.take(range(more), axis), planes.take(range(side, side + more), axis)
    faded = np.floor(begins * weight + goes_on * (1 - weight) + 0.5).astype(planes.dtype)
    rest = kept.take(range(more, side), axis)
    return np.concatenate((faded, rest), axis)
