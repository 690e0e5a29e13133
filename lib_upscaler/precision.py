"""Which precision a network runs in, and how far that takes it from float32.

``auto`` depends on the model, the device and the library versions alone: a probe runs a small fixed picture in both
precisions, and its outcome is kept on the disk. So the same picture gives the same result whatever ran before.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import spandrel
import torch

from .disk_cache import shared_cache
from .errors import RequestError
from .memory import is_out_of_memory
from .network import NonFiniteOutput, UpscaleModel
from .strategy import BandPlan

__all__ = ["PRECISIONS", "Choice", "choose", "exact_arithmetic", "probe_picture"]

PRECISIONS = {"exact": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

ACCEPTED_DB = 45.0
"""PSNR against float32 below which a smaller precision is not chosen by itself."""

ACCEPTED_TIME = 0.9
"""A smaller precision must take at most this share of float32's processor time."""

PROBE_SIDE = 24
PROBE_SECONDS = 3.0
SMALLEST_AUTO_AREA = 12 * PROBE_SIDE * PROBE_SIDE
"""px; smaller pictures are always float32. The two passes of a probe then cost less than a quarter of any picture
that they serve, and whether there was one before changes nothing."""


@dataclass(frozen=True)
class Choice:
    """The precision to run in. decibels: its measured PSNR against float32, None where it was not measured."""

    dtype: torch.dtype
    decibels: float | None = None

    @property
    def word(self) -> str:
        return {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}[self.dtype]


EXACT = Choice(torch.float32, None)


def choose(
    wanted: str,
    model: UpscaleModel,
    device: torch.device,
    area: int,
    bits: int = 8,
    check: Callable[[], None] = lambda: None,
) -> Choice:
    """The precision for a picture of ``area`` px and ``bits`` per channel.

    wanted: "auto", "exact", "fp16" or "bf16". check: called often while probing; what it raises ends the work.

    Raises RequestError for a precision that the model or the device cannot do.
    """
    if wanted == "auto":
        return _automatic(model, device, area, bits, check)
    dtype = PRECISIONS.get(wanted)
    if dtype is None:
        raise RequestError(f"there is no precision '{wanted}'", "", f"choose one of auto, {', '.join(PRECISIONS)}")
    if dtype == torch.float32:
        return EXACT
    if dtype not in model.supports:
        raise RequestError(
            f"'{model.name}' cannot run in {wanted}",
            f"networks of the kind {model.card.architecture} do not work in it",
            "choose auto or exact",
        )
    if dtype == torch.float16 and device.type == "cpu":
        raise RequestError("the CPU cannot run networks in fp16", "", "choose auto, exact or bf16")
    probe = _probe(model, device, dtype, check) if area >= SMALLEST_AUTO_AREA else None
    return Choice(dtype, probe.decibels if probe else None)


def _automatic(model: UpscaleModel, device: torch.device, area: int, bits: int, check: Callable[[], None]) -> Choice:
    if bits > 8 or area < SMALLEST_AUTO_AREA:
        return EXACT
    if device.type == "cuda":
        for dtype in (torch.float16, torch.bfloat16):
            if dtype in model.supports and (dtype == torch.float16 or torch.cuda.is_bf16_supported()):
                probe = _probe(model, device, dtype, check)
                if probe and probe.sound and probe.decibels >= ACCEPTED_DB:
                    return Choice(dtype, probe.decibels)
    if device.type == "cpu" and torch.bfloat16 in model.supports and _cpu_has_bfloat16():
        probe = _probe(model, device, torch.bfloat16, check)
        if probe and probe.sound and probe.decibels >= ACCEPTED_DB and probe.time_share <= ACCEPTED_TIME:
            return Choice(torch.bfloat16, probe.decibels)
    return EXACT


