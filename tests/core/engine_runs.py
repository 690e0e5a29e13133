"""What the tests of the engine have in common."""

from __future__ import annotations

import numpy as np

from lib_upscaler.models.network import UpscaleModel
from lib_upscaler.running.engine import PassOptions, PassResult
from reference import levels
from small_networks import available

__all__ = ["EXACT", "HERE", "Recorder", "assert_unpatched", "off"]


HERE = available()
EXACT = PassOptions(precision="exact")


class Recorder:
    """Notes what is told, and cancels once ``cancel_at`` calls have come."""

    def __init__(self, cancel_at: int = 10**9) -> None:
        self.fractions: list[float] = []
        self.notes: list[str] = []
        self.cancel_at = cancel_at

    def advance(self, fraction: float, note: str = "") -> None:
        self.fractions.append(fraction)
        self.notes.append(note)

    def cancelled(self) -> bool:
        return len(self.fractions) >= self.cancel_at


def off(result: PassResult, true: np.ndarray) -> int:
    return int(np.abs(result.pixels.astype(int) - levels(true).astype(int)).max())


def assert_unpatched(model: UpscaleModel) -> None:
    for copy in [model._base, *model._copies.values()]:
        assert not [n for n, m in copy.descriptor.model.named_modules() if "forward" in vars(m)]
        assert not [n for n, m in copy.descriptor.model.named_modules() if m._forward_hooks]
