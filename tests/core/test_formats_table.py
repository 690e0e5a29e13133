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

from lib_upscaler.animation import carries
from lib_upscaler.errors import PictureError
from lib_upscaler.pictures.formats import output_format
from lib_upscaler.pictures.frames.kinds import kind_of_frames
from lib_upscaler.pictures.frames.source import read_frames
from lib_upscaler.pictures.frames.writing import write_frames
from lib_upscaler.pictures.reading import read_picture
from lib_upscaler.pictures.writing import write_picture
from made_pictures import chunk, encoded, exif_data, photo, png, segment, stealth, tga, tiff, webp_with, with_segments

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "formats.md"

PHOTO = photo()
GREY_16 = PHOTO[:, :, 0].astype(np.uint16) * 257
ALPHA = np.dstack([PHOTO, photo(channels=1, seed=5)])
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


LINEAR = PHOTO / 255
LIGHT = 255 * np.where(LINEAR <= 0.0031308, LINEAR * 12.92, 1.055 * LINEAR ** (1 / 2.4) - 0.055).mean()


# -- what files can hold -----------------------------------------------------------------------------------------------

FRAMES = dict(save_all=True, append_images=[Image.fromarray(PHOTO[::-1].copy())], duration=70)
FRAMES_ROW = "Frames, pages"
READ = ("PNG", "JPEG", "WebP", "TIFF", "GIF", "BMP", "TGA", "PPM")

THINGS: dict[str, tuple[Sign, str, dict[str, bytes]]] = {
    "Orientation": (
        is_turned,
        "applied",
        {
            "PNG": png(PHOTO, chunk(b"eXIf", TURNED[6:])),
            "JPEG": jpeg_with(0xE1, TURNED),
            "WebP": webp_of(b"EXIF", TURNED),
            "TIFF": encoded(PHOTO, "TIFF", tiffinfo={274: 6}),
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
        {"TIFF": tiff(ALPHA, 2, (0,)), "TGA": tga(ALPHA, 8, attribute=2)},
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
        is_there,
        "read",
        {
            "PNG": encoded(Image.fromarray(GREY_16), "PNG"),
            "TIFF": encoded(Image.fromarray(GREY_16), "TIFF"),
            "PPM": b"P6 56 44 65535\n" + bytes(2 * PHOTO.size),
        },
    ),
    "CMYK": (
        is_there,
        "read",
        {
            "JPEG": encoded(Image.fromarray(PHOTO).convert("CMYK"), "JPEG"),
            "TIFF": encoded(Image.fromarray(PHOTO).convert("CMYK"), "TIFF"),
        },
    ),
    "Floating point": (is_there, "read", {"TIFF": tiff(PHOTO.astype(np.float32), 2, format=3)}),
    "No end marker, all pixels there": (
        is_there,
        "read",
        {"PNG": png(PHOTO)[:-12], "JPEG": encoded(PHOTO, "JPEG")[:-2], "GIF": encoded(PALETTE, "GIF")[:-1]},
    ),
    "Rows of pixels missing": (
        is_there,
        "read",
        {name: encoded(PHOTO if name != "GIF" else PALETTE, name.upper())[:-700] for name in READ},
    ),
}

INTO = ("PNG", "JPEG", "WebP", "TIFF", "GIF", "BMP")
SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WebP": "webp", "TIFF": "tif", "GIF": "gif", "BMP": "bmp"}
FEWER_COLORS = "256 colours"  # said of nearly any GIF, and of nothing that is tried here
WRITTEN = [
    *("EXIF", "Colour profile (ICC)", "Colours told by gAMA, cHRM, cICP", "Transparency", "`parameters` of the WebUI"),
    *("Other texts", "Comment", "XMP", "Captions (IPTC)", "Density (dpi)", "Pixels that are not square"),
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
    if any("converted to sRGB" in warning for warning in warnings):
        return "converted to sRGB, said"
    if there and any("transparency in between" in warning for warning in warnings):
        return "wholly or not at all, said"
    if there:
        said = bool(warnings) and "said" not in word and word == "read"
        return f"{word}, said" if said else word
    return "left out, said" if warnings else "LOST IN SILENCE"


def outcome_of_frames(source: Path, result: Path) -> str:
    """As the command line and the API go about it."""
    target, kind = output_format(result), kind_of_frames(source)
    assert kind is not None
    if not carries(target, kind):
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
        ):
            with Image.open(io.BytesIO(files[name]), formats=[name.upper(), "MPO"]) as image:
                image.load()


if __name__ == "__main__":
    before = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(
        f"{before[: before.index('## Read')]}{tables()}\n{before[before.index('## In words') :]}", encoding="utf-8"
    )
