"""docs/formats.md says what happens, format by format: every cell of its tables is tried.

Where the program has changed: ``python tests/core/test_formats_table.py`` writes the tables anew.
"""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from container_files import box, jp2
from lib_upscaler.animation import carries
from lib_upscaler.errors import PictureError
from lib_upscaler.pictures.formats import output_format
from lib_upscaler.pictures.frames.kinds import kind_of_frames
from lib_upscaler.pictures.frames.source import read_frames
from lib_upscaler.pictures.frames.writing import write_frames
from lib_upscaler.pictures.reading import read_picture
from lib_upscaler.pictures.writing import write_picture
from made_pictures import (
    chunk,
    cmyk_profile,
    encoded,
    exif_data,
    photo,
    png,
    segment,
    stealth,
    tga,
    tiff,
    webp_with,
    with_segments,
)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "formats.md"

PHOTO = photo()
GREY_16 = PHOTO[:, :, 0].astype(np.uint16) * 257
ALPHA = np.dstack([PHOTO, photo(channels=1, seed=5)])
CMYK = Image.fromarray(PHOTO).convert("CMYK")
PRESS = cmyk_profile("Test press")
LAB = np.dstack([PHOTO[:, :, 0], PHOTO[:, :, 1:] // 8])
PILLOWS = {"JP2": "JPEG2000"}
SPOT = box(b"cdef", struct.pack(">13H", 4, 0, 0, 1, 1, 0, 2, 2, 0, 3, 3, 65_535, 65_535))
PALETTE = Image.fromarray(PHOTO).quantize(32)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = exif_data((0x010F, 2, 7, 26), more=b"Camera\x00")
TURNED = exif_data((0x0112, 3, 1, 6))
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" a:b="c"/>'
IIM = b"\x1c\x02P\x00\x07A Photo"
PHOTOSHOP = b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(IIM)) + IIM
TALL = struct.pack(">IIB", 1, 2, 0)

Told = tuple[str, ...]
Sign = Callable[[Path, Told], bool]


def jpeg_with(marker: int, data: bytes) -> bytes:
    return with_segments(encoded(PHOTO, "JPEG"), segment(marker, data))


def webp_of(kind: bytes, data: bytes) -> bytes:
    return webp_with(encoded(PHOTO, "WEBP", lossless=True), (56, 44), (kind, data))


def edited(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def bmp_with_profile() -> bytes:
    pixels = encoded(PHOTO, "BMP")[54:]
    header = struct.pack("<IiiHHIIiiII", 124, 56, 44, 1, 24, 0, len(pixels), 0, 0, 0, 0) + bytes(16) + b"DEBM"
    header = header.ljust(112, b"\x00") + struct.pack("<III", 124 + len(pixels), len(ICC), 0)
    return b"BM" + struct.pack("<IHHI", 14 + 124 + len(pixels) + len(ICC), 0, 0, 138) + header + pixels + ICC


def jp2_with_comment(text: bytes) -> bytes:
    stream = encoded(PHOTO, "JPEG2000", no_jp2=True)
    place = stream.index(b"\xff\x52")  # the first marker behind the sizes
    return stream[:place] + b"\xff\x64" + struct.pack(">HH", 4 + len(text), 1) + text + stream[place:]


# -- how to tell that something is there, without the program ----------------------------------------------------------


def info_of(path: Path) -> dict:
    with Image.open(path) as image:
        image.load()
        return {**image.info, **getattr(image, "text", {}), "exif tags": dict(image.getexif()), "mode": image.mode}


def is_turned(path: Path, _: Told) -> bool:
    with Image.open(path) as image:
        return image.size == (44, 56) and image.getexif().get(0x0112, 1) == 1


def has_camera(path: Path, _: Told) -> bool:
    return info_of(path)["exif tags"].get(0x010F) == "Camera"


def has_profile(path: Path, _: Told) -> bool:
    return info_of(path).get("icc_profile") == ICC


def has_bytes(*any_of: bytes) -> Sign:
    return lambda path, _: any(part in path.read_bytes() for part in any_of)


def has_density(path: Path, _: Told) -> bool:
    found = info_of(path).get("dpi", (0, 0))
    return max(abs(float(value) - 300) for value in found) < 0.1


def is_tall(path: Path, _: Told) -> bool:
    if path.suffix == ".gif":  # twice as wide as high, by the byte that Pillow does not tell
        return (path.read_bytes()[12] + 15) / 64 == 2
    info = info_of(path)
    x, y = info.get("aspect") or info.get("jfif_density") or info.get("resolution") or (1, 1)
    return int(y) == 2 * int(x) and info.get("jfif_unit", 0) == 0


def has_16_bits(path: Path, _: Told) -> bool:
    """By the header of a PNG, or BitsPerSample of a TIFF."""
    data = path.read_bytes()
    if data.startswith(b"\x89PNG"):
        return data[24] == 16
    if not data.startswith(b"II*"):
        return False
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    rows = [struct.unpack_from("<HHIHH", data, start + 2 + 12 * row) for row in range(count)]
    return any(tag == 258 and number == 1 and value == 16 for tag, _, number, value, _ in rows)


def has_alpha(path: Path, _: Told) -> bool:
    info = info_of(path)
    return info["mode"] in ("RGBA", "LA") or (path.suffix == ".gif" and "transparency" in info)


def looks_right(path: Path, _: Told) -> bool:
    """Whether the colours are those of linear light, by the file's own word or as sRGB."""
    with Image.open(path) as image:
        gamma = image.info.get("gamma")
        middle = np.asarray(image.convert("RGB")).astype(float).mean()
    return gamma == 1.0 or abs(middle - LIGHT) < 1.5


def has_frames(path: Path, _: Told) -> bool:
    with Image.open(path) as image:
        return getattr(image, "n_frames", 1) == 2


def is_there(path: Path, _: Told) -> bool:
    return path.exists()


def looks_alike(path: Path, _: Told) -> bool:
    with Image.open(path) as image:
        return bool(np.abs(np.asarray(image.convert("RGB")).astype(int) - PHOTO).mean() < 4)


def looks_printed(path: Path, _: Told) -> bool:
    """As ImageCms converts it."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(PRESS))
    right = ImageCms.profileToProfile(CMYK, source, ImageCms.createProfile("sRGB"), 1, outputMode="RGB", flags=0x2000)
    with Image.open(path) as image:
        return bool(np.abs(np.asarray(image).astype(int) - np.asarray(right)).mean() < 2)


LINEAR = PHOTO / 255
LIGHT = 255 * np.where(LINEAR <= 0.0031308, LINEAR * 12.92, 1.055 * LINEAR ** (1 / 2.4) - 0.055).mean()


# -- what files can hold -----------------------------------------------------------------------------------------------

FRAMES = dict(save_all=True, append_images=[Image.fromarray(PHOTO[::-1].copy())], duration=70)
FRAMES_ROW = "Frames, pages"
READ = ("PNG", "JPEG", "WebP", "TIFF", "GIF", "BMP", "TGA", "PPM", "JP2")

THINGS: dict[str, tuple[Sign, str, dict[str, bytes]]] = {
    "Orientation": (
        is_turned,
        "applied",
        {
            "PNG": png(PHOTO, chunk(b"eXIf", TURNED[6:])),
            "JPEG": jpeg_with(0xE1, TURNED),
            "WebP": webp_of(b"EXIF", TURNED),
            "TIFF": encoded(PHOTO, "TIFF", tiffinfo={274: 6}),
            "JP2": jp2(PHOTO, others=box(b"uuid", b"JpgTiffExif->JP2", TURNED[6:])),
        },
    ),
    "EXIF": (
        has_camera,
        "kept",
        {
            "PNG": png(PHOTO, chunk(b"eXIf", EXIF[6:])),
            "JPEG": jpeg_with(0xE1, EXIF),
            "WebP": webp_of(b"EXIF", EXIF),
            "TIFF": encoded(PHOTO, "TIFF", tiffinfo={271: "Camera"}),
            "JP2": jp2(PHOTO, others=box(b"uuid", b"JpgTiffExif->JP2", EXIF[6:])),
        },
    ),
    "Colour profile (ICC)": (
        has_profile,
        "kept",
        {
            "PNG": png(PHOTO, chunk(b"iCCP", b"x\x00\x00" + zlib.compress(ICC))),
            "JPEG": jpeg_with(0xE2, b"ICC_PROFILE\x00\x01\x01" + ICC),
            "WebP": encoded(PHOTO, "WEBP", icc_profile=ICC),
            "TIFF": encoded(PHOTO, "TIFF", icc_profile=ICC),
            "BMP": bmp_with_profile(),
            "JP2": jp2(PHOTO, b"\x02\x00\x00" + ICC),
        },
    ),
    "Colours told by gAMA, cHRM, cICP": (
        looks_right,
        "kept",
        {"PNG": png(PHOTO, chunk(b"gAMA", struct.pack(">I", 100_000)))},
    ),
    "Transparency": (
        has_alpha,
        "kept",
        {
            "PNG": png(ALPHA),
            "WebP": encoded(ALPHA, "WEBP", lossless=True),
            "TIFF": encoded(ALPHA, "TIFF"),
            "GIF": encoded(PALETTE, "GIF", transparency=3),
            "TGA": tga(ALPHA, 8),
            "JP2": jp2(ALPHA),
        },
    ),
    "`parameters` of the WebUI": (
        has_bytes(b"a cat", "a cat".encode("utf-16-be")),
        "kept",
        {
            "PNG": png(PHOTO, chunk(b"tEXt", b"parameters\x00a cat")),
            "JPEG": jpeg_with(
                0xE1,
                exif_data(
                    (0x8769, 4, 1, 26),
                    more=struct.pack(">HHHIII", 1, 0x9286, 7, 18, 44, 0) + b"UNICODE\x00" + "a cat".encode("utf-16-be"),
                ),
            ),
        },
    ),
    "`parameters` hidden in pixels": (
        has_bytes(b"a cat", "a cat".encode("utf-16-be")),
        "read, said",
        {
            "PNG": png(stealth(photo(100, 80), "a cat", packed=True)),
            "WebP": encoded(stealth(photo(100, 80), "a cat", packed=True), "WEBP", lossless=True, exact=True),
        },
    ),
    "Other texts": (
        has_bytes(b"my note"),
        "kept",
        {"PNG": png(PHOTO, chunk(b"tEXt", b"note\x00my note"))},
    ),
    "Comment": (
        has_bytes(b"my comment"),
        "kept",
        {
            "PNG": png(PHOTO, chunk(b"tEXt", b"Comment\x00my comment")),
            "JPEG": jpeg_with(0xFE, b"my comment"),
            "GIF": encoded(PALETTE, "GIF", comment=b"my comment"),
            "TGA": tga(ALPHA, 8, name=b"my comment"),
            "PPM": b"P6\n# my comment\n56 44\n255\n" + PHOTO.tobytes(),
            "JP2": jp2_with_comment(b"my comment"),
        },
    ),
    "XMP": (
        has_bytes(b'a:b="c"'),
        "kept",
        {
            "PNG": png(PHOTO, chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + XMP)),
            "JPEG": jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + XMP),
            "WebP": webp_of(b"XMP ", XMP),
            "TIFF": tiff(PHOTO, 2, t700=(1, tuple(XMP))),
            "GIF": encoded(PALETTE, "GIF")[:-1]
            + b"!\xff\x0bXMP DataXMP"
            + XMP
            + bytes([1, *range(255, -1, -1), 0])
            + b";",
            "JP2": jp2(PHOTO, others=box(b"uuid", bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC"), XMP)),
        },
    ),
    "Captions (IPTC)": (
        has_bytes(IIM, IIM.hex().encode()),
        "kept",
        {
            "PNG": png(
                PHOTO,
                chunk(
                    b"tEXt",
                    f"Raw profile type iptc\0\niptc\n{len(PHOTOSHOP):8}\n{PHOTOSHOP.hex()}\n".encode(),
                ),
            ),
            "JPEG": jpeg_with(0xED, b"Photoshop 3.0\x00" + PHOTOSHOP),
            "TIFF": tiff(PHOTO, 2, t33723=(1, tuple(IIM))),
            "JP2": jp2(PHOTO, others=box(b"uuid", bytes.fromhex("33C7A4D2B81D4723A0BAF1A3E097AD38"), IIM)),
        },
    ),
    "Density (dpi)": (
        has_density,
        "kept",
        {
            "PNG": png(PHOTO, chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1))),
            "JPEG": encoded(PHOTO, "JPEG", dpi=(300, 300)),
            "TIFF": encoded(PHOTO, "TIFF", dpi=(300, 300)),
            "BMP": encoded(PHOTO, "BMP", dpi=(300, 300)),
            "JP2": jp2(PHOTO, header=box(b"res ", box(b"resc", struct.pack(">HHHHbb", 11811, 1, 11811, 1, 0, 0)))),
        },
    ),
    "Pixels that are not square": (
        is_tall,
        "kept",
        {
            "PNG": png(PHOTO, chunk(b"pHYs", TALL)),
            "JPEG": edited(encoded(PHOTO, "JPEG"), 13, struct.pack(">BHH", 0, 1, 2)),
            "TIFF": encoded(PHOTO, "TIFF", tiffinfo={296: 1, 282: 1.0, 283: 2.0}),
            "GIF": edited(encoded(PALETTE, "GIF"), 12, bytes([113])),  # (113 + 15) / 64: twice as wide as high
        },
    ),
    "A channel that is no transparency": (
        has_alpha,
        "kept",
        {"TIFF": tiff(ALPHA, 2, (0,)), "TGA": tga(ALPHA, 8, attribute=2), "JP2": jp2(ALPHA, header=SPOT)},
    ),
    FRAMES_ROW: (
        has_frames,
        "kept",
        {
            "PNG": encoded(PHOTO, "PNG", **FRAMES),
            "WebP": encoded(PHOTO, "WEBP", **FRAMES),
            "TIFF": encoded(PHOTO, "TIFF", **FRAMES),
            "GIF": encoded(PALETTE, "GIF", **FRAMES),
        },
    ),
    "Further pictures": (
        has_bytes(b"MPF"),
        "kept",
        {"JPEG": encoded(PHOTO, "MPO", save_all=True, append_images=[Image.fromarray(PHOTO)])},
    ),
    "HDR gain map": (
        has_bytes(b"hdrgm"),
        "kept",
        {"JPEG": jpeg_with(0xE1, b'http://ns.adobe.com/xap/1.0/\x00<x hdrgm:Version="1.0"/>') + encoded(PHOTO, "JPEG")},
    ),
    "16 bits": (
        has_16_bits,
        "kept",
        {
            "PNG": encoded(Image.fromarray(GREY_16), "PNG"),
            "TIFF": encoded(Image.fromarray(GREY_16), "TIFF"),
            "PPM": b"P6 56 44 65535\n" + bytes(2 * PHOTO.size),
            "JP2": encoded(Image.fromarray(GREY_16), "JPEG2000"),
        },
    ),
    "CMYK with a profile": (
        looks_printed,
        "converted to sRGB",
        {
            "JPEG": encoded(CMYK, "JPEG", quality=100, icc_profile=PRESS),
            "TIFF": encoded(CMYK, "TIFF", icc_profile=PRESS),
            "JP2": jp2(np.asarray(CMYK), b"\x03\x00\x00" + PRESS),
        },
    ),
    "CMYK without one": (
        is_there,
        "converted plainly",
        {
            "JPEG": encoded(CMYK, "JPEG"),
            "TIFF": encoded(CMYK, "TIFF"),
            "JP2": jp2(np.asarray(CMYK), b"\x01\x00\x00\x00\x00\x00\x0c"),
        },
    ),
    "CIE L\\*a\\*b\\*": (is_there, "converted to sRGB", {"TIFF": tiff(LAB, 8)}),
    "YCbCr": (
        looks_alike,
        "read",
        {
            "JPEG": encoded(PHOTO, "JPEG", quality=100),
            "TIFF": tiff(np.asarray(Image.fromarray(PHOTO).convert("YCbCr")), 6, t530=(3, (1, 1))),
            "JP2": jp2(np.asarray(Image.fromarray(PHOTO).convert("YCbCr")), b"\x01\x00\x00\x00\x00\x00\x12"),
        },
    ),
    "Floating point": (has_16_bits, "read", {"TIFF": tiff(PHOTO.astype(np.float32), 2, format=3)}),
    "No end marker, all pixels there": (
        is_there,
        "read",
        {
            "PNG": png(PHOTO)[:-12],
            "JPEG": encoded(PHOTO, "JPEG")[:-2],
            "GIF": encoded(PALETTE, "GIF")[:-1],
            "JP2": encoded(PHOTO, "JPEG2000")[:-2],
        },
    ),
    "Rows of pixels missing": (
        is_there,
        "read",
        {name: encoded(PHOTO if name != "GIF" else PALETTE, PILLOWS.get(name, name.upper()))[:-700] for name in READ},
    ),
}

INTO = ("PNG", "JPEG", "WebP", "TIFF", "GIF", "BMP")
SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WebP": "webp", "TIFF": "tif", "GIF": "gif", "BMP": "bmp"}
FEWER_COLORS = "256 colours"  # said of nearly any GIF, and of nothing that is tried here
WRITTEN = [
    *("EXIF", "Colour profile (ICC)", "Colours told by gAMA, cHRM, cICP", "Transparency", "`parameters` of the WebUI"),
    *("16 bits", "Other texts", "Comment", "XMP", "Captions (IPTC)", "Density (dpi)", "Pixels that are not square"),
    FRAMES_ROW,
]


def outcome(thing: str, data: bytes, target: str) -> str:
    """What becomes of ``thing`` in a file of these bytes on its way into the format ``target``."""
    sign, word, _ = THINGS[thing]
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "source", Path(folder) / f"result.{SUFFIXES[target]}"
        source.write_bytes(data)
        if thing == FRAMES_ROW:
            return outcome_of_frames(source, result)
        try:
            picture = read_picture(source)
        except PictureError:
            return "refused"
        image = picture.image.convert("RGBA") if picture.image.mode == "P" else picture.image
        if image.mode.endswith("A") and not output_format(result).alpha:
            return "put on white, said"  # by the command line, which test_batch.py tries
        if image.mode == "RGBA" and thing != "Transparency" and image.getextrema()[3] == (255, 255):
            image = image.convert("RGB")
        warnings = (*picture.warnings, *write_picture(image, result, picture.metadata))
        warnings = tuple(warning for warning in warnings if FEWER_COLORS not in warning)
        there = sign(result, warnings)
    if any("converted to sRGB" in warning for warning in warnings) and not word.startswith("converted"):
        return "converted to sRGB, said"
    if there and any("transparency in between" in warning for warning in warnings):
        return "wholly or not at all, said"
    if there:
        said = bool(warnings) and "said" not in word and word.startswith(("read", "converted"))
        return f"{word}, said" if said else word
    return "left out, said" if warnings else "LOST IN SILENCE"


def outcome_of_frames(source: Path, result: Path) -> str:
    """As the command line and the API go about it."""
    target, kind = output_format(result), kind_of_frames(source)
    if kind is None or not carries(target, kind):
        picture = read_picture(source)
        write_picture(picture.image, result, picture.metadata)
        said = any("only the first" in warning for warning in picture.warnings)
        return "the first, said" if said and not has_frames(result, ()) else "LOST IN SILENCE"
    frames = read_frames(source)
    assert frames is not None
    warnings = write_frames(frames.frames(), result, frames.metadata, count=len(frames), plays=frames.plays)
    if not has_frames(result, warnings):
        return "LOST IN SILENCE"
    return "as pages, said" if any("no time" in warning for warning in warnings) else "kept"


def table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [["", *head], ["---"] * (len(head) + 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables() -> str:
    read = [
        [
            thing,
            # Frames stay in their own format; of all else the result is a PNG.
            *(
                outcome(thing, files[name], name if thing == FRAMES_ROW else "PNG") if name in files else ""
                for name in READ
            ),
        ]
        for thing, (_, _, files) in THINGS.items()
    ]
    written = [[thing, *(outcome(thing, THINGS[thing][2]["PNG"], target) for target in INTO)] for thing in WRITTEN]
    return f"## Read\n\n{table(READ, read)}\n\n## Written\n\n{table(INTO, written)}\n"


def test_the_document_says_what_happens() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    start, end = text.index("## Read"), text.index("## In words")
    assert text[start:end].strip() == tables().strip()


def test_nothing_is_lost_in_silence() -> None:
    assert "SILENCE" not in tables()


@pytest.mark.parametrize("name", READ)
def test_the_sources_of_the_tables_are_sound(name: str) -> None:
    """By Pillow alone, so that no cell says "refused" of a file that was badly made."""
    for thing, (_, _, files) in THINGS.items():
        if name in files and thing not in (
            "Rows of pixels missing",
            "No end marker, all pixels there",
            "Floating point",
            "YCbCr",  # of a TIFF: Pillow by itself takes it for damaged
        ):
            with Image.open(io.BytesIO(files[name]), formats=[PILLOWS.get(name, name.upper()), "MPO"]) as image:
                image.load()


if __name__ == "__main__":
    before = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(
        f"{before[: before.index('## Read')]}{tables()}\n{before[before.index('## In words') :]}", encoding="utf-8"
    )
