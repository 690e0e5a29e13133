"""Which way a picture takes through the VAE, what that costs, and why: before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch

from ...errors import MemoryLimitError, RequestError
from ...geometry import Size
from ...planning.budget import OVERHEAD, OVERHEAD_BYTES
from ...running.limits import memory_budget
from .graph import Graph
from .keeping import EXACT_KEEPS, FAST_KEEPS, within
from .schedule import ATTENTION_TILE, Schedule, Setting
from .tree import VaeTree

__all__ = ["EXACT_FACTOR", "Direction", "Forecast", "Means", "Mode", "Strategy", "forecast"]

Direction = Literal["encode", "decode"]
Mode = Literal["auto", "whole", "exact", "fast"]
Strategy = Literal["whole", "exact", "fast"]

EXACT_FACTOR = 4.0
"""Up to this multiple of the convolutions' own work "auto" is exact. What is above is attention over very large
pictures (at 8192 px squared 3.6 times the convolutions) and what is computed again because memory is short."""

WORKING_BYTES = {"cpu": 160_000_000, "cuda": 1_500_000_000}
"""Of a window and all that it is computed from; of other devices as of the CPU."""

LARGEST_WORK = {"cpu": 3e10, "cuda": 1e13}
"""Multiply-accumulates of one operation, which take a fraction of a second: nobody asks meanwhile whether to go on."""


@dataclass(frozen=True)
class Means:
    """What a coding may use.

    device, dtype: None for those of the weights. memory, host_memory: bytes on the device and, where that is not the
    CPU, in host memory; None for a share of what is free. seconds: how long exact may take with "auto", where ``speed``
    (multiply-accumulates a second) is known; None: no limit. tables: whether the network's own attention, in a whole
    pass, makes a table of all pairs of px.
    """

    device: torch.device | None = None
    dtype: torch.dtype | None = None
    memory: int | None = None
    host_memory: int | None = None
    seconds: float | None = None
    speed: float | None = None
    tables: bool = True


@dataclass(frozen=True)
class Forecast:
    """What will be done.

    size: of the picture, px. schedule: None where it runs whole. store: where planes are kept between layers. bytes: on
    the device (on a CPU: all), planes and window together; host_bytes: in host memory besides. working: bytes of the
    largest window, which do not grow with the picture. work: multiply-accumulates of all of it; plain_work: of the
    network itself without attention; attention_work: of exact attention. reason: in words. memory: bytes that it may
    take on the device.
    """

    strategy: Strategy
    direction: Direction
    size: Size
    device: torch.device
    dtype: torch.dtype
    schedule: Schedule | None
    store: torch.device
    bytes: int
    host_bytes: int
    working: int
    work: float
    plain_work: float
    attention_work: float
    reason: str
    memory: int

    @property
    def work_factor(self) -> float:
        """Work done for each multiply-accumulate of the network with exact attention."""
        return self.work / (self.plain_work + self.attention_work)

    @property
    def exact(self) -> bool:
        return self.schedule is None or self.schedule.exact


def forecast(
    tree: VaeTree,
    size: Size,
    direction: Direction,
    mode: Mode = "auto",
    means: Means = Means(),
    batch: int = 1,
    quantise: bool = True,
) -> Forecast:
    """Choose the way.

    size: of the picture, px. mode: "auto" is whole where that fits and can be stopped in time, else exact up to a limit
    that the reason names, else fast. quantise: see ``decode``.

    Raises MemoryLimitError where the mode does not fit, RequestError for a size without a single latent px.
    """
    if mode not in get_args(Mode):
        raise RequestError(f"there is no way through the VAE called '{mode}'", "", "choose auto, whole, exact or fast")
    if min(size.width, size.height) < tree.factor:
        raise RequestError(f"a picture of {size} px is too small for this VAE", "", f"use {tree.factor} px or more")
    return _Chooser(tree, size, direction, means, batch, quantise).choose(mode)


class _Chooser:
    def __init__(
        self, tree: VaeTree, size: Size, direction: Direction, means: Means, batch: int, quantise: bool
    ) -> None:
        coder = tree.coder(direction)
        self.graph = Graph(coder, tree.wraps, quantise)
        self.size, self.direction, self.batch, self.means = size, direction, batch, means
        latent = Size(size.width // tree.factor, size.height // tree.factor)
        self.input = size if direction == "encode" else latent
        self.device = tree.device if means.device is None else means.device
        self.dtype = tree.dtype if means.dtype is None else means.dtype
        self.item_size = torch.empty((), dtype=self.dtype).element_size()
        self.memory = memory_budget(self.device, means.memory)
        self.places = [(self.device, self.memory)]
        if self.device.type != "cpu":
            host = torch.device("cpu")
            self.places.append((host, memory_budget(host, means.host_memory)))
        self.planes = list(zip(self.graph.values, self.graph.sizes(self.input)))
        self.plain_work = sum(value.work * size.area for value, size in self.planes) * batch
        attended = [(value, size.area) for value, size in self.planes if value.kind == "attention"]
        self.attention_work = sum(2.0 * value.channels * tokens**2 for value, tokens in attended) * batch
        self.tokens = max((tokens for _, tokens in attended), default=0)

    def choose(self, mode: Mode) -> Forecast:
        if mode == "fast":
            return self.fast("it was asked for")
        if mode == "exact":
            return self.exact("it was asked for") or self.refuse("exact")
        whole = self.whole("it was asked for" if mode == "whole" else "it fits into memory as a whole")
        fits, in_time = whole.bytes <= self.memory, self.can_be_stopped()
        if mode == "whole" or (fits and in_time):
            return whole
        why = "a whole pass could not be stopped in time" if fits else "a whole pass does not fit into memory"
        found = self.exact(f"{why}, and bands give the same picture")
        too_much = "not enough memory is free for exact bands" if found is None else self.too_long(found)
        return found if found is not None and not too_much else self.fast(too_much)

    # -- the three ways ------------------------------------------------------------------------------------------------

    def whole(self, reason: str) -> Forecast:
        need = int(self.whole_elements() * self.item_size * self.batch * OVERHEAD) + OVERHEAD_BYTES
        work = self.plain_work + self.attention_work
        return self._forecast("whole", None, self.device, (need, 0, need, work), reason)

    def exact(self, reason: str) -> Forecast | None:
        """None where it does not fit."""
        return self._planned("exact", reason)

    def fast(self, reason: str) -> Forecast:
        return self._planned("fast", reason) or self.refuse("fast")

    def refuse(self, mode: str) -> Forecast:
        raise MemoryLimitError(
            f"a picture of {self.size} px does not fit through this VAE ({mode})",
            f"{self.memory / 1e9:.1f} GB may be used",
            "allow more memory, or use a smaller picture",
        )

    # -- what decides --------------------------------------------------------------------------------------------------

    def whole_elements(self) -> float:
        """Alive at once in the plain network: a block's stream and three tensors of its activation, or the table of
        attention twice."""
        most = 2.0 * self.tokens**2 if self.means.tables else 0.0
        for value, size in self.planes[1:]:
            before = self.graph.values[value.source].channels
            if value.kind == "inner":
                most = max(most, 4.0 * before * size.area, (2.0 * before + value.channels) * size.area)
            elif value.kind == "up":
                most = max(most, 2.25 * before * size.area)
        return most

    def can_be_stopped(self) -> bool:
        """Whether no operation of the plain network takes so long that a cancel is not heard."""
        return max(value.work * size.area for value, size in self.planes) * self.batch <= self._largest()

    def too_long(self, found: Forecast) -> str:
        """Why exact is too much; "" where it is not."""
        seconds, speed = self.means.seconds, self.means.speed
        if found.work > EXACT_FACTOR * self.plain_work:
            attention = f"{2 * self.attention_work / 1e12:,.0f} TFLOP of it attention"
            times = f"{found.work / self.plain_work:.1f} times the work of the convolutions ({attention})"
            return f"exact takes {times}, and {EXACT_FACTOR:g} times is the limit"
        if seconds is not None and speed is not None and found.work / speed > seconds:
            return f"exact takes about {found.work / speed:.0f} s, and {seconds:.0f} s is the limit"
        return ""

    def _planned(self, strategy: Literal["exact", "fast"], reason: str) -> Forecast | None:
        in_tiles = strategy == "fast" and self.tokens > ATTENTION_TILE**2
        most = WORKING_BYTES.get(self.device.type, WORKING_BYTES["cpu"])
        working = min(most, max(8_000_000, self.memory // 4))
        attention: Literal["exact", "tiles"] = "tiles" if in_tiles else "exact"
        setting = Setting(self.input, self.batch, self.item_size, working, self._largest(), attention)
        for place, limit in self.places:
            here = place == self.device
            keeps = EXACT_KEEPS if strategy == "exact" else FAST_KEEPS
            schedule = within(self.graph, keeps, setting, limit, windows_count=here)
            if schedule is not None:
                both = max(step.planes + step.working for step in schedule.steps)
                need, host = (both, 0) if here else (schedule.working, schedule.planes)
                return self._forecast(strategy, schedule, place, (need, host, schedule.working, schedule.work), reason)
        return None

    def _forecast(
        self,
        strategy: Strategy,
        schedule: Schedule | None,
        store: torch.device,
        costs: tuple[int, int, int, float],
        reason: str,
    ) -> Forecast:
        """costs: bytes on the device, in host memory, of a window; and work."""
        what = (strategy, self.direction, self.size, self.device, self.dtype, schedule, store)
        return Forecast(*what, *costs, self.plain_work, self.attention_work, reason, self.memory)

    def _largest(self) -> float:
        return LARGEST_WORK.get(self.device.type, 10 * LARGEST_WORK["cpu"])
