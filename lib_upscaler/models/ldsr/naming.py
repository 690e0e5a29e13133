"""Files of LDSR among others: the usual name says nothing ("model.ckpt"), so they are known by what is in them.

No torch for files that cannot be one.
"""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import TrueScaleError
from ...store import DiskCache, shared_cache
from ..entry import ModelEntry, split_name

__all__ = ["ADDRESS", "NAME", "is_ldsr_file", "listed_name"]

NAME = "LDSR"
"""As every guide and every host calls it."""

ADDRESS = "https://heibox.uni-heidelberg.de/f/578df07c8fc04ffbadf3/?dl=1"
"""Of its makers, as AUTOMATIC1111 has it (extensions-builtin/LDSR). Nothing here fetches it: it is two gigabytes."""

_SMALLEST = 100_000_000
"""Bytes. Its networks are three times that in half precision; smaller files are looked into only where their name is
one that LDSR's file has."""

_USUAL_STEMS = ("model", "last", "ldsr")


def listed_name(path: Path, size_bytes: int, mtime_ns: int) -> str:
    """Its name in a list of models: "LDSR", else the file's stem."""
    entry = ModelEntry(split_name(path.name)[0], path, size_bytes, mtime_ns)
    return NAME if is_ldsr_file(entry) else entry.name


def is_ldsr_file(entry: ModelEntry, cache: DiskCache | None = None) -> bool:
    """Whether it is one; False also for what cannot be read, which then fails in words as any model does.

    Only a file's directory is read, once for each file.
    """
    stem = split_name(entry.path.name)[0].lower()
    if entry.size_bytes < _SMALLEST and not any(word in stem for word in _USUAL_STEMS):
        return False
    cache = cache or shared_cache("cards")
    key = json.dumps(["ldsr", str(entry.path), entry.size_bytes, entry.mtime_ns])
    known = (cache.get(key) or {}).get("ldsr")
    if not isinstance(known, bool):
        known = _looks_like_one(entry.path)
        cache.put(key, {"ldsr": known})
    return known


def _looks_like_one(path: Path) -> bool:
    from .file import looks_like_ldsr

    try:
        return looks_like_ldsr(path)
    except TrueScaleError:
        return False
