"""What an upscale will take, told before it runs and without the picture: size, cut, time and memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from .errors import MemoryLimitError, RequestError
from .geometry import Size
from .models.entry import ModelEntry
from .models.ldsr.model import KnownLdsr
from .models.network import KnownModel
from .pictures.resample import BAND_BYTES
from .planning.job import Foreign, Run, Sample, Step, Walk, alpha_route
from .planning.passes import SAMPLED, Outlook, limits_for, outlook, tiles_at_once
from .running.ldsr.sampler import forecast
from .running.limits import CPU_SHARE, is_known, memory_budget
from .running.precision import PRECISIONS, ChosenPrecision, NotMeasured, choose
from .running.speeds import PICTURES, expected, network_names, sampler_names
from .walker import FOREIGN, cut_most, picture_limit

if TYPE_CHECKING:
    from .models.card import ModelCard
    from .pipeline import Plan, Upscaler
    from .request import UpscaleRequest

__all__ = ["Estimate", "estimate", "total"]

_CPU = torch.device("cpu")
_SCRATCH_BYTES = 3 * BAND_BYTES
"""Of resampling and of putting the result together; measured, 16 to 20 MB."""


@dataclass(frozen=True)
class Estimate:
    """What an upscale will take. The terms are those of ``UpscaleReport``.

    output: the exact size of the result. passes: of the first model that runs; 0 where none runs.
    strategy, tiles, margin: as planned at first; margins grow where the seams ask for it. "", 0, 0 with a problem.
    precision: as far as it is known. "auto" is measured when a network first runs; until then it is taken for float32.
    seconds: without loading; None while nothing like it has run on this device, and with a problem.
    memory_bytes: the peak that is planned; on the CPU with all pictures, on other devices of what lies there. With a
        problem: what the pictures alone take at least. free_bytes: what the job may take at most; free_known: whether
        that is the device's own, which DirectML does not tell.
    problem: the words of the error that the run would raise, "" if there is none.
    steps: those that will be carried out, of the last stage. plan: all of them, for ``upscaler.upscale`` to carry out.
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
    steps: tuple[Step, ...] = field(default=(), repr=False)
    plan: Plan | None = field(default=None, compare=False, repr=False)
    free_known: bool = True

    @property
    def fits(self) -> bool:
        """Whether it can be done."""
        return not self.problem

    def after(self, before: Estimate) -> Estimate:
        """Of a job whose last stage this is of, and ``before`` of those before it."""
        worse = max(before, self, key=lambda each: each.tiles)
        return replace(
            self,
            tiles=worse.tiles,
            margin=worse.margin,
            strategy=worse.strategy if worse.tiles > 1 else self.strategy,
            seconds=total((before.seconds, self.seconds)),
            memory_bytes=max(before.memory_bytes, self.memory_bytes),
            problem=before.problem or self.problem,
        )


def estimate(
    upscaler: Upscaler,
    source: Size,
    request: UpscaleRequest,
    alpha: bool = False,
    channels: int = 3,
    plan: Plan | None = None,
) -> Estimate:
    """What ``upscaler.upscale`` will do with a picture of this size, from what is known now; nothing is run.

    A model that this machine has never seen is read from its file once.

    source: px. alpha: whether the picture has transparency that is not the same everywhere. channels: of its colours,
    1 (grey) or 3. plan: of a picture of more than 8 bits, or where one is there already.

    Raises ModelError, and RequestError or SizeError where no size can be worked out.
    """
    plan, found = plan or upscaler.plan(source, request), None
    for stage, job in plan.stages:
        walk = job.walk(channels, alpha_route(alpha, False, stage.alpha, channels, job.chains))
        stage_found = _Forecast(upscaler.device, stage, walk).result()
        found = stage_found if found is None else stage_found.after(found)
    assert found is not None  # a request has a stage
    return replace(found, plan=plan)


