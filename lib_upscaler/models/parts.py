"""Finds the weights of one network in whatever a training program has saved around them.

A checkpoint may hold several networks (a generator and its average, a discriminator, a perceptual loss), each in a dict
of its own or under a prefix of its keys, in any depth. No list of names can know them all: what counts is which part an
architecture fits. Nothing here reads a number of the weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .stored import MOST_TENSORS, StoredTensor, shown

__all__ = ["Part", "best_parts", "dicts_of_tensors", "fitting_parts", "in_words"]

_DEEPEST = 8  # dicts in dicts, and prefixes before keys
_MOST_DICTS = 2000
_LONGEST_LIST = 16  # of networks; longer lists are an optimiser's

Weights = dict[str, StoredTensor]
Fits = Callable[[Mapping[str, StoredTensor]], bool]

# As words within a name: "g_ema", "params-ema", "ema_model", "modelEMA", "generator_ema" ...
_AVERAGED = re.compile(r"(?<![a-z])(ema\d*|swa|averaged?|avg|shadow)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """Tensors that belong together. path: the names that lead to them in the file, of dicts and of prefixes."""

    path: tuple[str, ...]
    weights: Weights

    @property
    def averaged(self) -> int:
        """How many of its names say that it is the average over the training, which makes better pictures."""
        # A letter case that changes is a border, too: "modelEMA".
        names = (re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name) for name in self.path)
        return sum(_AVERAGED.search(name) is not None for name in names)

    @property
    def numbers(self) -> int:
        """How many it has in all."""
        return sum(value.elements for value in self.weights.values())

    def is_same_as(self, other: Part) -> bool:
        """Whether both are views of the same data: some programs save one network under two names."""
        return self.weights.keys() == other.weights.keys() and all(
            value.storage.place == twin.storage.place and (value.offset, value.shape) == (twin.offset, twin.shape)
            for value, twin in ((self.weights[key], other.weights[key]) for key in self.weights)
        )


def dicts_of_tensors(content: object) -> list[Part]:
    """Every dict in the file that holds tensors, the outermost first."""
    found: list[Part] = []
    waiting: list[tuple[tuple[str, ...], object]] = [((), content)]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_DICTS:
        path, value = waiting.pop(0)
        if id(value) in seen or len(path) > _DEEPEST:
            continue
        seen.add(id(value))
        items = dict(_named(value))
        tensors = {key: one for key, one in items.items() if isinstance(one, StoredTensor)}
        if tensors and isinstance(value, dict):
            found.append(Part(path, tensors))
        inner = ((key, one) for key, one in items.items() if isinstance(one, (dict, list, tuple)))
        waiting.extend(((*path, key), one) for key, one in inner)
    return found


def _named(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        yield from ((key, one) for key, one in value.items() if isinstance(key, str))
    elif isinstance(value, (list, tuple)) and len(value) <= _LONGEST_LIST:
        yield from ((str(index), one) for index, one in enumerate(value))


def fitting_parts(part: Part, fits: Fits) -> list[Part]:
    """The largest parts of it that an architecture fits: itself, else those behind a common prefix of their keys."""
    if len(part.weights) > MOST_TENSORS:
        return []  # refused for that elsewhere
    return list(_fitting(part, fits, _DEEPEST))


def _fitting(part: Part, fits: Fits, depth: int) -> Iterator[Part]:
    if fits(part.weights):
        yield part
    elif depth > 0:
        behind: dict[str, Weights] = {}
        for key, value in part.weights.items():
            prefix, dot, rest = key.partition(".")
            if dot and not prefix.isdigit():  # numbers are layers of one network
                behind.setdefault(prefix, {})[rest] = value
        for prefix, weights in behind.items():
            if len(weights) > 1:
                yield from _fitting(Part((*part.path, prefix), weights), fits, depth - 1)


def best_parts(parts: Sequence[Part], loads: Fits) -> list[Part]:
    """Those that remain to choose from: averaged ones rather than others, each of them once, and, of several, those
    that are exactly a network (``loads``), where there are such.
    """
    # Those with most such names: within an "ema" there may be an "ema_model" and an "online_model".
    most = max((part.averaged for part in parts), default=0)
    chosen = [part for part in parts if part.averaged == most]
    different: list[Part] = []
    for part in chosen:
        if not any(part.is_same_as(other) for other in different):
            different.append(part)
    if len(different) < 2:
        return different
    return [part for part in different if loads(part.weights)] or different


def in_words(parts: Sequence[Part]) -> str:
    """The parts by name, each with its size."""
    named = [f"'{shown('.'.join(part.path)) or 'the file itself'}' ({_size(part.numbers)})" for part in parts[:8]]
    rest = f" and {len(parts) - 8} more" if len(parts) > 8 else ""
    return ", ".join(named) + rest


def _size(numbers: int) -> str:
    return f"{numbers / 1e6:.1f} million numbers" if numbers >= 100_000 else f"{numbers} numbers"
