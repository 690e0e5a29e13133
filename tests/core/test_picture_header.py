"""The size and kind of a picture are known from its header: what reading it whole gives, without doing so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.errors import PictureReadError
from lib_upscaler.geometry import Size
from lib_upscaler.pictures.pixels import decompose
from lib_upscaler.pictures.reading import PictureHeader, read_header, read_picture

MODES = {
    "png": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "jpg": ("L", "RGB"),
    "webp": ("RGB", "RGBA"),
    "tif": ("1", "L", "LA", "RGB", "RGBA"),
    "bmp": ("1", "L", "P", "RGB"),
    "gif": ("L", "P"),
}


def _picture(mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


@pytest.mark.parametrize(("suffix", "mode"), [(suffix, mode) for suffix, modes in MODES.items() for mode in modes])
def test_the_header_tells_what_the_picture_is(suffix: str, mode: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    _picture(mode).save(path)
    pixels = decompose(read_picture(path).image)

    assert read_header(path) == PictureHeader(Size(30, 20), pixels.color.shape[2], pixels.alpha is not None)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_upright_picture(suffix: str, orientation: int, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    _picture().save(path, **({"tiffinfo": {0x0112: orientation}} if suffix == "tiff" else {"exif": exif.tobytes()}))

    assert read_header(path).size == Size(*read_picture(path).image.size)


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_a_transparent_colour_is_alpha(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    _picture(mode).save(path, transparency=(1, 2, 3) if mode == "RGB" else 7)

    assert read_header(path).alpha is True


def test_the_pixels_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    _picture().save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(PictureReadError):
        read_picture(path)

    assert read_header(path).size == Size(30, 20)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n\x1a\n", b"no picture"])
def test_what_is_no_picture_is_said_in_the_same_words(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    words = []
    for read in (read_picture, read_header):
        with pytest.raises(PictureReadError) as caught:
            read(path)
        words.append(str(caught.value))

    assert words[0] == words[1]


def test_what_is_missing_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureReadError, match="no file"):
        read_header(tmp_path / "none.png")
