"""A network's copy for a device and a precision, with its tensors in the layout that is quickest there."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from .facts import NetworkFacts

__all__ = ["best_layout", "converted"]

_NEEDS_CHANNELS_FIRST = {"IPT"}
"""Architectures that view their tensors as if the channels came first."""


def converted(descriptor: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A copy on the device in the precision; the weights are converted on the way, not copied first."""
    memo: dict[int, Any] = {}
    for tensor in [*descriptor.model.parameters(), *descriptor.model.buffers()]:
        kind = dtype if tensor.is_floating_point() else tensor.dtype
        made = tensor.detach().to(device=device, dtype=kind, copy=True)
        memo[id(tensor)] = nn.Parameter(made, requires_grad=False) if isinstance(tensor, nn.Parameter) else made
    return copy.deepcopy(descriptor, memo)


def best_layout(descriptor: Any, facts: NetworkFacts, device: torch.device, dtype: torch.dtype) -> torch.memory_format:
    """Dense convolutions are a third faster on the CPU (and on tensor cores) with the channels last; attention and
    depthwise convolutions are slower. On CUDA float32 takes twice as long so: it has no tensor cores. Sets the weights'
    layout as well.
    """
    has_gain = device.type == "cpu" or (device.type == "cuda" and dtype != torch.float32)
    dense = facts.dense_share >= 0.5 and has_gain
    four_dimensional = all(p.dim() <= 4 for p in descriptor.model.parameters())
    if not four_dimensional or descriptor.architecture.id in _NEEDS_CHANNELS_FIRST:
        return torch.contiguous_format
    layout = torch.channels_last if dense else torch.contiguous_format
    descriptor.model.to(memory_format=layout)  # a copy has that of the network it was made from
    return layout