@lru_cache(maxsize=1)
def _cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself (AVX512-BF16, AMX, or Arm's BF16)."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
        return bool(words & {"avx512_bf16", "amx_bf16", "bf16", "svebf16"})
    except OSError:
        # macOS and Windows do not tell; without it bfloat16 is slower than float32, which the probe notices.
        return platform.machine().lower() in ("amd64", "x86_64")


# -- the probe ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Probe:
    """decibels: PSNR against float32. time_share: of float32's processor time. sound: all values finite."""

    decibels: float
    time_share: float
    sound: bool = True


class _TooSlow(Exception):  # noqa: N818 - ends a probe; it is no error
    pass


def _probe(model: UpscaleModel, device: torch.device, dtype: torch.dtype, check: Callable[[], None]) -> _Probe | None:
    """The outcome for this model, from the disk or measured now; None where the network is too slow to probe."""
    cache = shared_cache("probes")
    key = json.dumps(
        [2, model.card.sha256, _device_name(device), str(dtype), str(torch.__version__), spandrel.__version__]
    )
    stored = cache.get(key)
    if stored is not None:
        return None if stored.get("too_slow") else _Probe(**stored)
    try:
        outcome = _measure(model, device, dtype, check)
    except _TooSlow:
        cache.put(key, {"too_slow": True})
        return None
    except NonFiniteOutput:
        outcome = _Probe(0.0, 1.0, sound=False)
    except RuntimeError as error:
        if is_out_of_memory(error):
            return None
        outcome = _Probe(0.0, 1.0, sound=False)  # an operation that this device lacks in this precision
    cache.put(key, asdict(outcome))
    return outcome


def _measure(model: UpscaleModel, device: torch.device, dtype: torch.dtype, check: Callable[[], None]) -> _Probe:
    picture = probe_picture(model.card.input_channels).to(device)
    # Processor time, so that a busy machine does not look like a slow network.
    deadline = time.process_time() + PROBE_SECONDS * torch.get_num_threads()

    def on_work(_: float) -> None:
        check()
        if time.process_time() > deadline:
            raise _TooSlow

    results: list[torch.Tensor] = []
    seconds: list[float] = []
    with exact_arithmetic():
        for kind in (torch.float32, dtype):
            network = model.copy_for(device, kind)
            started = time.process_time()
            network.run(picture, BandPlan(), lambda y, _: results.append(y.float().cpu()), on_work)
            seconds.append(time.process_time() - started)
    error = float(((results[0] - results[1]) ** 2).mean())
    decibels = 99.0 if error < 1e-9 else float(10 * torch.log10(torch.tensor(1 / error)))
    return _Probe(round(decibels, 2), round(seconds[1] / max(seconds[0], 1e-9), 3))


def probe_picture(channels: int) -> torch.Tensor:
    """A fixed picture with what photographs have: a gradient, an edge, fine lines and grain.

    Returns ``(1, channels, 24, 24)`` float32 in [0, 1].
    """
    side = torch.arange(PROBE_SIDE, dtype=torch.float32)
    y, x = side[:, None].expand(PROBE_SIDE, PROBE_SIDE), side[None, :].expand(PROBE_SIDE, PROBE_SIDE)
    # A classic arithmetic hash in place of a random generator: the same numbers on every machine and version.
    grain = torch.frac(torch.sin(x * 12.9898 + y * 78.233) * 437.585) * 0.12
    lines = 0.15 * torch.sin(x * y / 19) * (y > 14)
    edge = 0.35 * ((x - 16) ** 2 + (y - 10) ** 2 < 60)
    planes = [
        (0.25 + 0.4 * (x * (c + 1) + y * (3 - c)) / (4 * PROBE_SIDE) + edge * (1 - 0.3 * c) + lines + grain)
        for c in range(3)
    ]
    picture = torch.stack(planes).clamp(0, 1)[None]
    if channels == 4:
        return torch.cat([picture, torch.ones_like(picture[:, :1])], dim=1)
    return picture if channels == 3 else picture.mean(dim=1, keepdim=True).expand(1, channels, -1, -1)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {platform.machine()} {_cpu_model() if device.type == 'cpu' else ''}".strip()


@lru_cache(maxsize=1)
def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Float32 means float32: TF32 off for matrix products and cuDNN, and put back afterwards."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
