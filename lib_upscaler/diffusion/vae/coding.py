"""A picture encoded, or a latent decoded: the way that the forecast names, and another where that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import RequestError
from ...geometry import Size
from ...models.analysis import leaf_work
from ...models.network import NonFiniteOutput
from ...planning.budget import OVERHEAD_BYTES, Limits, less_than
from ...progress import NO_PROGRESS, Progress
from ...running.device import device_lock
from ...running.heap import steady_heap
from ...running.limits import free_cache, is_out_of_memory
from ...running.runner import DeviceTracker
from .forecasts import Direction, Forecast, Means, Mode, Strategy, forecast
from .graph import Graph
from .passes import Sink, execute
from .schedule import Schedule
from .state import Run
from .tree import VaeTree

__all__ = ["Coded", "decode", "encode"]

LEVELS = 127.5
"""Levels of 255 per unit of the network's output, which is in [-1, 1]."""


@dataclass(frozen=True)
class Coded:
    """What came out.

    tensor: ``(B, C, H, W)`` float32 on the CPU; None where a sink took it. Decoded: the picture, mostly in [-1, 1].
    Encoded: of a KL model its moments (means, then logarithms of variances), of a VQ model what comes before the
    codebook. forecast: of the way that was gone in the end. bands: windows that were computed, 1 where it ran whole.
    deviation: how far a decoded picture is estimated to be off the exact one, the root of the mean square in levels of
    255; 0.0 where it is exact, None where it cannot be said. spread: how sure the sampled statistics are, as a share of
    them. warnings: in words. work: multiply-accumulates that were done.
    """

    tensor: Tensor | None
    forecast: Forecast
    bands: int
    deviation: float | None
    spread: float
    warnings: tuple[str, ...]
    work: float

    @property
    def strategy(self) -> Strategy:
        return self.forecast.strategy


def decode(
    tree: VaeTree,
    latent: Tensor,
    mode: Mode = "auto",
    means: Means = Means(),  # noqa: B008 - frozen
    plan: Forecast | None = None,
    progress: Progress = NO_PROGRESS,
    sink: Sink | None = None,
    quantise: bool = True,
) -> Coded:
    """What the model's ``decode`` gives.

    latent: ``(B, C, h, w)`` on any device, unscaled. mode, means: see ``forecast``; plan: one that was made for this
    very size and batch, instead of them. sink: takes rows of the picture as they are finished, so that it never is in
    memory as a whole. quantise: whether a VQ model moves the latent to its codebook first.
    The model must be on the device, and nobody else may use it meanwhile.

    Raises RequestError for a latent of another shape, MemoryLimitError, BrokenModelError, Cancelled.
    """
    channels = tree.quantiser.channels if tree.quantiser and quantise else tree.decoder.in_channels
    _require(latent, channels, "latent")
    size = Size(latent.shape[3], latent.shape[2]).times(tree.factor)
    return _Job(tree, latent, size, "decode", means, progress, sink, quantise).run(mode, plan)


def encode(
    tree: VaeTree,
    picture: Tensor,
    mode: Mode = "auto",
    means: Means = Means(),  # noqa: B008 - frozen
    plan: Forecast | None = None,
    progress: Progress = NO_PROGRESS,
) -> Coded:
    """What the model's encoder gives, before anything is sampled.

    picture: ``(B, 3, H, W)`` in [-1, 1] on any device. Sides that are no multiples of the factor lose their last px as
    in the model itself. The rest is as with ``decode``; raises what that raises.
    """
    _require(picture, tree.coder("encode").in_channels, "picture")
    size = Size(picture.shape[3], picture.shape[2])
    return _Job(tree, picture, size, "encode", means, progress, None, False).run(mode, plan)


def _require(tensor: Tensor, channels: int, what: str) -> None:
    if tensor.dim() != 4 or tensor.shape[1] != channels or not min(tensor.shape):
        shape = "x".join(map(str, tensor.shape))
        raise RequestError(f"a {what} of shape {shape} does not fit this VAE", "", f"hand over (B, {channels}, H, W)")


class _Collected:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self._rows: dict[int, Tensor] = {}

    def __call__(self, rows: Tensor, top: int) -> None:
        self._rows[top] = rows

    def tensor(self) -> Tensor:
        return torch.cat([self._rows[top] for top in sorted(self._rows)], 2)


