"""CMYK, CIE L*a*b*, YCbCr and colours multiplied by alpha come out as sRGB or RGB with the right colours, and said."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from lib_upscaler.errors import UnsupportedPictureError
from lib_upscaler.pictures.reading import picture_of, read_header, read_picture
from lib_upscaler.pictures.writing import write_picture
from made_pictures import cmyk_profile, encoded, exif_data, photo, segment, tiff, with_segments

PHOTO = photo()
INK = Image.frombytes("CMYK", (56, 44), photo(channels=4, seed=3).tobytes())
PROFILE = cmyk_profile("Test press")
RGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BPC, NOT_BY_TABLES = 0x2000, 0x0100  # lcms2's flags


def through(image: Image.Image, profile: bytes, flags: int = BPC) -> np.ndarray:
    """By ImageCms, as an editor does it."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(image, source, target, 1, outputMode="RGB", flags=flags))


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def off(image: Image.Image, expected: np.ndarray) -> int:
    return int(np.abs(np.asarray(image).astype(int) - expected).max())


# -- CMYK --------------------------------------------------------------------------------------------------------------


def test_cmyk_goes_through_its_profile_with_black_point_compensation(tmp_path: Path) -> None:
    picture = read_picture(saved(tmp_path / "a.tif", encoded(INK, "TIFF", icc_profile=PROFILE)))

    assert np.array_equal(np.asarray(picture.image), through(INK, PROFILE))
    assert off(picture.image, through(INK, PROFILE, flags=0)) > 5, "the profile's black is not that of sRGB"
    assert off(picture.image, np.asarray(INK.convert("RGB"))) > 20, "nor are its inks Pillow's"
    assert picture.warnings == ("its CMYK colours were converted to sRGB through its profile 'Test press'",)
    assert picture.metadata.icc_profile is None


def test_what_is_written_has_no_profile_of_cmyk(tmp_path: Path) -> None:
    picture = read_picture(saved(tmp_path / "a.tif", encoded(INK, "TIFF", icc_profile=PROFILE, dpi=(300, 300))))
    assert write_picture(picture.image, tmp_path / "b.png", picture.metadata) == ()
    with Image.open(tmp_path / "b.png") as written:
        assert "icc_profile" not in written.info
        assert written.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def jpeg_of_ink(transform: int | None = 0) -> bytes:
    """INK as a JPEG. transform: the number in Adobe's segment, inks being stored inverted; None: without it."""
    data = encoded(INK, "JPEG", quality=100, subsampling=0)
    place = data.index(b"\xff\xee\x00\x0eAdobe")
    if transform is None:
        return data[:place] + data[place + 16 :]
    return data[: place + 15] + bytes([transform]) + data[place + 16 :]


def test_inverted_inks_of_adobe(tmp_path: Path) -> None:
    data = with_segments(jpeg_of_ink(), segment(0xE2, b"ICC_PROFILE\x00\x01\x01" + PROFILE))
    picture = read_picture(saved(tmp_path / "a.jpg", data))
    assert off(picture.image, through(INK, PROFILE)) <= 6  # JPEG is lossy


def test_inks_are_inverted_without_adobes_segment_as_well(tmp_path: Path) -> None:
    """As ImageMagick and browsers take them; JFIF says nothing of CMYK."""
    picture = read_picture(saved(tmp_path / "a.jpg", jpeg_of_ink(None)))
    assert off(picture.image, np.asarray(INK.convert("RGB"))) <= 6


