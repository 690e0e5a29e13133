"""Whose result a file is: told by a mark in it, not by its name, which two sources can want.

The mark is the fingerprint of the source's file, not its name: it says nothing about where it lay.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from .exif import without_value

__all__ = ["GIF_BLOCK", "KEY", "TAG", "fingerprint", "is_anothers", "mark", "origin_of", "without_mark"]

KEY = "TrueScale source"
"""The name of the mark: of a PNG's text, elsewhere what a segment or a tag begins with."""

TAG = 0x000B
"""Of EXIF and TIFF, "ProcessingSoftware", where the mark is in formats without comments."""

GIF_BLOCK = b"TRUESCALE10"
"""Of a GIF, the application whose block holds the mark: viewers pass over it, and would show a comment."""

_END = 65_536  # bytes at both ends of a source that count
_SEARCHED = 4 * _END  # bytes from the start of a result: JPEG's mark follows EXIF, XMP and IPTC
_MARK = re.compile(re.escape(KEY.encode()) + rb"[ \x00]([0-9a-f]{32})")


def fingerprint(path: str | os.PathLike[str]) -> str | None:
    """32 hexadecimal digits of a file's length and its ends; None where it cannot be read."""
    try:
        first, last, size = _ends(path, _END)
    except OSError:
        return None
    return hashlib.blake2b(first + last + size.to_bytes(8, "big"), digest_size=16).hexdigest()


def mark(digits: str) -> bytes:
    """The mark where it is no text of a PNG."""
    return f"{KEY} {digits}".encode("ascii")


def without_mark(exif: bytes) -> bytes | None:
    """EXIF without the mark, also where it stands in bytes that nothing points to any more; None: it held no more."""
    if not _MARK.search(exif):
        return exif
    blank = _MARK.sub(lambda found: bytes(len(found.group(0))), exif)
    return without_value(blank, TAG)


def origin_of(path: str | os.PathLike[str]) -> str | None:
    """The fingerprint of the source that the file ``path`` is the result of; None where it does not tell."""
    try:
        first, last, _ = _ends(path, _END)
        found = _MARK.search(first) or _MARK.search(last)
        if found is None:
            with Path(path).open("rb") as file:
                found = _MARK.search(file.read(_SEARCHED))
    except OSError:
        return None
    return found.group(1).decode("ascii") if found else None


def is_anothers(result: str | os.PathLike[str], source: str | os.PathLike[str]) -> bool:
    """Whether the file ``result`` tells that it was made of another file than ``source``, as that is now."""
    digits = origin_of(result)
    return digits is not None and digits != fingerprint(source)


def _ends(path: str | os.PathLike[str], length: int) -> tuple[bytes, bytes, int]:
    """The first and the last ``length`` bytes, and the size."""
    with Path(path).open("rb") as file:
        first = file.read(length)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - length))
        return first, file.read(length), size
