"""Readers of HEIC, AVIF and JPEG XL are looked for when such a file is met, and believed only in what they do.

Stand-ins take the packages' place, so that it does not matter whether these are installed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

from container_files import MIRROR, TURN, box, full, heif, item, jp2, jxl_stream, no_readers, reading, stand_in
from lib_upscaler.errors import PictureReadError, UnsupportedPictureError
from lib_upscaler.pictures.reading import read_header, read_picture
from made_pictures import exif_data, photo

ROOT = Path(__file__).resolve().parents[2]
PHOTO = photo()
TURNED_EXIF = exif_data((0x0112, 3, 1, 6), (0x010F, 2, 7, 38), more=b"Camera\x00")
TURNED_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6" a:b="c"/>'
FILES = {"heic": heif(), "avif": heif(b"avif"), "jxl": jxl_stream("1"), "jp2": jp2(PHOTO)}
READERS = {
    "heic": ("pillow_heif", "HeifImageFile"),
    "avif": ("pillow_avif.AvifImagePlugin", "AvifImageFile"),
    "jxl": ("pillow_jxl.JpegXLImagePlugin", "JXLImageFile"),
}


def given(monkeypatch: pytest.MonkeyPatch, kind: str, reader: object) -> None:
    module, name = READERS[kind]
    no_readers(monkeypatch, but=(module.split(".")[0],))
    stand_in(monkeypatch, module, name, reader)


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# -- whether there is one ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "package"),
    [
        ("heic", "a HEIC", "pillow-heif"),
        ("avif", "an AVIF", "pillow-avif-plugin"),
        ("jxl", "a JPEG XL", "pillow-jxl-plugin"),
    ],
)
@pytest.mark.parametrize("suffix", ["same", "jpg"])
def test_without_a_reader_the_line_that_installs_it_is_named(
    kind: str, name: str, package: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_readers(monkeypatch)
    path = saved(tmp_path / f"a.{kind if suffix == 'same' else suffix}", FILES[kind])
    for read in (read_picture, read_header):
        with pytest.raises(UnsupportedPictureError) as caught:
            read(path)
        assert f"it is {name}, which is read where the package {package} is installed" in str(caught.value)
        assert f'"{sys.executable}" -m pip install {package} Pillow=={PIL.__version__}\'' in str(caught.value)


def test_a_pillow_without_jpeg_2000_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Image.core, "jpeg2k_decoder")
    with pytest.raises(UnsupportedPictureError, match="a JPEG 2000, which this Pillow was built without"):
        read_picture(saved(tmp_path / "a.jp2", FILES["jp2"]))


def test_no_package_is_imported_before_its_file_is_met(tmp_path: Path) -> None:
    """Each package here would end the program."""
    for package in ("pillow_heif", "pillow_avif", "pillow_jxl"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('imported')")
    saved(tmp_path / "a.heic", FILES["heic"])
    program = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        "from lib_upscaler.pictures.formats import is_picture_path\n"
        "from lib_upscaler.pictures.reading import read_picture\n"
        "assert is_picture_path('a.heic') and is_picture_path('a.avif') and is_picture_path('a.jxl')\n"
        "print('not imported', flush=True)\n"
        f"read_picture({str(tmp_path / 'a.heic')!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr.strip()) == ("not imported", "imported")


def test_a_reader_that_does_not_work_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object, __: str) -> None:
        raise ImportError("libheif.so.1 is missing")

    given(monkeypatch, "heic", fails)
    with pytest.raises(UnsupportedPictureError, match=r"reader does not work here \(libheif") as caught:
        read_picture(saved(tmp_path / "a.heic", FILES["heic"]))
    assert "-m pip install pillow-heif" in str(caught.value)


def test_pillows_own_avif_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_readers(monkeypatch, but=("PIL._avif", "pillow_avif"))
    stand_in(monkeypatch, "PIL.AvifImagePlugin", "AvifImageFile", reading(PHOTO))
    assert np.array_equal(np.asarray(read_picture(saved(tmp_path / "a.avif", FILES["avif"])).image), PHOTO)


class PanicException(BaseException):
    """As what readers in Rust raise is called."""


@pytest.mark.parametrize(
    "error", [SyntaxError("no box"), RuntimeError(), ValueError("x" * 500), KeyError(1), PanicException("index")]
)
@pytest.mark.parametrize("kind", list(READERS))
def test_what_a_reader_raises_comes_out_in_words(
    error: BaseException, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object, __: str) -> None:
        raise error

    given(monkeypatch, kind, fails)
    with pytest.raises(PictureReadError, match="but is damaged or ends early") as caught:
        read_picture(saved(tmp_path / f"a.{kind}", FILES[kind]))
    assert len(str(caught.value)) < 200


def test_a_sound_file_that_a_reader_does_not_know_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object, __: str) -> None:
        raise SyntaxError("Unsupported feature: Unsupported codec")

    given(monkeypatch, "heic", fails)
    with pytest.raises(UnsupportedPictureError, match=r"does not know \(Unsupported feature: Unsupported codec\)"):
        read_picture(saved(tmp_path / "a.heic", FILES["heic"]))


def test_who_stops_the_program_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object, __: str) -> None:
        raise KeyboardInterrupt

    given(monkeypatch, "jxl", fails)
    with pytest.raises(KeyboardInterrupt):
        read_picture(saved(tmp_path / "a.jxl", FILES["jxl"]))


# -- orientation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("properties", [[], [TURN(3)], [TURN(1), MIRROR(1)]])
def test_a_heic_is_turned_by_its_reader_alone(
    properties: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, "heic", reading(PHOTO, exif=TURNED_EXIF, xmp=TURNED_XMP))
    path = saved(tmp_path / "a.heic", heif(properties=properties))
    picture, header = read_picture(path), read_header(path)
    assert np.array_equal(np.asarray(picture.image), PHOTO)
    assert (header.size.width, header.size.height) == (56, 44)
    assert b"Camera" in picture.metadata.exif
    assert "Orientation" not in picture.metadata.text["XML:com.adobe.xmp"]


@pytest.mark.parametrize("exif", [TURNED_EXIF, None])
@pytest.mark.parametrize(
    ("properties", "expected"),
    [([], PHOTO), ([TURN(3)], np.rot90(PHOTO, -1)), ([TURN(1), MIRROR(0)], np.rot90(PHOTO)[::-1])],
)
def test_an_avif_is_turned_once_as_its_container_says(
    exif: bytes | None, properties: list[bytes], expected: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its readers do not turn it, and differ in what they make of the EXIF's orientation, which does not count."""
    given(monkeypatch, "avif", reading(PHOTO, exif=exif, xmp=TURNED_XMP))
    path = saved(tmp_path / "a.avif", heif(b"avif", properties=properties))
    picture, header = read_picture(path), read_header(path)
    assert np.array_equal(np.asarray(picture.image), expected)
    assert (header.size.width, header.size.height) == picture.image.size == picture.metadata.size