def test_ycck(tmp_path: Path) -> None:
    """The three planes are those of YCbCr, as libjpeg makes CMYK of them, then inverted (Adobe's note 5116)."""
    picture = read_picture(saved(tmp_path / "a.jpg", jpeg_of_ink(2)))
    y, cb, cr, black = (255 - np.asarray(INK).astype(float)).transpose(2, 0, 1)
    rgb = [y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)]
    ink = np.dstack([np.clip(plane, 0, 255) for plane in rgb] + [255 - black])
    expected = Image.frombytes("CMYK", INK.size, np.round(ink).astype(np.uint8).tobytes()).convert("RGB")
    assert off(picture.image, np.asarray(expected)) <= 8


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (b"", "no profile tells what its CMYK colours are"),
        (RGB_PROFILE, "its colour profile is damaged, or not one for CMYK"),
        (PROFILE[:200], "its colour profile is damaged, or not one for CMYK"),
        (b"no profile at all", "its colour profile is damaged and was left out"),
    ],
)
def test_cmyk_without_a_profile_that_can_be_used(profile: bytes, words: str, tmp_path: Path) -> None:
    options = {"icc_profile": profile} if profile else {}
    picture = read_picture(saved(tmp_path / "a.tif", encoded(INK, "TIFF", **options)))
    assert np.array_equal(np.asarray(picture.image), np.asarray(INK.convert("RGB")))
    assert words in picture.warnings[0]
    assert "may look different" in picture.warnings[-1]
    assert picture.metadata.icc_profile is None


def test_where_pillow_cannot_use_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != "littlecms2")
    picture = read_picture(saved(tmp_path / "a.tif", encoded(INK, "TIFF", icc_profile=PROFILE)))
    assert np.array_equal(np.asarray(picture.image), np.asarray(INK.convert("RGB")))
    assert "LittleCMS" in picture.warnings[0]


def test_spot_colours_beside_cmyk_are_left_out_and_said(tmp_path: Path) -> None:
    planes = np.dstack([np.asarray(INK), PHOTO[:, :, 0]])
    picture = read_picture(saved(tmp_path / "a.tif", tiff(planes, 5, (0,))))
    assert np.array_equal(np.asarray(picture.image), np.asarray(INK.convert("RGB")))
    assert any("fifth channel" in warning for warning in picture.warnings)


@pytest.mark.parametrize(
    ("planes", "photometric"),
    [(np.zeros((4, 4, 4), np.uint16), 5), (np.zeros((4, 4, 3), np.uint16), 8), (np.zeros((4, 4, 3), np.uint16), 6)],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bits_of_them_are_refused_in_words(planes: np.ndarray, photometric: int, order: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", tiff(planes, photometric, order=order))
    for read in (read_picture, read_header):
        with pytest.raises(UnsupportedPictureError, match="16 bits"):
            read(path)


def test_the_header_tells_what_comes_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", with_segments(jpeg_of_ink(), segment(0xE1, exif_data((0x0112, 3, 1, 6)))))
    header, picture = read_header(path), read_picture(path)
    assert (header.size.width, header.size.height) == picture.image.size == (44, 56)
    assert (header.channels, header.alpha, picture.image.mode) == (3, False, "RGB")


# -- CIE L*a*b* --------------------------------------------------------------------------------------------------------


def test_lab_is_converted_as_imagecms_does(tmp_path: Path) -> None:
    planes = photo(seed=7).astype(np.int16)
    planes[:, :, 1:] = (planes[:, :, 1:] - 128) // 3  # colours that sRGB has, for the most part
    stored = planes.astype(np.uint8)
    picture = read_picture(saved(tmp_path / "a.tif", tiff(stored, 8)))

    lab = Image.frombytes("LAB", (56, 44), stored.tobytes())
    converted = ImageCms.profileToProfile(
        lab, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), 1, outputMode="RGB", flags=NOT_BY_TABLES
    )
    assert off(picture.image, np.asarray(converted)) <= 1
    assert picture.warnings == ("its CIE L*a*b* colours were converted to sRGB",)
    assert picture.metadata.icc_profile is None


def test_grey_of_lab_is_grey_by_the_formula(tmp_path: Path) -> None:
    stored = np.zeros((1, 256, 3), np.uint8)
    stored[0, :, 0] = np.arange(256)
    picture = read_picture(saved(tmp_path / "a.tif", tiff(stored, 8)))

    lightness = np.arange(256) * 100 / 255
    light = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness * 27 / 24389)
    levels = 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(np.asarray(picture.image)[0] - levels[:, None]).max() < 0.51


# -- YCbCr -------------------------------------------------------------------------------------------------------------


