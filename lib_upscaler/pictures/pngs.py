"""A PNG taken apart: the chunks that its pixels need for Pillow, all others read here, each for itself.

Pillow refuses a whole file for one chunk that is damaged or unpacks to more than 1 MiB, and knows no cICP.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from PIL.PngImagePlugin import iTXt

from ..errors import UnsupportedPictureError
from . import origin
from .colours import ColorTags, are_chromaticities
from .metadata import Found

__all__ = ["SIGNATURE", "take_apart"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_PIXELS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT"))
# True of the source's pixels alone, or told otherwise by what is kept.
_PASSED_OVER = frozenset((b"IEND", b"fcTL", b"fdAT", b"tIME", b"sBIT", b"bKGD", b"hIST", b"sPLT", b"mDCV", b"cLLI"))
_LONGEST = 128 << 20
"""Bytes that metadata may take, packed or not, each chunk for itself and all together: more is a bomb."""


def take_apart(file: BinaryIO, what: str, whole: bool) -> tuple[BinaryIO, Found]:
    """A PNG of nothing but pixels, and what the other chunks say.

    whole: with the pixels; else only what stands before them. Raises UnsupportedPictureError for Apple's own kind.
    """
    parts = _Parts()
    pieces = [SIGNATURE]
    file.seek(len(SIGNATURE))
    for kind, data, stored in _chunks(file):
        if kind == b"CgBI":
            raise UnsupportedPictureError(what, "it is a PNG in Apple's own form for apps", "convert it first")
        if kind == b"IDAT" and not whole:
            pieces.append(struct.pack(">I4s", len(data), kind))
            break
        if kind == b"IDAT":
            pieces += [struct.pack(">I4s", len(data), kind), data, struct.pack(">I", zlib.crc32(kind + data))]
        elif kind in (b"IHDR", b"PLTE"):  # Pillow tells what is wrong with them
            pieces += [struct.pack(">I4s", len(data), kind), data, stored]
        else:
            sound = stored == struct.pack(">I", zlib.crc32(kind + data))
            if kind == b"tRNS" and sound:
                pieces += [struct.pack(">I4s", len(data), kind), data, stored]
            elif kind not in _PASSED_OVER:
                parts.add(kind, data, sound)
    else:
        pieces.append(struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND")))
    return BytesIO(b"".join(pieces)), parts.found()


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Kind, data and stored checksum of each chunk, as far as the file goes."""
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if not kind.isalpha():
            return
        yield kind, file.read(length), file.read(4)
        if kind == b"IEND":
            return


