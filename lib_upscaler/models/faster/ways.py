"""What stands in for a part of a network while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from .structure import Part

__all__ = ["Forward", "OnWork", "Way"]

Forward = Callable[..., Tensor]
OnWork = Callable[[float], None]


@dataclass(frozen=True)
class Way:
    """One part's other way. bytes: of the weights that were laid out for it. forward: makes the forward for a run,
    which tells of the work that no module does itself."""

    part: Part
    bytes: int
    forward: Callable[[OnWork], Forward]
