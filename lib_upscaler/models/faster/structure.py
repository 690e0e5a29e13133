"""Which parts of a network can be computed otherwise, found in its module tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Union

from torch import nn

from .dat import ChannelAttention, GatedLayers, SpatialAttention, dat_part
from .hat import HybridBlock, OverlapBlock, hat_block
from .swin import SwinBlock, swin_block
from .swin2 import AngleBlock, angle_block

__all__ = [
    *("AttentionPart", "Chain", "DenseBlock", "Part", "Parts"),
    *("has_other_forward", "is_attention", "parts_of", "slope_of"),
]

RESIDUAL_SHARE = 0.2
"""Of a dense block's last convolution in its result (ESRGAN, Wang et al. 2018)."""

Activation = Union[nn.LeakyReLU, nn.ReLU, nn.PReLU]


@dataclass(frozen=True)
class DenseBlock:
    """A residual dense block: each convolution sees the input and what all before it gave.

    name: its path in the module tree. convolutions: in order; an activation follows all but the last. slope: of these
    for values below zero.
    """

    name: str
    block: nn.Module = field(compare=False)
    convolutions: tuple[nn.Conv2d, ...] = field(compare=False)
    slope: float

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self.block,)


@dataclass(frozen=True)
class Chain:
    """Modules that hand one tensor on: perhaps an enlargement to twice the size, a convolution, perhaps an activation.

    name: of the first.
    """

    name: str
    upsample: nn.Upsample | None = field(compare=False)
    convolution: nn.Conv2d = field(compare=False)
    activation: Activation | None = field(compare=False)

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        all_of_them = (self.upsample, self.convolution, self.activation)
        return tuple(module for module in all_of_them if module is not None)


AttentionPart = Union[SwinBlock, AngleBlock, HybridBlock, OverlapBlock, SpatialAttention, ChannelAttention, GatedLayers]
Part = Union[DenseBlock, Chain, AttentionPart]
Parts = tuple[Part, ...]


def is_attention(part: Part) -> bool:
    """Whether it is a part of a network of attention: these run in any layout."""
    return not isinstance(part, (DenseBlock, Chain))


def parts_of(network: nn.Module) -> Parts:
    """All such parts; none lies within another, no module is in two of them or has been given a forward of its own."""
    found: list[Part] = []
    within: set[nn.Module] = set()
    for name, module in network.named_modules():
        if module in within:
            continue
        block = _dense_block(name, module) or _attention_part(name, module)
        if block is not None:
            found.append(block)
            within.update(module.modules())
            continue
        for chain in _chains(name, module):
            if within.isdisjoint(chain.modules):
                found.append(chain)
                within.update(chain.modules)
    return tuple(part for part in found if not has_other_forward(part))


def _attention_part(name: str, module: nn.Module) -> AttentionPart | None:
    found = swin_block(name, module) or angle_block(name, module)
    return found or hat_block(name, module) or dat_part(name, module)


def has_other_forward(part: Part) -> bool:
    """Whether a module of it has been given a forward of its own."""
    return any("forward" in vars(each) for module in part.modules for each in module.modules())


# -- dense blocks ------------------------------------------------------------------------------------------------------


def _dense_block(name: str, module: nn.Module) -> DenseBlock | None:
    """As ESRGAN and its followers write it: children conv1 ... convN, activations in them or one for all."""
    children = dict(module.named_children())
    shared = children.pop("lrelu", None)
    names = [f"conv{number}" for number in range(1, len(children) + 1)]
    if len(names) < 3 or set(names) != set(children):
        return None
    convolutions: list[nn.Conv2d] = []
    slopes: list[float | None] = []
    for each in names:
        first, activation = _first_and_activation(children[each])
        is_last = each == names[-1]
        if first is None or not _keeps_size(first) or (activation is not None and (is_last or shared is not None)):
            return None
        convolutions.append(first)
        if not is_last:
            slopes.append(slope_of(activation if shared is None else shared))
    slope = slopes[0]
    if slope is None or any(other != slope for other in slopes) or not _grows_evenly(convolutions):
        return None
    return DenseBlock(name, module, tuple(convolutions), slope)


def _first_and_activation(module: nn.Module) -> tuple[nn.Conv2d | None, nn.Module | None]:
    """A convolution by itself, or in a sequence with nothing or an activation after it."""
    modules = list(module) if isinstance(module, nn.Sequential) else [module]
    if not isinstance(modules[0], nn.Conv2d) or len(modules) > 2:
        return None, None
    return modules[0], modules[1] if len(modules) == 2 else None


def _grows_evenly(convolutions: list[nn.Conv2d]) -> bool:
    width, growth = convolutions[0].in_channels, convolutions[0].out_channels
    given = [growth] * (len(convolutions) - 1) + [width]
    return all(
        each.in_channels == width + number * growth and each.out_channels == out
        for number, (each, out) in enumerate(zip(convolutions, given))
    )


def _keeps_size(convolution: nn.Conv2d) -> bool:
    """Whether it is an ordinary one: an odd square kernel, zeros beyond the border, each px to its place."""
    side = convolution.kernel_size[0]
    return (
        type(convolution).__name__ == "Conv2d"  # one derived from it may do something else
        and convolution.kernel_size == (side, side)
        and side % 2 == 1
        and convolution.padding == (side // 2, side // 2)
        and convolution.stride == convolution.dilation == (1, 1)
        and convolution.groups == 1
        and convolution.padding_mode == "zeros"
    )


# -- chains ------------------------------------------------------------------------------------------------------------


def _chains(name: str, module: nn.Module) -> Iterator[Chain]:
    """In a sequence, and in the list of layers of a Compact network (SRVGGNet), which runs them one after the other."""
    if isinstance(module, nn.Sequential):
        modules = list(module.named_children())
    elif isinstance(getattr(module, "body", None), nn.ModuleList) and hasattr(module, "upsampler"):
        modules = [(f"body.{number}", child) for number, child in enumerate(module.body)]
    else:
        return
    for number, (own_name, child) in enumerate(modules):
        if not isinstance(child, nn.Conv2d) or not _keeps_size(child):
            continue
        before = modules[number - 1] if number else ("", None)
        after = modules[number + 1][1] if number + 1 < len(modules) else None
        doubles = _doubles(before[1]) and child.kernel_size == (3, 3)
        activation = after if slope_of(after) is not None or isinstance(after, nn.PReLU) else None
        first = before[0] if doubles else own_name
        path = f"{name}.{first}" if name else first
        upsample = before[1] if doubles else None
        yield Chain(path, upsample, child, activation)  # type: ignore[arg-type]


def _doubles(module: nn.Module | None) -> bool:
    """Whether it repeats each px once in each direction."""
    return (
        isinstance(module, nn.Upsample)
        and module.mode == "nearest"
        and module.size is None
        and _is_two(module.scale_factor)
    )


def _is_two(factor: object) -> bool:
    return all(each == 2 for each in factor) if isinstance(factor, tuple) else factor == 2


def slope_of(module: nn.Module | None) -> float | None:
    """By what values below zero are multiplied; None for what is no such activation, and where channels differ."""
    if isinstance(module, nn.LeakyReLU):
        return float(module.negative_slope)
    return 0.0 if isinstance(module, nn.ReLU) else None
