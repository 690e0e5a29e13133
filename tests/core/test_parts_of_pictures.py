"""One broken, large or unknown part of a file costs that part alone, and what is lost is said: format by format."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from lib_upscaler.errors import PictureReadError, UnsupportedPictureError
from lib_upscaler.pictures.metadata import Metadata
from lib_upscaler.pictures.reading import as_srgb, picture_of, read_header, read_picture
from lib_upscaler.pictures.writing import write_picture
from made_pictures import (
    chunk,
    encoded,
    exif_data,
    photo,
    png,
    profile,
    segment,
    stealth,
    tga,
    tiff,
    webp_with,
    with_chunks,
    with_segments,
)

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PHOTO = photo()
LARGE = "{" + "x" * 1_300_000 + "}"
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\x00"


def given(folder: Path, data: bytes, name: str = "a.png"):
    """What is read of a file of these bytes."""
    path = folder / name
    path.write_bytes(data)
    return read_picture(path)


def done(folder: Path, data: bytes, name: str, out: str, scale: int = 1) -> tuple[Path, tuple[str, ...]]:
    """Read and written, as large as asked: the file, and the warnings of the reader and the writer."""
    picture = given(folder, data, name)
    image = picture.image.convert("RGB") if picture.image.mode == "P" else picture.image
    image = image.resize((image.width * scale, image.height * scale))
    notes = write_picture(image, folder / out, picture.metadata, overwrite=True)
    return folder / out, (*picture.warnings, *notes)


# -- EXIF --------------------------------------------------------------------------------------------------------------

CAMERA = (0x010F, 2, 7, 200)
TURNED = (0x0112, 3, 1, 6)
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


# -- PNG ---------------------------------------------------------------------------------------------------------------

PACKED = zlib.compress(LARGE.encode())
LARGE_PARTS = {
    "a packed text": (chunk(b"zTXt", b"workflow\x00\x00" + PACKED), {"workflow": LARGE}),
    "a packed international text": (chunk(b"iTXt", b"workflow\x00\x01\x00de\x00\x00" + PACKED), {"workflow": LARGE}),
    "a plain text": (chunk(b"tEXt", b"workflow\x00" + LARGE.encode()), {"workflow": LARGE}),
}


@pytest.mark.parametrize("kind", LARGE_PARTS)
@pytest.mark.parametrize("place", ["before", "behind"])
def test_a_large_text_costs_nothing(tmp_path: Path, kind: str, place: str) -> None:
    part, text = LARGE_PARTS[kind]
    others = chunk(b"iCCP", b"icc\x00\x00" + zlib.compress(ICC)), chunk(b"tEXt", b"parameters\x00a cat")
    data = png(PHOTO, part, *others) if place == "before" else png(PHOTO, *others, behind=part)
    path, warnings = done(tmp_path, data, "a.png", "out.png")
    assert warnings == ()
    again = read_picture(path)
    assert again.metadata.text == {"parameters": "a cat", **text}
    assert again.metadata.icc_profile == ICC
    np.testing.assert_array_equal(np.asarray(again.image), PHOTO)


@pytest.mark.parametrize("size", [1_300_000, 20_000_000])
def test_a_large_profile_is_kept(tmp_path: Path, size: int) -> None:
    icc = profile(size)
    data = png(PHOTO, chunk(b"iCCP", b"icc\x00\x00" + zlib.compress(icc, 1)), chunk(b"tEXt", b"parameters\x00a cat"))
    path, warnings = done(tmp_path, data, "a.png", "out.png")
    assert warnings == ()
    chunks = with_chunks(path.read_bytes())
    assert zlib.decompress(chunks[b"iCCP"][0].split(b"\x00\x00", 1)[1]) == icc
    assert chunks[b"tEXt"] == [b"parameters\x00a cat"]


BROKEN_CHUNKS = {
    "a bomb": (chunk(b"zTXt", b"bomb\x00\x00" + zlib.compress(bytes(200 << 20), 9)), "'bomb' takes more than 128 MiB"),
    "a wrong checksum": (chunk(b"tEXt", b"note\x00text")[:-1] + b"!", "'note' is damaged (its checksum is wrong)"),
    "a text without an end": (chunk(b"tEXt", b"note"), "'note' is damaged"),
    "a packed text that is none": (chunk(b"zTXt", b"note\x00\x00nonsense"), "'note' is damaged"),
    "a packed text that is cut off": (chunk(b"zTXt", b"note\x00\x00" + PACKED[:500]), "'note' is damaged"),
    "text that is no UTF-8": (chunk(b"iTXt", b"note\x00\x00\x00\x00\x00\xff\xfe"), "'note' is damaged"),
    "a profile that is none": (chunk(b"iCCP", b"icc\x00\x00nonsense"), "its colour profile is damaged"),
    "a profile of other bytes": (
        chunk(b"iCCP", b"icc\x00\x00" + zlib.compress(bytes(500))),
        "colour profile is damaged",
    ),
    "a gamma of nothing": (chunk(b"gAMA", bytes(4)), "its chunk gAMA is damaged"),
    "a gamma of five bytes": (chunk(b"gAMA", bytes(5)), "its chunk gAMA is damaged"),
    "colours on one line": (chunk(b"cHRM", struct.pack(">8I", *(31270, 32900) * 4)), "its chunk cHRM is damaged"),
    "half a density": (chunk(b"pHYs", bytes(4)), "its chunk pHYs is damaged"),
    "an EXIF that is none": (chunk(b"eXIf", b"nonsense"), "its EXIF data is damaged"),
}


@pytest.mark.parametrize("kind", BROKEN_CHUNKS)
def test_a_broken_chunk_costs_itself_alone_and_is_named(tmp_path: Path, kind: str) -> None:
    part, word = BROKEN_CHUNKS[kind]
    sound = chunk(b"tEXt", b"parameters\x00a cat"), chunk(b"pHYs", struct.pack(">IIB", 5906, 5906, 1))
    order = (part, *sound) if b"pHYs" not in part else (part, sound[0])
    picture = given(tmp_path, png(PHOTO, *order))
    (warning,) = picture.warnings
    assert word in warning
    assert picture.metadata.text == {"parameters": "a cat"}
    np.testing.assert_array_equal(np.asarray(picture.image), PHOTO)


@pytest.mark.parametrize("cut", [12, 13, 16])
def test_a_png_without_its_end_is_read(tmp_path: Path, cut: int) -> None:
    """The chunk IEND, and the checksum of the pixels before it: nothing that a picture needs."""
    np.testing.assert_array_equal(np.asarray(given(tmp_path, png(PHOTO)[:-cut]).image), PHOTO)


def test_a_png_without_its_last_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureReadError, match="damaged or incomplete"):
        given(tmp_path, png(PHOTO)[:-40])


def test_chunks_that_no_result_keeps_are_named(tmp_path: Path) -> None:
    data = png(PHOTO, chunk(b"caBX", b"signed"), chunk(b"prVW", b"preview"), chunk(b"tIME", bytes(7)))
    (warning,) = given(tmp_path, data).warnings
    assert "Content Credentials" in warning
    assert "prVW" in warning
    assert "tIME" not in warning


# -- JPEG --------------------------------------------------------------------------------------------------------------

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
        (PHOTO.astype(np.float32), 2, 3, "RGB in floating point of 32 bits"),
        (PHOTO.astype(np.float16), 2, 3, "RGB in floating point of 16 bits"),
        (PHOTO.astype(np.int16), 2, 2, "RGB with signs of 16 bits"),
        (np.dstack([PHOTO, PHOTO, PHOTO]), 2, 1, "RGB with 6 further channels of 8 bits"),
        (PHOTO[:, :, :2].astype(np.uint16), 1, 1, "grey with 1 further channel of 16 bits"),
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
        "big.tif": (b"II+\x00\x08\x00\x00\x00" + struct.pack("<Q", 16) + bytes(40), "BigTIFF"),
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
