"""Linear layers over the channels of px, with what follows them in one go where oneDNN has that."""

from __future__ import annotations

from typing import Any, NamedTuple, Union

import torch.nn.functional as F
from torch import Tensor, nn

from .recognised import has_children, is_gelu, is_linear, is_off

__all__ = ["Layer", "add_linear", "add_mlp", "is_mlp", "linear", "linear_gelu", "normed", "part_of", "work_of"]


class _Part(NamedTuple):
    weight: Tensor
    bias: Tensor | None


Layer = Union[nn.Linear, _Part]


def part_of(layer: nn.Linear, first: int, last: int) -> _Part:
    """What gives these channels (``last`` exclusive)."""
    return _Part(layer.weight[first:last], None if layer.bias is None else layer.bias[first:last])


def linear(x: Tensor, layer: Layer) -> Tensor:
    """x: ``(px, channels)``."""
    return F.linear(x, layer.weight, layer.bias)


def linear_gelu(x: Tensor, layer: Layer) -> Tensor:
    """With GELU after it."""
    return F.gelu(F.linear(x, layer.weight, layer.bias))


def add_linear(total: Tensor, x: Tensor, layer: Layer) -> Tensor:
    """``total`` += what it gives, in one pass."""
    if layer.bias is not None:
        total += layer.bias
    return total.addmm_(x, layer.weight.t())


def normed(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def is_mlp(module: Any) -> bool:
    """Whether it is a linear layer, GELU and another one."""
    return (
        has_children(module, "fc1", "act", "fc2", "drop")
        and is_linear(module.fc1)
        and is_linear(module.fc2)
        and is_gelu(module.act)
        and is_off(module.drop)
    )


def add_mlp(total: Tensor, norm: nn.LayerNorm, mlp: Any) -> Tensor:
    """``total`` += what two linear layers make of it behind a norm."""
    return add_linear(total, linear_gelu(normed(total, norm), mlp.fc1), mlp.fc2)


def work_of(*layers: nn.Linear) -> float:
    """Multiply-accumulates of a px, elementwise work included (as ``analysis.leaf_work`` counts)."""
    return float(sum(layer.weight.numel() + 16 * layer.out_features for layer in layers))
