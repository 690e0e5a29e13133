"""Parts that pictures of every format have: EXIF, hidden text, the shape of pixels, frames."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.errors import UnsupportedPictureError
from lib_upscaler.pictures.metadata import Metadata
from lib_upscaler.pictures.reading import as_srgb, picture_of, read_header, read_picture
from lib_upscaler.pictures.writing import write_picture
from made_pictures import chunk, encoded, exif_data, photo, png, segment, stealth, webp_with, with_chunks, with_segments
from picture_parts import ICC, LARGE, PHOTO, TURNED, done, given

# -- EXIF --------------------------------------------------------------------------------------------------------------


CAMERA = (0x010F, 2, 7, 200)
BROKEN_EXIF = {
    "a pointer to its details that leads past the end": (
        exif_data(TURNED, (0x8769, 4, 1, 99_999)),
        "the details of the exposure",
    ),
    "a pointer to GPS data that leads past the end": (exif_data(TURNED, (0x8825, 4, 1, 99_999)), "the GPS data"),
    "a directory that is cut off": (exif_data(TURNED, told=7), "the end of the main directory"),
    "a text that lies outside": (exif_data(CAMERA, TURNED), "the value 010F"),
    "a pointer in little-endian data": (exif_data(TURNED, (0x8769, 4, 1, 99_999), order="<"), "the details"),
}


@pytest.mark.parametrize("kind", BROKEN_EXIF)
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_a_broken_part_of_exif_hides_no_orientation(tmp_path: Path, name: str, kind: str) -> None:
    exif, word = BROKEN_EXIF[kind]
    if name == "a.jpg":
        data = with_segments(encoded(PHOTO, "JPEG"), segment(0xE1, exif))
    elif name == "a.png":
        data = png(PHOTO, chunk(b"eXIf", exif[6:]))
    else:
        data = webp_with(encoded(PHOTO, "WEBP", lossless=True), (56, 44), (b"EXIF", exif))
    picture = given(tmp_path, data, name)
    assert picture.image.size == (44, 56)
    assert read_header(tmp_path / name).size == (44, 56) or read_header(tmp_path / name).size.width == 44
    (warning,) = picture.warnings
    assert "EXIF" in warning
    assert word in warning
    assert Image.open(done(tmp_path, data, name, "out.png")[0]).getexif().get(0x0112, 1) == 1


def test_sound_parts_beside_a_broken_one_are_kept(tmp_path: Path) -> None:
    exif = exif_data((0x010F, 2, 7, 50), TURNED, (0x8769, 4, 1, 99_999), more=b"Camera\x00")
    path, _ = done(tmp_path, with_segments(encoded(PHOTO, "JPEG"), segment(0xE1, exif)), "a.jpg", "out.png")
    assert Image.open(path).getexif()[0x010F] == "Camera"


def test_parameters_too_long_for_a_jpeg_leave_the_camera_in_its_exif(tmp_path: Path) -> None:
    exif = exif_data((0x010F, 2, 7, 26), more=b"Camera\x00")
    data = png(PHOTO, chunk(b"eXIf", exif[6:]), chunk(b"tEXt", b"parameters\x00" + LARGE.encode()))
    path, (warning,) = done(tmp_path, data, "a.png", "out.jpg")
    assert "'parameters' is too long for JPEG" in warning
    assert Image.open(path).getexif()[0x010F] == "Camera"


# -- hidden text, alpha that is none -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("packed", "in_alpha"), [(False, True), (True, True), (True, False)])
def test_text_hidden_in_pixels_is_kept_as_parameters(tmp_path: Path, packed: bool, in_alpha: bool) -> None:
    pixels = stealth(photo(160, 120), "a cat, 猫\nSteps: 20", packed, in_alpha)
    picture = given(tmp_path, png(pixels))
    assert picture.metadata.text["parameters"] == "a cat, 猫\nSteps: 20"
    assert picture.image.mode == "RGB", "an alpha that held nothing but text is opaque"
    assert len(picture.warnings) == 1
    handed = picture_of(Image.fromarray(pixels))
    assert (handed.metadata.text, handed.image.mode) == (picture.metadata.text, "RGB")


def test_hidden_text_in_true_transparency_leaves_that_as_it_is(tmp_path: Path) -> None:
    pixels = stealth(photo(160, 120), "a cat", packed=False)
    pixels[60:, 80:, 3] = 7
    picture = given(tmp_path, png(pixels, chunk(b"tEXt", b"parameters\x00a dog")))
    assert picture.metadata.text["parameters"] == "a dog"
    assert "cannot be kept there" in picture.warnings[0]
    np.testing.assert_array_equal(np.asarray(picture.image), pixels)


def test_alpha_of_254_and_255_that_hides_nothing_stays(tmp_path: Path) -> None:
    pixels = np.dstack([PHOTO, 254 + (PHOTO[:, :, 0] & 1)])
    picture = given(tmp_path, png(pixels))
    np.testing.assert_array_equal(np.asarray(picture.image), pixels)
    assert picture.warnings == ()


# -- the shape of pixels, frames ---------------------------------------------------------------------------------------


def aspect_of(path: Path) -> tuple[int, int] | None:
    """Pixels across to pixels down, in some length, as the file tells it: read by hand."""
    data = path.read_bytes()
    if path.suffix == ".png":
        x, y, unit = struct.unpack(">IIB", with_chunks(data)[b"pHYs"][0])
        return (x, y) if unit == 0 else None
    if path.suffix == ".jpg":
        unit, x, y = struct.unpack_from(">BHH", data, 13)
        return (x, y) if unit == 0 else None
    with Image.open(path) as image:
        tags = image.tag_v2
        return (int(tags[282]), int(tags[283])) if tags[296] == 1 else None


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("source", ["a.png", "a.jpg", "a.tif", "a.gif"])
def test_pixels_that_are_not_square_stay_so(tmp_path: Path, source: str, suffix: str) -> None:
    jpeg = bytearray(encoded(PHOTO, "JPEG"))
    jpeg[13:18] = struct.pack(">BHH", 0, 1, 2)
    gif = bytearray(encoded(Image.fromarray(PHOTO).quantize(64), "GIF"))
    gif[12] = 113  # (113 + 15) / 64: twice as wide as high
    data = {
        "a.png": png(PHOTO, chunk(b"pHYs", struct.pack(">IIB", 1, 2, 0))),
        "a.jpg": bytes(jpeg),
        "a.tif": encoded(PHOTO, "TIFF", tiffinfo={296: 1, 282: 1.0, 283: 2.0}),
        "a.gif": bytes(gif),
    }[source]
    path, warnings = done(tmp_path, data, source, f"out.{suffix}", scale=2)
    assert warnings == ()
    x, y = aspect_of(path)
    assert y == 2 * x


def test_a_turned_picture_has_its_pixels_turned(tmp_path: Path) -> None:
    turned = exif_data(TURNED)[6:]
    data = png(PHOTO, chunk(b"pHYs", struct.pack(">IIB", 1, 2, 0)), chunk(b"eXIf", turned))
    assert aspect_of(done(tmp_path, data, "a.png", "out.png")[0]) == (2, 1)
    data = png(PHOTO, chunk(b"pHYs", struct.pack(">IIB", 3937, 7874, 1)), chunk(b"eXIf", turned))
    assert given(tmp_path, data).metadata.dpi == pytest.approx((200, 100), rel=1e-3)


@pytest.mark.parametrize(("suffix", "word"), [("webp", "1 to 2"), ("bmp", "1 to 2")])
def test_a_format_that_knows_square_pixels_alone_says_so(tmp_path: Path, suffix: str, word: str) -> None:
    data = png(PHOTO, chunk(b"pHYs", struct.pack(">IIB", 1, 2, 0)))
    _, (warning,) = done(tmp_path, data, "a.png", f"out.{suffix}")
    assert "not square" in warning
    assert word in warning


def gif_of(box: tuple[int, int, int, int], canvas: tuple[int, int], *between: bytes) -> bytes:
    """A first frame of two colours in a part of the canvas. between: blocks before it."""
    left, top, width, height = box
    frame = encoded(Image.fromarray(np.arange(width * height, dtype=np.uint8).reshape(height, width) % 4), "GIF")
    start = frame.rindex(b",\x00\x00\x00\x00")
    head = b"GIF89a" + struct.pack("<HH", *canvas) + frame[10 : 13 + 3 * (2 << (frame[10] & 7))]
    return head + b"".join(between) + b"," + struct.pack("<HH", left, top) + frame[start + 5 :]


@pytest.mark.parametrize("box", [(10, 8, 30, 24), (0, 0, 56, 43), (55, 43, 1, 1)])
def test_around_a_small_first_frame_there_is_nothing(tmp_path: Path, box: tuple[int, int, int, int]) -> None:
    picture = given(tmp_path, gif_of(box, (56, 44)), "a.gif")
    left, top, width, height = box
    alpha = np.zeros((44, 56), np.uint8)
    alpha[top : top + height, left : left + width] = 255
    np.testing.assert_array_equal(np.asarray(picture.image)[:, :, 3], alpha)
    np.testing.assert_array_equal(
        np.asarray(picture.image)[top : top + height, left : left + width, 0],
        np.asarray(Image.open(tmp_path / "a.gif").convert("RGB"))[top : top + height, left : left + width, 0],
    )
    assert "a part of the picture" in picture.warnings[0]
    assert read_header(tmp_path / "a.gif").alpha


def test_a_frame_that_covers_all_is_as_before(tmp_path: Path) -> None:
    comment, xmp = b"!\xfe\x05hello\x00", b"!\xff\x0bXMP DataXMP<x/>" + bytes([1, *range(255, -1, -1), 0])
    picture = given(tmp_path, gif_of((0, 0, 56, 44), (56, 44), comment, xmp), "a.gif")
    assert picture.warnings == ()
    assert picture.image.convert("RGBA").getextrema()[3] == (255, 255)
    assert picture.metadata.text == {"Comment": "hello", "XML:com.adobe.xmp": "<x/>"}


# -- handed over by somebody else --------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", [Image.new("I", (4, 4)), Image.fromarray(np.zeros((4, 4), np.uint16))])
def test_16_bits_are_refused_whoever_opened_them(image: Image.Image) -> None:
    with pytest.raises(UnsupportedPictureError, match="16"):
        picture_of(image)


def test_a_pillow_image_says_what_its_file_did(tmp_path: Path) -> None:
    gamma, density = chunk(b"gAMA", struct.pack(">I", 100_000)), chunk(b"pHYs", struct.pack(">IIB", 1, 2, 0))
    text = chunk(b"tEXt", b"parameters\x00a cat")
    (tmp_path / "a.png").write_bytes(
        png(PHOTO, gamma, density, text, chunk(b"iCCP", b"x\x00\x00" + zlib.compress(ICC)))
    )
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        handed = picture_of(image)
    assert handed.metadata == read_picture(tmp_path / "a.png").metadata
    np.testing.assert_array_equal(np.asarray(handed.image), PHOTO)


def test_whoever_cannot_keep_colour_tags_gets_srgb() -> None:
    image = Image.fromarray(np.full((4, 4, 3), 128, np.uint8))
    image.info["gamma"] = 1.0
    picture = as_srgb(picture_of(image))
    assert picture.image.getpixel((0, 0)) == (188, 188, 188)  # half the light
    assert picture.metadata.colors is None
    assert "gAMA" in picture.warnings[-1]
    image.info["icc_profile"] = ICC
    assert as_srgb(picture_of(image)).image.getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("turn", [False, True])
def test_whoever_hands_a_picture_over_says_whether_it_is_upright(turn: bool) -> None:
    image = Image.fromarray(PHOTO)
    image.info["exif"] = exif_data(TURNED)
    picture = picture_of(image, turn=turn)
    assert picture.image.size == ((44, 56) if turn else (56, 44))
    assert picture.metadata.size == picture.image.size


def test_nothing_is_told_that_nobody_said(tmp_path: Path) -> None:
    for suffix in ("png", "jpg", "tif", "bmp", "webp"):
        path, warnings = done(tmp_path, png(PHOTO), "a.png", f"out.{suffix}")
        assert warnings == ()
        with Image.open(path) as image:
            told = {key for key, value in image.info.items() if value and value != (0, 0)}
            if suffix == "tif" and 282 not in image.tag_v2:
                told -= {"dpi"}  # Pillow's own idea
            assert not {"dpi", "exif", "icc_profile", "comment", "xmp"} & told, suffix


def test_metadata_alone_writes_a_plain_file(tmp_path: Path) -> None:
    write_picture(Image.fromarray(PHOTO), tmp_path / "a.png", Metadata())
    assert set(with_chunks((tmp_path / "a.png").read_bytes())) == {b"IHDR", b"IDAT", b"IEND"}
