"""The facts of networks on the disk: found once for each file's content, then known without its network."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ..store import DiskCache, shared_cache
from .facts import NetworkFacts, facts_from_json

if TYPE_CHECKING:
    import spandrel

__all__ = ["facts_of", "known_facts"]

_FACTS_VERSION = 3  # raise it when the analysis changes: what is cached on the disk is then found anew


def facts_of(sha256: str, descriptor: spandrel.ImageModelDescriptor, cache: DiskCache | None = None) -> NetworkFacts:
    """The analysis of a loaded network, from the disk where it was made before. sha256: of its file, in hex."""
    from .analysis import analyse

    cache = cache or shared_cache("facts")
    known = known_facts(sha256, cache)
    if known is not None:
        return known
    facts = analyse(descriptor)
    cache.put(_key(sha256), asdict(facts))
    return facts


def known_facts(sha256: str, cache: DiskCache | None = None) -> NetworkFacts | None:
    """The analysis of the network in the file with this SHA-256, if it was made before with the same libraries."""
    stored = (cache or shared_cache("facts")).get(_key(sha256))
    return None if stored is None else facts_from_json(stored)


def _key(sha256: str) -> str:
    import spandrel
    import torch

    return f"{_FACTS_VERSION} {sha256} torch {torch.__version__} spandrel {spandrel.__version__}"
