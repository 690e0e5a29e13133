"""Colours that a PNG tells of without a profile: kept in a PNG, right in every other format."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from lib_upscaler.pictures.metadata import Metadata
from lib_upscaler.pictures.reading import read_picture
from lib_upscaler.pictures.writing import write_picture
from made_pictures import chunk, photo, png, with_chunks

PHOTO = photo()
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
P3 = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
ADOBE = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)

TAGS = {
    "linear light": [chunk(b"gAMA", struct.pack(">I", 100_000))],
    "an old Macintosh": [chunk(b"gAMA", struct.pack(">I", 55_556))],
    "Display P3 by cHRM": [chunk(b"gAMA", struct.pack(">I", 45_455)), chunk(b"cHRM", struct.pack(">8I", *P3))],
    "Display P3 by cICP": [chunk(b"cICP", bytes([12, 13, 0, 1]))],
    "linear BT.2020 by cICP": [chunk(b"cICP", bytes([9, 8, 0, 1]))],
    "HDR by cICP": [chunk(b"cICP", bytes([9, 16, 0, 1]))],
    "sRGB": [chunk(b"sRGB", b"\x00"), chunk(b"gAMA", struct.pack(">I", 45_455))],
}

# Linear RGB to linear sRGB, as CSS Color 4 prints them.
MATRICES = {
    "P3": [
        [1.2249401763, -0.2249401763, 0],
        [-0.0420569547, 1.0420569547, 0],
        [-0.0196375546, -0.0786360456, 1.0982736001],
    ],
    "BT.2020": [
        [1.6604910021, -0.5876411388, -0.0728498633],
        [-0.1245504745, 1.1328998971, -0.0083494226],
        [-0.0181507633, -0.1005788980, 1.1187296614],
    ],
}


def to_srgb(pixels: np.ndarray, exponent: float | None, matrix: list[list[float]] | None) -> np.ndarray:
    """Levels, not rounded; pixel by pixel, by the book (IEC 61966-2-1)."""
    result = np.empty(pixels.shape)
    for place in np.ndindex(pixels.shape[:2]):
        code = [value / 255 for value in pixels[place]]
        light = [c**exponent if exponent else c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in code]
        light = np.array(matrix) @ light if matrix else light
        light = [min(max(c, 0), 1) for c in light]
        result[place] = [255 * (c * 12.92 if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055) for c in light]
    return result


EXPECTED = {
    "linear light": (1.0, None),
    "an old Macintosh": (1 / 0.55556, None),
    "Display P3 by cHRM": (None, MATRICES["P3"]),
    "Display P3 by cICP": (None, MATRICES["P3"]),
    "linear BT.2020 by cICP": (1.0, MATRICES["BT.2020"]),
}


def written(folder: Path, kind: str, suffix: str, *more: bytes) -> tuple[Path, tuple[str, ...]]:
    (folder / "a.png").write_bytes(png(PHOTO, *TAGS[kind], *more))
    picture = read_picture(folder / "a.png")
    assert picture.warnings == ()
    path = folder / f"out.{suffix}"
    return path, write_picture(picture.image, path, picture.metadata)


@pytest.mark.parametrize("kind", TAGS)
def test_a_png_keeps_what_it_tells_of_its_colours(tmp_path: Path, kind: str) -> None:
    path, notes = written(tmp_path, kind, "png")
    assert notes == ()
    chunks = with_chunks(path.read_bytes())
    for part in TAGS[kind]:
        assert chunks[part[4:8]] == [part[8:-4]]
    np.testing.assert_array_equal(np.asarray(Image.open(path)), PHOTO)
    order = list(chunks)
    assert all(order.index(part[4:8]) < order.index(b"IDAT") for part in TAGS[kind])


@pytest.mark.parametrize("suffix", ["webp", "tif", "bmp"])
@pytest.mark.parametrize("kind", EXPECTED)
def test_other_formats_get_the_same_colours_as_srgb(tmp_path: Path, kind: str, suffix: str) -> None:
    path, (note,) = written(tmp_path, kind, suffix)
    assert "converted to sRGB" in note
    expected = to_srgb(PHOTO, *EXPECTED[kind])
    assert np.abs(np.asarray(Image.open(path)) - expected).max() <= 0.6, "rounded, and a hair for the matrix"


def test_a_jpeg_too(tmp_path: Path) -> None:
    path, (note,) = written(tmp_path, "linear light", "jpg")
    assert "gAMA" in note
    assert np.abs(np.asarray(Image.open(path)) - to_srgb(PHOTO, 1.0, None)).mean() < 2.5


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif", "bmp"])
def test_srgb_needs_no_word(tmp_path: Path, suffix: str) -> None:
    path, notes = written(tmp_path, "sRGB", suffix)
    assert notes == ()
    if suffix != "jpg":
        np.testing.assert_array_equal(np.asarray(Image.open(path)), PHOTO)


def test_what_cannot_be_converted_is_said(tmp_path: Path) -> None:
    path, (note,) = written(tmp_path, "HDR by cICP", "webp")
    assert "cICP" in note
    assert "look different" in note
    np.testing.assert_array_equal(np.asarray(Image.open(path)), PHOTO)


def test_a_profile_goes_before_gamma(tmp_path: Path) -> None:
    import zlib

    profile = chunk(b"iCCP", b"icc\x00\x00" + zlib.compress(ICC))
    path, notes = written(tmp_path, "linear light", "webp", profile)
    assert notes == ()
    with Image.open(path) as image:
        assert image.info["icc_profile"] == ICC
        np.testing.assert_array_equal(np.asarray(image), PHOTO)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_grey_and_transparency(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(photo(channels=4)).convert(mode)
    pixels = np.asarray(image)
    (tmp_path / "a.png").write_bytes(png(pixels, *TAGS["linear light"]))
    picture = read_picture(tmp_path / "a.png")
    write_picture(picture.image, tmp_path / "out.tif", picture.metadata)
    colors = pixels if mode == "L" else pixels[:, :, :-1]
    expected = to_srgb(colors.reshape(44, 56, -1), 1.0, None)
    result = np.asarray(Image.open(tmp_path / "out.tif")).reshape(44, 56, -1)
    assert np.abs(result[:, :, : expected.shape[2]] - expected).max() <= 0.5
    if mode != "L":
        np.testing.assert_array_equal(result[:, :, -1], pixels[:, :, -1])


def test_a_profile_in_a_bmp_becomes_srgb(tmp_path: Path) -> None:
    """Adobe RGB's green is far outside of sRGB; by lcms, through a profile made of the primaries."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert write_picture(Image.fromarray(PHOTO), tmp_path / "lab.bmp", Metadata(icc_profile=lab)) != ()
    (note,) = write_picture(Image.fromarray(PHOTO), tmp_path / "a.bmp", Metadata(icc_profile=ICC))
    assert "converted to sRGB" in note
    assert np.abs(np.asarray(Image.open(tmp_path / "a.bmp")).astype(int) - PHOTO).max() <= 1
