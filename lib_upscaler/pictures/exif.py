"""Edits EXIF data as bytes, so that everything that is not edited stays as the camera wrote it.

Pillow's ``Exif.tobytes`` changes types (a UserComment becomes BYTE, which the WebUI cannot read back) and moves maker
notes. Here only the tables of the main and the Exif directory are written anew, behind the old data; the values that
they point to stay where they are. What is broken is left out alone: a row, or a directory. Layout: TIFF 6.0 and
EXIF 2.32 (CIPA DC-008).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = [
    "PREFIX",
    "SourceExif",
    "directory_number",
    "orientation_of",
    "read_exif",
    "with_size",
    "with_text",
    "with_user_comment",
    "without_structure",
    "without_value",
]

PREFIX = b"Exif\x00\x00"

ORIENTATION, EXIF_DIRECTORY, GPS_DIRECTORY = 0x0112, 0x8769, 0x8825
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
USER_COMMENT, PIXEL_WIDTH, PIXEL_HEIGHT = 0x9286, 0xA002, 0xA003

# How a picture lies in its file; true of the source's file only. Also JPEG's thumbnail, XMP, IPTC and ICC.
# fmt: off
_STRUCTURE = frozenset((
    0x00FE, 0x00FF, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x010A, 0x0111, 0x0115, 0x0116, 0x0117, 0x011C, 0x013D,
    0x0140, 0x0142, 0x0143, 0x0144, 0x0145, 0x014A, 0x0152, 0x0153, 0x015B, 0x0201, 0x0202, 0x0211, 0x0212, 0x0213,
    0x02BC, 0x83BB, 0x8649, 0x8773,
))
# fmt: on
_ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 2, 3, 4, 5, 7
_EMPTY = b"MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00"
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}


@dataclass
class _Entry:
    """A row of a directory; ``value`` is its last four bytes: the value itself, or where it lies."""

    kind: int
    count: int
    value: bytes


@dataclass(frozen=True)
class SourceExif:
    """The EXIF of a file that was read.

    data: without orientation, thumbnail and what describes the file. orientation: 1 to 8. dpi: pixels per inch as they
    lie in the file. broken: the parts that cannot be read and were left out, in words ("the GPS data").
    """

    data: bytes
    orientation: int
    dpi: tuple[float, float] | None
    broken: tuple[str, ...]


class _Exif:
    """The two directories that are edited, as tables of tag to entry.

    broken: what could not be read, in words. Raises ValueError where there is no header, or no directory behind it.
    """

    def __init__(self, exif: bytes) -> None:
        self.broken: list[str] = []
        self.data = exif[len(PREFIX) :] if exif.startswith(PREFIX) else exif
        self.order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(self.data[:4], "")
        if not self.order:
            raise ValueError("no EXIF header")
        self.main = self._table(self._long(self.data[4:8]), "the main directory")
        self.details = self._directory(EXIF_DIRECTORY, "the details of the exposure")
        # The place's own table is not edited, only looked at: one that lies outside misleads every reader.
        if GPS_DIRECTORY in self.main:
            pointer = self.main[GPS_DIRECTORY]
            if self._directory(GPS_DIRECTORY, "the GPS data"):
                self.main[GPS_DIRECTORY] = pointer

    def _directory(self, tag: int, name: str) -> dict[int, _Entry]:
        """The directory that a row of the main one points to, and that row no more; empty where it cannot be read."""
        pointer = self.main.pop(tag, None)
        if pointer is None:
            return {}
        try:
            return self._table(self.integer(pointer), name)
        except ValueError:
            self.broken.append(name)
            return {}

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

    def density(self) -> tuple[float, float] | None:
        """Pixels per inch, horizontal and vertical."""
        unit = self.main.get(RESOLUTION_UNIT)
        inches = {2: 1.0, 3: 2.54}.get(self.integer(unit) if unit else 2)
        values = [self._ratio(self.main.get(tag)) for tag in (X_RESOLUTION, Y_RESOLUTION)]
        if inches is None or None in values:
            return None
        x, y = (value * inches for value in values if value is not None)
        return x, y

    def _ratio(self, entry: _Entry | None) -> float | None:
        if entry is None or entry.kind != _RATIONAL or entry.count != 1:
            return None
        above, below = struct.unpack_from(self.order + "II", self.data, self._long(entry.value))
        return above / below if below else None

    def set_integer(self, table: dict[int, _Entry], tag: int, value: int) -> None:
        table[tag] = self._number(value)

    def set_bytes(self, table: dict[int, _Entry], tag: int, value: bytes) -> None:
        """A value of more than four bytes, of the type UNDEFINED."""
        self.data += b"\x00" * (len(self.data) % 2)
        table[tag] = _Entry(_UNDEFINED, len(value), struct.pack(self.order + "I", len(self.data)))
        self.data += value

    def set_ascii(self, table: dict[int, _Entry], tag: int, value: str) -> None:
        """A text of more than three characters, of the type ASCII."""
        self.set_bytes(table, tag, value.encode("ascii") + b"\x00")
        table[tag].kind = _ASCII

    def _number(self, value: int) -> _Entry:
        return _Entry(_LONG, 1, struct.pack(self.order + "I", value))

    def _long(self, value: bytes) -> int:
        if len(value) != 4:
            raise ValueError("EXIF data is cut off")
        return struct.unpack(self.order + "I", value)[0]

    def _table(self, start: int, name: str) -> dict[int, _Entry]:
        """The directory at ``start``, without the entries whose values lie outside the data. Raises ValueError."""
        if start + 2 > len(self.data):
            raise ValueError("an EXIF directory lies outside the data")
        (rows,) = struct.unpack_from(self.order + "H", self.data, start)
        sound = min(rows, (len(self.data) - start - 2) // 12)
        if sound < rows:
            if not sound:
                raise ValueError("an EXIF directory is cut off")
            self.broken.append(f"the end of {name}")
        table = {}
        for row in range(sound):
            tag, kind, count, value = struct.unpack_from(self.order + "HHI4s", self.data, start + 2 + 12 * row)
            length = _TYPE_BYTES.get(kind, 0) * count
            if 0 < length <= 4 or (length > 4 and self._long(value) + length <= len(self.data)):
                table[tag] = _Entry(kind, count, value)
            elif length > 4:
                self.broken.append(f"the value {tag:04X} of {name}")
        return table

    def _packed(self, table: dict[int, _Entry]) -> bytes:
        rows = [struct.pack(self.order + "HHI4s", tag, e.kind, e.count, e.value) for tag, e in sorted(table.items())]
        return struct.pack(self.order + "H", len(rows)) + b"".join(rows) + bytes(4)


def read_exif(exif: bytes) -> SourceExif:
    """All that is sound of the EXIF of a file. Raises ValueError for data that is no EXIF."""
    parsed = _Exif(exif)
    entry = parsed.main.get(ORIENTATION)
    value = parsed.integer(entry) if entry else 1
    density = parsed.density()
    for tag in _STRUCTURE | {ORIENTATION}:
        parsed.main.pop(tag, None)
    broken = tuple(dict.fromkeys(parsed.broken))
    return SourceExif(parsed.tobytes(), value if 1 <= value <= 8 else 1, density, broken)


def orientation_of(exif: bytes) -> int:
    """1 to 8; 1 (upright) where there is none. Raises ValueError for data that is no EXIF."""
    return read_exif(exif).orientation


def without_structure(exif: bytes) -> bytes:
    """Without orientation, thumbnail and what describes the source's file. Raises ValueError as above."""
    return read_exif(exif).data


