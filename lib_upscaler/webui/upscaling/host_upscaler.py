"""One picture by one or two upscalers, ours or the host's, as a request to the core."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...errors import Cancelled, RequestError, TrueScaleError
from ...geometry import Size
from ...planning.sizing import SizeRequest
from ...progress import Progress
from ...request import Enlarger, UpscaleRequest, UpscaleResult
from ..host.progress import is_stopped
from .service import service

__all__ = ["Choice", "HostUpscaler", "Job", "request_of", "run"]


@dataclass(frozen=True)
class Choice:
    """An upscaler. model: file of one that our engine runs; else scaler, path: of the host's or another extension's."""

    name: str
    model: str | None = None
    scaler: Any = None
    path: str | None = None


@dataclass(frozen=True)
class Job:
    """first, second: upscalers. visibility: of the second, 0 to 1.

    size: None for the first one's own scale (models of ours only). The rest as in UpscaleRequest.
    clean_up: runs before them, at the picture's own size: a 1x network that repairs, or any other, made small again.
    """

    first: Choice
    second: Choice | None = None
    visibility: float = 0.0
    size: SizeRequest | None = None
    precision: str = "auto"
    tile: int | str = "auto"
    memory: int | None = None
    alpha: str = "network"
    always: bool = False
    clean_up: Choice | None = None

    def seen(self) -> list[tuple[Choice, float]]:
        """The upscalers that are seen, with the weight of each. Raises RequestError."""
        if not 0 <= self.visibility <= 1:
            raise RequestError(f"a visibility of {self.visibility} is not possible", "", "choose one from 0 to 1")
        if self.second is None or self.visibility == 0:
            return [(self.first, 1.0)]
        if self.visibility == 1:
            return [(self.second, 1.0)]
        return [(self.first, 1 - self.visibility), (self.second, self.visibility)]


def run(image: Image.Image, job: Job, progress: Progress) -> UpscaleResult:
    """The picture of exactly the size asked for. Raises TrueScaleError and its kinds."""
    result = service().upscale(image, request_of(job), progress)
    return replace(result, report=replace(result.report, models=_as_chosen(result.report.models, job)))


def request_of(job: Job) -> UpscaleRequest:
    """What the core is asked for. Raises RequestError."""
    (first, _), *second = job.seen()
    return UpscaleRequest(
        model=_model(first),
        model2=_model(second[0][0]) if second else None,
        visibility=job.visibility if second else 0.0,
        size=job.size,
        precision=job.precision,
        tile=job.tile,
        memory=job.memory,
        alpha=job.alpha,
        always=job.always,
        clean_up=_model(job.clean_up) if job.clean_up is not None else None,
    )


def _model(choice: Choice) -> str | Enlarger:
    return choice.model if choice.model is not None else HostUpscaler(choice)


def _as_chosen(models: tuple[str, ...], job: Job) -> tuple[str, ...]:
    """The models under the names by which they were chosen: the host has names of its own for some files."""
    listed = {str(entry.path): entry.name for entry in service().library.models()}
    files = {choice.name: os.path.abspath(choice.model) for choice in _choices(job) if choice.model is not None}
    chosen = {listed.get(file, Path(file).stem): name for name, file in files.items()}
    return tuple(chosen.get(name, name) for name in models)


def _choices(job: Job) -> Iterator[Choice]:
    if job.clean_up is not None:
        yield job.clean_up
    yield from (choice for choice, _ in job.seen())


class HostUpscaler:
    """One of the host's, or of another extension, as the core's ``Enlarger``."""

    strategy = "by the WebUI"

    def __init__(self, choice: Choice) -> None:
        self.name = choice.name
        self._choice = choice

    def enlarge(self, picture: np.ndarray, size: Size, progress: Progress) -> np.ndarray:
        """See ``Enlarger``."""
        scale = max(size.width / picture.shape[1], size.height / picture.shape[0])
        try:
            done = self._choice.scaler.upscale(Image.fromarray(picture), scale, self._choice.path)
        except TrueScaleError:
            raise
        except Exception as error:
            raise TrueScaleError(f"'{self.name}' failed", f"{type(error).__name__}: {error}") from error
        if is_stopped():
            raise Cancelled  # the host's upscalers then give whatever they have
        return np.asarray(done.convert("RGB"))
