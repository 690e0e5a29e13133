"""Animations made block by block, and the frames that they show worked out by hand, without any library's composing."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from made_pictures import chunk, photo

__all__ = ["Part", "apng", "gif", "moving", "shown", "tiff_pages", "webp"]

CLEAR = (0, 0, 0, 0)


@dataclass(frozen=True)
class Part:
    """pixels: (h, w, 4) uint8. then: 1 stays, 2 cleared, 3 taken back (as GIF counts). over: blended, else replaced.

    delay: in the format's units; of an APNG numerator and denominator.
    """

    pixels: np.ndarray
    x: int = 0
    y: int = 0
    delay: int | tuple[int, int] = 10
    then: int = 1
    over: bool = True


def shown(parts: list[Part], width: int, height: int) -> list[np.ndarray]:
    """What is seen of each part, (height, width, 4) uint8, pixel by pixel; alphas are 0 or 255."""
    canvas = np.zeros((height, width, 4), np.uint8)
    frames = []
    for part in parts:
        before = canvas.copy()
        rows, columns = part.pixels.shape[:2]
        places = [(r, c) for r in range(rows) for c in range(columns) if part.y + r < height and part.x + c < width]
        for r, c in places:
            if part.pixels[r, c, 3] or not part.over:
                canvas[part.y + r, part.x + c] = part.pixels[r, c]
        frames.append(canvas.copy())
        if part.then == 3:
            canvas = before
        elif part.then == 2:
            for r, c in places:
                canvas[part.y + r, part.x + c] = CLEAR
    return frames


def moving(mode: str, few: bool, count: int = 6) -> list[np.ndarray]:
    """(H, W) or (H, W, C) uint8: before a ground at rest something moves, holes too. few: at most 255 colours."""
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode]
    grain = 32 if few else 1
    frames = []
    for number in range(count):
        color = photo(36, 28, 1 if channels < 3 else 3).reshape(28, 36, -1) // grain * grain
        color = color.copy()
        color[6:14, 3 + 4 * number : 11 + 4 * number] = 240 - 20 * number
        if channels in (2, 4):
            alpha = np.full((28, 36, 1), 255, np.uint8)
            alpha[18:24, 5 * number : 5 * number + 7] = 0
            alpha[:3] = 0
            color[alpha[..., 0] == 0] = 0
            color = np.concatenate((color, alpha), axis=2)
        frames.append(color[..., 0] if channels == 1 else color)
    frames[3] = frames[2]
    return frames


# -- GIF ---------------------------------------------------------------------------------------------------------------


def _lzw(numbers: np.ndarray) -> bytes:
    """Not packed: nine bits each, and the tables begun anew before they grow (GIF89a, appendix F)."""
    bits, count = 0, 0
    codes = [256]
    for place, number in enumerate(numbers.ravel().tolist()):
        codes += [256] if place and place % 100 == 0 else []
        codes.append(number)
    for code in [*codes, 257]:
        bits |= code << count
        count += 9
    data = bits.to_bytes((count + 7) // 8, "little")
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    return b"\x08" + blocks + b"\x00"


def _numbers(pixels: np.ndarray) -> tuple[np.ndarray, bytes, int | None]:
    """Numbers, a table of 256 colours, and the number that is transparent."""
    colors: dict[tuple[int, ...], int] = {}
    numbers = np.zeros(pixels.shape[:2], np.uint8)
    for at in np.ndindex(*numbers.shape):
        color = tuple(int(value) for value in pixels[at]) if pixels[at][3] else CLEAR
        numbers[at] = colors.setdefault(color, len(colors))
    table = b"".join(bytes(color[:3]) for color in colors).ljust(768, b"\x00")
    return numbers, table, colors.get(CLEAR)


def gif(parts: list[Part], width: int, height: int, loop: int | None = None, more: bytes = b"") -> bytes:
    """loop: as the block NETSCAPE2.0 tells it; None: there is none."""
    data = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0)
    if loop is not None:
        data += b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", loop) + b"\x00"
    data += more
    for part in parts:
        numbers, table, transparent = _numbers(part.pixels)
        flags = part.then << 2 | (transparent is not None)
        data += struct.pack("<BBBBHBB", 0x21, 0xF9, 4, flags, part.delay, transparent or 0, 0)
        data += struct.pack("<BHHHHB", 0x2C, part.x, part.y, *numbers.shape[::-1], 0x87) + table + _lzw(numbers)
    return data + b";"


# -- APNG, WebP, TIFF --------------------------------------------------------------------------------------------------


def apng(parts: list[Part], width: int, height: int, plays: int = 0, still: np.ndarray | None = None) -> bytes:
    """still: a picture of the whole canvas that is none of the frames."""
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    data += chunk(b"acTL", struct.pack(">II", len(parts), plays))
    number = 0
    if still is not None:
        data += chunk(b"IDAT", _rows(still))
    for part in parts:
        delay = part.delay if isinstance(part.delay, tuple) else (part.delay, 1000)
        places = (*part.pixels.shape[1::-1], part.x, part.y)
        data += chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *places, *delay, part.then - 1, part.over))
        number += 1
        if number == 1 and still is None:
            data += chunk(b"IDAT", _rows(part.pixels))
        else:
            data += chunk(b"fdAT", struct.pack(">I", number) + _rows(part.pixels))
            number += 1
    return data + chunk(b"IEND", b"")


def _rows(pixels: np.ndarray) -> bytes:
    return zlib.compress(b"".join(b"\x00" + row.tobytes() for row in np.ascontiguousarray(pixels)))


def webp(parts: list[Part], width: int, height: int, plays: int = 0, background: bytes = bytes(4)) -> bytes:
    """Frames without loss; x and y are even."""

    def piece(kind: bytes, data: bytes) -> bytes:
        return struct.pack("<4sI", kind, len(data)) + data + b"\x00" * (len(data) % 2)

    def three(number: int) -> bytes:
        return struct.pack("<I", number)[:3]

    body = b"WEBP" + piece(b"VP8X", b"\x12\x00\x00\x00" + three(width - 1) + three(height - 1))
    body += piece(b"ANIM", background + struct.pack("<H", plays))
    for part in parts:
        buffer = io.BytesIO()
        Image.fromarray(part.pixels).save(buffer, "WEBP", lossless=True, exact=True)
        alone = buffer.getvalue()
        place = alone.index(b"VP8L")
        length = struct.unpack_from("<I", alone, place + 4)[0]
        sides = (part.x // 2, part.y // 2, part.pixels.shape[1] - 1, part.pixels.shape[0] - 1, part.delay)
        flags = (0 if part.over else 2) | (part.then == 2)
        head = b"".join(map(three, sides)) + bytes([flags])
        body += piece(b"ANMF", head + piece(b"VP8L", alone[place + 8 : place + 8 + length]))
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff_pages(*pages: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=list(pages[1:]), **options)
    return buffer.getvalue()