@dataclass
class _Forecast:
    """One stage, gone through without doing it."""

    device: torch.device
    request: UpscaleRequest
    walk: Walk

    def __post_init__(self) -> None:
        self.plan = self.walk.plan
        self.free = memory_budget(self.device, None)
        self.runs = [step for step in self.walk.steps if isinstance(step, Run)]
        self.samples = [step for step in self.walk.steps if isinstance(step, Sample)]
        self.choices: dict[tuple[int, int], ChosenPrecision] = {}
        models = [model for model, _ in self.request.weighted_models]
        self.others = {
            n: model for n, model in enumerate(models) if not isinstance(model, (str, Path, ModelEntry, tuple))
        }

    def result(self) -> Estimate:
        limit = self.request.memory
        may_take = self.free if limit is None else min(self.free, limit)
        try:
            self.plan.check(picture_limit(self.device, limit))
            self.choices = {which: self._choice(which) for which in dict.fromkeys(map(_which, self.runs))}
            passes = [self._outlook(run) for run in self.runs]
            sampled = [self._sampled(step) for step in self.samples]
        except (RequestError, MemoryLimitError) as error:
            return self._estimate([], None, self.plan.least_bytes, may_take, str(error))
        seconds = total((self._seconds([*passes, *sampled]), self._sampling_seconds(sampled)))
        memory = max([self._memory(passes), *(step.bytes + each.bytes for step, each in zip(self.samples, sampled))])
        return self._estimate([*passes, *sampled], seconds, memory, may_take, "")

    def _estimate(
        self, passes: list[Outlook], seconds: float | None, memory: int, may_take: int, problem: str
    ) -> Estimate:
        words = {choice.word for choice in self.choices.values()}
        return Estimate(
            output=self.plan.sizes.output,
            passes=len(self.plan.passes[0]),
            strategy="" if problem else self._strategy(passes),
            tiles=max((each.tiles for each in passes), default=0),
            margin=max((each.margin for each in passes), default=0),
            precision=" and ".join(sorted(words)) or ("unknown" if self.others else "float32"),
            seconds=seconds,
            memory_bytes=memory,
            free_bytes=may_take,
            problem=problem,
            steps=tuple(self.walk.steps),
            free_known=is_known(self.device),
        )

    def _strategy(self, passes: list[Outlook]) -> str:
        if self.others and not passes:
            return next(iter(self.others.values())).strategy
        return cut_most(each.strategy for each in passes)

    def _card(self, run: Run) -> ModelCard:
        return self._network(_which(run)).card

    def _network(self, which: tuple[int, int]) -> KnownModel:
        known = self.plan.chains[which[0]][which[1]]
        assert isinstance(known, KnownModel)  # only networks have passes
        return known

    def _choice(self, which: tuple[int, int]) -> ChosenPrecision:
        """The precision that a network will run in. Raises RequestError."""
        wanted = self.request.precision
        try:
            bits = max(self.plan.source_bits, self.plan.bits)
            return choose(wanted, self._network(which), self.device, self.plan.source.area, bits)
        except NotMeasured:
            return ChosenPrecision(PRECISIONS.get(wanted, torch.float32))

    def _outlook(self, run: Run) -> Outlook:
        """Of one pass, for one turn. Raises MemoryLimitError."""
        kind, item_size = self.device.type, torch.empty((), dtype=self.choices[_which(run)].dtype).element_size()
        limits = limits_for(self._card(run), kind, self._budget(run), item_size)
        upright = outlook(run.task, limits, tiles_at_once(kind, item_size))
        if run.views == 1:
            return upright
        turned = outlook(run.turned, limits, tiles_at_once(kind, item_size))
        larger = max(upright, turned, key=lambda each: (each.tiles, each.bytes))
        return replace(larger, work=(upright.work + turned.work) / 2 * run.views)

    def _budget(self, run: Run) -> int:
        """Bytes that a pass will find free, of what is free now."""
        free, limit = self.free, self.request.memory
        if self.device.type != "cpu":
            return free if limit is None else min(free, limit)
        free = max(0, free - int(run.kept_bytes * CPU_SHARE))
        return free if limit is None else min(free, max(1, limit - self.plan.reserved_bytes(run)))

    def _sampled(self, step: Sample) -> Outlook:
        """Raises MemoryLimitError, RequestError."""
        layout = self._sampler(step).layout
        found = forecast(layout, step.source, self.request.sampling, self.device, self._beside(step))
        kind = SAMPLED[found.tiles > 1]
        return Outlook(kind, found.tiles, 0, found.work, max(found.sampling_bytes, found.decoding_bytes), 0)

    def _beside(self, step: Sample) -> int | None:
        limit = self.request.memory
        return limit if limit is None or self.device.type != "cpu" else max(1, limit - step.bytes)

    def _sampling_seconds(self, sampled: list[Outlook]) -> float | None:
        word = ChosenPrecision(PRECISIONS.get(self.request.precision, torch.float32)).word
        return total(
            expected(sampler_names(self._sampler(step).card, word)[0], self.device, each.work)
            for step, each in zip(self.samples, sampled)
        )

    def _sampler(self, step: Sample) -> KnownLdsr:
        known = self.plan.chains[step.chain][step.number]
        assert isinstance(known, KnownLdsr)  # as it was planned
        return known

    # -- memory and time -----------------------------------------------------------------------------------------------

    def _memory(self, passes: list[Outlook]) -> int:
        if self.device.type != "cpu":
            return max((each.bytes for each in passes), default=0)
        networks = [self.plan.reserved_bytes(run) + _pass_bytes(run, each) for run, each in zip(self.runs, passes)]
        pictures = [step.bytes for step in self.walk.steps if not isinstance(step, Run)]
        pictures.append(self.walk.placing_bytes)
        return max([*networks, max(pictures) + _SCRATCH_BYTES])

    def _seconds(self, passes: list[Outlook]) -> float | None:
        networks = total(self._pass_seconds(run, each) for run, each in zip(self.runs, passes))  # those come first
        others = total(
            expected(self.others[step.chain].name, FOREIGN, step.target.area)
            for step in self.walk.steps
            if isinstance(step, Foreign)
        )
        rest = expected(PICTURES, _CPU, self.walk.handling)
        if networks is None or others is None or not (passes or rest or others):
            return None
        return networks + others + (rest or 0.0)

    def _pass_seconds(self, run: Run, each: Outlook) -> float | None:
        name, kinds = network_names(self._card(run), self.choices[_which(run)].word)
        return expected(name, self.device, each.work * run.turns, kinds)


def _which(run: Run) -> tuple[int, int]:
    """The network that runs."""
    return run.chain, run.number


def _pass_bytes(run: Run, each: Outlook) -> int:
    """With the channels that are finished, and all of them twice when they are put together."""
    if run.turns == 1:
        return each.bytes
    return max(each.bytes + (run.turns - 1) * each.canvas_bytes, 2 * run.turns * each.canvas_bytes)


def total(seconds: Iterable[float | None]) -> float | None:
    """The sum; None where one of them is not known."""
    known = list(seconds)
    return None if None in known else sum(one for one in known if one is not None)
