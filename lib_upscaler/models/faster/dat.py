"""The parts of DAT's blocks (Chen et al. 2023): attention within two kinds of windows or among channels, beside a
convolution, and linear layers with a gate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Scores, attended, bias_of
from .linear import Layer, linear, linear_gelu, normed, part_of, work_of
from .recognised import has_children, is_gelu, is_linear, is_norm, is_off
from .ways import Forward, OnWork, Way
from .windows import WindowGrid, area_at_once, hide, masks_of

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
        return Way(self, 0, lambda on_work: _spatial_forward(self, on_work))


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
        return Way(self, 0, lambda on_work: _channel_forward(self, on_work))


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
        return Way(self, 0, lambda on_work: _gated_forward(self, on_work))


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


# -- what is done ------------------------------------------------------------------------------------------------------


def _image(rows: Tensor, height: int, width: int) -> Tensor:
    """``(px, channels)`` as a picture whose channels lie last, ``(1, channels, height, width)``."""
    return rows.view(1, height, width, -1).permute(0, 3, 1, 2)


def _rows(image: Tensor) -> Tensor:
    """The other way round; no copy where the channels lie last."""
    return image[0].permute(1, 2, 0).reshape(-1, image.shape[1])


def _mixed(inner: Tensor, inner_share: Tensor, beside: Tensor, beside_share: Tensor, layer: Layer) -> Tensor:
    """The last layer, of what attention and convolution gave, each times its share. Changes ``inner``."""
    result = torch.empty_like(inner)
    for first in range(0, len(inner), area_at_once()):
        px = slice(first, first + area_at_once())
        both = [share[px] if len(share) > 1 else share for share in (inner_share, beside_share)]
        own = inner[px].mul_(both[0]).addcmul_(beside[px], both[1])
        result[px] = linear(own, layer)
    return result


def _spatial_share(interaction: nn.Sequential, image: Tensor) -> Tensor:
    """``(px, 1)``"""
    return torch.sigmoid(_rows(interaction(image)))


def _spatial_forward(part: SpatialAttention, on_work: OnWork) -> Forward:
    block = part.block
    width, heads = block.qkv.in_features // 2, block.num_heads // 2
    windows = (part.window, part.window[::-1]), (part.shift, part.shift[::-1])
    masks = [masks_of(window, shift, block.qkv.weight.dtype) for window, shift in zip(*windows)]
    work = work_of(block.qkv, block.proj) + 32.0 * heads * part.window[0] * part.window[1]
    multiple = max(part.window)

    def half_of(x: Tensor, number: int, size: tuple[int, int], grid: WindowGrid) -> tuple[Tensor, Tensor]:
        """What this half of the channels gives, and its values."""
        attention = block.attns[number]
        weight = block.qkv.weight.view(3, 2, width, -1)[:, number].flatten(0, 1)
        bias = block.qkv.bias
        qkv = F.linear(x, weight, None if bias is None else bias.view(3, 2, width)[:, number].flatten())
        values = qkv[:, 2 * width :]
        if grid.size != size:
            down, right = grid.size[0] - size[0], grid.size[1] - size[1]
            qkv = F.pad(qkv.view(*size, -1), (0, 0, 0, right, 0, down)).view(-1, 3 * width)
        table = attention.pos(attention.rpe_biases)
        scores = Scores(attention.scale, bias_of(table, attention.relative_position_index))
        index, inverse = grid.order()
        done = torch.empty(len(qkv), width, dtype=x.dtype, device=x.device)
        for first, end in grid.chunks():
            px = slice(first * grid.area, end * grid.area)
            own = qkv.index_select(0, index[px]).view(end - first, grid.area, 3, heads, -1)
            done[px] = attended(own.unbind(2), scores, hide(grid, first, end, masks[number]))
            on_work(0.5 * work * (px.stop - px.start))
        if grid.size != size:
            inverse = inverse.view(grid.size)[: size[0], : size[1]].reshape(-1)
        return done.index_select(0, inverse), values

    def forward(x: Tensor, height: int, width: int) -> Tensor:
        filled = (-(-height // multiple) * multiple, -(-width // multiple) * multiple)
        results = []
        for one in x:
            halves = [
                half_of(one, number, (height, width), WindowGrid(filled, window, shift))
                for number, (window, shift) in enumerate(zip(*windows))
            ]
            inner = torch.cat([half[0] for half in halves], 1)
            beside = block.dwconv(_image(torch.cat([half[1] for half in halves], 1), height, width))
            channels = torch.sigmoid(block.channel_interaction(beside)).flatten(1)
            px = _spatial_share(block.spatial_interaction, _image(inner, height, width))
            results.append(_mixed(inner, channels, _rows(beside), px, block.proj))
        return torch.stack(results)

    return forward


def _channel_forward(part: ChannelAttention, on_work: OnWork) -> Forward:
    block, heads = part.block, part.block.num_heads
    work = work_of(block.qkv, block.proj)

    def attended_channels(qkv: Tensor) -> Tensor:
        """qkv: ``(px, 3, heads, d)``. Returns ``(px, heads * d)``."""
        query, key, value = qkv.unbind(1)
        lengths = qkv[:, :2].square().sum(0).sqrt().clamp_min(1e-12)
        table = torch.bmm(query.permute(1, 2, 0), key.transpose(0, 1))
        table = table / (lengths[0, :, :, None] * lengths[1, :, None, :]) * block.temperature
        table = table.softmax(-1).transpose(1, 2)
        result = torch.empty_like(value, memory_format=torch.contiguous_format)
        for first in range(0, len(value), area_at_once()):
            px = slice(first, first + area_at_once())
            result[px] = torch.bmm(value[px].transpose(0, 1), table).transpose(0, 1)
        return result.flatten(1)

    def forward(x: Tensor, height: int, width: int) -> Tensor:
        results = []
        for one in x:
            qkv = linear(one, block.qkv)
            channels = qkv.shape[1] // 3
            values = qkv[:, 2 * channels :].contiguous()
            inner = attended_channels(qkv.view(len(qkv), 3, heads, -1))
            del qkv
            on_work(0.5 * work * len(inner))
            beside = block.dwconv(_image(values, height, width))
            of_channels = torch.sigmoid(block.channel_interaction(_image(inner, height, width))).flatten(1)
            px = _spatial_share(block.spatial_interaction, beside)
            results.append(_mixed(inner, px, _rows(beside), of_channels, block.proj))
            on_work(0.5 * work * len(inner))
        return torch.stack(results)

    return forward


def _gated_forward(part: GatedLayers, on_work: OnWork) -> Forward:
    block, half = part.block, part.block.fc1.out_features // 2
    open_half, gate_half = part_of(block.fc1, 0, half), part_of(block.fc1, half, 2 * half)
    work = work_of(block.fc1, block.fc2)

    def forward(x: Tensor, height: int, width: int) -> Tensor:
        result = torch.empty_like(x)
        for before, after in zip(x, result):
            gates = before.new_empty(len(before), half)
            for first in range(0, len(before), area_at_once()):
                px = slice(first, first + area_at_once())
                gates[px] = normed(linear_gelu(before[px], gate_half), block.sg.norm)
            on_work(0.5 * work * len(before))
            gates = _rows(block.sg.conv(_image(gates, height, width)))
            for first in range(0, len(before), area_at_once()):
                px = slice(first, first + area_at_once())
                after[px] = linear(linear_gelu(before[px], open_half).mul_(gates[px]), block.fc2)
            on_work(0.5 * work * len(before))
        return result

    return forward
