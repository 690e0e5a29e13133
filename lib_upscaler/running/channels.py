"""Between the channels that a picture has and those that a network takes and gives."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["from_network", "to_network"]

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as Pillow's conversion to "L"."""


def to_network(picture: Tensor, channels: int) -> Tensor:
    """A picture as the network's input.

    picture: ``(C, H, W)`` in [0, 1]; C is 1 (grey), 3 (RGB) or 4 (RGBA). channels: the network's, 1, 3 or 4.
    Returns ``(B, channels, H, W)``; B is the number of colours where a grey network gets them one by one, else 1.
    """
    if channels == 1:
        return picture[:, None]
    if picture.shape[0] == 1:
        picture = picture.expand(3, -1, -1)
    if channels == 4 and picture.shape[0] == 3:
        picture = torch.cat([picture, torch.ones_like(picture[:1])])
    return picture[None, :channels]


def from_network(output: Tensor, channels: int) -> Tensor:
    """The network's output as a picture of ``channels`` channels.

    output: ``(B, C, h, w)`` as the network gives it for what ``to_network`` made. Returns ``(channels, h, w)``.
    """
    planes = output.flatten(0, 1) if output.shape[1] == 1 else output[0]
    if planes.shape[0] == channels:
        return planes
    if channels == 1:
        weights = torch.tensor(LUMA, device=planes.device, dtype=planes.dtype)
        return (planes[:3] * weights[:, None, None]).sum(dim=0, keepdim=True)
    if planes.shape[0] == 1:
        return planes.expand(channels, -1, -1)
    if planes.shape[0] > channels:
        return planes[:channels]
    return torch.cat([planes, torch.ones_like(planes[:1])])
