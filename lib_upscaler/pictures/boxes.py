"""The boxes that HEIC, AVIF, JPEG XL and JPEG 2000 files are made of (ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Numbers", "boxes"]

_MOST = 100_000


def boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview, bool]]:
    """Kind, content, and whether the content is all there, box by box; what is no box ends it."""
    position = 0
    for _ in range(_MOST):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = bytes(data[position + 4 : position + 8])
        head = 8
        if length == 1:
            length, head = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        elif length == 0:
            length = len(data) - position
        if len(kind) < 4 or length < head:
            return
        end = position + length
        yield kind, data[position + head : end], end <= len(data)
        position = end


class Numbers:
    """Whole numbers read one behind the other, most significant byte first. Raises ValueError at the end."""

    def __init__(self, data: memoryview | bytes, start: int = 0) -> None:
        self.data = data
        self.position = start

    def next(self, size: int) -> int:
        """The number in the next ``size`` bytes."""
        return int.from_bytes(self.bytes(size), "big")

    def bytes(self, size: int) -> bytes:
        part = bytes(self.data[self.position : self.position + size])
        if len(part) < size:
            raise ValueError("the data ends early")
        self.position += size
        return part
