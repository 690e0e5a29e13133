"""The pages of a TIFF (6.0, and BigTIFF): where their directories lie, and the file as if it began with one of them."""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["Pages", "page_places", "view_from"]

_MOST_PAGES = 10_000
_MOST_TAGS = 4096
_SUBFILE_TYPE = 254
_REDUCED, _MASK = 1, 4  # bits of it


@dataclass(frozen=True)
class Pages:
    """places: of the directories. others: how many more are smaller copies of a page, or masks."""

    places: tuple[int, ...]
    others: int = 0


def page_places(file: BinaryIO, most: int = _MOST_PAGES) -> Pages:
    """The pages in order; directories that come round to an earlier one end them. most: to look for."""
    layout = _Layout.of(file)
    if layout is None:
        return Pages(())
    seen: set[int] = set()
    places: list[int] = []
    others = 0
    following = layout.first
    while following and following not in seen and len(seen) < _MOST_PAGES and len(places) < most:
        seen.add(following)
        kind, after = layout.directory(file, following)
        if after is None:
            break
        if kind & (_REDUCED | _MASK) and places:  # the first one is the picture, whatever it is called
            others += 1
        else:
            places.append(following)
        following = after
    return Pages(tuple(places), others)


@dataclass(frozen=True)
class _Layout:
    """How numbers lie. order: of struct. big: BigTIFF. first: where the first directory is."""

    order: str
    big: bool
    first: int

    @classmethod
    def of(cls, file: BinaryIO) -> _Layout | None:
        file.seek(0)
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:
            return None
        (number,) = struct.unpack_from(order + "H", head, 2)
        if number == 42:
            return cls(order, False, struct.unpack_from(order + "I", head, 4)[0])
        if number == 43 and len(head) == 16:
            return cls(order, True, struct.unpack_from(order + "Q", head, 8)[0])
        return None

    def directory(self, file: BinaryIO, place: int) -> tuple[int, int | None]:
        """What kind of picture it is of, and where the next one is; None where it is not all there."""
        counted, pointer, row = ("Q", "Q", 20) if self.big else ("H", "I", 12)
        width = struct.calcsize(counted)
        file.seek(place)
        head = file.read(width)
        if len(head) < width:
            return 0, None
        (tags,) = struct.unpack(self.order + counted, head)
        if not 0 < tags <= _MOST_TAGS:
            return 0, None
        table = file.read(tags * row + struct.calcsize(pointer))
        if len(table) < tags * row + struct.calcsize(pointer):
            return 0, None
        kind = 0
        for start in range(0, tags * row, row):
            if struct.unpack_from(self.order + "H", table, start)[0] == _SUBFILE_TYPE:
                value = start + row - struct.calcsize(pointer)
                (kind,) = struct.unpack_from(self.order + "I", table, value)
        return kind, struct.unpack_from(self.order + pointer, table, tags * row)[0]


def view_from(file: BinaryIO, place: int) -> BinaryIO:
    """The file with the directory at ``place`` as its first."""
    layout = _Layout.of(file)
    if layout is None or place == layout.first:
        file.seek(0)
        return file
    start, kind = (8, "Q") if layout.big else (4, "I")
    return _Patched(file, start, struct.pack(layout.order + kind, place))  # type: ignore[return-value]


class _Patched(io.RawIOBase):
    """Another file, in which a few bytes read otherwise."""

    def __init__(self, file: BinaryIO, start: int, patch: bytes) -> None:
        super().__init__()
        self._file, self._start, self._patch = file, start, patch
        self._file.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        """For libtiff, which reads from the file itself: it is told where the directory lies."""
        return self._file.fileno()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int | None = -1) -> bytes:
        place = self._file.tell()
        data = self._file.read(-1 if size is None else size)
        low, high = max(place, self._start), min(place + len(data), self._start + len(self._patch))
        if low >= high:
            return data
        patch = self._patch[low - self._start : high - self._start]
        return data[: low - place] + patch + data[high - place :]
