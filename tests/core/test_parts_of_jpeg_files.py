"""Parts of a JPEG: its rows, XMP and IPTC, profiles, and what lies behind the picture."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.errors import PictureReadError
from lib_upscaler.pictures.writing import write_picture
from made_pictures import encoded, photo, profile, segment, with_segments
from picture_parts import PHOTO, XMP_HEAD, done, given

JPEGS = {
    "plain": {},
    "progressive": {"progressive": True},
    "at best": {"quality": 100, "subsampling": 0},
    "optimised": {"optimize": True},
    "grey": {"grey": True},
    "restarts": {"restart_marker_rows": 1},
}


def jpeg_of(kind: str, large: bool = False) -> bytes:
    options = dict(JPEGS[kind])
    width, height = (320, 240) if large else (56, 44)
    pixels = photo(width, height, 1 if options.pop("grey", False) else 3)
    return encoded(pixels, "JPEG", **options)


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_that_lacks_its_end_marker_alone_is_read(tmp_path: Path, kind: str, large: bool, missing: int) -> None:
    data = jpeg_of(kind, large)
    picture = given(tmp_path, data[:-missing], "a.jpg")
    np.testing.assert_array_equal(np.asarray(picture.image), np.asarray(Image.open(io.BytesIO(data))))
    assert picture.warnings == ("its end marker is missing; all its pixels are there",)


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("part", [0.6, 0.8, 0.95])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_rows_that_are_missing_are_not_taken_for_grey(tmp_path: Path, kind: str, part: float, end: bytes) -> None:
    """Also where the file ends as it should, as after a repair; Pillow gives grey rows for those."""
    data = jpeg_of(kind, large=True)
    start = data.rindex(b"\xff\xda")
    with pytest.raises(PictureReadError, match="of 240 rows of pixels those from") as caught:
        given(tmp_path, data[: start + int((len(data) - start) * part)].rstrip(b"\xff") + end, "a.jpg")
    assert "damaged" not in str(caught.value)


def test_a_jpeg_whose_header_tells_more_rows_than_there_are_is_refused(tmp_path: Path) -> None:
    data = bytearray(jpeg_of("plain", large=True))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 2] = struct.pack(">H", 400)
    with pytest.raises(PictureReadError, match="of 400 rows of pixels those from 24"):
        given(tmp_path, bytes(data), "a.jpg")


@pytest.mark.parametrize("behind", [bytes(1000), b"\r\n", b"MotionPhoto_Data" * 50])
def test_what_follows_the_end_of_a_jpeg_does_not_matter(tmp_path: Path, behind: bytes) -> None:
    assert given(tmp_path, jpeg_of("plain") + behind, "a.jpg").warnings == ()


PANORAMA = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" GPano:ProjectionType="equirectangular"'
    ' GPano:FullPanoWidthPixels="112" GPano:CroppedAreaLeftPixels="7" tiff:ImageWidth="56" tiff:ImageLength="44">'
    "<GPano:CroppedAreaImageHeightPixels>44</GPano:CroppedAreaImageHeightPixels>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)
TOLD = (
    segment(0xE1, XMP_HEAD + PANORAMA.encode()),
    segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x0c\x1c\x02P\x00\x07A Photo"),
    segment(0xFE, "ein Täßchen".encode()),
)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_xmp_and_iptc_are_kept_and_the_panorama_is_as_large_as_the_picture(tmp_path: Path, suffix: str) -> None:
    data = with_segments(encoded(PHOTO, "JPEG"), *TOLD)
    path, warnings = done(tmp_path, data, "a.jpg", f"out.{suffix}", scale=4)
    assert warnings == () if suffix != "tif" else len(warnings) == 1
    written = path.read_bytes()
    for told in (
        b'FullPanoWidthPixels="448"',
        b'CroppedAreaLeftPixels="28"',
        b"CroppedAreaImageHeightPixels>176<",
        b'tiff:ImageWidth="224"',
        b'tiff:ImageLength="176"',
    ):
        assert told in written
    with Image.open(path) as image:
        if suffix == "jpg":
            assert image.info["photoshop"][0x0404] == b"\x1c\x02P\x00\x07A Photo"
            assert image.info["comment"] == "ein Täßchen".encode()
        elif suffix == "tif":
            assert bytes(image.tag_v2[33723]) == b"\x1c\x02P\x00\x07A Photo"
            assert "'Comment'" in warnings[0]
        else:
            assert image.text["Comment"] == "ein Täßchen"
            _, _, length, *lines = image.text["Raw profile type iptc"].split("\n")  # as ImageMagick writes it
            assert bytes.fromhex("".join(lines)).endswith(b"\x1c\x02P\x00\x07A Photo")
            assert len(bytes.fromhex("".join(lines))) == int(length)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_from_another_format_they_come_back_to_a_jpeg(tmp_path: Path, suffix: str) -> None:
    between, _ = done(tmp_path, with_segments(encoded(PHOTO, "JPEG"), *TOLD), "a.jpg", f"between.{suffix}", scale=2)
    path, warnings = done(tmp_path, between.read_bytes(), between.name, "out.jpg", scale=2)
    assert warnings == ()
    with Image.open(path) as image:
        assert image.info["photoshop"][0x0404] == b"\x1c\x02P\x00\x07A Photo"
        assert image.info.get("comment") == ("ein Täßchen".encode() if suffix == "png" else None)
    assert b'FullPanoWidthPixels="448"' in path.read_bytes()


@pytest.mark.parametrize(("suffix", "words"), [("webp", ["IPTC", "'Comment'"]), ("bmp", ["XMP", "IPTC", "'Comment'"])])
def test_what_a_format_has_no_place_for_is_said(tmp_path: Path, suffix: str, words: list[str]) -> None:
    data = with_segments(encoded(PHOTO, "JPEG"), *TOLD)
    path, (warning,) = done(tmp_path, data, "a.jpg", f"out.{suffix}")
    assert all(word in warning for word in (*words, "cannot keep", "left out"))
    assert (b'FullPanoWidthPixels="112"' in path.read_bytes()) is (suffix == "webp")


def test_a_panorama_of_another_shape_is_none_any_more(tmp_path: Path) -> None:
    picture = given(tmp_path, with_segments(encoded(PHOTO, "JPEG"), *TOLD), "a.jpg")
    (warning,) = write_picture(picture.image.resize((100, 100)), tmp_path / "out.jpg", picture.metadata)
    assert "panorama" in warning
    assert b"GPano:Full" not in (tmp_path / "out.jpg").read_bytes()


def test_a_profile_in_several_segments_and_one_that_lacks_a_part(tmp_path: Path) -> None:
    icc = profile(150_000)
    parts = [icc[start : start + 60_000] for start in range(0, len(icc), 60_000)]
    segments = [segment(0xE2, b"ICC_PROFILE\x00" + bytes([n, len(parts)]) + part) for n, part in enumerate(parts, 1)]
    assert given(tmp_path, with_segments(encoded(PHOTO, "JPEG"), *segments), "a.jpg").metadata.icc_profile == icc
    picture = given(tmp_path, with_segments(encoded(PHOTO, "JPEG"), *segments[1:], TOLD[2]), "a.jpg")
    assert picture.metadata.icc_profile is None
    assert picture.warnings == ("a part of its colour profile is missing; it was left out",)
    assert picture.metadata.text == {"Comment": "ein Täßchen"}


GAIN_MAP = '<x hdrgm:Version="1.0" a:b="c"><Container:Directory><rdf:Seq/></Container:Directory></x>'
MOTION = '<x GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" a:b="c"/>'


@pytest.mark.parametrize(
    ("xmp", "word", "gone"), [(GAIN_MAP, "HDR gain map", "hdrgm"), (MOTION, "film", "MotionPhoto")]
)
def test_pictures_and_films_behind_the_first_picture_are_named(tmp_path: Path, xmp: str, word: str, gone: str) -> None:
    data = with_segments(encoded(PHOTO, "JPEG"), segment(0xE1, XMP_HEAD + xmp.encode()))
    path, (warning,) = done(tmp_path, data + encoded(PHOTO[::2, ::2], "JPEG"), "a.jpg", "out.jpg")
    assert word in warning
    written = path.read_bytes()
    assert gone.encode() not in written, "nothing is told of what is not there"
    assert b'a:b="c"' in written


def test_further_pictures_of_a_photo_are_counted(tmp_path: Path) -> None:
    small = Image.fromarray(PHOTO[::2, ::2])
    data = encoded(PHOTO, "MPO", save_all=True, append_images=[small])
    (warning,) = given(tmp_path, data, "a.jpg").warnings
    assert "the 1 further picture behind it" in warning
