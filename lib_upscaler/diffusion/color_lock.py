"""Colour lock: a tile's low frequencies are those of the source, so that no tile drifts in colour or brightness."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

__all__ = ["low_frequencies"]

CELL = 16
"""px. What is coarser than a few of these is locked; detail is the sampler's."""


def low_frequencies(change: np.ndarray) -> np.ndarray:
    """Of what a sampler has changed in a tile, ``(h, w, 3)`` float32 levels: what the colour lock takes back.

    Means of cells, smoothed over three of them, and interpolated. The mean is that of ``change``, a constant stays as
    it is.
    """
    planes = torch.from_numpy(np.ascontiguousarray(change.transpose(2, 0, 1)))[None]
    height, width = planes.shape[2:]
    cells = F.adaptive_avg_pool2d(planes, (max(1, round(height / CELL)), max(1, round(width / CELL))))
    smooth = F.avg_pool2d(F.pad(cells, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    large = F.interpolate(smooth, (height, width), mode="bilinear", align_corners=False)
    # Smoothing moves the mean a little where the picture is uneven; the tile's as a whole is the source's.
    large += (planes - large).mean(dim=(2, 3), keepdim=True)
    return large[0].permute(1, 2, 0).numpy()
