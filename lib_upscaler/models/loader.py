"""From a model file to a network that can run, and a cache of loaded ones with a byte budget."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import replace
from typing import Union

import torch

from .analysis import facts_of
from .build import build, read_model
from .card import card_of, known_card
from .entry import BlendedEntry, ModelEntry
from .facts import known_facts
from .interpolation import described, load_blended
from .ldsr.model import KnownLdsr, LdsrModel, describe_ldsr, load_ldsr_model
from .ldsr.naming import is_ldsr_file
from .network import KnownModel, UpscaleModel

__all__ = ["DEFAULT_CACHE_BYTES", "Known", "Loaded", "ModelCache", "describe", "load", "load_model"]

DEFAULT_CACHE_BYTES = 1_000_000_000


Loaded = Union[UpscaleModel, LdsrModel]
Known = Union[KnownModel, KnownLdsr]


def load_model(entry: ModelEntry) -> UpscaleModel:
    """Read the file and build its network, float32 on the CPU.

    Raises the named errors of ``build`` for whatever is wrong with the file.
    """
    started = time.perf_counter()
    with torch.inference_mode(False):  # weights made inside inference mode could not be used outside it
        model = load_blended(entry) if isinstance(entry, BlendedEntry) else _load(entry)
    model.load_seconds = time.perf_counter() - started
    return model


def _load(entry: ModelEntry) -> UpscaleModel:
    weights, origin = read_model(entry.path)
    descriptor = build(weights, entry.path.name)
    del weights
    facts = facts_of(origin.sha256, descriptor)
    return UpscaleModel(descriptor, card_of(entry, descriptor, origin, facts=facts), facts)


def load(entry: ModelEntry) -> Loaded:
    """As ``load_model``, also of a file of LDSR."""
    if isinstance(entry, BlendedEntry) or not is_ldsr_file(entry):
        return load_model(entry)
    started = time.perf_counter()
    with torch.inference_mode(False):
        model = load_ldsr_model(entry)
    model.load_seconds = time.perf_counter() - started
    return model


def describe(entry: ModelEntry) -> Known:
    """What is known of it without loading it; a network that was never seen is loaded, once, and dropped.

    Raises the errors of ``load``.
    """
    if isinstance(entry, BlendedEntry):
        return described(entry, [describe_network(part) for part, _ in entry.parts])
    return (describe_ldsr(entry) if is_ldsr_file(entry) else None) or describe_network(entry)


def describe_network(entry: ModelEntry) -> KnownModel:
    """As ``describe``, of a network of one pass. Raises the errors of load_model."""
    card = known_card(entry.path, name=entry.name)
    facts = known_facts(card.sha256) if card is not None else None
    if card is None or facts is None:
        model = load_model(entry)
        card, facts = model.card, model.facts
    return KnownModel(card, facts)


_Key = tuple[tuple[str, int, int, float], ...]
"""Path, size, time and share of each file."""


def _key(entry: ModelEntry) -> _Key:
    parts = entry.parts if isinstance(entry, BlendedEntry) else ((entry, 1.0),)
    return tuple((str(part.path), part.size_bytes, part.mtime_ns, share) for part, share in parts)


def _paths(key: _Key) -> list[tuple[str, float]]:
    return [(path, share) for path, _, _, share in key]


class ModelCache:
    """Keeps loaded models, the least recently used dropped when their weights exceed the budget.

    The model asked for is always returned, even if it alone exceeds the budget. Safe to use from several threads.
    """

    def __init__(self, budget: int = DEFAULT_CACHE_BYTES) -> None:
        """budget: bytes of weights, all copies counted."""
        self.budget = budget
        self.loads = 0  # models read from their files so far
        self._models: OrderedDict[_Key, Loaded] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, entry: ModelEntry) -> Loaded:
        """The loaded model; loaded now if it is not there or its file has changed. A file with several names, as in a
        WebUI that calls it otherwise, has the one it is asked for by. Raises the errors of ``load``.
        """
        key = _key(entry)
        with self._lock:
            model = self._models.get(key)
            if model is None:
                model = load(entry)
                self.loads += 1
                for stale in [k for k in self._models if _paths(k) == _paths(key)]:
                    del self._models[stale]
                self._models[key] = model
            model.card = replace(model.card, name=entry.name)
            self._models.move_to_end(key)
            self._shrink()
            return model

    def __len__(self) -> int:
        return len(self._models)

    @property
    def bytes(self) -> int:
        """Memory of all weights held."""
        return sum(model.weights_bytes for model in self._models.values())

    def move_off_devices(self) -> None:
        """Keep the models in main memory alone; what a device needs is copied there again when they run."""
        with self._lock:
            for model in self._models.values():
                model.release()

    def release(self) -> None:
        """Drop all models."""
        with self._lock:
            for model in self._models.values():
                model.release()
            self._models.clear()

    def _shrink(self) -> None:
        while len(self._models) > 1 and self.bytes > self.budget:
            _, oldest = self._models.popitem(last=False)
            oldest.release()
