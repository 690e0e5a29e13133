"""What SDXL is told of sizes: without this every tile would hear that it is as large as the whole canvas.

Its ``vector`` is the pooled prompt, then numbers as sines and cosines: original height and width, top and left of the
crop, target height and width (Podell et al. 2023, section 2.2; the refiner has an aesthetic score instead of the last
two). The prompt stays, the sizes are written anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .canvas_conditioning import Part, Replace, for_each_part
from .grid import LATENT

__all__ = ["embedded", "tile_sizes", "with_sizes"]

POOLED = 1280
"""Length of the pooled prompt."""

WIDTH = 256
"""Length of a number."""


def tile_sizes() -> Replace:
    """For ``vector`` of ``Conditioning``: each part is told the size that it is denoised at, as if it were a picture of
    its own, uncropped, which is what the checkpoint knows best.

    A vector that is too short for sizes is not SDXL's and stays as it is.
    """

    def told(vector: Tensor, part: Part) -> Tensor:
        height, width = (side * LATENT // part.shrink for side in (part.region.height, part.region.width))
        return with_sizes(vector, (height, width, 0, 0, height, width))

    return for_each_part(told)


def with_sizes(vector: Tensor, numbers: Sequence[float]) -> Tensor:
    """``(B, V)`` with these numbers after the pooled prompt; of the refiner's (2560) the first four."""
    room = (vector.shape[1] - POOLED) // WIDTH
    if room < 5:
        return vector
    kept = list(numbers) if room >= 6 else list(numbers[:4])
    written = embedded(torch.tensor(kept, dtype=torch.float32, device=vector.device)).flatten().to(vector.dtype)
    result = vector.clone()
    result[:, POOLED : POOLED + len(written)] = written
    return result


def embedded(numbers: Tensor) -> Tensor:
    """``(N,)`` -> ``(N, 256)``: cosines, then sines, of falling frequencies; as sgm's ``timestep_embedding``."""
    half = WIDTH // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=numbers.device) / half)
    angles = numbers[:, None].float() * frequencies[None, :]
    return torch.cat([angles.cos(), angles.sin()], dim=1)
