"""A network that only sleeps, as one on a card looks to the processor that feeds it."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image

from lib_upscaler.geometry import Size
from lib_upscaler.pictures.pixels import decompose
from lib_upscaler.request import UpscaleReport, UpscaleRequest, UpscaleResult

__all__ = ["Asleep", "Quiet"]


class Asleep:
    """In an ``Upscaler``'s place: four times as large by repetition. busy: seconds in it."""

    device = torch.device("cpu")

    def __init__(self, seconds: float) -> None:
        self._seconds, self.busy = seconds, 0.0

    def load(self, request: UpscaleRequest) -> None:
        pass

    def plan(self, source: Size, request: UpscaleRequest, bits: int, scratch: Path) -> Any:
        return SimpleNamespace(request=request, output=Size(source.width * 4, source.height * 4), stages=())

    def upscale(self, image: Image.Image, request: UpscaleRequest, progress: Any, plan: Any) -> UpscaleResult:
        started = time.perf_counter()
        large = decompose(image.resize((plan.output.width, plan.output.height), Image.NEAREST))
        time.sleep(max(0.0, self._seconds - (time.perf_counter() - started)))
        self.busy += time.perf_counter() - started
        sizes = Size(*image.size), plan.output
        how = "whole", 1, 0, 0.0, "float32", None, "cpu", 0.0, 0.0, 0
        return UpscaleResult(large, UpscaleReport(*sizes, ("asleep",), 1, *how))


class Quiet:
    """A listener that listens to nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None
