"""HEIC, AVIF, JPEG XL and JPEG 2000 files made box by box, and stand-ins for their readers."""

from __future__ import annotations

import io
import struct
import sys
import types
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.pictures import plugins
from made_pictures import encoded

__all__ = [
    "MIRROR",
    "TURN",
    "box",
    "full",
    "heif",
    "item",
    "jp2",
    "jxl_stream",
    "no_readers",
    "pack_bits",
    "reading",
    "reference",
    "stand_in",
    "written",
]

ALPHA_ITEM, MAIN_ITEM = 2, 1


def box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def full(kind: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


# -- HEIC, AVIF --------------------------------------------------------------------------------------------------------


def TURN(quarters: int) -> bytes:  # noqa: N802 - reads as the property it is
    """irot: anti-clockwise."""
    return box(b"irot", bytes([quarters]))


def MIRROR(axis: int) -> bytes:  # noqa: N802
    """imir: 0 exchanges top and bottom, 1 left and right."""
    return box(b"imir", bytes([axis]))


def item(number: int, kind: bytes, hidden: bool = False) -> bytes:
    return full(b"infe", struct.pack(">HH4s", number, 0, kind), b"\x00", version=2, flags=int(hidden))


def reference(kind: bytes, owner: int, *to: int) -> bytes:
    return box(kind, struct.pack(f">HH{len(to)}H", owner, len(to), *to))


def heif(
    brand: bytes = b"heic",
    properties: Sequence[bytes] = (),
    items: Sequence[bytes] = (item(1, b"hvc1"),),
    references: Sequence[bytes] = (),
    others: Sequence[bytes] = (),
    brands: bytes = b"mif1",
) -> bytes:
    """properties: of item 1, the main picture. others: such as belong to no item that is looked at."""
    owned = bytes([1, len(properties), *range(1, len(properties) + 1)])
    meta = full(
        b"meta",
        full(b"hdlr", bytes(4), b"pict", bytes(13)),
        full(b"pitm", struct.pack(">H", 1)),
        full(b"iinf", struct.pack(">H", len(items)), *items),
        full(b"iref", *references) if references else b"",
        box(
            b"iprp",
            box(b"ipco", *properties, *others),
            full(b"ipma", struct.pack(">I", 1), b"\x00" + owned),
        ),
    )
    return box(b"ftyp", brand, bytes(4), brands) + meta + box(b"mdat", b"pixels")


# -- JPEG 2000 ---------------------------------------------------------------------------------------------------------


def jp2(
    pixels: np.ndarray, colr: bytes = b"\x01\x00\x00\x00\x00\x00\x10", header: bytes = b"", others: bytes = b""
) -> bytes:
    """(H, W) or (H, W, 1 to 4) uint8, without loss, its channels not mixed. header: further boxes beside colr."""
    stream = encoded(pixels, "JPEG2000", no_jp2=True, mct=0)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    size = struct.pack(">IIHBBBB", *pixels.shape[:2], channels, 7, 7, 0, 0)
    return b"".join(
        (
            box(b"jP  ", b"\r\n\x87\n"),
            box(b"ftyp", b"jp2 ", bytes(4), b"jp2 "),
            box(b"jp2h", box(b"ihdr", size), box(b"colr", colr), header),
            others,
            box(b"jp2c", stream),
        )
    )


# -- JPEG XL -----------------------------------------------------------------------------------------------------------


def pack_bits(text: str) -> bytes:
    """Of "0" and "1" and blanks, the first bit the least significant of its byte."""
    bits = text.replace(" ", "")
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[start : start + 8][::-1], 2) for start in range(0, len(bits), 8))


def jxl_stream(bits: str) -> bytes:
    """The start of a codestream: its signature, and the header."""
    return b"\xff\x0a" + pack_bits(bits)


# -- written by the packages that read them ----------------------------------------------------------------------------

NAMES = {"heic": "HEIF", "avif": "AVIF", "jxl": "JXL"}
BEST: dict[str, dict[str, Any]] = {
    "heic": {"quality": -1, "chroma": 444},
    "avif": {"quality": 100, "subsampling": "4:4:4"},
    "jxl": {"lossless": True},
}


def written(kind: str, image: np.ndarray | Image.Image, **options: Any) -> bytes:
    """kind: heic, avif or jxl. Its writer is registered with Pillow."""
    if kind == "heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    elif kind == "jxl":
        from pillow_jxl import JpegXLImagePlugin

        Image.register_save("JXL", JpegXLImagePlugin._save)
    elif "AVIF" not in Image.SAVE:
        from pillow_avif import AvifImagePlugin

        Image.register_save("AVIF", AvifImagePlugin._save)
        Image.register_save_all("AVIF", AvifImagePlugin._save_all)
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, NAMES[kind], **{**BEST[kind], **options})
    return buffer.getvalue()


# -- readers -----------------------------------------------------------------------------------------------------------


def stand_in(monkeypatch: pytest.MonkeyPatch, module: str, name: str, reader: Any) -> None:
    """As if a package were installed whose class ``name`` is ``reader``."""
    made = types.ModuleType(module)
    setattr(made, name, reader)
    monkeypatch.setitem(sys.modules, module, made)


def no_readers(monkeypatch: pytest.MonkeyPatch, but: tuple[str, ...] = ()) -> None:
    """As if no package were installed that reads further formats, and Pillow knew no AVIF. but: modules that are."""
    monkeypatch.setattr(plugins, "_is_there", lambda module: module in ("PIL.Jpeg2KImagePlugin", *but))


def reading(image: np.ndarray, **info: Any) -> Any:
    """A reader that gives this picture, whatever the file."""

    def opened(_: Any, __: str) -> Image.Image:
        made = Image.fromarray(image)
        made.info = dict(info)
        return made

    return opened
