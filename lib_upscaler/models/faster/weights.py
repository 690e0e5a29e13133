"""Weights laid out anew: a dense block's by where its inputs come from, and of a convolution after an enlargement."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .structure import RESIDUAL_SHARE, DenseBlock

__all__ = ["doubled", "last_of", "slices_of", "widened"]


def slices_of(block: DenseBlock, number: int) -> list[slice]:
    """The input channels of convolution ``number`` (from 0), by their sources: the block's input, and what each
    convolution before it gave.
    """
    width, growth = block.convolutions[0].in_channels, block.convolutions[0].out_channels
    grown = [slice(width + each * growth, width + (each + 1) * growth) for each in range(number)]
    return [slice(0, width), *grown]


def last_of(block: DenseBlock) -> tuple[Tensor, Tensor]:
    """Weight and bias of the last convolution with its share in the result multiplied in."""
    last = block.convolutions[-1]
    return last.weight.detach() * RESIDUAL_SHARE, bias_of(last) * RESIDUAL_SHARE


def bias_of(convolution: nn.Conv2d) -> Tensor:
    if convolution.bias is None:
        return convolution.weight.new_zeros(convolution.out_channels)
    return convolution.bias.detach()


def widened(block: DenseBlock) -> list[Tensor]:
    """For each source one weight: those of all convolutions that see it, one after the other."""
    weights = [convolution.weight.detach() for convolution in block.convolutions[:-1]] + [last_of(block)[0]]
    count = len(weights)
    return [
        torch.cat([weights[later][:, slices_of(block, later)[source]] for later in range(source, count)])
        for source in range(count)
    ]


def doubled(weight: Tensor) -> Tensor:
    """A 3x3 convolution over a picture of which each px stands four times is, for each of these four, a 2x2 one over
    the picture itself: 4 products where there were 9. (Shi et al. 2016, "Is the deconvolution layer the same as a
    convolutional layer?", show the like.)

    weight: ``(out, in, 3, 3)``. Returns ``(4 * out, in, 2, 2)``: upper left, upper right, lower left, lower right.
    """
    rows = (
        torch.stack([weight[:, :, 0], weight[:, :, 1] + weight[:, :, 2]], 2),
        torch.stack([weight[:, :, 0] + weight[:, :, 1], weight[:, :, 2]], 2),
    )
    return torch.cat(
        [
            torch.stack(columns, 3)
            for row in rows
            for columns in (
                (row[..., 0], row[..., 1] + row[..., 2]),
                (row[..., 0] + row[..., 1], row[..., 2]),
            )
        ]
    )