class _Job:
    def __init__(
        self,
        tree: VaeTree,
        source: Tensor,
        size: Size,
        direction: Direction,
        means: Means,
        progress: Progress,
        sink: Sink | None,
        quantise: bool,
    ) -> None:
        """size: of the picture."""
        self.tree, self.source, self.size, self.direction = tree, source.detach(), size, direction
        self.coder = tree.coder(direction)
        device = tree.device if means.device is None else means.device
        dtype = tree.dtype if means.dtype is None else means.dtype
        self.means = replace(means, device=device, dtype=dtype)
        self.device, self.dtype = device, dtype
        self.quantise, self.sink = quantise, sink
        self.tracker = DeviceTracker(progress, device)
        self.warnings: list[str] = []

    def run(self, mode: Mode, plan: Forecast | None) -> Coded:
        with device_lock(self.device), torch.no_grad(), _no_autocast(self.device), steady_heap():
            asked, chosen = mode, self._forecast(mode) if plan is None else plan
            while True:
                try:
                    return self._one(chosen)
                except NonFiniteOutput:
                    mode = "exact"
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    if chosen.schedule is None:
                        mode = "exact"
                    else:
                        self.means = replace(self.means, memory=_less(chosen, chosen.schedule))
                        mode = "auto" if asked == "whole" else asked
                    self._warn("memory ran out; it was done again with less")
                # Only here is what the failed try has made let go of.
                free_cache(self.device)
                self.tracker.done = 0.0
                chosen = self._forecast(mode)

    def _forecast(self, mode: Mode) -> Forecast:
        return forecast(
            self.tree, self.size, self.direction, mode, self.means, self.source.shape[0], quantise=self.quantise
        )

    def _one(self, chosen: Forecast) -> Coded:
        """One try. Raises NonFiniteOutput where it ran whole: bands find a precision that works."""
        self.tracker.total = chosen.work
        collected = _Collected()
        sink = self.sink or collected
        deviation: float | None
        if chosen.schedule is None:
            output = self._whole()
            if not bool(torch.isfinite(output).all()):
                raise NonFiniteOutput
            sink(output, 0)
            bands, deviation, spread = 1, 0.0, 0.0
        else:
            bands, deviation, spread = self._in_bands(chosen, chosen.schedule, sink)
        tensor = None if self.sink else collected.tensor()
        return Coded(tensor, chosen, bands, deviation, spread, tuple(self.warnings), self.tracker.done)

    def _in_bands(self, chosen: Forecast, schedule: Schedule, sink: Sink) -> tuple[int, float | None, float]:
        """Number of bands, deviation in levels, spread."""
        graph = Graph(self.coder, self.tree.wraps, self.quantise)
        run = Run(graph, schedule, self.dtype, chosen.store, self.tracker)
        execute(run, self.source, sink)
        for text in run.warnings:
            self._warn(text)
        if schedule.exact:
            return run.bands, 0.0, 0.0
        known = run.deviation is not None and self.direction == "decode"
        deviation = run.deviation * LEVELS if known and run.deviation is not None else None
        self._warn(_approximation(chosen, schedule, deviation, run.spread))
        return run.bands, deviation, run.spread

    def _whole(self) -> Tensor:
        x = self.source.to(self.device, self.dtype)
        with _watched(self.coder.plain, self.tracker):
            if self.tree.quantiser is not None and self.quantise:
                x = self.tree.quantiser(x).to(self.dtype)
            for module in self.coder.plain:
                x = module(x)
        return x.float().cpu()

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


def _less(failed: Forecast, schedule: Schedule) -> int:
    """Bytes that may be taken after a try that was to take what it has not got."""
    limits = Limits(failed.memory, schedule.setting.item_size)
    return less_than(failed.bytes + OVERHEAD_BYTES, limits).budget


def _approximation(chosen: Forecast, schedule: Schedule, deviation: float | None, spread: float) -> str:
    """What is not exact, in words."""
    parts = []
    if schedule.setting.attention == "tiles":
        parts.append("attention looked no further than tiles of the picture")
    if spread:
        parts.append(f"statistics came from a sample of it and are off by about {spread:.1%}")
    off = "" if deviation is None else f"; that is about {deviation:.2f} of 255 levels"
    return f"the VAE ran fast ({chosen.reason}): {' and '.join(parts)}{off}"


@contextmanager
def _watched(modules: tuple[nn.Module, ...], tracker: DeviceTracker) -> Iterator[None]:
    """Tell of the work done after each layer, and stop there where it is asked for."""

    def worked(module: nn.Module, _: Any, output: Any) -> None:
        tracker.add(leaf_work(module, output))

    with ExitStack() as stack:
        for module in modules:
            for layer in module.modules():
                if not list(layer.children()):
                    stack.callback(layer.register_forward_hook(worked).remove)
        yield


@contextmanager
def _no_autocast(device: torch.device) -> Iterator[None]:
    """Precision is chosen here, not by what surrounds it."""
    if device.type not in ("cpu", "cuda"):
        yield
        return
    with torch.autocast(device.type, enabled=False):
        yield
