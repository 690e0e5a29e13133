"""How long jobs take on this machine: learned from those that ran, kept on the disk.

Nothing is assumed of how time grows with work: small jobs pay for what does not depend on their size, large ones for
memory. What is expected of a job is the speed of those that were most like it in size.
"""

from __future__ import annotations

import json
import math
import platform
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from statistics import median
from typing import TYPE_CHECKING, Union

import torch

from ..store import DiskCache, is_number, shared_cache

if TYPE_CHECKING:
    from ..models.card import ModelCard

__all__ = ["PICTURES", "Speeds", "expected", "learn", "network_names", "sampler_names"]

PICTURES = "pictures"
"""The name of what is done to a picture besides networks, on the CPU."""

_VERSION = 1  # raise it when the meaning of work changes: speeds on the disk are then learned anew
_KEPT, _NEAREST = 12, 3
"""Runs of a name, and those of them that an expectation comes from."""

_FEW, _CHANGE, _PAUSE = 4, 0.05, 10.0
"""Once more runs than few are known, the file is written only for such a change of the speed, and after so many
seconds: a batch of small pictures must not pay for it."""

Device = Union[str, torch.device]
_Runs = list[tuple[float, float]]  # work and seconds, the oldest first


def learn(name: str, device: Device, work: float, seconds: float, kinds: Sequence[str] = ()) -> None:
    """Remember that a job took so long. Never fails, and costs next to nothing, also after very many small jobs.

    name: what ran, such as one network in one precision. kinds: what it is one of, from narrow to wide.
    device: a torch device, or the name of another thing that does the work. work: in any unit that is the same for
    all jobs of the name and its kinds, such as multiply-accumulates or megapixels.
    """
    _shared().learn(name, device, work, seconds, kinds)


def expected(name: str, device: Device, work: float, kinds: Sequence[str] = ()) -> float | None:
    """Seconds that the job will take, by earlier ones of the name, else of the first of its kinds that is known.

    None where none has run on this device.
    """
    return _shared().expected(name, device, work, kinds)


def network_names(card: ModelCard, precision: str) -> tuple[str, tuple[str, str]]:
    """Name and kinds of a network in a precision, such as "float16"; the work is in multiply-accumulates."""
    return f"{card.sha256[:16]} {precision}", (f"{card.architecture} {precision}", "network")


def sampler_names(card: ModelCard, precision: str) -> tuple[str, tuple[str, ...]]:
    """The like for a model that samples: no guide to how fast a network of one pass is."""
    return f"{card.architecture} {precision}", ()


class Speeds:
    """What was learned, in a cache on the disk. Safe to use from several threads."""

    def __init__(self, cache: DiskCache, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds, for the pause between two writes."""
        self._cache = cache
        self._clock = clock
        self._lock = threading.Lock()
        self._learned: dict[str, _Runs] = {}
        self._written: dict[str, tuple[float, _Runs]] = {}  # when, and what

    def learn(self, name: str, device: Device, work: float, seconds: float, kinds: Sequence[str] = ()) -> None:
        """See the function of this name."""
        if not _is_run((work, seconds)):
            return
        where = _device_text(device)
        with self._lock:
            for key in (_key(each, where) for each in (name, *kinds)):
                runs = _with(self._runs(key), (float(work), float(f"{seconds:.4g}")))
                self._learned[key] = runs
                if self._is_news(key, runs, work):
                    self._written[key] = (self._clock(), runs)
                    self._cache.put(key, {"runs": runs})

    def expected(self, name: str, device: Device, work: float, kinds: Sequence[str] = ()) -> float | None:
        """See the function of this name."""
        where = _device_text(device)
        with self._lock:
            known = (self._runs(_key(each, where)) for each in (name, *kinds))
            runs = next((runs for runs in known if runs), None)
        return None if runs is None else _seconds(runs, work)

    def _runs(self, key: str) -> _Runs:
        if key in self._learned:
            return self._learned[key]
        stored = (self._cache.get(key) or {}).get("runs")
        return [tuple(run) for run in stored if _is_run(run)] if isinstance(stored, list) else []

    def _is_news(self, key: str, runs: _Runs, work: float) -> bool:
        """Whether it is worth a write."""
        if len(runs) <= _FEW or key not in self._written:
            return True
        when, before = self._written[key]
        changed = abs(_seconds(runs, work) / _seconds(before, work) - 1) > _CHANGE
        return changed and self._clock() - when >= _PAUSE


def _seconds(runs: _Runs, work: float) -> float:
    """By the median speed of the runs nearest in work, of equally near ones the latest. ``runs`` is not empty."""

    def distance(run: tuple[float, float]) -> float:
        return abs(math.log(run[0] / max(work, 1e-9)))

    nearest = sorted(reversed(runs), key=distance)[:_NEAREST]
    alike = [run for run in nearest if distance(run) <= distance(nearest[0]) + math.log(2)]
    return work * median(seconds / done for done, seconds in alike)


def _with(runs: _Runs, run: tuple[float, float]) -> _Runs:
    """One more. Beyond a limit the oldest of the size goes that there are most of, so that every size stays known."""
    runs = [*runs, run]
    if len(runs) > _KEPT:
        sizes = [round(math.log(work, 4)) for work, _ in runs]
        counts = Counter(sizes)
        fullest = max(counts.values())
        del runs[next(index for index, size in enumerate(sizes) if counts[size] == fullest)]
    return runs


def _is_run(run: object) -> bool:
    """Whether these are work and seconds; the cache's file may have been damaged."""
    return isinstance(run, (list, tuple)) and len(run) == 2 and all(is_number(part, 1e-30, 1e30) for part in run)


def _key(name: str, device: str) -> str:
    return json.dumps([_VERSION, name, device])


def _device_text(device: Device) -> str:
    """The same text for as long as the same jobs should take the same time."""
    if isinstance(device, str):
        return device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        told = hasattr(torch.backends, "cpu")  # from torch 2.1 on
        instructions = torch.backends.cpu.get_cpu_capability() if told else ""  # such as AVX512
        return f"cpu {platform.machine()} {instructions}, {torch.get_num_threads()} threads"
    return f"{device.type} {platform.machine()}"


def _shared() -> Speeds:
    return _speeds_in(shared_cache("speeds"))


@cache
def _speeds_in(stored: DiskCache) -> Speeds:
    return Speeds(stored)
