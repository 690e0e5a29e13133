"""What a TIFF says of its samples and beside them: kinds that Pillow does not know are read all the same, or named.

Pillow looks a TIFF's kind up in a list, which lacks many a sound one, and then says that it is no picture. Here the
first directory is read (TIFF 6.0, and BigTIFF as libtiff has it), and where only the word for the extra channels is
unknown to Pillow, it gets a copy that says what it knows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import COMPRESSION_INFO

from . import iptc
from .metadata import Found

__all__ = [
    "APART",
    "PLANES",
    "TiffKind",
    "as_it_lies",
    "as_pillow_knows",
    "by_libtiff",
    "cut_strips",
    "found_in_tiff",
    "in_eight_bits",
    "kind_of",
]

_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _EXTRA, _FORMAT = 258, 259, 262, 277, 338, 339
_X_RESOLUTION, _Y_RESOLUTION, _UNIT, _ORIENTATION = 282, 283, 296, 274
_XMP, _IPTC, _PHOTOSHOP = 700, 33723, 34377
_SIZES, _LETTERS = {1: 1, 3: 2, 4: 4, 16: 8}, {1: "B", 3: "H", 4: "I", 16: "Q"}
_NAMES = {0: "grey", 1: "grey", 2: "RGB", 3: "a palette", 5: "CMYK", 6: "YCbCr", 8: "CIE L*a*b*", 32803: "raw data"}
_COLORS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
_OTHERS = {
    **dict.fromkeys((33550, 33922, 34264, 34735), "its place on a map (GeoTIFF)"),
    37724: "its Photoshop layers",
    **dict.fromkeys((50838, 50839), "what ImageJ says of it"),
}
"""What no result can keep, by tags."""

_MOST_DIRECTORIES = 10_000
_MOST_TAGS = 65_535  # of a directory
_FARTHEST = 1 << 62  # bytes into a file
_LONGEST = 1 << 20  # bytes of a row of numbers, such as where 262,144 strips lie
_WIDTH, _HEIGHT, _ROWS, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 278, 322, 323
PLANES, APART = 284, 2  # each channel has strips of its own
_STRIPS, _TILES = 273, 324  # where they lie; the tags of their bytes are 279 and 325
_STRIP_BYTES = 279
_HEADER = 8  # bytes at the beginning of a file, where no pixels lie
_JPEG = 7
_PADDING = 16  # bytes that may follow the end of a strip

UNSPECIFIED, PREMULTIPLIED, ALPHA = 0, 1, 2
YCBCR = 6


@dataclass(frozen=True)
class TiffKind:
    """How the samples of the first picture lie. Numbers as in the file.

    extra: what the channels beyond the colours are, one number each. numbers: all whole ones by their tags; places:
    where those under a tag lie.
    """

    photometric: int
    bits: tuple[int, ...]
    formats: tuple[int, ...]
    samples: int
    extra: tuple[int, ...]
    order: str
    places: dict[int, int]
    numbers: dict[int, tuple[int, ...]]
    pictures: int

    @property
    def is_plain(self) -> bool:
        """Whether Pillow should know it: what is wrong then is something else."""
        plain = set(self.bits) == {8} and set(self.formats) == {1}
        return plain and self.photometric in (0, 1, 2, 3) and self.samples == _COLORS[self.photometric]

    def why_not(self) -> str:
        """Why its pixels cannot be unpacked, in words; empty where they can, as far as is known."""
        number = (self.numbers.get(_COMPRESSION) or (1,))[0]
        if number in COMPRESSION_INFO:
            return ""
        return f"its pixels are compressed in a way that is not read here (number {number})"

    def missing(self) -> int:
        """How many strips or tiles of pixels the directory does not tell the place of: readers show black, or noise."""
        size = self._number(_WIDTH), self._number(_HEIGHT)
        if _TILES in self.places:
            sides, places = (self._number(_TILE_WIDTH), self._number(_TILE_HEIGHT)), _TILES
        else:
            sides, places = (size[0], self._number(_ROWS) or size[1]), _STRIPS
        if places not in self.numbers or not all((*size, *sides)):
            return 0  # Pillow tells what is wrong
        columns, rows = (-(-whole // part) for whole, part in zip(size, sides))
        expected = columns * rows * (self.samples if self._number(PLANES) == APART else 1)
        told = self.numbers[places][:expected]
        return expected - len(told) + sum(place < _HEADER for place in told)

    def lengths_too_small(self) -> bool:
        """Whether what is not packed is to have fewer bytes than its pixels: readers go on into what follows."""
        lengths = self.numbers.get(_STRIP_BYTES, ())
        if self._number(_COMPRESSION) not in (0, 1) or _STRIPS not in self.numbers or not any(lengths):
            return False
        apart = self._number(PLANES) == APART
        bits = [sum(self.bits)] if not apart else self.bits
        row_bytes = sum(-(-self._number(_WIDTH) * one // 8) for one in bits)
        return sum(lengths) < row_bytes * self._number(_HEIGHT)

    def _number(self, tag: int) -> int:
        """The first number under a tag; 0 where there is none."""
        return (self.numbers.get(tag) or (0,))[0]

    @property
    def orientation(self) -> int:
        """1 to 8."""
        return self._number(_ORIENTATION) or 1

    def in_words(self) -> str:
        """Such as "RGB in floating point of 32 bits"."""
        name = _NAMES.get(self.photometric, f"of kind {self.photometric}")
        extra = self.samples - _COLORS.get(self.photometric, self.samples)
        also = f" with {extra} further channel{'s' if extra > 1 else ''}" if extra > 0 else ""
        number = {1: "", 2: " with signs", 3: " in floating point"}.get(max(self.formats), " of an unknown form")
        return f"{name}{also}{number} of {max(self.bits)} bits"


def kind_of(file: BinaryIO) -> TiffKind | None:
    """The kind of the first picture; None where the directory cannot be read here."""
    file.seek(0)
    head = file.read(16)
    order = {b"II*\x00": "<", b"MM\x00*": ">", b"II+\x00": "<", b"MM\x00+": ">"}.get(head[:4])
    if order is None or len(head) < 16:
        return None
    big = b"+" in head[:4]
    (start,) = struct.unpack(order + ("Q" if big else "I"), head[8:] if big else head[4:8])
    numbers, places, following = _directory(file, order, start, big)
    bits = numbers.get(_BITS) or (1,)
    samples = (numbers.get(_SAMPLES) or (1,))[0]
    if not places or not 1 <= samples <= 64:
        return None
    return TiffKind(
        (numbers.get(_PHOTOMETRIC) or (0,))[0],
        bits * samples if len(bits) == 1 else bits[:samples],
        numbers.get(_FORMAT) or (1,),
        samples,
        numbers.get(_EXTRA) or (),
        order,
        places,
        numbers,
        _count(file, order, start, following, big),
    )


def as_pillow_knows(file: BinaryIO, kind: TiffKind) -> BinaryIO | None:
    """A copy in which the extra channels have a name that Pillow knows; None where that would not help.

    Grey with one extra channel is called grey with alpha; what the channel truly is, ``kind.extra`` tells.
    """
    grey = kind.photometric in (0, 1) and kind.samples == 2
    color = kind.photometric == 2 and 4 <= kind.samples <= 6
    if not (grey or color) or set(kind.bits) != {8} or set(kind.formats) != {1} or _EXTRA not in kind.places:
        return None
    first = ALPHA if grey else kind.extra[0] if kind.extra[0] in (UNSPECIFIED, PREMULTIPLIED, ALPHA) else UNSPECIFIED
    named = (first, *(UNSPECIFIED for _ in kind.extra[1:]))
    file.seek(0)
    data = bytearray(file.read())
    struct.pack_into(f"{kind.order}{len(named)}H", data, kind.places[_EXTRA], *named)
    if grey:
        struct.pack_into(kind.order + "H", data, kind.places[_PHOTOMETRIC], 1)
    return BytesIO(bytes(data))


def as_it_lies(file: BinaryIO, kind: TiffKind) -> BinaryIO:
    """A copy that tells of no orientation, so that Pillow does not turn it."""
    file.seek(0)
    data = bytearray(file.read())
    if _ORIENTATION in kind.places and len(kind.numbers[_ORIENTATION]) == 1:
        struct.pack_into(kind.order + "H", data, kind.places[_ORIENTATION], 1)
    return BytesIO(bytes(data))


def in_eight_bits(file: BinaryIO, kind: TiffKind) -> BinaryIO | None:
    """A copy that calls its samples whole numbers of 8 bits: its pixels are nonsense then, but Pillow reads all that
    stands beside them. None where that would not help.
    """
    if kind.photometric not in (0, 1, 2) or _BITS not in kind.places:
        return None
    file.seek(0)
    data = bytearray(file.read())
    for tag, number in ((_BITS, 8), (_FORMAT, 1)):
        if tag in kind.places:
            count = len(kind.numbers[tag])
            struct.pack_into(f"{kind.order}{count}H", data, kind.places[tag], *[number] * count)
    return BytesIO(bytes(data))


def by_libtiff(image: Image.Image) -> None:
    """Have an opened YCbCr picture unpacked by libtiff also where it is not compressed.

    Pillow would take its samples for RGB with a fourth one; libtiff knows their range and their lower resolution.
    """
    tiles = image.tile  # type: ignore[attr-defined]
    if tiles and tiles[0][0] == "raw" and hasattr(Image.core, "libtiff_decoder"):
        arguments = ("RGBX", "raw", False, image.tag_v2.offset)  # type: ignore[attr-defined]
        tile = ("libtiff", (0, 0, *image.size), 0, arguments)
        image.tile = [tile if type(tiles[0]) is tuple else type(tiles[0])(*tile)]  # type: ignore[attr-defined]
        image.use_load_libtiff = True  # type: ignore[attr-defined]


def cut_strips(file: BinaryIO, kind: TiffKind) -> int:
    """How many strips or tiles of JPEG end without its end marker: libtiff fills up their rows in silence."""
    if kind.numbers.get(_COMPRESSION) != (_JPEG,):
        return 0
    cut = 0
    for places, lengths in ((_STRIPS, 279), (_TILES, 325)):
        for place, length in zip(kind.numbers.get(places, ()), kind.numbers.get(lengths, ())):
            file.seek(place + max(0, length - _PADDING))
            cut += length > 0 and b"\xff\xd9" not in file.read(min(length, _PADDING))
    return cut


def found_in_tiff(image: Image.Image) -> Found:
    """What the directory of a TIFF says, before it is loaded: after that, older Pillow has closed the file."""
    found = Found(is_turned=True)  # by Pillow
    tags = image.tag_v2  # type: ignore[attr-defined]
    found.icc = image.info.get("icc_profile")
    found.exif = _exif(image, found)
    for tag, name in (
        (_XMP, "its XMP"),
        (_IPTC, "its IPTC data"),
        (_PHOTOSHOP, "Photoshop data"),
        (_UNIT, "its density"),
    ):
        try:
            value = tags.get(tag)
            if tag == _XMP and isinstance(value, bytes):
                found.add_xmp(value)
            elif tag == _PHOTOSHOP and isinstance(value, bytes):
                found.iptc = found.iptc or iptc.from_photoshop(value)
            elif tag == _IPTC and value is not None:
                found.iptc = _as_bytes(value, image.tag_v2._endian)  # type: ignore[attr-defined]
            elif tag == _UNIT and _X_RESOLUTION in tags and _Y_RESOLUTION in tags:
                inches = {2: 1.0, 3: 2.54}.get(2 if value is None else value)
                found.add_density(float(tags[_X_RESOLUTION]), float(tags[_Y_RESOLUTION]), inches)
        except Exception:  # noqa: BLE001 - Pillow's reader of values raises anything; no single one is worth the others
            found.notes.append(f"{name} is damaged and was left out")
    found.lost += sorted({name for tag, name in _OTHERS.items() if tag in tags})
    return found


def _as_bytes(value: object, endian: str) -> bytes | None:
    """IPTC is bytes, which many programs call numbers of 32 bits."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        value = (value,)
    return struct.pack(f"{endian}{len(value)}I", *value) if isinstance(value, tuple) else None