class _Parts:
    """Collects what chunks say; one that cannot be read is told and costs no other."""

    def __init__(self) -> None:
        self._found = Found()
        self._colors: dict[str, object] = {}
        self._room = _LONGEST
        self._readers = {
            b"tEXt": self._text,
            b"zTXt": self._packed_text,
            b"iTXt": self._international_text,
            b"iCCP": self._profile,
            b"eXIf": self._exif,
            b"gAMA": self._gamma,
            b"cHRM": self._chromaticities,
            b"sRGB": self._intent,
            b"cICP": self._code,
            b"pHYs": self._density,
            b"acTL": self._animation,
        }
        self._others: dict[str, None] = {}

    def found(self) -> Found:
        found = self._found
        found.text.pop(origin.KEY, None)
        if self._colors:
            found.colors = ColorTags(**self._colors)  # type: ignore[arg-type]
        if self._others:
            found.lost.append(f"its chunks {', '.join(self._others)}")
        return found

    def add(self, kind: bytes, data: bytes, sound: bool) -> None:
        name = _name(kind, data)
        reader = self._readers.get(kind)
        if reader is None and kind != b"tRNS":
            self._others["caBX (Content Credentials)" if kind == b"caBX" else kind.decode("ascii")] = None
            return
        try:
            if not sound or reader is None:
                raise ValueError("its checksum is wrong")
            reader(data)
        except (ValueError, struct.error, zlib.error, OverflowError) as error:
            why = str(error) if isinstance(error, ValueError) else "it cannot be read"
            self._found.notes.append(f"{name} is damaged ({why}) and was left out")
        except _TooLong:
            self._found.notes.append(f"{name} takes more than {_LONGEST >> 20} MiB and was left out")

    # -- texts -------------------------------------------------------------------------------------------------------

    def _text(self, data: bytes) -> None:
        key, value = _split(data)
        self._keep(key, value.decode("latin-1"))

    def _packed_text(self, data: bytes) -> None:
        key, value = _split(data)
        self._keep(key, self._unpacked(value[1:]).decode("latin-1"))

    def _international_text(self, data: bytes) -> None:
        key, value = _split(data)
        packed, rest = value[:1] == b"\x01", value[2:]
        language, rest = _split(rest)
        translated, content = _split(rest)
        text = iTXt((self._unpacked(content) if packed else content).decode("utf-8"))
        text.lang, text.tkey = language.decode("utf-8", "replace"), translated.decode("utf-8", "replace")
        self._keep(key, text)

    def _keep(self, key: bytes, value: str) -> None:
        name = key.decode("latin-1")
        if name in self._found.text and self._found.text[name] != value:
            self._found.lost.append(f"the second text {name!r}")
            return
        self._found.text[name] = value

    def _unpacked(self, data: bytes) -> bytes:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(data, self._room)
        if unpacker.unconsumed_tail:
            raise _TooLong
        if not unpacker.eof:
            raise ValueError("its end is missing")
        self._room -= len(content)
        return content

    # -- all others --------------------------------------------------------------------------------------------------

    def _profile(self, data: bytes) -> None:
        _, value = _split(data)
        self._found.icc = self._unpacked(value[1:])

    def _exif(self, data: bytes) -> None:
        self._found.exif = data if data.startswith(b"Exif\x00\x00") else b"Exif\x00\x00" + data

    def _gamma(self, data: bytes) -> None:
        (value,) = struct.unpack(">I", data)
        if not 1000 <= value <= 1_000_000:
            raise ValueError(f"{value / 100_000:g} is no gamma")
        self._colors["gamma"] = value / 100_000

    def _chromaticities(self, data: bytes) -> None:
        values = tuple(value / 100_000 for value in struct.unpack(">8I", data))
        if not are_chromaticities(values):
            raise ValueError("there are no such colours")
        self._colors["chromaticities"] = values

    def _intent(self, data: bytes) -> None:
        if len(data) != 1 or data[0] > 3:
            raise ValueError("there is no such intent")
        self._colors["intent"] = data[0]

    def _code(self, data: bytes) -> None:
        if len(data) != 4:
            raise ValueError("it has another length")
        self._colors["code"] = data

    def _density(self, data: bytes) -> None:
        x, y, unit = struct.unpack(">IIB", data)
        self._found.add_density(x, y, 0.0254 if unit == 1 else None)

    def _animation(self, data: bytes) -> None:
        self._found.frames = max(1, struct.unpack(">II", data)[0])


class _TooLong(Exception):  # noqa: N818 - it never leaves this file
    """A chunk unpacks to more than metadata may take."""


def _split(data: bytes) -> tuple[bytes, bytes]:
    """At the first zero. Raises ValueError."""
    first, zero, rest = data.partition(b"\x00")
    if not zero:
        raise ValueError("it has no end")
    return first, rest


def _name(kind: bytes, data: bytes) -> str:
    """A chunk, for people."""
    if kind in (b"tEXt", b"zTXt", b"iTXt"):
        return f"the text {data.split(bytes(1), 1)[0][:40].decode('latin-1')!r}"
    names = {b"iCCP": "its colour profile", b"eXIf": "its EXIF data", b"tRNS": "its transparency"}
    return names.get(kind, f"its chunk {kind.decode('ascii')}")
