"""Which precision a network runs in, and how far that takes it from float32.

``auto`` depends on the model, the device and the library versions alone: a probe runs small fixed pictures in both
precisions, and its outcome is kept on the disk. So the same picture gives the same result whatever ran before.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import torch

from ..errors import RequestError
from ..models.facts import BandPlan
from ..models.network import KnownModel, NonFiniteOutput, UpscaleModel
from ..models.spandrels import versions_in_use
from ..store import is_number, shared_cache
from .limits import is_out_of_memory

__all__ = ["EXACT", "PRECISIONS", "ChosenPrecision", "NotMeasured", "choose", "exact_arithmetic", "probe_picture"]

PRECISIONS = {"exact": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

ACCEPTED_DB = 48.0
"""PSNR against float32 below which a smaller precision is not chosen by itself: 45 dB, and a reserve, since
some pictures come out worse than the probe's."""

ACCEPTED_TIME = 0.9
"""A smaller precision must take at most this share of float32's processor time."""

PROBE_SIDE = 24
PROBE_SECONDS = 3.0
SMALLEST_AUTO_AREA = 12 * PROBE_SIDE * PROBE_SIDE
"""px; smaller pictures are always float32, so that whether a probe was there before changes nothing for them."""

_TIMED_SIDES = (96, 64, 48, 32)
_TIMED_WORK = 3e9
"""Multiply-accumulates: the picture that is timed is the largest that takes no more, or the smallest. A small network
then takes less than half a second for the verdict, R-ESRGAN 4x+ three, once."""
_FEWEST_PAIRS, _AGREEING = 5, 0.8
"""A verdict on the time is firm where so many pairs of runs, and this share of them, say the same."""
_TIMED_SECONDS = 4.0
"""Of processor time for each thread; without a firm verdict by then there is none today."""


@dataclass(frozen=True)
class ChosenPrecision:
    """The precision to run in. decibels: its measured PSNR against float32, None where it was not measured."""

    dtype: torch.dtype
    decibels: float | None = None

    @property
    def word(self) -> str:
        return {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}[self.dtype]

    @property
    def item_size(self) -> int:
        """Bytes per value."""
        return torch.empty((), dtype=self.dtype).element_size()


EXACT = ChosenPrecision(torch.float32)


def choose(
    wanted: str,
    model: KnownModel,
    device: torch.device,
    area: int,
    bits: int = 8,
    check: Callable[[], None] = lambda: None,
) -> ChosenPrecision:
    """The precision for a picture of ``area`` px and ``bits`` per channel.

    wanted: "auto", "exact", "fp16" or "bf16". check: called often while probing; what it raises ends the work.

    Raises RequestError for a precision that the model or the device cannot do; NotMeasured where something is to be
    measured first and ``model`` is no loaded network.
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
    return ChosenPrecision(dtype, probe.decibels if probe else None)


def _automatic(
    model: KnownModel, device: torch.device, area: int, bits: int, check: Callable[[], None]
) -> ChosenPrecision:
    if bits > 8 or area < SMALLEST_AUTO_AREA:
        return EXACT
    if device.type == "cuda":
        for dtype in (torch.float16, torch.bfloat16):
            if dtype in model.supports and (dtype == torch.float16 or torch.cuda.is_bf16_supported()):
                probe = _probe(model, device, dtype, check)
                if probe and probe.sound and probe.decibels >= ACCEPTED_DB:
                    return ChosenPrecision(dtype, probe.decibels)
    if device.type == "cpu" and torch.bfloat16 in model.supports and _cpu_has_bfloat16():
        probe = _probe(model, device, torch.bfloat16, check)
        if probe and probe.sound and probe.decibels >= ACCEPTED_DB and _is_faster(model, device, check):
            return ChosenPrecision(torch.bfloat16, probe.decibels)
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


# -- what a smaller precision loses ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Probe:
    """decibels: PSNR against float32. sound: all values finite."""

    decibels: float
    sound: bool = True


class NotMeasured(Exception):  # noqa: N818 - answers a question, it is no error
    """What would have to be measured is not known, and the network is not there to measure it."""


class _TooSlow(Exception):  # noqa: N818 - ends a probe; it is no error
    pass


def _probe(model: KnownModel, device: torch.device, dtype: torch.dtype, check: Callable[[], None]) -> _Probe | None:
    """The outcome for this model, from the disk or measured now; None where the network is too slow to probe."""
    cache = shared_cache("probes")
    key = _key("loss", model, device, dtype)
    stored = cache.get(key) or {}
    if stored == {"too_slow": True}:
        return None
    known = _probe_from_json(stored)
    if known is not None:
        return known
    try:
        outcome = _measure(_loaded(model), device, dtype, check)
    except _TooSlow:
        cache.put(key, {"too_slow": True})
        return None
    except NonFiniteOutput:
        outcome = _Probe(0.0, sound=False)
    except RuntimeError as error:
        if is_out_of_memory(error):
            return None
        outcome = _Probe(0.0, sound=False)  # an operation that this device lacks in this precision
    cache.put(key, asdict(outcome))
    return outcome


def _probe_from_json(stored: dict) -> _Probe | None:
    """None for what is no outcome; the cache's file may have been damaged."""
    decibels, sound = stored.get("decibels"), stored.get("sound")
    if set(stored) != {"decibels", "sound"} or not is_number(decibels, -1000, 1000) or not isinstance(sound, bool):
        return None
    return _Probe(**stored)


