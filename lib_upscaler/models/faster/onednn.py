"""Convolutions of oneDNN with more in one go, on the CPU: PyTorch makes them for its compiler, and has no public name
for them. Where they are not there, or in a precision without them, ``plain`` stands in.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["add_convolution", "convolution", "convolution_added", "is_here"]

_ONE = [1, 1]


def is_here() -> bool:
    """Whether this PyTorch has them."""
    try:
        return bool(torch.backends.mkldnn.is_available() and _fused().binary and _added())
    except (AttributeError, RuntimeError):
        return False


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, slope: float | None) -> Tensor:
    """slope: of an activation after it, for values below zero; None: without."""
    if slope is None:
        return F.conv2d(x, weight, bias, padding=padding)
    name, values = ("relu", []) if slope == 0 else ("leaky_relu", [slope])
    return _fused()(x, weight, bias, [padding] * 2, _ONE, _ONE, 1, name, values, "")


def convolution_added(x: Tensor, weight: Tensor, bias: Tensor, padding: int, other: Tensor) -> Tensor:
    """The convolution of ``x`` + ``other``."""
    return _fused().binary(x, other, weight, bias, [padding] * 2, _ONE, _ONE, 1, "add", 1.0, None, [], None)


def add_convolution(total: Tensor, x: Tensor, weight: Tensor, padding: int) -> None:
    """``total`` += the convolution of ``x``, in one pass over it."""
    _added()(total, x, weight, None, [padding] * 2, _ONE, _ONE, 1, "add", 1.0, None, [], None)


def _fused() -> Any:
    return torch.ops.mkldnn._convolution_pointwise


def _added() -> Any:
    return torch.ops.mkldnn._convolution_pointwise_.binary
