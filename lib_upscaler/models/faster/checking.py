"""Whether another way gives what a network's own modules give."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .structure import RESIDUAL_SHARE, Chain, DenseBlock, Part, Parts, parts_of
from .ways import Way

__all__ = ["ACCEPTED", "ACCEPTED_SMALL", "Checked", "gives_the_same", "sound_parts"]

ACCEPTED = 1e-5
"""Of the range of the values: what may differ in float32."""

ACCEPTED_SMALL = 0.03
"""The like in a small precision, where each way rounds in places of its own; what is wrong differs by far more."""

_SIDE, _PICTURE_SIDE = 9, 16


def sound_parts(descriptor: Any) -> frozenset[str]:
    """Names of the parts that are what ``structure`` takes them for. descriptor: spandrel's, float32 on the CPU.

    The network's result is compared with that of the same network with these parts' arithmetic written out: a module
    that is also used elsewhere shows there, too. Where they differ, the parts are looked at one by one.
    """
    parts = parts_of(descriptor.model)
    if parts and not _same_as_a_whole(descriptor, parts):
        parts = tuple(part for part in parts if _is_as_read(part))
        parts = parts if _same_as_a_whole(descriptor, parts) else ()
    return frozenset(part.name for part in parts)


class Checked:
    """Whether a way does on a device what the part's own modules do; of ways that are alike one is looked at."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._known: dict[Any, bool] = {}

    def __call__(self, way: Way) -> bool:
        kind = _kind(way.part)
        if kind not in self._known:
            self._known[kind] = gives_the_same(way, self._device, self._dtype)
        return self._known[kind]


def _kind(part: Part) -> Any:
    """The same for parts that differ in their weights alone."""
    if not isinstance(part, (Chain, DenseBlock)):
        return type(part), part.kind
    convolutions = (part.convolution,) if isinstance(part, Chain) else part.convolutions
    shapes = tuple((tuple(each.weight.shape), each.bias is None) for each in convolutions)
    rest = (str(part.upsample), str(part.activation)) if isinstance(part, Chain) else (part.slope,)
    return (type(part), shapes, rest)


def gives_the_same(way: Way, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this way does on this device what the part's own modules do."""
    given = [_moved(each, device, dtype) for each in _example(way.part)]
    accepted = ACCEPTED if dtype == torch.float32 else ACCEPTED_SMALL
    return _same(lambda: way.forward(lambda _: None)(*given), lambda: _own(way.part, *given), accepted)


def _moved(given: Any, device: torch.device, dtype: torch.dtype) -> Any:
    if not isinstance(given, Tensor):
        return given
    moved = given.to(device, dtype if given.is_floating_point() else given.dtype)
    return moved.contiguous(memory_format=torch.channels_last) if moved.dim() == 4 else moved


def _is_as_read(part: Part) -> bool:
    given = _example(part)
    return _same(lambda: _written_out(part, *given), lambda: _own(part, *given), ACCEPTED)


def _same_as_a_whole(descriptor: Any, parts: Parts) -> bool:
    picture = torch.rand(1, descriptor.input_channels, _PICTURE_SIDE, _PICTURE_SIDE, generator=_generator())

    def otherwise() -> Tensor:
        with ExitStack() as stack:
            for part in parts:
                first, *others = part.modules
                first.forward = lambda *given, part=part, **named: _written_out(part, *given, **named)
                for other in others:
                    other.forward = lambda x: x
                for module in part.modules:
                    stack.callback(module.__dict__.pop, "forward", None)
            return descriptor(picture.clone())

    return _same(otherwise, lambda: descriptor(picture.clone()), ACCEPTED)


def _same(one: Callable[[], Tensor], other: Callable[[], Tensor], accepted: float) -> bool:
    try:
        with torch.inference_mode():
            a, b = one().float(), other().float()
            spread = float(b.max() - b.min())
            return a.shape == b.shape and float((a - b).abs().max()) <= accepted * spread  # not where either is NaN
    except (RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError):
        return False  # what does not run here is not used


def _own(part: Part, *given: Any) -> Tensor:
    first, *others = part.modules
    x = first(*given)
    for module in others:
        x = module(x)
    return x


def _written_out(part: Part, *given: Any, **named: Any) -> Tensor:
    """What the part is taken for, in PyTorch's plain operations."""
    if not isinstance(part, (Chain, DenseBlock)):
        return part.way().forward(lambda _: None)(*given, **named)
    (x,) = given
    if isinstance(part, Chain):
        if part.upsample is not None:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return _activated(part.activation, _convolved(part.convolution, x))
    sources = [x]
    for convolution in part.convolutions[:-1]:
        sources.append(F.leaky_relu(_convolved(convolution, torch.cat(sources, 1)), part.slope))
    return x + RESIDUAL_SHARE * _convolved(part.convolutions[-1], torch.cat(sources, 1))


def _convolved(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    return F.conv2d(x, convolution.weight, convolution.bias, padding=convolution.padding)


def _activated(activation: nn.Module | None, x: Tensor) -> Tensor:
    if isinstance(activation, nn.PReLU):
        return F.prelu(x, activation.weight)
    if isinstance(activation, nn.LeakyReLU):
        return F.leaky_relu(x, activation.negative_slope)
    return x if activation is None else F.relu(x)


def _example(part: Part) -> tuple[Any, ...]:
    """What the part could be called with, the same at every call."""
    if not isinstance(part, (Chain, DenseBlock)):
        return part.example(_generator())
    channels = part.convolution.in_channels if isinstance(part, Chain) else part.convolutions[0].in_channels
    return (torch.randn(1, channels, _SIDE, _SIDE + 2, generator=_generator()),)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
