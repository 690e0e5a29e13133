"""The growing picture, small: what is finished, over the source."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor

from ..depths import converted
from ..geometry import Size
from ..progress import ShowPicture

__all__ = ["Preview"]

LONGEST = 1024
"""px of the longer side at most: what a browser shows, and quick to make."""


class Preview:
    """Every n-th pixel of the output, so that showing it costs next to nothing."""

    def __init__(self, show: ShowPicture, picture: np.ndarray, output: Size) -> None:
        """picture: the source, ``(H, W, C)`` of any depth. output: what it becomes."""
        self._show = show
        self._step = max(1, -(-output.longest // LONGEST))
        rows, columns = (
            np.arange(0, length, self._step) * source // length
            for length, source in ((output.height, picture.shape[0]), (output.width, picture.shape[1]))
        )
        start = picture[rows[:, None], columns]
        self._pixels = start.copy() if start.dtype == np.uint8 else converted(start, 8)

    def wrote(self, values: Tensor, left: int, top: int) -> None:
        """``values``: ``(C, h, w)`` in [0, 1], finished; its corner is at ``left``, ``top`` of the output."""
        step = self._step
        first_row, first_column = -(-top // step), -(-left // step)
        part = values[:, first_row * step - top :: step, first_column * step - left :: step]
        levels = part.float().clamp(0, 1).mul(255).byte().permute(1, 2, 0).cpu().numpy()
        height, width = levels.shape[:2]
        self._pixels[first_row : first_row + height, first_column : first_column + width] = levels
        self._show(self._picture)

    def _picture(self) -> Image.Image:
        pixels = self._pixels
        return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, :3]).convert("RGB")
