"""The single operations on a window, each as the whole network does it, in a precision that can be changed."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .statistics import Affine
from .tree import Down, Quantiser, Up

__all__ = ["Arithmetic"]

_BESIDE_VARIANCE = 2.0**-16


class Arithmetic:
    """Operations on ``(B, C, h, w)`` windows on the device.

    native: the precision that the modules work in; in it they run themselves, with whatever a host has made of them
    (casts, hooks). In any other their weights are taken and converted. dtype: the precision now.
    on_work: told of the multiply-accumulates of each operation; may raise, for instance Cancelled.
    """

    def __init__(self, device: torch.device, native: torch.dtype, on_work: Callable[[float], None]) -> None:
        self.device, self.native, self.dtype = device, native, native
        self.on_work = on_work

    def conv(self, module: nn.Conv2d, x: Tensor) -> Tensor:
        """With the padding that the module has of its own: the caller cuts off what is true at the border only."""
        if self.dtype == self.native:
            y = module(x)
        else:
            bias = None if module.bias is None else module.bias.to(x)
            y = F.conv2d(x, module.weight.to(x), bias, module.stride, module.padding)
        return self._done(module, y)

    def up(self, part: Up, x: Tensor) -> Tensor:
        """Twice the size, then the convolution with its own padding."""
        if self.dtype == self.native:
            return self._done(part.conv, part.module(x))
        return self.conv(part.conv, F.interpolate(x, scale_factor=2.0, mode="nearest"))

    def down(self, part: Down, x: Tensor, right: bool, below: bool) -> Tensor:
        """Half the size. right, below: whether the zeros beyond these borders are needed."""
        if right or below:
            x = F.pad(x, (0, int(right), 0, int(below)))
        return self.conv(part.conv, x)

    def quantise(self, part: Quantiser, x: Tensor) -> Tensor:
        y = part(x)
        self.on_work(2.0 * part.entries * y.numel())
        return y.to(self.dtype)

    def normed(self, x: Tensor, affine: Affine) -> Tensor:
        """GroupNorm with statistics that are known; a new tensor."""
        if x.dtype == torch.float32 or x.device.type not in ("cpu", "cuda"):
            scale, shift = affine.scale[:, :, None, None], affine.shift[:, :, None, None]
            return torch.addcmul(shift, x.float(), scale).to(x.dtype)
        # The one kernel that takes small numbers, scales them in float32 and rounds once, without a float32 copy. Newer
        # versions of torch want something added to the variance; with this the sum is exactly one.
        zero, almost_one = torch.zeros_like(affine.shift[0]), torch.full_like(affine.shift[0], 1 - _BESIDE_VARIANCE)
        return torch.cat(
            [
                F.batch_norm(part, zero, almost_one, scale, shift, False, 0.0, _BESIDE_VARIANCE)
                for part, scale, shift in zip(x.split(1), affine.scale, affine.shift)
            ]
        )

    @staticmethod
    def swish(x: Tensor, fused: bool) -> Tensor:
        """Into ``x``. fused: rounded once; else as the network does it, after the sigmoid and after the product."""
        if fused or x.dtype == torch.float32:
            return F.silu(x, inplace=True)
        return x.mul_(torch.sigmoid(x))

    def _done(self, module: nn.Conv2d, y: Tensor) -> Tensor:
        per_value = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
        self.on_work(float(per_value) * y.numel())
        return y.to(self.dtype)