def _exif(image: Image.Image, found: Found) -> bytes | None:
    """A TIFF's own directory holds it together with the description of the file. Pillow applies the orientation."""
    exif = Image.Exif()
    source = image.getexif()
    for tag in (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298, 0x8769, 0x8825):
        try:
            value = dict(source.get_ifd(tag)) if tag in (0x8769, 0x8825) else source.get(tag)
            if not value:
                continue
            single = Image.Exif()
            single[tag] = value
            single.tobytes()  # what cannot be written costs itself alone
            exif[tag] = value
        except Exception:  # noqa: BLE001 - as above
            found.notes.append(f"the value {tag:04X} of its EXIF data is damaged and was left out")
    return exif.tobytes() if len(exif) else None


def _directory(
    file: BinaryIO, order: str, start: int, big: bool
) -> tuple[dict[int, tuple[int, ...]], dict[int, int], int]:
    """The whole numbers in a directory by their tags, where they lie, and where the next directory does (0: none)."""
    head, row_bytes, room, form = (8, 20, 8, "HHQQ") if big else (2, 12, 4, "HHII")
    file.seek(start)
    count = int.from_bytes(file.read(head), "little" if order == "<" else "big")
    if count > _MOST_TAGS:
        return {}, {}, 0
    table = file.read(row_bytes * count + room)
    numbers: dict[int, tuple[int, ...]] = {}
    places: dict[int, int] = {}
    for row in range(min(count, len(table) // row_bytes)):
        tag, kind, length, value = struct.unpack_from(order + form, table, row_bytes * row)
        size = _SIZES.get(kind, 0) * length
        if not 0 < size <= _LONGEST or value >= _FARTHEST:
            continue
        places[tag] = start + head + row_bytes * (row + 1) - room if size <= room else value
        file.seek(places[tag])
        data = file.read(size)
        if len(data) == size:
            numbers[tag] = struct.unpack(f"{order}{length}{_LETTERS[kind]}", data)
    whole = len(table) == row_bytes * count + room
    following = struct.unpack(order + form[-1], table[-room:])[0] if whole else 0
    return numbers, places, following if following < _FARTHEST else 0


def _count(file: BinaryIO, order: str, first: int, following: int, big: bool) -> int:
    """The number of pictures; directories that come round to an earlier one end it."""
    head, row_bytes, room, form = (8, 20, 8, "Q") if big else (2, 12, 4, "I")
    seen = {first}
    while following and following not in seen and len(seen) < _MOST_DIRECTORIES:
        file.seek(following)
        rows = int.from_bytes(file.read(head), "little" if order == "<" else "big")
        if not 0 < rows <= _MOST_TAGS:
            break
        file.seek(following + head + row_bytes * rows)
        pointer = file.read(room)
        if len(pointer) < room:
            break
        seen.add(following)
        (following,) = struct.unpack(order + form, pointer)
        following = following if following < _FARTHEST else 0
    return len(seen)
