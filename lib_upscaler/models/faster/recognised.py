"""Whether modules are PyTorch's own, and do no more than they seem to."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["has_children", "is_gelu", "is_linear", "is_norm", "is_off"]


def has_children(module: Any, *names: str) -> bool:
    """Whether it has just these."""
    return isinstance(module, nn.Module) and {name for name, _ in module.named_children()} == set(names)


def is_linear(module: Any) -> bool:
    return isinstance(module, nn.Linear) and type(module).__name__ == "Linear"


def is_norm(module: Any) -> bool:
    """Over the channels alone, with weights."""
    return (
        isinstance(module, nn.LayerNorm)
        and type(module).__name__ == "LayerNorm"
        and len(module.normalized_shape) == 1
        and module.weight is not None
    )


def is_gelu(module: Any) -> bool:
    return isinstance(module, nn.GELU) and module.approximate == "none"


def is_off(module: Any) -> bool:
    """Whether it hands on what it gets, once a network is trained."""
    return isinstance(module, (nn.Identity, nn.Dropout)) or type(module).__name__ == "DropPath"