def directory_number(data: bytes, tag: int) -> int | None:
    """The number under ``tag`` in the main directory of data laid out like EXIF, such as JPEG's index of pictures.

    None: there is no such row. Raises ValueError as above.
    """
    parsed = _Exif(data)
    entry = parsed.main.get(tag)
    return parsed.integer(entry) if entry else None


def with_text(exif: bytes | None, tag: int, text: str) -> bytes:
    """With ``text`` (ASCII, more than three characters) under ``tag`` in the main directory. Raises as above."""
    parsed = _Exif(exif or _EMPTY)
    parsed.set_ascii(parsed.main, tag, text)
    return parsed.tobytes()


def without_value(exif: bytes, tag: int) -> bytes | None:
    """Without what is under ``tag`` in the main directory; None where nothing else is there. Raises as above."""
    parsed = _Exif(exif)
    parsed.main.pop(tag, None)
    return parsed.tobytes() if parsed.main or parsed.details else None


def with_size(exif: bytes, width: int, height: int) -> bytes:
    """With the new size, px, where the data tells a size. Raises ValueError as above."""
    parsed = _Exif(exif)
    for tag, value in ((PIXEL_WIDTH, width), (PIXEL_HEIGHT, height)):
        if tag in parsed.details:
            parsed.set_integer(parsed.details, tag, value)
    return parsed.tobytes()


def with_user_comment(exif: bytes | None, text: str) -> bytes:
    """With ``text`` as the UserComment, in UTF-16 as the WebUI writes and reads it. Raises ValueError as above."""
    parsed = _Exif(exif or _EMPTY)
    # The WebUI (through piexif) reads big-endian text whatever the order of the rest.
    parsed.set_bytes(parsed.details, USER_COMMENT, b"UNICODE\x00" + text.encode("utf-16-be", "replace"))
    return parsed.tobytes()
