"""Picture files made byte by byte, for what no writer makes: parts that are broken, large, or rarely seen."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

__all__ = [
    "chunk",
    "cmyk_profile",
    "encoded",
    "exif_data",
    "photo",
    "png",
    "profile",
    "segment",
    "stealth",
    "tga",
    "tiff",
    "webp_with",
    "with_chunks",
    "with_segments",
]


def photo(width: int = 56, height: int = 44, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth random colours, (H, W, C) uint8, or (H, W) for one channel."""
    grain = np.random.default_rng(seed).integers(0, 256, (5, 6, 4), np.uint8)
    large = np.asarray(Image.fromarray(grain, "RGBA").resize((width, height), Image.Resampling.BICUBIC))
    return large[:, :, 0] if channels == 1 else large[:, :, :channels]


def encoded(image: Image.Image | np.ndarray, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, format, **options)
    return buffer.getvalue()


def profile(size: int = 588, kind: bytes = b"RGB ") -> bytes:
    """What passes for an ICC profile by its header, with noise that does not pack behind it."""
    head = struct.pack(">I", size) + b"none" + b"\x02\x10\x00\x00" + b"mntr" + kind + b"XYZ " + bytes(12) + b"acsp"
    return head + np.random.default_rng(1).integers(0, 256, size - len(head), np.uint8).tobytes()


def cmyk_profile(name: str) -> bytes:
    """A whole ICC profile (version 2) of a press whose inks mix as filters do, and whose black is no true black."""
    inks = np.array([[0.05, 0.45, 0.75], [0.75, 0.08, 0.3], [0.9, 0.8, 0.05], [0.03, 0.03, 0.03]])
    corners = np.array([[number >> bit & 1 for bit in (3, 2, 1, 0)] for number in range(16)], bool)
    light = np.array([np.prod(inks[corner], axis=0) for corner in corners]) * 0.97 + 0.03
    lightness = 116 * np.cbrt(light.mean(axis=1)) - 16
    lab = np.stack((lightness, 90 * (light[:, 0] - light[:, 1]), 90 * (light[:, 1] - light[:, 2])), axis=1)
    codes = np.round(np.stack((lab[:, 0] * 652.8, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256), axis=1))
    ramp = struct.pack(">2H", 0, 65_535)
    table = b"mft2" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65_536 * np.eye(3, dtype=int)).ravel())
    table += struct.pack(">2H", 2, 2) + 4 * ramp + codes.astype(">u2").tobytes() + 3 * ramp
    back = b"mft2" + bytes(4) + bytes([3, 4, 2, 0]) + table[12:48] + struct.pack(">2H", 2, 2) + 3 * ramp
    back += 16 * b"\xff\xff" + 16 * b"\x00\x00" + 4 * ramp  # of black all inks: where lcms2 looks for the black
    text = name.encode() + b"\x00"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\x00",
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63_190, 65_536, 54_061),
        b"A2B0": table,
        b"B2A0": back,
    }
    place, index, values = 128 + 4 + 12 * len(tags), b"", b""
    for kind, value in tags.items():
        index += kind + struct.pack(">2I", place + len(values), len(value))
        values += value + bytes(-len(value) % 4)
    head = b"none" + b"\x02\x40\x00\x00" + b"prtrCMYKLab " + struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp"
    head = head.ljust(64, b"\x00") + struct.pack(">3i", 63_190, 65_536, 54_061)
    body = head.ljust(124, b"\x00") + struct.pack(">I", len(tags)) + index + values
    return struct.pack(">I", 4 + len(body)) + body


# -- PNG ---------------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: np.ndarray, *chunks: bytes, behind: bytes = b"") -> bytes:
    """(H, W), (H, W, 2), (H, W, 3) or (H, W, 4) uint8 or uint16. chunks: before the pixels. behind: after them."""
    kinds = {1: 0, 2: 4, 3: 2, 4: 6}
    height, width, *rest = pixels.shape
    color = kinds[rest[0] if rest else 1]
    bits = 8 * pixels.dtype.itemsize
    rows = b"".join(b"\x00" + row.tobytes() for row in np.ascontiguousarray(pixels, f">u{bits // 8}"))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"".join((b"\x89PNG\r\n\x1a\n", header, *chunks, data, behind, chunk(b"IEND", b"")))


def with_chunks(data: bytes) -> dict[bytes, list[bytes]]:
    """The chunks of a PNG, by kind."""
    found: dict[bytes, list[bytes]] = {}
    position = 8
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        content = data[position + 8 : position + 8 + length]
        assert data[position + 8 + length : position + 12 + length] == struct.pack(">I", zlib.crc32(kind + content))
        found.setdefault(kind, []).append(content)
        position += 12 + length
    return found


