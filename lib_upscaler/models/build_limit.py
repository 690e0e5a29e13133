"""Keeps a network within what its file has: a name or shape of a few bytes can ask for any number of layers.

Architectures read their sizes from the names and shapes of the weights. A file of one small tensor called
``body.999999.weight`` would have a million layers made before anybody sees that their weights are missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["BuildLimit", "TooMuch"]

_CALLS, _CALLS_PER_TENSOR = 10_000, 60
"""Of torch's functions; the architectures that there are take up to 20 a tensor."""
_ELEMENTS, _ELEMENTS_PER_ELEMENT = 32_000_000, 4
"""Of new tensors; the architectures that there are take up to 2.6 for each in the file."""

_FACTORIES = frozenset(
    (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.arange, torch.eye, torch.linspace)
)


class TooMuch(Exception):  # noqa: N818 - a signal to the builder, which says it in words
    """The network would be far larger than its weights."""


class BuildLimit(TorchFunctionMode):
    """Inside, more calls of torch or new numbers than such weights can need raise TooMuch, before they are made."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.calls = _CALLS + _CALLS_PER_TENSOR * len(weights)
        self.elements = _ELEMENTS + _ELEMENTS_PER_ELEMENT * sum(value.numel() for value in weights.values())

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        self.calls -= 1
        if func in _FACTORIES:
            self.elements -= _elements(func, args, kwargs or {})
        if self.calls < 0 or self.elements < 0:
            raise TooMuch
        return func(*args, **(kwargs or {}))


def _elements(func: Any, args: tuple, kwargs: dict) -> int:
    """How many numbers the call makes; of ``arange`` and ``linspace`` and their like, an upper bound."""
    sizes = kwargs.get("size", args)
    count = 1
    for size in sizes if isinstance(sizes, (tuple, list)) else (sizes,):
        for one in size if isinstance(size, (tuple, list)) else (size,):
            if isinstance(one, (int, float)) and not isinstance(one, bool):
                count *= max(1, abs(int(one)))
    return count
