"""Channels, strips and values of a TIFF, and the fourth channel of a TGA."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.errors import PictureReadError, UnsupportedPictureError
from lib_upscaler.pictures.reading import read_header
from made_pictures import chunk, encoded, exif_data, photo, png, segment, tga, tiff, with_segments
from picture_parts import PHOTO, TURNED, XMP_HEAD, done, given

TGAS = {
    "not used": dict(alpha_bits=0, fill=0, mode="RGB"),
    "not used, white": dict(alpha_bits=0, fill=255, mode="RGB"),
    "not used, packed": dict(alpha_bits=0, fill=0, rle=True, mode="RGB"),
    "told": dict(alpha_bits=8, fill=None, mode="RGBA"),
    "told, zero": dict(alpha_bits=8, fill=0, mode="RGBA"),
    "not told, but it varies": dict(alpha_bits=0, fill=None, mode="RGBA", word="taken for that"),
    "version 2: of no use": dict(alpha_bits=8, fill=None, attribute=2, mode="RGB", word="no transparency"),
    "version 2: alpha": dict(alpha_bits=8, fill=None, attribute=3, mode="RGBA"),
}


@pytest.mark.parametrize("kind", TGAS)
def test_the_fourth_channel_of_a_tga(tmp_path: Path, kind: str) -> None:
    case = dict(TGAS[kind])
    fill, mode, word = case.pop("fill"), case.pop("mode"), case.pop("word", None)
    alpha = np.full((44, 56), fill, np.uint8) if fill is not None else photo(channels=1, seed=3)
    pixels = np.dstack([PHOTO, alpha])
    picture = given(tmp_path, tga(pixels, **case), "a.tga")
    assert picture.image.mode == mode
    np.testing.assert_array_equal(np.asarray(picture.image), pixels[:, :, : len(mode)])
    assert len(picture.warnings) == (1 if word else 0)
    assert word is None or word in picture.warnings[0]


GREY_ALPHA = np.dstack([photo(channels=1), photo(channels=1, seed=2)])
PREMULTIPLIED = np.dstack([GREY_ALPHA[:, :, 0] // 4, np.full((44, 56), 128, np.uint8)])
TIFFS = {
    "RGB with a channel of no name": (np.dstack([PHOTO, 0 * PHOTO[:, :, 0]]), 2, (0,), PHOTO, True),
    "RGB with two of no name": (np.dstack([PHOTO, PHOTO[:, :, :2]]), 2, (0, 0), PHOTO, True),
    "grey with a channel of no name": (GREY_ALPHA, 1, (0,), GREY_ALPHA[:, :, 0], True),
    "grey with alpha": (GREY_ALPHA, 1, (2,), GREY_ALPHA, False),
    "grey with alpha, white is zero": (
        255 - GREY_ALPHA,
        0,
        (2,),
        np.dstack([GREY_ALPHA[:, :, 0], 255 - GREY_ALPHA[:, :, 1]]),
        False,
    ),
    "grey times alpha": (PREMULTIPLIED, 1, (1,), None, False),
    "RGB with alpha": (
        np.dstack([PHOTO, GREY_ALPHA[:, :, 1]]),
        2,
        (2,),
        np.dstack([PHOTO, GREY_ALPHA[:, :, 1]]),
        False,
    ),
    "RGB with alpha and another": (
        np.dstack([PHOTO, PHOTO[:, :, :2]]),
        2,
        (2, 0),
        np.dstack([PHOTO, PHOTO[:, :, 0]]),
        True,
    ),
    "RGB with a fourth, not called anything, all zero": (np.dstack([PHOTO, 0 * PHOTO[:, :, 0]]), 2, (), PHOTO, True),
}


@pytest.mark.parametrize("kind", TIFFS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_extra_channels_of_a_tiff(tmp_path: Path, kind: str, order: str) -> None:
    pixels, photometric, extra, expected, is_said = TIFFS[kind]
    picture = given(tmp_path, tiff(pixels, photometric, extra, order), "a.tif")
    if expected is None:  # 128/255 of the light
        grey = np.floor(PREMULTIPLIED[:, :, 0] * 255.0 / 128 + 0.5)
        expected = np.dstack([grey, PREMULTIPLIED[:, :, 1]]).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(picture.image), expected)
    assert bool(picture.warnings) is is_said
    if is_said:
        assert "left out" in picture.warnings[-1]
    header = read_header(tmp_path / "a.tif")
    assert header.channels == (1 if expected.ndim == 2 or expected.shape[2] == 2 else 3)


@pytest.mark.parametrize(
    ("pixels", "photometric", "format", "words"),
    [
        (PHOTO.astype(np.int16), 2, 2, "RGB with signs of 16 bits"),
        (np.dstack([PHOTO, PHOTO, PHOTO]), 2, 1, "RGB with 6 further channels of 8 bits"),
    ],
)
def test_a_tiff_that_cannot_be_read_is_called_what_it_is(
    tmp_path: Path, pixels: np.ndarray, photometric: int, format: int, words: str
) -> None:
    extra = (0,) * (pixels.shape[2] - (3 if photometric == 2 else 1))
    with pytest.raises(UnsupportedPictureError, match=words):
        given(tmp_path, tiff(pixels, photometric, extra, format=format), "a.tif")


@pytest.mark.parametrize("place", [(), (8,), (8, 0), (0, 0)])
def test_strips_that_are_not_there_are_not_taken_for_black(tmp_path: Path, place: tuple[int, ...]) -> None:
    whole = tiff(PHOTO, 2)
    data = whole.replace(struct.pack("<HHII", 278, 4, 1, 44), struct.pack("<HHII", 278, 4, 1, 22))  # two strips
    row = struct.pack("<HHII", 273, 4, 1, 8)
    if len(place) == 2:
        data = data.replace(row, struct.pack("<HHII", 273, 4, 2, len(data))) + struct.pack("<II", *place)
    elif not place:
        data = whole.replace(row, struct.pack("<HHII", 273, 4, 1, 0))
    with pytest.raises(PictureReadError, match=r"[12] of the pieces that its pixels lie in are not in the file"):
        given(tmp_path, data, "a.tif")


@pytest.mark.parametrize("options", [{"tiffinfo": {278: 10}}, {"tiffinfo": {278: 10}, "compression": "tiff_lzw"}, {}])
@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_tiffs_in_strips_are_whole(tmp_path: Path, options: dict, mode: str) -> None:
    image = Image.fromarray(photo(200, 150)).convert(mode)
    picture = given(tmp_path, encoded(image, "TIFF", **options), "a.tif")
    np.testing.assert_array_equal(np.asarray(picture.image), np.asarray(image))


@pytest.mark.parametrize("name", ["a.tif", "a.jpg", "a.png"])
def test_an_orientation_that_is_told_twice_is_applied_once(tmp_path: Path, name: str) -> None:
    xmp = b'<x tiff:Orientation="6" a:b="c"/>'
    data = {
        "a.tif": tiff(PHOTO, 2, t274=(3, (6,)), t700=(1, tuple(xmp))),
        "a.jpg": with_segments(encoded(PHOTO, "JPEG"), segment(0xE1, exif_data(TURNED)), segment(0xE1, XMP_HEAD + xmp)),
        "a.png": png(
            PHOTO, chunk(b"eXIf", exif_data(TURNED)[6:]), chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp)
        ),
    }[name]
    path, _ = done(tmp_path, data, name, "out.png")
    assert Image.open(path).size == (44, 56)
    assert b"Orientation" not in path.read_bytes()
    assert read_header(tmp_path / name).size.width == 44


def test_what_is_sound_is_not_called_damaged(tmp_path: Path) -> None:
    jpeg = encoded(PHOTO, "JPEG")
    frame = jpeg.index(b"\xff\xc0")
    bmp = encoded(PHOTO, "BMP")
    files = {
        "12 bits.jpg": (jpeg[: frame + 4] + b"\x0c" + jpeg[frame + 5 :], "it has 12 bits per channel"),
        "lossless.jpg": (jpeg[:frame] + b"\xff\xc3" + jpeg[frame + 2 :], "a lossless or hierarchical JPEG"),
        "jpeg inside.bmp": (bmp[:30] + b"\x04" + bmp[31:], "of a kind that is not read here"),
        "odd.tif": (
            tiff(PHOTO, 2).replace(struct.pack("<HHII", 259, 3, 1, 1), struct.pack("<HHII", 259, 3, 1, 33003)),
            "33003",
        ),
    }
    for name, (data, word) in files.items():
        with pytest.raises(UnsupportedPictureError, match=word) as caught:
            given(tmp_path, data, name)
        assert name in str(caught.value)


def test_what_a_tiff_says_beyond_is_named_or_kept(tmp_path: Path) -> None:
    resources = b"8BIM\x04\x04\x00\x00\x00\x00\x00\x0c\x1c\x02P\x00\x07A Photo"
    data = tiff(PHOTO, 2, t33550=(4, (1, 2, 3)), t37724=(1, tuple(b"layers")), t34377=(1, tuple(resources)))
    picture = given(tmp_path, data, "a.tif")
    assert picture.warnings == ("its Photoshop layers, its place on a map (GeoTIFF) cannot be kept; left out",)
    assert picture.metadata.iptc == b"\x1c\x02P\x00\x07A Photo"


def test_a_broken_value_of_a_tiff_costs_itself_alone(tmp_path: Path) -> None:
    data = tiff(PHOTO, 2, t271=(2, tuple(b"Camera\x00")), t34665=(4, (99_999,)), t700=(1, tuple(b"\xff\xfe\xfd")))
    picture = given(tmp_path, data, "a.tif")
    exif = Image.Exif()
    exif.load(picture.metadata.exif)
    assert exif[271] == "Camera"
    assert any("XMP is damaged" in warning for warning in picture.warnings)