def stealth(pixels: np.ndarray, text: str, packed: bool, in_alpha: bool = True) -> np.ndarray:
    """With ``text`` in the lowest bits, column by column, bit by bit, as the extensions do it."""
    import gzip

    name = ("stealth_pngcomp" if packed else "stealth_pnginfo") if in_alpha else "stealth_rgbcomp"
    content = gzip.compress(text.encode()) if packed or not in_alpha else text.encode()
    data = name.encode() + struct.pack(">I", len(content) * 8) + content
    bits = "".join(f"{byte:08b}" for byte in data)
    height, width = pixels.shape[:2]
    result = np.dstack([pixels[:, :, :3], np.full((height, width), 255, np.uint8)]) if in_alpha else pixels.copy()
    places = [(x, y, c) for x in range(width) for y in range(height) for c in ((3,) if in_alpha else (0, 1, 2))]
    assert len(bits) <= len(places)
    for bit, (x, y, c) in zip(bits, places):
        result[y, x, c] = result[y, x, c] & 0xFE | int(bit)
    return result


# -- JPEG, WebP --------------------------------------------------------------------------------------------------------


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """Behind JFIF's own segment."""
    end = 4 + struct.unpack_from(">H", jpeg, 4)[0]
    return jpeg[:end] + b"".join(segments) + jpeg[end:]


def webp_with(webp: bytes, size: tuple[int, int], *chunks: tuple[bytes, bytes]) -> bytes:
    """A plain WebP with further chunks behind its pixels; lengths are told as they are."""
    flags = sum({b"EXIF": 0x08, b"XMP ": 0x04, b"ICCP": 0x20}.get(kind, 0) for kind, _ in chunks)
    sides = b"".join(struct.pack("<I", side - 1)[:3] for side in size)
    extended = struct.pack("<4sIB3x", b"VP8X", 10, flags) + sides
    more = b"".join(struct.pack("<4sI", kind, len(data)) + data + b"\x00" * (len(data) % 2) for kind, data in chunks)
    body = b"WEBP" + extended + webp[12:] + more
    return b"RIFF" + struct.pack("<I", len(body)) + body


# -- EXIF, TIFF, TGA ---------------------------------------------------------------------------------------------------


def exif_data(*rows: tuple[int, int, int, int], order: str = ">", told: int | None = None, more: bytes = b"") -> bytes:
    """One directory of rows (tag, type, count, value or place). told: the number of rows it claims to have."""
    head = b"MM\x00*" if order == ">" else b"II*\x00"
    table = struct.pack(order + "IH", 8, len(rows) if told is None else told)
    for tag, kind, count, value in rows:
        short = kind == 3 and count == 1
        table += struct.pack(order + ("HHIHH" if short else "HHII"), tag, kind, count, value, *([0] if short else []))
    return b"Exif\x00\x00" + head + table + (bytes(4) if told is None else b"") + more


def tiff(
    pixels: np.ndarray, photometric: int, extra: tuple[int, ...] = (), order: str = "<", format: int = 1, **tags: tuple
) -> bytes:
    """One strip, not compressed. pixels: (H, W, samples) of any type. tags: t123=(type, values)."""
    height, width, samples = pixels.shape
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    bits = 8 * pixels.dtype.itemsize
    fields: list[tuple[int, int, tuple[int, ...]]] = [
        (256, 4, (width,)),
        (257, 4, (height,)),
        (258, 3, (bits,) * samples),
        (259, 3, (1,)),
        (262, 3, (photometric,)),
        (273, 4, (8,)),
        (277, 3, (samples,)),
        (278, 4, (height,)),
        (279, 4, (len(data),)),
        (284, 3, (1,)),
    ]
    fields += [(338, 3, extra)] if extra else []
    fields += [(339, 3, (format,) * samples)] if format != 1 else []
    fields += [(int(name[1:]), *value) for name, value in tags.items()]
    start = 8 + len(data)
    behind = start + 2 + 12 * len(fields) + 4
    table, values = struct.pack(order + "H", len(fields)), b""
    for tag, kind, numbers in sorted(fields):
        packed = struct.pack(f"{order}{len(numbers)}{'.BBHI'[kind]}", *numbers)
        if len(packed) > 4:
            place = struct.pack(order + "I", behind + len(values))
            values += packed + b"\x00" * (len(packed) % 2)
        else:
            place = packed.ljust(4, b"\x00")
        table += struct.pack(order + "HHI", tag, kind, len(numbers)) + place
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(order + "I", start)
    return head + data + table + bytes(4) + values


def tga(
    pixels: np.ndarray, alpha_bits: int, attribute: int | None = None, rle: bool = False, name: bytes = b""
) -> bytes:
    """(H, W, 4) uint8 RGBA, from the top. attribute: what version 2 says of the fourth channel."""
    height, width = pixels.shape[:2]
    head = struct.pack(
        "<BBBHHBHHHHBB", len(name), 0, 10 if rle else 2, 0, 0, 0, 0, 0, width, height, 32, 0x20 | alpha_bits
    )
    colors = pixels[:, :, [2, 1, 0, 3]]
    body = b"".join(b"\x00" + pixel.tobytes() for pixel in colors.reshape(-1, 4)) if rle else colors.tobytes()
    data = head + name + body
    if attribute is None:
        return data
    extension = struct.pack("<H", 495) + bytes(492) + bytes([attribute])
    return data + extension + struct.pack("<II", len(data), 0) + b"TRUEVISION-XFILE.\x00"
