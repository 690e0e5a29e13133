"""A WebP taken apart: what its pixels need for libwebp, which refuses a file for any broken chunk; and the rest."""

from __future__ import annotations

import struct
from io import BytesIO

from .metadata import Found

__all__ = ["take_apart"]

_ICC, _EXIF, _XMP = 0x20, 0x08, 0x04  # bits of VP8X that announce them
_KNOWN = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"))


def take_apart(data: bytes) -> tuple[BytesIO, Found]:
    """data: the file, ``RIFF....WEBP`` in front."""
    found = Found(frames=0)
    kept = []
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        content = data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
        if kind in _KNOWN:
            found.frames += kind == b"ANMF"
            if kind == b"VP8X" and content:
                content = bytes([content[0] & ~(_ICC | _EXIF | _XMP)]) + content[1:]
            kept.append(struct.pack("<4sI", kind, length) + content + b"\x00" * (length % 2))
        else:
            _add(found, kind, content, whole=len(content) == length)
    found.frames = max(1, found.frames)
    body = b"WEBP" + b"".join(kept)
    return BytesIO(b"RIFF" + struct.pack("<I", len(body)) + body), found


def _add(found: Found, kind: bytes, content: bytes, whole: bool) -> None:
    name = {b"ICCP": "its colour profile", b"EXIF": "its EXIF data", b"XMP ": "its XMP"}.get(kind)
    if name is None:
        found.lost.append(f"its chunk {kind.decode('latin-1').strip()!r}")
    elif not whole:
        found.notes.append(f"{name} is cut off and was left out")
    elif kind == b"ICCP":
        found.icc = content
    elif kind == b"EXIF":
        found.exif = content
    else:
        found.add_xmp(content)