def in_rgb(ycc: np.ndarray) -> np.ndarray:
    y, cb, cr = ycc.astype(float).transpose(2, 0, 1)
    rgb = y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)
    return np.clip(np.dstack(rgb), 0, 255)


YCC = np.asarray(Image.fromarray(PHOTO).convert("YCbCr"))


@pytest.mark.parametrize("order", ["<", ">"])
def test_ycbcr_that_is_not_compressed(order: str, tmp_path: Path) -> None:
    data = tiff(YCC, 6, order=order, t530=(3, (1, 1)), t34675=(1, tuple(RGB_PROFILE)))
    picture = read_picture(saved(tmp_path / "a.tif", data))
    assert off(picture.image, in_rgb(YCC)) <= 1.5
    assert picture.metadata.icc_profile == RGB_PROFILE, "it is for the RGB that comes out"
    assert picture.warnings == ()


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_ycbcr_that_is_compressed(compression: str, tmp_path: Path) -> None:
    data = encoded(Image.fromarray(PHOTO).convert("YCbCr"), "TIFF", compression=compression)
    assert off(read_picture(saved(tmp_path / "a.tif", data)).image, in_rgb(YCC)) <= 1.5


def test_ycbcr_with_colours_of_half_the_resolution(tmp_path: Path) -> None:
    blocks = YCC.reshape(22, 2, 28, 2, 3)
    colors = blocks[:, :, :, :, 1:].mean(axis=(1, 3)).round().astype(np.uint8)
    units = np.concatenate((blocks[..., 0].transpose(0, 2, 1, 3).reshape(22, 28, 4), colors), axis=2).tobytes()
    whole = tiff(YCC, 6, t530=(3, (2, 2)))
    data = whole[:8] + units + bytes(YCC.size - len(units)) + whole[8 + YCC.size :]
    place = data.index(struct.pack("<HHI", 279, 4, 1)) + 8
    data = data[:place] + struct.pack("<I", len(units)) + data[place + 4 :]

    picture = read_picture(saved(tmp_path / "a.tif", data))
    expected = np.dstack([YCC[:, :, 0], colors.repeat(2, axis=0).repeat(2, axis=1)])
    assert off(picture.image, in_rgb(expected)) <= 1.5


# -- pictures that somebody else has opened ----------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "mode"), [("La", "LA"), ("RGBa", "RGBA")])
def test_colours_multiplied_by_alpha_are_divided_by_it(given: str, mode: str) -> None:
    planes = photo(channels=4, seed=9)[:, :, -len(mode) :].copy()
    planes[0, 0, -1] = 0
    planes[:, :, :-1] = np.minimum(planes[:, :, :-1], planes[:, :, -1:])
    picture = picture_of(Image.frombytes(given, (56, 44), planes.tobytes()))

    assert picture.image.mode == mode
    alpha = planes[:, :, -1:].astype(float)
    expected = np.floor(255.0 * planes[:, :, :-1] / np.maximum(alpha, 1) + 0.5) * (alpha > 0)
    assert np.array_equal(np.asarray(picture.image), np.dstack([expected, alpha]))


def test_a_palette_with_alpha() -> None:
    image = Image.frombytes("PA", (2, 1), bytes([0, 200, 1, 0]))
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert np.asarray(picture_of(image).image).tolist() == [[[10, 20, 30, 200], [40, 50, 60, 0]]]


def test_cmyk_and_ycbcr_that_were_opened_elsewhere() -> None:
    image = INK.copy()
    image.info["icc_profile"] = PROFILE
    assert np.array_equal(np.asarray(picture_of(image).image), through(INK, PROFILE))
    assert off(picture_of(Image.fromarray(PHOTO).convert("YCbCr")).image, in_rgb(YCC)) <= 1.5


@pytest.mark.parametrize("mode", ["HSV", "F", "I"])
def test_what_cannot_be_converted_exactly_is_refused(mode: str) -> None:
    with pytest.raises(UnsupportedPictureError):
        picture_of(Image.new(mode, (2, 2)))
