"""3,000 broken files: each is read, or refused in words; none ends the run, takes long, or leaves anything behind.

Seeded, so that a failure can be had again: its file's name tells the format, the kind of damage and the number.
"""

from __future__ import annotations

import contextlib
import functools
import io
import random
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from container_files import box, jp2
from lib_upscaler.errors import PictureError, PictureReadError, UnsupportedPictureError
from lib_upscaler.pictures.reading import read_header, read_picture
from lib_upscaler.pictures.writing import write_picture
from made_pictures import (
    chunk,
    cmyk_profile,
    encoded,
    exif_data,
    photo,
    png,
    profile,
    segment,
    tga,
    tiff,
    webp_with,
    with_segments,
)

EACH = 428  # of eight formats, together with what follows more than 3,000
SECONDS = 5.0  # for any one file, on a busy machine; most take a few thousandths

PHOTO = photo(24, 18)
EXIF = exif_data((0x010F, 2, 7, 38), (0x0112, 3, 1, 6), more=b"Camera\x00\x00")
XMP = b'http://ns.adobe.com/xap/1.0/\x00<x tiff:Orientation="6" GPano:FullPanoWidthPixels="24"/>'


@functools.lru_cache
def sources() -> dict[str, list[bytes]]:
    """Sound files, full of what can break."""
    packed = zlib.compress(profile(600))
    told = (chunk(b"iCCP", b"x\x00\x00" + packed), chunk(b"eXIf", EXIF[6:]), chunk(b"tEXt", b"parameters\x00a cat"))
    more = (
        chunk(b"pHYs", bytes(7) + b"\x01\x00"),
        chunk(b"gAMA", bytes(2) + b"\x86\xa0"),
        chunk(b"zTXt", b"z\x00\x00" + packed),
    )
    segments = segment(0xE1, EXIF), segment(0xE1, XMP), segment(0xE2, b"ICC_PROFILE\x00\x01\x01" + profile(600))
    webp = webp_with(encoded(PHOTO, "WEBP", lossless=True), (24, 18), (b"EXIF", EXIF), (b"XMP ", XMP[29:]))
    grey_alpha = np.dstack([PHOTO[:, :, 0], PHOTO[:, :, 1]])
    frames = [Image.fromarray(PHOTO).quantize(32), Image.fromarray(PHOTO[::-1].copy()).quantize(32)]
    return {
        "png": [png(PHOTO, *told, *more), encoded(Image.fromarray(PHOTO).quantize(16), "PNG", transparency=3)],
        "jpg": [
            with_segments(encoded(PHOTO, "JPEG"), *segments),
            encoded(PHOTO, "JPEG", progressive=True),
            encoded(Image.fromarray(PHOTO).convert("CMYK"), "JPEG", icc_profile=cmyk_profile("press")),
            encoded(PHOTO, "MPO", save_all=True, append_images=[Image.fromarray(PHOTO)]),
        ],
        "webp": [webp, encoded(PHOTO, "WEBP"), encoded(photo(24, 18, 4), "WEBP")],
        "tif": [
            tiff(grey_alpha, 1, (1,), t700=(1, tuple(XMP[29:]))),
            encoded(PHOTO, "TIFF", compression="tiff_lzw", tiffinfo={271: "Camera", 274: 6}),
            encoded(PHOTO, "TIFF", compression="jpeg"),
            tiff(PHOTO, 6, t530=(3, (1, 1))),
            encoded(Image.fromarray(PHOTO).convert("CMYK"), "TIFF", icc_profile=cmyk_profile("press")),
        ],
        "gif": [
            encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], comment=b"hello"),
            encoded(frames[0], "GIF", transparency=3),
        ],
        "bmp": [encoded(PHOTO, "BMP", dpi=(300, 300)), encoded(frames[0], "BMP")],
        "jp2": [
            jp2(PHOTO, b"\x02\x00\x00" + profile(600), others=box(b"uuid", b"JpgTiffExif->JP2", EXIF[6:])),
            jp2(photo(24, 18, 4), b"\x01\x00\x00\x00\x00\x00\x0c"),
            encoded(PHOTO, "JPEG2000", tile_size=(8, 8)),
        ],
        "tga": [tga(photo(24, 18, 4), 8, attribute=3, name=b"name"), encoded(PHOTO, "TGA", compression="tga_rle")],
    }


# -- kinds of damage ---------------------------------------------------------------------------------------------------


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def flipped(data: bytes, chance: random.Random) -> bytes:
    broken = bytearray(data)
    for _ in range(chance.choice((1, 2, 8, 64))):
        broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
    return bytes(broken)


def absurd(data: bytes, chance: random.Random) -> bytes:
    """Numbers that are as large, small or negative as they can be, near the beginning, where sizes and places stand."""
    broken = bytearray(data)
    for _ in range(chance.choice((1, 2, 3))):
        place = chance.randrange(4, min(len(broken), 120))
        value = chance.choice(
            (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"\x00\x00\x00\x01", b"\xff\xff", b"\x80")
        )
        broken[place : place + len(value)] = value
    return bytes(broken)


