"""The way from a picture to its planned size: passes of networks and resamples, and what is held meanwhile.

Pure; no torch. The pipeline walks this way, and an estimate adds it up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Union

from ..errors import SizeError
from ..geometry import Size
from .sizing import ByScale, SizePlan, SizeRequest, passes, plan_size

__all__ = ["JobPlan", "Resample", "Run", "Step", "alpha_route"]


@dataclass(frozen=True)
class Run:
    """One pass of a network.

    model: its number among those of the job. size, channels, source_bits: of what goes in. bits: of what comes out.
    held: bytes of pictures that the job keeps besides.
    """

    model: int
    size: Size
    channels: int
    source_bits: int
    bits: int
    held: int


@dataclass(frozen=True)
class Resample:
    """One resample; the fields are those of ``Run``."""

    source: Size
    target: Size
    channels: int
    source_bits: int
    bits: int
    held: int

    @property
    def values(self) -> int:
        """Read and written."""
        return (self.source.area + self.target.area) * self.channels

    @property
    def bytes(self) -> int:
        """Of both pictures, and what is held."""
        source, target = self.source.area * self.source_bits, self.target.area * self.bits
        return self.held + (source + target) * self.channels // 8


Step = Union[Run, Resample]


def alpha_route(present: bool, constant: bool, choice: str, channels: int, takes_alpha: bool) -> str:
    """How transparency is treated: "none", "constant", "resampled", "apart" (networks get it as a grey picture of its
    own) or "together" (as a fourth channel).

    choice: "network", "fast" or "drop". channels: of the colours. takes_alpha: whether all networks take RGBA.
    """
    if not present or choice == "drop":
        return "none"
    if constant:
        return "constant"
    if choice == "fast":
        return "resampled"
    return "together" if channels == 3 and takes_alpha else "apart"


@dataclass(frozen=True)
class JobPlan:
    """source: the size given. sizes: what is to be reached. scales, passes: of each network."""

    source: Size
    sizes: SizePlan
    scales: tuple[int, ...]
    passes: tuple[int, ...]

    @classmethod
    def of(cls, source: Size, request: SizeRequest | None, scales: Sequence[int], always: bool = False) -> JobPlan:
        """request: None for the first network's own scale. always: run also where 1x or less is asked for.

        Raises RequestError, SizeError.
        """
        sizes = plan_size(source, request or ByScale(scales[0]))
        return cls(source, sizes, tuple(scales), tuple(passes(sizes.scale, scale, always) for scale in scales))

    # -- memory --------------------------------------------------------------------------------------------------------

    @property
    def least_bytes(self) -> int:
        """What the pictures alone take at least in main memory."""
        reached = (
            self.source.times(scale**number).area
            for scale, count in zip(self.scales, self.passes)
            for number in range(1, count + 1)
        )
        return max([self.sizes.resized.area, *reached]) * 3 + self.sizes.output.area * 4

    def check(self, limit: int) -> None:
        """Refuse what main memory cannot hold. limit: bytes. Raises SizeError."""
        need = self.least_bytes
        if need > limit:
            raise SizeError(
                f"a picture of {self.sizes.output} px cannot be made",
                f"it would take at least {need / 1e9:.1f} GB of memory, and {limit / 1e9:.1f} GB may be used",
                "ask for a smaller size, or allow more memory",
            )

    def beside(self, run: Run) -> int:
        """Bytes of main memory that a pass must leave free: what is held, and the finished picture, which exists twice
        for a moment, as planes and as Pillow's image.
        """
        return run.held + self.sizes.output.area * run.channels

    def placing_bytes(self, channels: int, route: str) -> int:
        """What is there when the result is put together. channels: of the colours."""
        alpha = route != "none"
        planes = self.sizes.resized.area * (channels + alpha)
        return self._given(channels, alpha) + planes + self.sizes.output.area * 4

    def handling(self, channels: int, route: str) -> float:
        """How much there is to do besides networks, in values resampled; the rest is weighed by its measured cost."""
        resampled = sum(step.values for step in self.steps(channels, route) if isinstance(step, Resample))
        values = self.sizes.resized.area * (channels + (route != "none"))
        return resampled + values * (0.6 if len(self.scales) > 1 else 0.1)

    def _given(self, channels: int, alpha: bool) -> int:
        """Bytes of the picture as the caller holds it, and of its planes."""
        return 2 * self.source.area * (channels + alpha)

    # -- the way -------------------------------------------------------------------------------------------------------

    def steps(self, channels: int, route: str) -> list[Step]:
        """All passes and resamples in order. channels: of the colours, 1 or 3. route: as ``alpha_route`` gives it."""
        held = self._given(channels, route != "none")
        if route == "together":
            return list(self._enlarged(channels + 1, held))
        steps = list(self._enlarged(channels, held))
        target = self.sizes.resized
        held += target.area * channels
        if route == "apart":
            steps += self._enlarged(1, held)
        elif route == "resampled":
            steps.append(Resample(self.source, target, 1, 8, 8, held))
        return steps

    def _enlarged(self, channels: int, held: int) -> Iterator[Step]:
        """Through all networks. The results of two are mixed, in 16 bits."""
        bits = 8 if len(self.scales) == 1 else 16
        for model in range(len(self.scales)):
            yield from self._through(model, channels, bits, held)
            held += self.sizes.resized.area * channels * bits // 8

    def _through(self, model: int, channels: int, bits: int, held: int) -> Iterator[Step]:
        size, source_bits = self.source, 8
        for result_bits in self.bits_of_passes(model, bits):
            yield Run(model, size, channels, source_bits, result_bits, held)
            size, source_bits = size.times(self.scales[model]), result_bits
        if (size, source_bits) != (self.sizes.resized, bits):
            yield Resample(size, self.sizes.resized, channels, source_bits, bits, held)

    def bits_of_passes(self, model: int, bits: int) -> list[int]:
        """Of what each pass gives, where ``bits`` are wanted at the end: 16 where another step follows that rounds."""
        count, scale = self.passes[model], self.scales[model]
        ends = count > 0 and self.source.times(scale**count) == self.sizes.resized
        return [bits if number == count - 1 and ends else 16 for number in range(count)]
