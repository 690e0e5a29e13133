"""What an upscale will take, told before it runs and without the picture: size, cut, time and memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .errors import MemoryLimitError, RequestError
from .geometry import Size
from .models.loader import describe
from .models.network import KnownModel
from .pictures.resample import BAND_BYTES
from .pipeline import cut_most, picture_limit
from .planning.job import JobPlan, Resample, Run, alpha_route
from .planning.passes import Outlook, PassTask, channel_runs, limits_for, outlook, tiles_at_once
from .running.heap import can_steady_heap
from .running.limits import CPU_SHARE, memory_budget
from .running.precision import PRECISIONS, Choice, NotMeasured, choose
from .running.speeds import PICTURES, expected, network_names

if TYPE_CHECKING:
    from .pipeline import Upscaler
    from .request import UpscaleRequest

__all__ = ["Estimate", "estimate", "total"]

_CPU = torch.device("cpu")
_SCRATCH_BYTES = 3 * BAND_BYTES
"""Of resampling and of putting the result together; measured, 16 to 20 MB."""


@dataclass(frozen=True)
class Estimate:
    """What an upscale will take. The terms are those of ``UpscaleReport``.

    output: the exact size of the result. passes: of the first network that is seen; 0 where none runs.
    strategy, tiles, margin: as planned at first; margins grow where the seams ask for it. "", 0, 0 with a problem.
    precision: as far as it is known. "auto" is measured when a network first runs; until then it is taken for float32.
    seconds: without loading; None while nothing like it has run on this device, and with a problem.
    memory_bytes: the peak that is planned; on the CPU with all pictures, on other devices of what lies there. With a
        problem: what the pictures alone take at least. free_bytes: what the job may take at most.
    problem: the words of the error that the run would raise, "" if there is none.
    """

    output: Size
    passes: int
    strategy: str
    tiles: int
    margin: int
    precision: str
    seconds: float | None
    memory_bytes: int
    free_bytes: int
    problem: str = ""

    @property
    def fits(self) -> bool:
        """Whether it can be done."""
        return not self.problem


def estimate(
    upscaler: Upscaler, source: Size, request: UpscaleRequest, alpha: bool = False, channels: int = 3
) -> Estimate:
    """What ``upscaler.upscale`` will do with a picture of this size, from what is known now; nothing is run.

    A model that this machine has never seen is read from its file once.

    source: px. alpha: whether the picture has transparency that is not the same everywhere. channels: of its colours,
    1 (grey) or 3.

    Raises ModelError, and RequestError or SizeError where no size can be worked out.
    """
    models = [describe(upscaler.library.find(name)) for name, _ in request.seen]
    plan = JobPlan.of(source, request.size, [model.scale for model in models], request.always)
    route = alpha_route(alpha, False, request.alpha, channels, all(model.card.takes_alpha for model in models))
    return _Forecast(upscaler.device, request, models, plan, channels, route).result()


@dataclass
class _Forecast:
    """One job, gone through without doing it."""

    device: torch.device
    request: UpscaleRequest
    models: Sequence[KnownModel]
    plan: JobPlan
    channels: int
    route: str

    def __post_init__(self) -> None:
        self.free = memory_budget(self.device, None)
        self.steps = self.plan.steps(self.channels, self.route)
        self.runs = [step for step in self.steps if isinstance(step, Run)]
        self.choices: dict[int, Choice] = {}

    def result(self) -> Estimate:
        limit = self.request.memory
        may_take = self.free if limit is None else min(self.free, limit)
        try:
            self.plan.check(picture_limit(self.device, limit))
            self.choices = {number: self._choice(number) for number in dict.fromkeys(run.model for run in self.runs)}
            passes = [self._outlook(run) for run in self.runs]
        except (RequestError, MemoryLimitError) as error:
            return self._estimate([], None, self.plan.least_bytes, may_take, str(error))
        return self._estimate(passes, self._seconds(passes), self._memory(passes), may_take, "")

    def _estimate(
        self, passes: list[Outlook], seconds: float | None, memory: int, may_take: int, problem: str
    ) -> Estimate:
        return Estimate(
            output=self.plan.sizes.output,
            passes=self.plan.passes[0],
            strategy="" if problem else cut_most(each.strategy for each in passes),
            tiles=max((each.tiles for each in passes), default=0),
            margin=max((each.margin for each in passes), default=0),
            precision=" and ".join(sorted({choice.word for choice in self.choices.values()})) or "float32",
            seconds=seconds,
            memory_bytes=memory,
            free_bytes=may_take,
            problem=problem,
        )

    def _choice(self, number: int) -> Choice:
        """The precision that a model will run in. Raises RequestError."""
        model, wanted = self.models[number], self.request.precision
        try:
            return choose(wanted, model, self.device, self.plan.source.area)
        except NotMeasured:
            return Choice(PRECISIONS.get(wanted, torch.float32))

    def _outlook(self, run: Run) -> Outlook:
        """Of one pass, for one channel where a grey network gets them one by one. Raises MemoryLimitError."""
        model = self.models[run.model]
        _, channels = channel_runs(model.card, run.channels)
        kind, steady = self.device.type, can_steady_heap(self.device)
        task = PassTask.of(
            model.card, model.facts, run.size, channels, run.source_bits, run.bits, self.request.tile, kind, steady
        )
        item_size = torch.empty((), dtype=self.choices[run.model].dtype).element_size()
        return outlook(task, limits_for(model.card, kind, self._budget(run), item_size), tiles_at_once(kind))

    def _budget(self, run: Run) -> int:
        """Bytes that a pass will find free, of what is free now."""
        free, limit = self.free, self.request.memory
        if self.device.type != "cpu":
            return free if limit is None else min(free, limit)
        free = max(0, free - int(run.held * CPU_SHARE))
        return free if limit is None else min(free, max(1, limit - self.plan.beside(run)))

    # -- memory and time -----------------------------------------------------------------------------------------------

    def _memory(self, passes: list[Outlook]) -> int:
        if self.device.type != "cpu":
            return max((each.bytes for each in passes), default=0)
        networks = [self.plan.beside(run) + self._pass_bytes(run, each) for run, each in zip(self.runs, passes)]
        pictures = [step.bytes for step in self.steps if isinstance(step, Resample)]
        pictures.append(self.plan.placing_bytes(self.channels, self.route))
        return max([*networks, max(pictures) + _SCRATCH_BYTES])

    def _pass_bytes(self, run: Run, each: Outlook) -> int:
        """With the channels that are finished, and all of them twice when they are put together."""
        count, _ = channel_runs(self.models[run.model].card, run.channels)
        if count == 1:
            return each.bytes
        return max(each.bytes + (count - 1) * each.canvas_bytes, 2 * count * each.canvas_bytes)

    def _seconds(self, passes: list[Outlook]) -> float | None:
        networks = total(self._pass_seconds(run, each) for run, each in zip(self.runs, passes))
        rest = expected(PICTURES, _CPU, self.plan.handling(self.channels, self.route))
        if networks is None or not (passes or rest):
            return None
        return networks + (rest or 0.0)

    def _pass_seconds(self, run: Run, each: Outlook) -> float | None:
        card = self.models[run.model].card
        name, kinds = network_names(card, self.choices[run.model].word)
        return expected(name, self.device, each.work * channel_runs(card, run.channels)[0], kinds)


def total(seconds: Iterable[float | None]) -> float | None:
    """The sum; None where one of them is not known."""
    known = list(seconds)
    return None if None in known else sum(one for one in known if one is not None)
