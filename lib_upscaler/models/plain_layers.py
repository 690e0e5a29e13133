"""Layers that compute what PyTorch's own do, whatever a host has done to PyTorch's classes.

WebUIs patch the ``forward`` of layer *classes*: A1111's ``manual_cast`` (MPS, XPU, GTX 16xx, fp8) for the time of a
generation, in which it rounds the weights of every layer that runs; its LoRA from the start on. To put the classes
right while a network of ours runs would take the patch from a generation in another thread. So our networks' layers are
of classes of our own, which hold PyTorch's forward themselves, and nobody else's layer is touched.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from functools import cache
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any

from torch import nn

__all__ = ["make_plain"]


def make_plain(network: nn.Module) -> None:
    """Give each layer of the network that is one of PyTorch's, or derived from one, PyTorch's own forward for good.

    By a class rather than by a function on the layer: that would be a circle of references, and weights that are
    dropped would stay until Python looks for circles. Copies made with ``copy.deepcopy`` are plain as well.
    """
    for layer in network.modules():
        kind: Any = type(layer)
        layer.__class__ = _plain(kind)


@cache
def _plain(kind: type) -> type:
    """The class to use in place of ``kind``: itself where it has nothing of PyTorch's, or is plain already."""
    for parent in kind.__mro__:
        if "_truescale_plain" in vars(parent):
            return kind
        if parent is not nn.Module and parent.__module__.startswith("torch.nn.") and "forward" in vars(parent):
            break
    else:
        return kind
    names = {"__module__": parent.__module__, "__qualname__": parent.__qualname__, "_truescale_plain": True}
    plain = type(parent.__name__, (parent,), {**names, "forward": _pytorchs_forward(parent)})
    if kind is parent:
        return plain
    # Between ``kind`` and its parent, so that what ``kind`` reaches by super() is plain, too.
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (kind, plain), names)


def _pytorchs_forward(kind: type) -> Callable[..., Any]:
    """The function that PyTorch's file defines, also where the class holds another one now."""
    module = sys.modules[kind.__module__]
    for name in ("forward", "org_forward"):  # the second: where manual_cast keeps what it has replaced
        function = vars(kind).get(name)
        if function is not None and _is_from(function, module):
            return function
    return vars(getattr(_fresh(module), kind.__name__))["forward"]


def _is_from(function: Any, module: ModuleType) -> bool:
    """By its code: functools.wraps makes a wrapper look like what it wraps."""
    code = getattr(function, "__code__", None)
    return code is not None and os.path.abspath(code.co_filename) == os.path.abspath(str(module.__file__))


@cache
def _fresh(module: ModuleType) -> ModuleType:
    """The module once more, from its file; PyTorch itself goes on with the first one."""
    loader = SourceFileLoader(module.__name__, str(module.__file__))
    spec = importlib.util.spec_from_loader(module.__name__, loader)
    assert spec is not None
    made = importlib.util.module_from_spec(spec)
    loader.exec_module(made)
    return made
