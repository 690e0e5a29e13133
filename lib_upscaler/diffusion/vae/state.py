"""What a run holds while it goes on: planes, statistics, the precision of now, and what went otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ...errors import BrokenModelError
from ...geometry import Region, Size
from ...running.runner import DeviceTracker
from .arithmetic import Arithmetic
from .graph import Graph, Value
from .planes import Plane
from .schedule import Schedule
from .statistics import Moments
from .windows import Windows

__all__ = ["Run"]

_WORDS = {torch.float16: "float16", torch.bfloat16: "bfloat16", torch.float32: "float32"}


class Run:
    """One coding of one batch.

    store: the device that planes are kept on. warnings: what went otherwise than it was asked for. bands: windows that
    were computed, of all passes. spread: how far the scales of a sample's halves differ, as a share. deviation: what
    that makes of the output, in its own units; None where nothing was sampled or it cannot be said.
    """

    def __init__(
        self, graph: Graph, schedule: Schedule, native: torch.dtype, store: torch.device, tracker: DeviceTracker
    ) -> None:
        self.graph, self.schedule, self.store, self.tracker = graph, schedule, store, tracker
        self.arithmetic = Arithmetic(tracker.device, native, tracker.add)
        self.windows = Windows(graph, schedule.setting.size, self.arithmetic)
        self.base = native
        self.planes: dict[int, Plane] = {}
        self.warnings: list[str] = []
        self.bands = 0
        self.spread = 0.0
        self.deviation: float | None = None

    # -- planes --------------------------------------------------------------------------------------------------------

    def new_plane(self, channels: int, size: Size, dtype: torch.dtype | None = None) -> Plane:
        batch = self.schedule.setting.batch
        return Plane.empty(batch, channels, size, dtype or self.base, self.store, self.graph.wraps)

    def replace(self, number: int, by: int) -> None:
        """What was kept as one value is now another, in the same memory."""
        self.keep(by, self.planes[number])
        self.drop(number)

    def drop(self, number: int) -> None:
        del self.planes[number], self.windows.kept[number]

    def keep(self, number: int, plane: Plane) -> None:
        self.planes[number] = self.windows.kept[number] = plane

    def write(self, plane: Plane, region: Region, part: Tensor) -> None:
        """Into a plane, which becomes bfloat16 where float16 does not reach that far; so does what follows."""
        if not plane.write(region, part):
            plane.widen()
            self.base = torch.bfloat16
            plane.write(region, part)

    # -- statistics ----------------------------------------------------------------------------------------------------

    def moments(self, value: Value) -> Moments | None:
        return None if value.norm is None else Moments(value.norm.num_groups)

    def known(self, value: Value, moments: Moments | None) -> None:
        """The statistics of a value are complete."""
        if moments is not None and value.norm is not None:
            affine = moments.statistics().affine(value.norm)
            self.windows.affines[value.number] = affine.to(self.arithmetic.device)

    # -- precision -----------------------------------------------------------------------------------------------------

    def finite(self, compute: Callable[[], Tensor], moments: Moments | None = None) -> Tensor:
        """What ``compute`` gives, in the first precision in which it is finite. moments: what its statistics go into.

        Raises BrokenModelError where it is not finite in float32.
        """
        for dtype in self._precisions():
            self.arithmetic.dtype = dtype
            part = compute()
            if moments.add(part) if moments is not None else _is_finite(part):
                if dtype != self.arithmetic.native:
                    self.warn(
                        f"{_WORDS[self.arithmetic.native]} overflowed in this VAE; parts of it ran in {_WORDS[dtype]}"
                    )
                return part
        raise BrokenModelError(
            "the VAE gave no picture",
            "its numbers are not finite, even in float32",
            "what it was given is broken, or its file is damaged; choose another VAE",
        )

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _precisions(self) -> Iterator[torch.dtype]:
        yield self.base
        if self.base == torch.float16 and self.arithmetic.device.type in ("cpu", "cuda"):
            yield torch.bfloat16
        if self.base != torch.float32:
            yield torch.float32


def _is_finite(part: Tensor) -> bool:
    # A sum is finite only if all its terms are; an overflow of the sum itself is no proof.
    return bool(torch.isfinite(part.sum(dtype=torch.float32))) or bool(torch.isfinite(part).all())
