"""The way from a picture to its planned size: passes of networks and resamples, and what is kept meanwhile.

Pure; no torch. A plan is built once. The pipeline carries out its steps, and an estimate adds up the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import gcd, prod
from typing import TYPE_CHECKING, Any, Literal, Optional, Protocol, Union

from ..depths import Bits
from ..errors import RequestError, SizeError
from ..geometry import Size
from .passes import PassTask, channel_runs, wrap_margin
from .sizing import ByScale, SizePlan, SizeRequest, passes, plan_size

if TYPE_CHECKING:
    from ..models.card import ModelCard
    from ..models.facts import NetworkFacts

__all__ = [
    *("AlphaRoute", "Chain", "Foreign", "JobPlan", "Resample", "Run", "Sample", "Step", "Walk", "Where", "alpha_route"),
]


class Known(Protocol):
    """What is known of a model, loaded or not. facts: None of one that samples."""

    card: ModelCard

    @property
    def facts(self) -> NetworkFacts | None: ...


class KnownSampler(Protocol):
    """What is known of a model that makes its result in many steps from noise, as LDSR."""

    card: ModelCard

    def work_per_pixel(self, steps: int) -> float:
        """Multiply-accumulates per px of the source, about."""


Chain = Sequence[Optional[Known]]
"""Models that a picture goes through, one after the other. Of others' upscalers nothing is known: None, alone."""


@dataclass(frozen=True)
class Where:
    """Where and how networks run.

    device: such as "cpu" or "cuda". steady: its heap can be kept steady. tile: see PassTask. views: see Run.
    steps: of models that sample. wrap: whether the picture goes on at its other side, across and down.
    """

    device: str
    steady: bool
    tile: int | str = "auto"
    views: int = 1
    steps: int = 1
    wrap: tuple[bool, bool] = (False, False)


@dataclass(frozen=True)
class Run:
    """One pass of a network.

    chain, number: which of the job's chains, and which network in it. task: how the pass is to be cut.
    turns: how often the network runs for it: a grey network gets the colours one by one, and the task is of one turn.
    kept_bytes: bytes of pictures that the job keeps besides. nth, of: "pass 2 of 3" of the chain.
    views: how many flips and turns of the picture are averaged: 1 or 8. turned: the task of those that lie on their
    side; it is the same where there are none. Of several views each gives more bits, and ``bits`` is of their mean.
    beside: px of the picture's other side that it gets on each, across and down; they are cut off again.
    """

    chain: int
    number: int
    task: PassTask
    turns: int
    kept_bytes: int
    nth: int
    of: int
    views: int
    turned: PassTask
    bits: Bits
    beside: tuple[int, int] = (0, 0)

    @property
    def work(self) -> float:
        """Multiply-accumulates, without overlaps."""
        return self.task.size.area * self.turns * self.views * self.task.facts.work_per_pixel

    @property
    def channels(self) -> int:
        """Of the picture."""
        return self.turns * self.task.channels


@dataclass(frozen=True)
class Foreign:
    """One call of another's upscaler, which gives 8 bits; they become ``bits``.

    source, target: with what is ``beside`` (as in ``Run``).
    """

    chain: int
    source: Size
    target: Size
    kept_bytes: int
    bits: Bits = 8
    beside: tuple[int, int] = (0, 0)

    @property
    def bytes(self) -> int:
        """Of both pictures, and what is kept."""
        return self.kept_bytes + (self.source.area + self.target.area) * 3


@dataclass(frozen=True)
class Sample:
    """One run of a model that samples, on three channels. work: multiply-accumulates, about. The rest as ``Run``."""

    chain: int
    number: int
    source: Size
    target: Size
    channels: int
    bits: int
    kept_bytes: int
    nth: int
    of: int
    work: float

    @property
    def bytes(self) -> int:
        """Of both pictures as float32, and what is kept."""
        return self.kept_bytes + (self.source.area + self.target.area) * 3 * 4 + self.target.area * 3 * self.bits // 8


@dataclass(frozen=True)
class Resample:
    """One resample. source_bits, bits: of what goes in, and of what comes out. kept_bytes: as in ``Run``."""

    source: Size
    target: Size
    channels: int
    source_bits: Bits
    bits: Bits
    kept_bytes: int
    on_disk: bool = False

    @property
    def values(self) -> int:
        """Read and written."""
        return (self.source.area + self.target.area) * self.channels

    @property
    def bytes(self) -> int:
        """Of both pictures, and what is kept; pictures on the disk take none."""
        if self.on_disk:
            return self.kept_bytes
        source, target = self.source.area * self.source_bits, self.target.area * self.bits
        return self.kept_bytes + (source + target) * self.channels // 8


