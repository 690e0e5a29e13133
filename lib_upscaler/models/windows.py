"""Where the windows of a network lie in which attention is computed (SwinIR, HAT, SRFormer, DAT ...).

A tile whose first row is in the middle of a window of the whole picture has all its windows elsewhere, and at the
picture's border one that is filled up with a reflection where the whole picture needs none: there its result is
another, which no context makes up for (98 levels in the last rows of a small SRFormer, 111 of a SwinIR; 0 and 3 where
tiles begin with a window).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn

__all__ = ["window_alignment"]

_NAMES = ("window_size", "win_size", "ws", "split_size", "stripe_size")
"""What architectures call it: a side, or two sides."""
_LARGEST = 128
"""px; tiles of no finer steps than this could not fit into little memory."""


def window_alignment(network: nn.Module, alignment: int) -> int:
    """px that tiles must begin at multiples of; ``alignment`` where windows ask for no more.

    Taken to be at the resolution of the input. Windows that have no small common multiple are left to their own.
    """
    sides = {side for module in network.modules() for side in _sides(module)}
    together = math.lcm(alignment, *sides)
    return together if together <= _LARGEST else alignment


def _sides(module: nn.Module) -> Iterator[int]:
    for name in _NAMES:
        value = vars(module).get(name)
        for side in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(side, int) and not isinstance(side, bool) and 1 < side <= _LARGEST:
                yield side