HEADER_6 = "1 00100 000 01100" + "0" + "1" + "101" + "000" + "0001" + "00"  # orientation 6, else as usual


@pytest.mark.parametrize(("was_jpeg", "expected"), [(False, PHOTO), (True, np.rot90(PHOTO, -1))])
def test_a_jpeg_xl_is_turned_by_its_reader_unless_it_was_a_jpeg(
    was_jpeg: bool, expected: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(file: object, name: str) -> Image.Image:
        image = reading(PHOTO, exif=TURNED_EXIF[6:])(file, name)
        image.jpeg = was_jpeg
        return image

    given(monkeypatch, "jxl", opened)
    picture = read_picture(saved(tmp_path / "a.jxl", jxl_stream(HEADER_6)))
    assert np.array_equal(np.asarray(picture.image), expected)
    assert b"Camera" in picture.metadata.exif


# -- what else they leave to others ------------------------------------------------------------------------------------


def test_what_is_lost_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep, cut = full(b"pixi", bytes([3, 10, 10, 10])), box(b"clap", bytes(32))
    given(monkeypatch, "heic", reading(PHOTO))
    data = heif(properties=[deep, cut], items=[item(1, b"hvc1"), item(2, b"hvc1")])
    assert read_picture(saved(tmp_path / "a.heic", data)).warnings == (
        "its 10 bits per channel were read as 8",
        "the further picture in it cannot be kept; left out",
    )
    given(monkeypatch, "avif", reading(PHOTO))
    assert read_picture(saved(tmp_path / "a.avif", heif(b"avif", properties=[cut]))).warnings == (
        "what it wants cut off at its edges is not cut off",
    )


def test_colours_by_numbers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, "avif", reading(PHOTO))
    data = heif(b"avif", properties=[box(b"colr", b"nclx", b"\x00\x0c\x00\x0d\x00\x06\x80")])
    assert read_picture(saved(tmp_path / "a.avif", data)).metadata.colors.code == bytes([12, 13, 0, 1])


@pytest.mark.parametrize(("turned", "aspect"), [([], (1, 2)), ([TURN(1)], (2, 1))])
def test_pixels_that_are_not_square(
    turned: list[bytes], aspect: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, "heic", reading(PHOTO))
    twice_as_wide = box(b"pasp", b"\x00\x00\x00\x02\x00\x00\x00\x01")
    data = heif(properties=[twice_as_wide, *turned])
    assert read_picture(saved(tmp_path / "a.heic", data)).metadata.aspect == aspect


def test_colours_multiplied_by_alpha_are_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.array([[[100, 50, 0, 100], [10, 20, 30, 60], [7, 8, 9, 255]]], np.uint8)
    given(monkeypatch, "heic", lambda *_: Image.frombytes("RGBa", (3, 1), pixels.tobytes()))
    path = saved(tmp_path / "a.heic", heif())
    expected = [[[255, 128, 0, 100], [43, 85, 128, 60], [7, 8, 9, 255]]]
    assert np.asarray(read_picture(path).image).tolist() == expected
    assert read_header(path).alpha


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("1 00100 000 01100 0 0 1 00 1110 1 00", "floating point"),
        ("1 00100 000 01100 0 0 000 1 10 0 01 0100 000 00 00", "CMYK"),
    ],
)
def test_a_jpeg_xl_that_would_come_out_wrong_is_refused(
    header: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, "jxl", reading(PHOTO))
    with pytest.raises(UnsupportedPictureError, match=words):
        read_picture(saved(tmp_path / "a.jxl", jxl_stream(header)))