Step = Union[Run, Sample, Foreign, Resample]

_SHARE_OF_PICTURES = 0.4
"""Of the memory that may be used. Networks need the rest."""

_SUM_BYTES = 4
"""Of a value while the results of all views are added up."""

_FOREIGN_MARGIN = 32
"""px of the source's other side, at least, that another's upscaler gets on each side of a picture that goes on."""

AlphaRoute = Literal["none", "constant", "resampled", "apart", "together"]
"""How transparency is treated; apart: networks get it as a grey picture of its own; together: as a fourth channel."""


def alpha_route(present: bool, constant: bool, choice: str, channels: int, chains: Sequence[Chain]) -> AlphaRoute:
    """How transparency is treated.

    choice: "network", "fast" or "drop". channels: of the colours.
    """
    if not present or choice == "drop":
        return "none"
    if constant:
        return "constant"
    models = [known for chain in chains for known in chain]
    if choice == "fast" or any(known is None or known.facts is None for known in models):
        return "resampled"
    return "together" if channels == 3 and all(known.card.takes_alpha for known in models if known) else "apart"


@dataclass(frozen=True)
class JobPlan:
    """source: the size given. sizes: what is to be reached.

    passes: of each chain, the numbers of its networks in the order in which they run, () where none does.
    source_bits, bits: of the picture given, and of the result. on_disk: whether all pictures but the one given lie in
    files (``scratch``).
    """

    source: Size
    sizes: SizePlan
    chains: tuple[Chain, ...]
    passes: tuple[tuple[int, ...], ...]
    where: Where
    source_bits: Bits = 8
    bits: Bits = 8
    on_disk: bool = False
    _walks: dict[tuple[int, AlphaRoute], Walk] = field(default_factory=dict, init=False, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        source: Size,
        request: SizeRequest | None,
        chains: Sequence[Chain],
        where: Where,
        always: bool = False,
        depths: tuple[Bits, Bits] = (8, 8),
    ) -> JobPlan:
        """request: None for the first chain's own scale. always: run also where 1x or less is asked for.

        depths: of the picture given, and of the result.

        Raises RequestError, SizeError.
        """
        if request is None:
            if None in chains[0]:
                raise RequestError("this upscaler has no scale of its own", "", "say how large the picture shall be")
            request = ByScale(prod(known.card.scale for known in chains[0] if known))
        if any(where.wrap):
            _check_wrap(chains)
        sizes = plan_size(source, request)
        orders = tuple(tuple(_order(_scales(chain), sizes, always)) for chain in chains)
        return cls(source, sizes, tuple(chains), orders, where, *depths)

    # -- memory --------------------------------------------------------------------------------------------------------

    @property
    def least_bytes(self) -> int:
        """What the pictures alone take at least in main memory."""
        reached = [self.sizes.resized.area]
        for chain, order in zip(self.chains, self.passes):
            size = self.source
            for number in order:
                size = size.times(_scales(chain)[number])
                reached.append(size.area)
        return (max(reached) * 3 + self.sizes.output.area * 4) * self.bits // 8

    def with_disk(self, limit: int, free: int) -> JobPlan:
        """The same with its pictures on the disk, where they would fill up main memory. Only for networks, in one view.

        limit: bytes of memory. free: of the disk. Raises SizeError where the disk cannot hold them.
        """
        others = any(known is None or known.facts is None for chain in self.chains for known in chain)
        if self.least_bytes <= limit * _SHARE_OF_PICTURES or others or self.where.views > 1:
            return self
        need = self._file_bytes
        if need > free:
            raise SizeError(
                f"a picture of {self.sizes.output} px cannot be made",
                f"it needs {need / 1e9:.1f} GB on the disk while it is made, and {free / 1e9:.1f} GB are free",
                "free some space, choose another folder, or ask for a smaller size",
            )
        return replace(self, on_disk=True)

    @property
    def _file_bytes(self) -> int:
        """All that lies in files at once at most: what goes into the last step and comes out, and the finished file."""
        sizes = self.sizes
        passes = sizes.resized.area if len(self.chains) == 1 else 3 * sizes.resized.area
        finer = self._finer // 8
        return (2 * passes * finer + sizes.output.area * self.bits // 8) * 4

    def check(self, limit: int) -> None:
        """Refuse what main memory cannot hold. limit: bytes. Raises SizeError."""
        need = 0 if self.on_disk else self.least_bytes
        if need > limit:
            raise SizeError(
                f"a picture of {self.sizes.output} px cannot be made",
                f"it would take at least {need / 1e9:.1f} GB of memory, and {limit / 1e9:.1f} GB may be used",
                "ask for a smaller size, or allow more memory",
            )

    def reserved_bytes(self, run: Run) -> int:
        """Bytes of main memory that a pass must leave free: what is kept, and the finished picture, which exists twice
        for a moment, as planes and as Pillow's image.
        """
        return run.kept_bytes + self._held(self.sizes.output, run.channels, self.bits)

    def _held(self, size: Size, channels: int, bits: Bits) -> int:
        """Bytes of main memory that a picture takes which the job has made."""
        return 0 if self.on_disk else size.area * channels * bits // 8

    # -- the way -------------------------------------------------------------------------------------------------------

    def walk(self, channels: int, route: AlphaRoute) -> Walk:
        """All that is done; each time the same object. channels: of the colours, 1 or 3. route: as ``alpha_route``
        gives it.
        """
        if (channels, route) not in self._walks:
            self._walks[channels, route] = self._walk(channels, route)
        return self._walks[channels, route]

    def _walk(self, channels: int, route: AlphaRoute) -> Walk:
        transparent = route != "none"
        given = 2 * self.source.area * (channels + transparent) * self.source_bits // 8  # the caller's, and its planes
        if route == "together":
            return Walk(self, channels, route, self._enlarged(channels + 1, given), ())
        color, target = self._enlarged(channels, given), self.sizes.resized
        kept_bytes = given + self._held(target, channels, self.bits)
        alpha: tuple[tuple[Step, ...], ...] = ()
        if route == "apart":
            alpha = self._enlarged(1, kept_bytes)
        elif route == "resampled":
            alpha = ((Resample(self.source, target, 1, self.source_bits, self.bits, kept_bytes, self.on_disk),),)
        return Walk(self, channels, route, color, alpha)

    def _enlarged(self, channels: int, kept_bytes: int) -> tuple[tuple[Step, ...], ...]:
        """The steps of each chain. The results of two are mixed, in more bits."""
        bits = self.bits if len(self.chains) == 1 else self._finer
        steps = []
        for chain in range(len(self.chains)):
            steps.append(tuple(self._through(chain, channels, bits, kept_bytes)))
            kept_bytes += self._held(self.sizes.resized, channels, bits)
        return tuple(steps)

    @property
    def _finer(self) -> Bits:
        """What goes in between, so that rounding happens once."""
        return 16 if self.bits == 8 else 32

    def _through(self, chain: int, channels: int, bits: Bits, kept_bytes: int) -> Iterator[Step]:
        size, source_bits, target = self.source, self.source_bits, self.sizes.resized
        if None in self.chains[chain]:
            yield self._foreign(chain, bits, kept_bytes)
            size, source_bits = target, bits
        order, scales = self.passes[chain], _scales(self.chains[chain])
        ends = self.source.times(prod(scales[number] for number in order)) == target
        for nth, number in enumerate(order):
            # More bits where another step follows that rounds.
            result_bits = bits if ends and nth == len(order) - 1 else self._finer
            known = self.chains[chain][number]
            if known is not None and known.facts is None:
                yield self._sample(chain, number, nth, size, channels, result_bits, kept_bytes)
            else:
                yield self._run(chain, number, nth, size, channels, source_bits, result_bits, kept_bytes)
            size, source_bits = size.times(scales[number]), result_bits
        if (size, source_bits) != (target, bits):
            yield Resample(size, target, channels, source_bits, bits, kept_bytes, self.on_disk)

    def _foreign(self, chain: int, bits: Bits, kept_bytes: int) -> Foreign:
        """Beside a picture that goes on come as many px as become whole ones in the result."""
        source, target, beside = self.source, self.sizes.resized, [0, 0]
        around = []
        for axis, (before, after) in enumerate(((source.width, target.width), (source.height, target.height))):
            if self.where.wrap[axis]:
                unit = before // gcd(before, after)
                beside[axis] = -(-_FOREIGN_MARGIN // unit) * unit
            around.append((before + 2 * beside[axis], after + 2 * beside[axis] * after // before))
        (width, new_width), (height, new_height) = around
        return Foreign(
            chain, Size(width, height), Size(new_width, new_height), kept_bytes, bits, (beside[0], beside[1])
        )

    def _sample(
        self, chain: int, number: int, nth: int, size: Size, channels: int, bits: Bits, kept_bytes: int
    ) -> Sample:
        known: Any = self.chains[chain][number]
        work, of = size.area * known.work_per_pixel(self.where.steps), len(self.passes[chain])
        target = size.times(known.card.scale)
        return Sample(chain, number, size, target, channels, bits, kept_bytes, nth + 1, of, work)

    def _run(
        self,
        chain: int,
        number: int,
        nth: int,
        size: Size,
        channels: int,
        source_bits: Bits,
        bits: Bits,
        kept_bytes: int,
    ) -> Run:
        known, where = self.chains[chain][number], self.where
        assert known is not None  # only networks have passes
        assert known.facts is not None
        turns, each = channel_runs(known.card, channels)
        single = bits if where.views == 1 else self._finer
        margin = wrap_margin(known.card, known.facts)
        beside = margin * where.wrap[0], margin * where.wrap[1]
        seen = Size(size.width + 2 * beside[0], size.height + 2 * beside[1])
        # The gaps in a heap that is kept steady grow with the number of tiles: measured, half as much again at thirty.
        steady = where.steady and not self.on_disk
        task, turned = (
            PassTask.of(known.card, known.facts, one, each, source_bits, single, where.tile, where.device, steady)
            for one in (seen, Size(seen.height, seen.width))
        )
        if self.on_disk:
            task = turned = replace(task, on_disk=True, source_on_disk=nth > 0)
        if where.views == 1:
            turned = task
        else:
            kept_bytes += task.output.area * channels * _SUM_BYTES + task.picture_bytes * turns
        of = len(self.passes[chain])
        return Run(chain, number, task, turns, kept_bytes, nth + 1, of, where.views, turned, bits, beside)


@dataclass(frozen=True)
class Walk:
    """Everything that is done to a picture: the steps of each chain over its colours, then those over its alpha.

    channels: of the colours. route: of the alpha.
    """

    plan: JobPlan
    channels: int
    route: AlphaRoute
    color: tuple[tuple[Step, ...], ...]
    alpha: tuple[tuple[Step, ...], ...]

    @cached_property
    def steps(self) -> list[Step]:
        """All of them, in order."""
        return [step for part in (self.color, self.alpha) for chain in part for step in chain]

    @property
    def placing_bytes(self) -> int:
        """What is there when the result is put together."""
        planes = self.channels + (self.route != "none")
        sizes = self.plan.sizes
        given = 2 * self.plan.source.area * planes * self.plan.source_bits
        made = 0 if self.plan.on_disk else (sizes.resized.area * planes + sizes.output.area * 4) * self.plan.bits
        return (given + made) // 8

    @property
    def handling(self) -> float:
        """How much there is to do besides networks, in values resampled; the rest is weighed by its measured cost."""
        resampled = sum(step.values for step in self.steps if isinstance(step, Resample))
        values = self.plan.sizes.resized.area * (self.channels + (self.route != "none"))
        return resampled + values * (0.6 if len(self.plan.chains) > 1 else 0.1)


def _check_wrap(chains: Sequence[Chain]) -> None:
    """Raises RequestError."""
    for known in (known for chain in chains for known in chain):
        if known is not None and known.facts is None:
            raise RequestError(
                f"'{known.card.name}' cannot make a picture that goes on at its other side",
                "it makes its result from noise, which would not meet there",
                "choose another model, or leave wrap off",
            )


def _scales(chain: Chain) -> list[int]:
    return [known.card.scale for known in chain if known is not None]


def _order(scales: list[int], sizes: SizePlan, always: bool) -> Iterator[int]:
    """The numbers of a chain's networks in the order in which they run; further passes repeat the last.

    Each of several runs at least once: who names them wants them.
    """
    if not scales:
        return
    first, last = range(len(scales) - 1), len(scales) - 1
    yield from first
    before = prod(scales[:-1])
    yield from [last] * passes(sizes.scale / before, scales[-1], always or len(scales) > 1)
