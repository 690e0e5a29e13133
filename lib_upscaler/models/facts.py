"""Facts about a network that decide how it is run: ``analysis`` finds them, once for each file's content. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..store import DiskCache, is_number, is_text, shared_cache
from .spandrels import versions_in_use

__all__ = ["BandPlan", "LocalBlock", "NetworkFacts", "facts_from_json", "keep_facts", "known_facts"]

_FACTS_VERSION = 7  # raise it when the analysis changes: what is cached on the disk is then found anew


@dataclass(frozen=True)
class LocalBlock:
    """A module that can run in bands of rows: same size in and out, bounded context.

    name: its path in the module tree. radius: context in px at its own resolution.
    """

    name: str
    radius: int


@dataclass(frozen=True)
class NetworkFacts:
    """What dry runs told of a network. Memory in elements, so that it serves every precision.

    radius: theoretical context radius in input px; None where it is unbounded or not known.
    global_context: every output pixel depends on the whole picture, so tiling changes the result.
    work_per_pixel: multiply-accumulates per input pixel, elementwise work included at a small weight.
    largest_work_per_pixel: that of the costliest single operation.
    elements_per_pixel: live tensor elements at the peak per input pixel, network run whole.
    largest_elements_per_pixel: those of the largest single tensor.
    dense_share: share of the work done in dense convolutions with kernels larger than 1x1.
    blocks, block_elements: modules that can run in bands, and the elements per px of a band of the largest.
    trunk_elements: live elements per input pixel while blocks run in bands and the head not yet.
    trunk_largest_work, trunk_largest_elements: the two largest figures above, for what remains outside of bands.
    head, head_radius, head_elements: paths of the modules at the end that can run in bands together, their context in
        px of the head's input, and their elements per px of that.
    head_divisor: input px per px of the head's input (2 where the network unshuffles pixels first).
    alignment: tiles must begin at multiples of this many input px, for networks that work at coarser resolutions or
        within windows.
    """

    radius: int | None = None
    global_context: bool = False
    work_per_pixel: float = 1e6
    largest_work_per_pixel: float = 1e5
    elements_per_pixel: float = 4096.0
    largest_elements_per_pixel: float = 2048.0
    dense_share: float = 0.0
    blocks: tuple[LocalBlock, ...] = ()
    block_elements: float = 0.0
    trunk_elements: float = 0.0
    trunk_largest_work: float = 0.0
    trunk_largest_elements: float = 0.0
    head: tuple[str, ...] = ()
    head_radius: int = 0
    head_elements: float = 0.0
    head_divisor: int = 1
    alignment: int = 1


@dataclass(frozen=True)
class BandPlan:
    """Rows per band, in px of the module's own input; None runs it whole."""

    block_rows: int | None = None
    head_rows: int | None = None


def facts_from_json(stored: Mapping[str, Any]) -> NetworkFacts | None:
    """The facts that ``dataclasses.asdict`` made plain, back from JSON; None for what are none: other fields, other
    types, or numbers that no network has.
    """
    if set(stored) != set(_SOUND) or not all(is_sound(stored[name]) for name, is_sound in _SOUND.items()):
        return None
    blocks = tuple(LocalBlock(**block) for block in stored["blocks"])
    return NetworkFacts(**{**stored, "head": tuple(stored["head"]), "blocks": blocks})


_LARGEST_RADIUS = 1_000_000  # px
_LARGEST_AMOUNT = 1e15


def _is_radius(value: object) -> bool:
    return is_number(value, 0, _LARGEST_RADIUS, whole=True)


def _is_divisor(value: object) -> bool:
    return is_number(value, 1, _LARGEST_RADIUS, whole=True)


def _is_amount(value: object) -> bool:
    return is_number(value, 0, _LARGEST_AMOUNT)


def _is_some_amount(value: object) -> bool:
    return is_number(value, 1e-6, _LARGEST_AMOUNT)


def _is_block(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != {"name", "radius"}:
        return False
    return is_text(value["name"]) and _is_radius(value["radius"])


def _list_of(is_sound: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(map(is_sound, value))


_SOUND: dict[str, Callable[[object], bool]] = {
    "radius": lambda value: value is None or _is_radius(value),
    "global_context": lambda value: isinstance(value, bool),
    "work_per_pixel": _is_some_amount,
    "largest_work_per_pixel": _is_amount,
    "elements_per_pixel": _is_some_amount,
    "largest_elements_per_pixel": _is_amount,
    "dense_share": lambda value: is_number(value, 0, 1.001),
    "blocks": _list_of(_is_block),
    "block_elements": _is_amount,
    "trunk_elements": _is_amount,
    "trunk_largest_work": _is_amount,
    "trunk_largest_elements": _is_amount,
    "head": _list_of(is_text),
    "head_radius": _is_radius,
    "head_elements": _is_amount,
    "head_divisor": _is_divisor,
    "alignment": _is_divisor,
}
"""Field of ``NetworkFacts`` -> whether a stored value can be it."""


def known_facts(sha256: str, cache: DiskCache | None = None) -> NetworkFacts | None:
    """The analysis of the network in the file with this SHA-256, if it was made before with the same libraries."""
    stored = (cache or shared_cache("facts")).get(_key(sha256))
    return None if stored is None else facts_from_json(stored)


def keep_facts(sha256: str, facts: NetworkFacts, cache: DiskCache | None = None) -> None:
    """Write them to the disk. sha256: of the network's file, in hex."""
    (cache or shared_cache("facts")).put(_key(sha256), asdict(facts))


def _key(sha256: str) -> str:
    import torch

    return f"{_FACTS_VERSION} {sha256} torch {torch.__version__} spandrel {versions_in_use()[0]}"
