"""What a HEIC or AVIF says of its main picture and of what lies beside it (ISO/IEC 23008-12, 23000-22).

Readers differ in what they tell of it, and in whether they turn the picture, so it is read here from the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .boxes import Numbers, boxes
from .colours import ColorTags, is_srgb
from .metadata import Found

__all__ = ["Heif", "look_into"]

_ALPHA = ("urn:mpeg:mpegb:cicp:systems:auxiliary:alpha", "urn:mpeg:hevc:2015:auxid:1", "urn:mpeg:avc:2015:auxid:1")
_DEPTH = ("auxiliary:depth", "auxid:2", "aux:depth", "aux:disparity")
_GAIN_MAP = "gainmap"
_NO_PICTURES = (b"Exif", b"mime", b"uri ", b"tmap")
_UNKNOWN = 2  # in nclx: not told


@dataclass
class Heif:
    """bits: per channel. orientation: as EXIF numbers it, 1 to 8, told by the container; the EXIF's does not count
    (ISO/IEC 23008-12, A.2.1). is_cropped: whether only a part of the coded picture is meant to be seen.
    """

    found: Found
    bits: int = 8
    orientation: int = 1
    is_cropped: bool = False


@dataclass
class _Items:
    """properties: of all items, in the order that ``owned`` (item to numbers from 1 on) counts them."""

    main: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    references: list[tuple[bytes, int, list[int]]] = field(default_factory=list)
    properties: list[tuple[bytes, memoryview]] = field(default_factory=list)
    owned: dict[int, list[int]] = field(default_factory=dict)

    def of(self, item: int) -> list[tuple[bytes, memoryview]]:
        """The properties of an item, in order."""
        return [self.properties[i - 1] for i in self.owned.get(item, []) if 1 <= i <= len(self.properties)]


def look_into(data: bytes) -> Heif:
    """data: the file. What cannot be read is not told."""
    heif = Heif(Found())
    meta = next((content for kind, content, _ in boxes(memoryview(data)) if kind == b"meta"), None)
    items = _Items()
    for kind, content, _ in boxes(meta[4:]) if meta is not None else ():
        try:
            _READERS.get(kind, lambda *_: None)(content, items)
        except ValueError:
            continue  # this box is cut off; the reader of the pixels says what is wrong
    main = items.of(items.main)
    parts = [item for kind, owner, to in items.references if kind == b"dimg" and owner == items.main for item in to[:1]]
    told = [_bits(kind, content) for item in (items.main, *parts) for kind, content in items.of(item)]
    heif.bits = max(told, default=8)
    heif.orientation = _orientation(main)
    heif.is_cropped = any(kind == b"clap" for kind, _ in main)
    _add_colors(heif.found, main)
    _add_shape(heif.found, main)
    _name_others(heif.found, items)
    return heif


# -- boxes -------------------------------------------------------------------------------------------------------------


def _main(content: memoryview, items: _Items) -> None:
    items.main = Numbers(content, 4).next(4 if content[:1] != b"\x00" else 2)


def _infos(content: memoryview, items: _Items) -> None:
    for kind, info, _ in boxes(content[6 if content[:1] == b"\x00" else 8 :]):
        if kind == b"infe" and len(info) >= 4 and info[0] in (2, 3):
            numbers = Numbers(info, 4)
            item, _ = numbers.next(2 if info[0] == 2 else 4), numbers.next(2)
            items.kinds[item] = numbers.bytes(4)
            if info[3] & 1:
                items.hidden.add(item)


def _references(content: memoryview, items: _Items) -> None:
    size = 4 if content[:1] != b"\x00" else 2
    for kind, reference, _ in boxes(content[4:]):
        numbers = Numbers(reference)
        owner, count = numbers.next(size), numbers.next(2)
        items.references.append((kind, owner, [numbers.next(size) for _ in range(count)]))


def _properties(content: memoryview, items: _Items) -> None:
    for kind, inner, _ in boxes(content):
        if kind == b"ipco":
            items.properties = [(name, value) for name, value, _ in boxes(inner)]
        elif kind == b"ipma":
            numbers = Numbers(inner, 4)
            item_size = 2 if inner[:1] == b"\x00" else 4
            size = 2 if len(inner) > 3 and inner[3] & 1 else 1
            for _ in range(numbers.next(4)):
                item, count = numbers.next(item_size), numbers.next(1)
                mask = (1 << (8 * size - 1)) - 1  # the highest bit says whether a reader must know it
                items.owned.setdefault(item, []).extend(numbers.next(size) & mask for _ in range(count))


_READERS = {b"pitm": _main, b"iinf": _infos, b"iref": _references, b"iprp": _properties}


# -- properties --------------------------------------------------------------------------------------------------------


def _bits(kind: bytes, content: memoryview) -> int:
    """Bits per channel, as far as this property tells it; else 8."""
    if kind == b"av1C" and len(content) > 2:
        return (8, 8, 10, 12)[content[2] >> 5 & 3]
    if kind == b"hvcC" and len(content) > 18:
        return 8 + max(content[17] & 7, content[18] & 7)
    return max(content[5:], default=8) if kind == b"pixi" else 8


def _orientation(properties: list[tuple[bytes, memoryview]]) -> int:
    """Of turns (anti-clockwise) and mirrors in their order the one number that EXIF has for them."""
    before = seen = np.arange(6).reshape(2, 3)
    for kind, content in properties:
        if kind == b"irot" and len(content):
            seen = np.rot90(seen, content[0] & 3)
        elif kind == b"imir" and len(content):
            seen = seen[:, ::-1] if content[0] & 1 else seen[::-1]
    views = [view for plane in (before, before.T) for view in (plane, plane[:, ::-1], plane[::-1, ::-1], plane[::-1])]
    return next(number for number, view in zip((1, 2, 3, 4, 5, 6, 7, 8), views) if np.array_equal(view, seen))


def _add_colors(found: Found, properties: list[tuple[bytes, memoryview]]) -> None:
    """A profile, or the numbers of ITU-T H.273; of both, the profile tells more."""
    for kind, content in properties:
        if kind == b"colr" and content[:4] in (b"prof", b"rICC"):
            found.icc = bytes(content[4:])
        elif kind == b"colr" and content[:4] == b"nclx" and len(content) >= 10:
            numbers = Numbers(content, 4)
            primaries, transfer = numbers.next(2), numbers.next(2)
            code = (1 if primaries == _UNKNOWN else primaries, 13 if transfer == _UNKNOWN else transfer)
            if max(code) < 256:
                tags = ColorTags(code=bytes([*code, 0, 1]))  # its pixels come as RGB of the full range
                found.colors = None if is_srgb(tags) else tags
    if found.icc is not None:
        found.colors = None


def _add_shape(found: Found, properties: list[tuple[bytes, memoryview]]) -> None:
    """Pixels that are not square."""
    for kind, content in properties:
        if kind == b"pasp" and len(content) >= 8:
            numbers = Numbers(content)
            wide, high = numbers.next(4), numbers.next(4)
            found.add_density(high, wide, None)


def _name_others(found: Found, items: _Items) -> None:
    """What no result can keep."""
    names = {"its HDR gain map": any(kind == b"tmap" for kind in items.kinds.values())}
    for kind, content in items.properties:
        name = bytes(content[4:]).split(b"\x00")[0].decode("latin-1").lower() if kind == b"auxC" else ""
        if not name or name in _ALPHA:
            continue
        if _GAIN_MAP in name:
            names["its HDR gain map"] = True
        elif any(part in name for part in _DEPTH):
            names["its depth map"] = True
        else:
            names["a further channel or mask of it"] = True
    found.lost += [name for name, there in names.items() if there]
    beside = {owner for kind, owner, _ in items.references if kind in (b"thmb", b"auxl")}
    beside |= {part for kind, _, parts in items.references if kind == b"dimg" for part in parts}
    others = set(items.kinds) - beside - items.hidden - {items.main}
    count = sum(items.kinds[item] not in _NO_PICTURES for item in others)
    if count:
        found.lost.append("the further picture in it" if count == 1 else f"the {count} further pictures in it")
