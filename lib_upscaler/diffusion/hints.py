"""Pictures that tell a network what lies where (a ControlNet's hints), for the part of the canvas that it is to see."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..geometry import Size
from .canvas_conditioning import Part, cut
from .canvas_grid import UNIT
from .composition import shrunk
from .grid import LATENT

__all__ = ["cut_hint", "cut_rows", "fitted", "middle_fitted", "shrunk_to_tile"]

_STEP = UNIT * LATENT
"""px of the picture: what a network halves three times in its latent."""


def fitted(hint: Tensor, canvas: Size) -> Tensor:
    """``(B, C, H, W)`` of any size -> px of the picture that has ``canvas`` px of the latent. Itself where it fits."""
    size = canvas.height * LATENT, canvas.width * LATENT
    return hint if hint.shape[-2:] == size else F.interpolate(hint, size=size, mode="bilinear", align_corners=False)


def middle_fitted(hint: Tensor, canvas: Size) -> Tensor:
    """The same of the largest part in the middle that has the canvas's proportions, by the nearest px: what ComfyUI's
    ``common_upscale`` makes of a hint for the whole (method ``nearest-exact``, crop ``center``)."""
    height, width = canvas.height * LATENT, canvas.width * LATENT
    if hint.shape[-2:] == (height, width):
        return hint
    here, there = hint.shape[3] / hint.shape[2], width / height
    across = round((hint.shape[3] - hint.shape[3] * (there / here)) / 2) if here > there else 0
    down = round((hint.shape[2] - hint.shape[2] * (here / there)) / 2) if here < there else 0
    middle = hint[:, :, down : hint.shape[2] - down, across : hint.shape[3] - across]
    return F.interpolate(middle, size=(height, width), mode="nearest-exact")


def cut_hint(hint: Tensor, rows: int, parts: Sequence[Part]) -> Tensor:
    """Of ``(N, C, 8 H, 8 W)`` what lies over the parts, to the pixel. N: 1, or pictures of the batch, whose rows come
    in this order as often as there are prompts.

    One part of one hint: ``(1, C, 8 h, 8 w)``, for all rows of the batch. More: ``(parts * rows, C, 8 h, 8 w)``, the
    rows of the first part first. A part that is shrunk gets the mean of as many px.
    """
    planes = []
    for part in parts:
        box = part.region
        here = hint[:, :, box.y * LATENT : box.bottom * LATENT, box.x * LATENT : box.right * LATENT]
        planes.append(shrunk(here, part.shrink, _STEP))
    if len(planes) == len(hint) == 1:
        return planes[0]
    return torch.cat([each.repeat(rows // len(hint), 1, 1, 1) for each in planes])


def cut_rows(latent: Tensor, rows: int, parts: Sequence[Part]) -> Tensor:
    """The same of a hint's latent, ``(1, C, H, W)``: ``(1, C, h, w)`` or ``(parts * rows, C, h, w)``."""
    planes = cut(latent, parts)
    return planes if len(parts) == 1 else planes.repeat_interleave(rows, dim=0)


def shrunk_to_tile(picture: Tensor, area: int) -> Tensor:
    """``(B, C, H, W)``, at most as many px as a tile of ``area`` px of the latent, by means; sides are multiples
    of 64. Itself where it is no larger."""
    height, width = picture.shape[-2:]
    factor = math.sqrt(area * LATENT**2 / (height * width))
    if factor >= 1:
        return picture
    size = [max(_STEP, int(side * factor) // _STEP * _STEP) for side in (height, width)]
    return F.interpolate(picture, size=size, mode="area")
