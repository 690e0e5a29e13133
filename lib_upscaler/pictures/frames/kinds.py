"""Whether a file has several frames or pages, by a look at as little of it as tells."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from ..formats import GIF, PNG, TIFF, WEBP, OutputFormat
from ..gif_parts import table_bytes
from .tiff_pages import page_places

__all__ = ["kind_of_frames"]

_MOST_CHUNKS = 10_000


def kind_of_frames(path: str | os.PathLike[str]) -> OutputFormat | None:
    """The format of a file with more than one frame or page; None for all others, readable or not."""
    try:
        with Path(path).open("rb") as file:
            return _kind(file, file.read(12))
    except (OSError, ValueError, struct.error, IndexError):
        return None


def _kind(file: BinaryIO, head: bytes) -> OutputFormat | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG if _has_frames_png(file) else None
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP if _has_frames_webp(file) else None
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF if _has_frames_gif(file) else None
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return TIFF if len(page_places(file, most=2).places) > 1 else None
    return None


def _has_frames_png(file: BinaryIO) -> bool:
    """By the chunk acTL, which stands before the pixels. A picture that is no frame, and a frame, are two as well."""
    file.seek(8)
    frames = 0
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return False
        if head[4:] == b"IDAT":
            return frames > 0
        if head[4:] == b"fcTL" and frames == 1:  # the pixels are this frame's, and it is the only one
            return False
        (length,) = struct.unpack(">I", head[:4])
        if head[4:] == b"acTL":
            (frames,) = struct.unpack(">I", file.read(4))
            if frames > 1:
                return True
            length -= 4
        file.seek(length + 4, os.SEEK_CUR)
    return False


def _has_frames_webp(file: BinaryIO) -> bool:
    found = 0
    file.seek(12)
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[:4] == b"VP8 " or head[:4] == b"VP8L":
            return False
        found += head[:4] == b"ANMF"
        if found > 1:
            return True
        (length,) = struct.unpack("<I", head[4:])
        file.seek(length + length % 2, os.SEEK_CUR)
    return False


def _has_frames_gif(file: BinaryIO) -> bool:
    file.seek(10)
    file.seek(13 + table_bytes(file.read(1)[0]))
    found = 0
    while (kind := file.read(1)) in (b",", b"!"):
        if kind == b",":
            found += 1
            if found > 1:
                return True
            flags = file.read(9)[8]
            file.seek(table_bytes(flags), os.SEEK_CUR)
        file.seek(1, os.SEEK_CUR)  # an extension's label, or the width of the packed numbers
        while length := file.read(1)[0]:
            file.seek(length, os.SEEK_CUR)
    return False