def _loaded(model: KnownModel) -> UpscaleModel:
    """The network, to measure it. Raises NotMeasured."""
    if not isinstance(model, UpscaleModel):
        raise NotMeasured
    return model


def _key(what: str, model: KnownModel, device: torch.device, dtype: torch.dtype) -> str:
    versions = str(torch.__version__), *versions_in_use()
    return json.dumps([5, what, model.card.sha256, _device_name(device), str(dtype), *versions])


def _measure(model: UpscaleModel, device: torch.device, dtype: torch.dtype, check: Callable[[], None]) -> _Probe:
    picture = probe_picture(model.card.input_channels).to(device)
    on_work = _until(PROBE_SECONDS, check)
    results: list[torch.Tensor] = []
    with exact_arithmetic():
        for kind in (torch.float32, dtype):
            network = model.copy_for(device, kind)
            network.run(picture, BandPlan(), lambda y, _: results.append(y.float().cpu()), on_work)
    error = float(((results[0] - results[1]) ** 2).mean())
    decibels = 99.0 if error < 1e-9 else float(10 * torch.log10(torch.tensor(1 / error)))
    return _Probe(round(decibels, 2))


def _until(seconds: float, check: Callable[[], None]) -> Callable[[float], None]:
    """For a network's ``on_work``: raises _TooSlow after so much processor time of each thread.

    Processor time, so that a busy machine does not look like a slow network.
    """
    deadline = time.process_time() + seconds * torch.get_num_threads()

    def on_work(_: float) -> None:
        check()
        if time.process_time() > deadline:
            raise _TooSlow

    return on_work


# -- what it gains -----------------------------------------------------------------------------------------------------


def _is_faster(model: KnownModel, device: torch.device, check: Callable[[], None]) -> bool:
    """Whether bfloat16 is worth it on this processor: known from the disk, or timed now.

    Where the machine is too restless for a firm verdict, the answer is no, and the question is asked again another day.
    """
    cache = shared_cache("probes")
    key = _key(f"gain, {torch.get_num_threads()} threads", model, device, torch.bfloat16)
    stored = cache.get(key) or {}
    if isinstance(stored.get("faster"), bool):
        return stored["faster"]
    if stored.get("not_firm_on") == _today():
        return False
    try:
        verdict = firm_verdict(_timed_pairs(_loaded(model), device, check))
    except RuntimeError as error:
        if is_out_of_memory(error):
            return False
        raise
    cache.put(key, {"not_firm_on": _today()} if verdict is None else {"faster": verdict})
    return bool(verdict)


def _today() -> str:
    return time.strftime("%Y-%m-%d")


def firm_verdict(shares: Iterable[float]) -> bool | None:
    """Whether the smaller precision takes at most ``ACCEPTED_TIME`` of float32's time; None if that stays unclear.

    shares: of one pair of runs after the other; no more of them are taken than are needed. Pairs are counted and not
    averaged: on a busy machine any one of them can be off by a factor of five either way.
    """
    faster = count = 0
    for count, share in enumerate(shares, 1):
        faster += share <= ACCEPTED_TIME
        if count >= _FEWEST_PAIRS and max(faster, count - faster) >= _AGREEING * count:
            return faster * 2 > count
    return None


def _timed_pairs(model: UpscaleModel, device: torch.device, check: Callable[[], None]) -> Iterator[float]:
    """bfloat16's share of float32's processor time, again and again until the time for it is over."""
    work = model.facts.work_per_pixel
    side = next((side for side in _TIMED_SIDES if side * side * work <= _TIMED_WORK), _TIMED_SIDES[-1])
    picture = probe_picture(model.card.input_channels, side).to(device)
    on_work = _until(_TIMED_SECONDS, check)

    def seconds(dtype: torch.dtype) -> float:
        started = time.process_time()
        model.copy_for(device, dtype).run(picture, BandPlan(), lambda *_: None, on_work)
        return time.process_time() - started

    with exact_arithmetic():
        try:
            for dtype in (torch.float32, torch.bfloat16):  # the first run also prepares the weights
                seconds(dtype)
            while True:
                exact, small = seconds(torch.float32), seconds(torch.bfloat16)
                yield small / max(exact, 1e-9)
        except _TooSlow:
            return


def probe_picture(channels: int, side: int = PROBE_SIDE) -> torch.Tensor:
    """A fixed picture with what photographs have: a gradient, an edge, fine lines and grain.

    Returns ``(1, channels, side, side)`` float32 in [0, 1].
    """
    steps = torch.arange(side, dtype=torch.float32)
    y, x = steps[:, None].expand(side, side), steps[None, :].expand(side, side)
    # A classic arithmetic hash in place of a random generator: the same numbers on every machine and version.
    grain = torch.frac(torch.sin(x * 12.9898 + y * 78.233) * 437.585) * 0.12
    lines = 0.15 * torch.sin(x * y / 19) * (y > 14)
    edge = 0.35 * ((x - 16) ** 2 + (y - 10) ** 2 < 60)
    planes = [
        (0.25 + 0.4 * (x * (c + 1) + y * (3 - c)) / (4 * side) + edge * (1 - 0.3 * c) + lines + grain) for c in range(3)
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
