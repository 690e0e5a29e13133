"""The parts of DAT's blocks (Chen et al. 2023): attention within two kinds of windows or among channels, beside a
convolution, and linear layers with a gate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from . import dat_forwards
from .recognised import has_children, is_gelu, is_linear, is_norm, is_off
from .ways import Way

__all__ = ["ChannelAttention", "GatedLayers", "SpatialAttention", "dat_part"]

_SIDE = 8
"""px of an example's sides, where there are no windows."""


@dataclass(frozen=True)
class SpatialAttention:
    """One half of the channels attends within windows, the other within windows that lie across.

    It is called with ``(B, H * W, C)``, H and W. window, shift: (down, right) in px of the first half.
    """

    name: str
    block: Any = field(compare=False)
    window: tuple[int, int]
    shift: tuple[int, int]

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self.block,)

    @property
    def kind(self) -> Any:
        """The same for those that differ in their weights alone."""
        return self.window, self.shift, self.block.num_heads, self.block.qkv.weight.shape

    def example(self, generator: torch.Generator) -> tuple[Any, ...]:
        """What it could be called with: sides that are no multiples of a window's, so that some px are filled up."""
        longer = max(self.window)
        height, width = longer + 3, longer + longer // 2
        return torch.randn(1, height * width, self.block.dim, generator=generator), height, width

    def way(self) -> Way:
        """A few windows at a time."""
        return Way(self, 0, lambda on_work: dat_forwards.spatial_forward(self, on_work))


@dataclass(frozen=True)
class ChannelAttention:
    """Channels attend to each other. It is called with ``(B, H * W, C)``, H and W."""

    name: str
    block: Any = field(compare=False)

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self.block,)

    @property
    def kind(self) -> Any:
        """The same for those that differ in their weights alone."""
        return self.block.num_heads, self.block.qkv.weight.shape

    def example(self, generator: torch.Generator) -> tuple[Any, ...]:
        """What it could be called with."""
        width = self.block.qkv.in_features
        return torch.randn(1, _SIDE * (_SIDE + 3), width, generator=generator), _SIDE, _SIDE + 3

    def way(self) -> Way:
        """With the channels last throughout."""
        return Way(self, 0, lambda on_work: dat_forwards.channel_forward(self, on_work))


@dataclass(frozen=True)
class GatedLayers:
    """Two linear layers; half of what the first gives goes through a convolution and is a gate for the other half.

    It is called with ``(B, H * W, C)``, H and W.
    """

    name: str
    block: Any = field(compare=False)

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self.block,)

    @property
    def kind(self) -> Any:
        """The same for those that differ in their weights alone."""
        return self.block.fc1.weight.shape, self.block.sg.conv.weight.shape

    def example(self, generator: torch.Generator) -> tuple[Any, ...]:
        """What it could be called with."""
        width = self.block.fc1.in_features
        return torch.randn(1, _SIDE * (_SIDE + 3), width, generator=generator), _SIDE, _SIDE + 3

    def way(self) -> Way:
        """With the channels last throughout, and a few px at a time."""
        return Way(self, 0, lambda on_work: dat_forwards.gated_forward(self, on_work))


# -- what is found -----------------------------------------------------------------------------------------------------


def dat_part(name: str, module: nn.Module) -> SpatialAttention | ChannelAttention | GatedLayers | None:
    """None where the module is none of these, or does anything else."""
    return _spatial(name, module) or _channel(name, module) or _gated(name, module)


_INTERACTION = ("dwconv", "channel_interaction", "spatial_interaction")


def _spatial(name: str, module: nn.Module) -> SpatialAttention | None:
    if not has_children(module, "qkv", "proj", "proj_drop", "attns", *_INTERACTION):
        return None
    block: Any = module
    window, shift = (tuple(getattr(block, each, ())) for each in ("split_size", "shift_size"))
    numbers: tuple[Any, ...] = tuple(getattr(block, each, None) for each in ("rg_idx", "b_idx"))
    if not (
        len(window) == len(shift) == 2
        and all(isinstance(each, int) for each in (*window, *shift, *numbers))
        and len(block.attns) == 2
        and is_linear(block.qkv)
        and is_linear(block.proj)
        and is_off(block.proj_drop)
        and all(has_children(half, "pos", "attn_drop") and is_off(half.attn_drop) for half in block.attns)
    ):
        return None
    group, number = numbers
    shifted = (number > 0 and number % 4 == 2) if group % 2 == 0 else number % 4 == 0
    return SpatialAttention(name, module, window, shift if shifted else (0, 0))


def _channel(name: str, module: nn.Module) -> ChannelAttention | None:
    if not has_children(module, "qkv", "attn_drop", "proj", "proj_drop", *_INTERACTION):
        return None
    block: Any = module
    temperature = getattr(block, "temperature", None)
    if not (
        isinstance(temperature, Tensor)
        and temperature.shape == (block.num_heads, 1, 1)
        and is_linear(block.qkv)
        and is_linear(block.proj)
        and is_off(block.attn_drop)
        and is_off(block.proj_drop)
    ):
        return None
    return ChannelAttention(name, module)


def _gated(name: str, module: nn.Module) -> GatedLayers | None:
    if not (has_children(module, "fc1", "act", "sg", "fc2", "drop") and has_children(module.sg, "norm", "conv")):
        return None
    block: Any = module
    if not (
        is_linear(block.fc1)
        and is_linear(block.fc2)
        and is_gelu(block.act)
        and is_off(block.drop)
        and is_norm(block.sg.norm)
    ):
        return None
    return GatedLayers(name, module)