def shuffled(data: bytes, chance: random.Random) -> bytes:
    """A piece taken from one place and put into another."""
    start, end, place = (chance.randrange(len(data)) for _ in range(3))
    piece = data[min(start, end) : max(start, end)]
    rest = data[: min(start, end)] + data[max(start, end) :]
    return rest[:place] + piece * chance.choice((1, 2)) + rest[place:]


def noise(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(8, len(data))
    return data[:place] + chance.randbytes(len(data) - place)


DAMAGES: list[Callable[[bytes, random.Random], bytes]] = [cut, flipped, absurd, shuffled, noise]


def cyclic(order: str, start: int) -> bytes:
    """A TIFF whose directory is followed by itself, or by one that leads back to it."""
    data = bytearray(tiff(PHOTO, 2, order=order))
    (first,) = struct.unpack_from(order + "I", data, 4)
    (rows,) = struct.unpack_from(order + "H", data, first)
    struct.pack_into(order + "I", data, first + 2 + 12 * rows, first if start == 0 else len(data))
    return bytes(data) + struct.pack(order + "HHHIII", 1, 256, 4, 1, 24, first)


@functools.lru_cache
def special() -> dict[str, bytes]:
    """Bombs, and directories that come round to themselves."""
    rows = zlib.compress(bytes(60_000_000), 9)
    large = zlib.compress(bytes(300 << 20), 9)
    header = struct.pack(">IIBBBBB", 13_000, 13_000, 8, 2, 0, 0, 0)
    bomb = chunk(b"zTXt", b"bomb\x00\x00" + large)
    exif_loop = exif_data((0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0x0112, 3, 1, 6))
    return {
        "bomb-text.png": png(PHOTO, bomb, bomb, bomb),
        "bomb-profile.png": png(PHOTO, chunk(b"iCCP", b"x\x00\x00" + large)),
        "bomb-pixels.png": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""),
        "bomb-size.png": b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)),
        "bomb.gif": b"GIF89a"
        + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0)
        + b",\x00\x00\x00\x00\x01\x00\x01\x00\x00",
        "bomb.tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 65_535, 65_535, 32, 8)
        + b"\xff\x00\x00\x00\x00",
        "many-chunks.png": png(PHOTO, *[chunk(b"tEXt", b"a%d\x00b" % number) for number in range(20_000)]),
        "many-comments.gif": encoded(Image.fromarray(PHOTO).quantize(8), "GIF")[:-1]
        + b"!\xfe\x01a\x00" * 20_000
        + b";",
        "many-segments.jpg": with_segments(encoded(PHOTO, "JPEG"), *[segment(0xFE, b"a")] * 20_000),
        "loop.jpg": with_segments(encoded(PHOTO, "JPEG"), segment(0xE1, exif_loop)),
        **{f"loop-{number}.tif": cyclic(order, number % 2) for number, order in enumerate("<<>>")},
    }


# -- what becomes of them ----------------------------------------------------------------------------------------------


def tried(path: Path, out: Path) -> str:
    """What a run does with the file: "read", or why not, in words. Any other error than those is a mistake of ours."""
    started = time.process_time()  # not what others on this machine take
    try:
        with_header = None
        with contextlib.suppress(PictureError):
            with_header = read_header(path)
        picture = read_picture(path)
        image = picture.image.convert("RGBA" if "A" in picture.image.getbands() else "RGB")
        write_picture(image, out / f"{path.name}.png", picture.metadata)
        if with_header is not None and not picture.warnings:
            assert {with_header.size.width, with_header.size.height} == set(picture.image.size), path.name
        return "read"
    except (PictureReadError, UnsupportedPictureError) as error:
        return error.why or pytest.fail(f"{path.name}: no reason is given")
    except Exception as error:
        raise AssertionError(f"{path.name}: {type(error).__name__}: {error}") from error
    finally:
        assert time.process_time() - started < SECONDS, path.name


@pytest.mark.parametrize("format", list(sources()))
def test_no_broken_file_ends_a_run(format: str, tmp_path: Path) -> None:
    chance = random.Random(format)
    sound, out = sources()[format], tmp_path / "out"
    out.mkdir()
    outcomes = []
    for number in range(EACH):
        damage = DAMAGES[number % len(DAMAGES)]
        path = tmp_path / f"{damage.__name__}-{number}.{format}"
        path.write_bytes(damage(chance.choice(sound), chance))
        outcomes.append(tried(path, out))
        assert len(list(out.iterdir())) == outcomes.count("read"), f"{path.name}: nothing is left of what failed"
        path.unlink()
    assert 0 < outcomes.count("read") < EACH, "some damage matters, some does not"


@pytest.mark.parametrize("name", list(special()))
def test_bombs_and_loops(name: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / name).write_bytes(special()[name])
    outcome = tried(tmp_path / name, tmp_path / "out")
    assert (outcome == "read") is name.startswith(("many", "loop", "bomb-text", "bomb-profile"))


def test_the_sound_files_are_read(tmp_path: Path) -> None:
    for format, all_of_it in sources().items():
        for number, data in enumerate(all_of_it):
            path = tmp_path / f"{number}.{format}"
            path.write_bytes(data)
            with (
                Image.open(io.BytesIO(data))
                if format != "tif" or number
                else Image.open(io.BytesIO(all_of_it[1])) as image
            ):
                assert sorted(read_picture(path).image.size) == sorted(image.size)
