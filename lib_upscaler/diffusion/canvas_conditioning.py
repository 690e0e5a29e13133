"""What a denoiser is told besides the latent, for the part of the canvas that it is to see.

Whatever the host hands to its network: tensors, and dicts and lists of them, however deep. What lies over the canvas
(an inpainting model's mask and masked picture) is cut; what is said of each picture of the batch (the prompt) is
repeated for each tile; what is said of the canvas's size (SDXL) must be replaced by who knows how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..geometry import Region, Size
from .composition import shrunk

__all__ = ["Conditioning", "Part", "Replace", "Slicer", "cut", "for_each_part"]


@dataclass(frozen=True)
class Part:
    """What a call of the denoiser sees. region: px of the canvas's latent. shrink: the canvas's px that are averaged
    to one of the denoiser's, across and down; 1 for tiles."""

    region: Region
    shrink: int = 1


Replace = Callable[[Any, Sequence[Part]], Any]
"""What the denoiser is told of the canvas -> what it is told of ``n`` parts at once: rows are the batch of the first
part, then that of the second, ..."""

Slicer = Callable[[Any, int, Sequence[Part]], Any]
"""All that the denoiser is told of the canvas, rows of its batch, parts -> what it is told of the parts. Must not
change what it gets."""


class Conditioning:
    """The usual ``Slicer``.

    size: of the canvas. replace: functions for what stands in a dict under these keys, at any depth. Everything else by
    its shape: tensors ``(B, C, H, W)`` of the canvas's height and width are cut, other tensors with a row for each of
    the batch are repeated, what is left stays as it is.
    """

    def __init__(self, size: Size, replace: Mapping[str, Replace] | None = None) -> None:
        self._size, self._replace = size, dict(replace or {})

    def __call__(self, told: Any, rows: int, parts: Sequence[Part]) -> Any:
        if isinstance(told, Mapping):
            return {
                key: self._replace[key](value, parts) if key in self._replace else self(value, rows, parts)
                for key, value in told.items()
            }
        if isinstance(told, (list, tuple)):
            return type(told)(self(value, rows, parts) for value in told)
        if not isinstance(told, Tensor):
            return told
        if told.ndim == 4 and told.shape[-2:] == (self._size.height, self._size.width):
            return cut(told, parts)
        if told.ndim and told.shape[0] == rows:
            return told.repeat(len(parts), *[1] * (told.ndim - 1))
        return told


def for_each_part(function: Callable[[Tensor, Part], Tensor]) -> Replace:
    """A ``Replace`` out of a function that has one part: ``(B, ...)`` of the canvas, part -> ``(B, ...)`` of it.

    So SDXL's ``vector`` can tell each tile its own size and place.
    """
    return lambda told, parts: torch.cat([function(told, part) for part in parts])


def cut(planes: Tensor, parts: Sequence[Part]) -> Tensor:
    """Of ``(B, C, H, W)`` the parts, ``(parts * B, C, h, w)``: the batch of the first part, that of the second, ..."""
    return torch.cat([shrunk(planes[:, :, part.region.rows, part.region.columns], part.shrink) for part in parts])
