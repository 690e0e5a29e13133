"""spandrel's architectures: which one some weights are of, and a network of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import ModelError, memory_ran_out
from .build_limit import BuildLimit
from .spandrels import spandrel_in_use
from .stored import StoredTensor

if TYPE_CHECKING:
    import spandrel

__all__ = ["construct", "detect", "loads", "missing_package", "registry"]

_BUILDING = threading.Lock()


def registry() -> spandrel.ArchRegistry:
    """spandrel's architectures and those of spandrel_extra_arches that it lacks. A new one: no global is changed.

    Raises ModelError where spandrel is not installed.
    """
    try:
        return spandrel_in_use().registry()
    except ImportError as error:
        raise missing_package(error) from error


def detect(weights: Mapping[str, Any], known: spandrel.ArchRegistry) -> spandrel.ArchSupport | None:
    """The architecture whose names these weights have, which need not be all that they have; None: no such one.

    weights: tensors, or what stands for them: only the names are looked at. Raises nothing.
    """
    for support in known.architectures("detection"):
        try:
            if support.detect(dict(weights)):
                return support
        except Exception:  # noqa: BLE001 - an architecture that looks closer stumbles over strangers' weights
            continue
    return None


def construct(support: spandrel.ArchSupport, weights: dict[str, Tensor]) -> Any:
    """The descriptor of a network with these weights. The random numbers of torch are not advanced.

    Raises whatever the architecture's loader does, and TooMuch.
    """
    # Networks fill themselves with random numbers before the weights come: the caller's stream must not notice.
    with _BUILDING, torch.random.fork_rng(devices=[]), torch.inference_mode(False), BuildLimit(weights):
        return support.architecture.load(weights)


def loads(weights: Mapping[str, StoredTensor], known: spandrel.ArchRegistry) -> bool:
    """Whether an architecture takes tensors of these names and shapes, all of them and no others: tried with zeros.

    Raises MemoryError and its like.
    """
    support = detect(weights, known)
    if support is None:
        return False
    outline = {key: torch.zeros((), dtype=value.dtype).expand(value.shape) for key, value in weights.items()}
    try:
        construct(support, outline)
    except Exception as error:
        if memory_ran_out(error):
            raise
        return False
    return True


def missing_package(error: ImportError) -> ModelError:
    """In words: a package that cannot be imported."""
    if memory_ran_out(error):
        return ModelError("cannot load any model", "there is not enough memory to load PyTorch", "close other programs")
    package = (error.name or "spandrel").partition(".")[0]
    return ModelError(
        "cannot load any model",
        f"the Python package '{package}' cannot be imported ({error})",
        f"start the WebUI with the network up, which adds it, or install it with 'pip install {package}'",
    )
