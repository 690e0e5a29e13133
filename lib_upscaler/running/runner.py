"""A network run on its device: parts of a picture in, rows of the output out, in a precision that works."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .. import scratch
from ..depths import bits_of, top_of
from ..errors import BrokenModelError
from ..geometry import Region
from ..models.facts import BandPlan
from ..models.network import NonFiniteOutput, Sink, UpscaleModel
from ..planning.passes import is_banded
from ..progress import Progress, Tracker
from .channels import to_network
from .limits import is_out_of_memory
from .precision import EXACT, ChosenPrecision

__all__ = ["DeviceTracker", "Runner"]

_SYNC_WORK = 5e11
"""On CUDA the program runs ahead of the device, by this much work and as much again at most, so that progress and
cancel are true and the device never waits for the program."""


class DeviceTracker(Tracker):
    """Counts work that a device has really done."""

    def __init__(self, progress: Progress, device: torch.device) -> None:
        super().__init__(progress, 0.0)
        self.device = device
        self._launched = 0.0  # since the last mark
        self._mark: tuple[torch.cuda.Event, float] | None = None  # on the device's way, and the work before it

    def add(self, work: float) -> None:
        """``work`` more is done, or on its way to the device. Raises Cancelled."""
        if self.device.type != "cuda":
            super().add(work)
            return
        self._launched += work
        if self._launched < _SYNC_WORK:
            return
        before = self._mark
        self._mark = torch.cuda.Event(), self._launched
        self._mark[0].record(torch.cuda.current_stream(self.device))
        self._launched = 0.0
        if before is not None:
            before[0].synchronize()
            super().add(before[1])


class Runner:
    """A network and the picture that it gets.

    precision: what it runs in from here on. warnings: what went otherwise than it was asked for. banded: whether
    anything ran in bands.
    """

    def __init__(
        self, model: UpscaleModel, picture: np.ndarray, precision: ChosenPrecision, tracker: DeviceTracker
    ) -> None:
        """picture: ``(H, W, C)`` of any depth, with the channels that the network is to get at a time."""
        self.model, self.picture, self.precision, self.tracker = model, picture, precision, tracker
        self.warnings: list[str] = []
        self.banded = False

    def run(self, regions: list[Region], bands: BandPlan, new_sink: Callable[[], Sink]) -> None:
        """Run regions of one size in one batch. new_sink: makes a sink for one attempt.

        Where the chosen precision overflows, these regions run again in float32; where it does not work at all,
        everything does from here on.

        Raises BrokenModelError, Cancelled, and whatever torch raises when memory runs out.
        """
        inputs = torch.cat([self._input(region) for region in regions])
        self.banded = self.banded or is_banded(self.model.facts, regions[0], bands)
        try:
            self._forward(self.precision.dtype, inputs, bands, new_sink())
            return
        except NonFiniteOutput:
            note = f"{self.precision.word} overflowed in this network; those parts ran in float32"
        except RuntimeError as error:
            if self.precision.dtype == torch.float32 or is_out_of_memory(error) or len(regions) > 1:
                raise
            # Tables made while running stay float32 in some networks, and some operations lack a small precision.
            note = f"this network does not work in {self.precision.word}; it ran in float32"
            self.precision = EXACT
        if note not in self.warnings:
            self.warnings.append(note)
        self._forward(torch.float32, inputs, bands, new_sink())

    def _forward(self, dtype: torch.dtype, inputs: Tensor, bands: BandPlan, sink: Sink) -> None:
        """Raises NonFiniteOutput in a small precision, BrokenModelError in float32."""
        try:
            self.model.copy_for(self.tracker.device, dtype).run(inputs, bands, sink, self.tracker.add)
        except NonFiniteOutput:
            if dtype != torch.float32:
                raise
            raise BrokenModelError(
                f"the model '{self.model.name}' gave no picture",
                "its output is not finite numbers, even in float32",
                "the file is probably damaged or not fully trained; get it again or choose another model",
            ) from None

    def _input(self, region: Region) -> Tensor:
        """``(B, C, h, w)`` in [0, 1] on the device; whole numbers travel as they are."""
        part = self.picture[region.rows, region.columns]
        levels = float(top_of(bits_of(part)))
        part = np.array(part, np.int32 if part.dtype == np.uint16 else part.dtype)
        scratch.let_go(self.picture)
        planes = torch.from_numpy(part).to(self.tracker.device).permute(2, 0, 1).float() / levels
        return to_network(planes, self.model.card.input_channels)
