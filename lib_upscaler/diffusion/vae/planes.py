"""Planes of the network that are kept between its layers, on the device or in host memory."""

from __future__ import annotations

import torch
from torch import Tensor

from ...geometry import Region, Size

__all__ = ["Plane", "layout_for"]


def layout_for(device: torch.device) -> torch.memory_format:
    """Dense convolutions are a third faster with the channels last where these devices run them."""
    return torch.channels_last if device.type in ("cpu", "cuda") else torch.contiguous_format


class Plane:
    """``(B, C, H, W)``, with the channels last, so that a window of it is made of long stretches of memory.

    wraps: whether what lies beyond a border is at the opposite one.
    """

    def __init__(self, tensor: Tensor, wraps: bool) -> None:
        self.tensor, self._wraps = tensor, wraps

    @classmethod
    def empty(
        cls, batch: int, channels: int, size: Size, dtype: torch.dtype, device: torch.device, wraps: bool
    ) -> Plane:
        shape = batch, channels, size.height, size.width
        return cls(torch.empty(shape, dtype=dtype, device=device, memory_format=torch.channels_last), wraps)

    @property
    def dtype(self) -> torch.dtype:
        return self.tensor.dtype

    @property
    def tokens(self) -> Tensor:
        """``(B, H * W, C)``, row by row; not a copy."""
        return self.tensor.permute(0, 2, 3, 1).flatten(1, 2)

    def read(self, region: Region, device: torch.device, dtype: torch.dtype) -> Tensor:
        """A window, ``(B, C, h, w)``; not to be written to, since it may be no copy."""
        height, width = self.tensor.shape[2:]
        inside = region.x >= 0 and region.y >= 0 and region.right <= width and region.bottom <= height
        if inside or not self._wraps:
            part = self.tensor[:, :, region.rows, region.columns]
        else:
            where = self.tensor.device
            rows = torch.arange(region.y, region.bottom, device=where) % height
            columns = torch.arange(region.x, region.right, device=where) % width
            part = self.tensor.index_select(2, rows).index_select(3, columns)
        return part.to(device=device, dtype=dtype)

    def write(self, region: Region, part: Tensor) -> bool:
        """False, and nothing is written, where the plane's numbers do not reach as far as those of ``part``."""
        narrow = self.dtype == torch.float16 != part.dtype
        if narrow and bool(part.abs().amax() > torch.finfo(torch.float16).max):
            return False
        self.tensor[:, :, region.rows, region.columns].copy_(part)
        return True

    def widen(self) -> None:
        """From float16 to bfloat16, in the same memory: fewer digits, and no overflow."""
        turned = self.tensor.view(torch.bfloat16)
        for row in range(self.tensor.shape[2]):
            turned[:, :, row].copy_(self.tensor[:, :, row].clone())
        self.tensor = turned
