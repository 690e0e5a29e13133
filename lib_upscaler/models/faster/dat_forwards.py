"""How the parts of DAT's blocks (``dat``) are computed otherwise: a few windows or px at a time, channels last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Scores, attended, bias_of
from .linear import Layer, linear, linear_gelu, normed, part_of, work_of
from .ways import Forward, OnWork
from .windows import WindowGrid, area_at_once, hide, masks_of

if TYPE_CHECKING:
    from .dat import ChannelAttention, GatedLayers, SpatialAttention

__all__ = ["channel_forward", "gated_forward", "spatial_forward"]


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


def spatial_forward(part: SpatialAttention, on_work: OnWork) -> Forward:
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


def channel_forward(part: ChannelAttention, on_work: OnWork) -> Forward:
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


def gated_forward(part: GatedLayers, on_work: OnWork) -> Forward:
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
