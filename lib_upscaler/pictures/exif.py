"""Edits EXIF data as bytes, so that everything that is not edited stays as the camera wrote it.

Pillow's ``Exif.tobytes`` changes types (a UserComment becomes BYTE, which the WebUI cannot read back) and moves maker
notes. Here only the tables of the main and the Exif directory are written anew, behind the old data; the values that
they point to stay where they are. Layout: TIFF 6.0 and EXIF 2.32 (CIPA DC-008).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["PREFIX", "orientation_of", "with_size", "with_user_comment", "without_structure"]

PREFIX = b"Exif\x00\x00"

ORIENTATION, EXIF_DIRECTORY = 0x0112, 0x8769
USER_COMMENT, PIXEL_WIDTH, PIXEL_HEIGHT = 0x9286, 0xA002, 0xA003

# How a picture lies in its file; true of the source's file only. Also JPEG's thumbnail, XMP, IPTC and ICC.
# fmt: off
_STRUCTURE = frozenset((
    0x00FE, 0x00FF, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x010A, 0x0111, 0x0115, 0x0116, 0x0117, 0x011C, 0x013D,
    0x0140, 0x0142, 0x0143, 0x0144, 0x0145, 0x014A, 0x0152, 0x0153, 0x015B, 0x0201, 0x0202, 0x0211, 0x0212, 0x0213,
    0x02BC, 0x83BB, 0x8649, 0x8773,
))
# fmt: on
_SHORT, _LONG, _UNDEFINED = 3, 4, 7
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}


@dataclass
class _Entry:
    """A row of a directory; ``value`` is its last four bytes: the value itself, or where it lies."""

    kind: int
    count: int
    value: bytes


class _Exif:
    """The two directories that are edited, as tables of tag to entry."""

    def __init__(self, exif: bytes) -> None:
        self.data = exif[len(PREFIX) :] if exif.startswith(PREFIX) else exif
        self.order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(self.data[:4], "")
        if not self.order:
            raise ValueError("no EXIF header")
        self.main = self._table(self._long(self.data[4:8]))
        pointer = self.main.pop(EXIF_DIRECTORY, None)
        self.details = self._table(self._long(pointer.value)) if pointer else {}

    def tobytes(self) -> bytes:
        """With new tables at the end. The old thumbnail is no longer pointed to."""
        data = self.data + b"\x00" * (len(self.data) % 2)
        if self.details:
            self.main[EXIF_DIRECTORY] = self._number(len(data))
            data += self._packed(self.details)
        start = len(data)
        data += self._packed(self.main)
        return PREFIX + data[:4] + struct.pack(self.order + "I", start) + data[8:]

    def integer(self, entry: _Entry) -> int:
        if entry.kind == _SHORT:
            return struct.unpack(self.order + "H", entry.value[:2])[0]
        return self._long(entry.value)

    def set_integer(self, table: dict[int, _Entry], tag: int, value: int) -> None:
        table[tag] = self._number(value)

    def set_bytes(self, table: dict[int, _Entry], tag: int, value: bytes) -> None:
        """A value of more than four bytes, of the type UNDEFINED."""
        self.data += b"\x00" * (len(self.data) % 2)
        table[tag] = _Entry(_UNDEFINED, len(value), struct.pack(self.order + "I", len(self.data)))
        self.data += value

    def _number(self, value: int) -> _Entry:
        return _Entry(_LONG, 1, struct.pack(self.order + "I", value))

    def _long(self, value: bytes) -> int:
        if len(value) != 4:
            raise ValueError("EXIF data is cut off")
        return struct.unpack(self.order + "I", value)[0]

    def _table(self, start: int) -> dict[int, _Entry]:
        """The directory at ``start``, without the entries whose values lie outside the data."""
        if start + 2 > len(self.data):
            raise ValueError("an EXIF directory lies outside the data")
        (rows,) = struct.unpack_from(self.order + "H", self.data, start)
        if start + 2 + 12 * rows > len(self.data):
            raise ValueError("an EXIF directory is cut off")
        table = {}
        for row in range(rows):
            tag, kind, count, value = struct.unpack_from(self.order + "HHI4s", self.data, start + 2 + 12 * row)
            length = _TYPE_BYTES.get(kind, 0) * count
            if 0 < length <= 4 or (length > 4 and self._long(value) + length <= len(self.data)):
                table[tag] = _Entry(kind, count, value)
        return table

    def _packed(self, table: dict[int, _Entry]) -> bytes:
        rows = [struct.pack(self.order + "HHI4s", tag, e.kind, e.count, e.value) for tag, e in sorted(table.items())]
        return struct.pack(self.order + "H", len(rows)) + b"".join(rows) + bytes(4)


def orientation_of(exif: bytes) -> int:
    """1 to 8; 1 (upright) where there is none. Raises ValueError for data that is no EXIF."""
    parsed = _Exif(exif)
    entry = parsed.main.get(ORIENTATION)
    value = parsed.integer(entry) if entry else 1
    return value if 1 <= value <= 8 else 1


def without_structure(exif: bytes) -> bytes:
    """Without orientation, thumbnail and what describes the source's file. Raises ValueError as above."""
    parsed = _Exif(exif)
    for tag in _STRUCTURE | {ORIENTATION}:
        parsed.main.pop(tag, None)
    return parsed.tobytes()


def with_size(exif: bytes, width: int, height: int) -> bytes:
    """With the new size, px, where the data tells a size. Raises ValueError as above."""
    parsed = _Exif(exif)
    for tag, value in ((PIXEL_WIDTH, width), (PIXEL_HEIGHT, height)):
        if tag in parsed.details:
            parsed.set_integer(parsed.details, tag, value)
    return parsed.tobytes()


def with_user_comment(exif: bytes | None, text: str) -> bytes:
    """With ``text`` as the UserComment, in UTF-16 as the WebUI writes and reads it. Raises ValueError as above."""
    parsed = _Exif(exif or b"MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00")
    # The WebUI (through piexif) reads big-endian text whatever the order of the rest.
    parsed.set_bytes(parsed.details, USER_COMMENT, b"UNICODE\x00" + text.encode("utf-16-be", "replace"))
    return parsed.tobytes()
