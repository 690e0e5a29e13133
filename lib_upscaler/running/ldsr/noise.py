"""LDSR's noise: drawn on the CPU for the whole canvas at once, one field after the other.

So the result depends neither on the tiles, nor on how many are run at once, nor on the device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...geometry import Size

__all__ = ["CanvasNoise"]


class CanvasNoise:
    """The fields of one seed, in order: what sampling starts from, then one for each step that adds some.

    On the CPU they are those that the WebUI's global generator gives after ``torch.manual_seed(seed)``.
    """

    def __init__(self, seed: int, channels: int, canvas: Size) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed)
        self._shape = (1, channels, canvas.height, canvas.width)

    def next(self) -> Tensor:
        """The next field, ``(1, C, H, W)`` float32 on the CPU."""
        return torch.randn(self._shape, generator=self._generator)
