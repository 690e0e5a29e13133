"""Picture files: what is read, what is kept, what is refused, and that nothing half-written stays."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo, iTXt

from lib_upscaler.errors import PictureReadError, PictureWriteError, RequestError, SizeError
from lib_upscaler.pictures import keeping
from lib_upscaler.pictures.formats import FORMATS, is_picture_path, output_format, output_formats
from lib_upscaler.pictures.metadata import Metadata
from lib_upscaler.pictures.pixels import decompose
from lib_upscaler.pictures.reading import read_picture
from lib_upscaler.pictures.writing import write_picture

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
SMOOTH = np.stack(np.meshgrid(np.arange(64) * 3, np.arange(48) * 4), axis=2)[:, :, [0, 1, 0]].astype(np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, bits: int, color: int, channels: int, *extra: bytes, rows: bytes | None = None
) -> bytes:
    if rows is None:
        rows = (b"\x00" + bytes(range((width * channels * bits + 7) // 8))) * height
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    return b"".join((b"\x89PNG\r\n\x1a\n", header, *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")))


def exif_with(orientation: int | None = None) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif[0x8769] = {0xA002: 9, 0xA003: 6, 0x829A: 0.5}
    if orientation is not None:
        exif[0x0112] = orientation
    return exif.tobytes()


def saved(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def files_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


# ------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp", "gif", "ppm", "tga"])
def test_reads_what_people_have(tmp_path, suffix):
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(RGB))
    picture = read_picture(path)
    with Image.open(path) as expected:
        np.testing.assert_array_equal(np.asarray(picture.image.convert("RGB")), np.asarray(expected.convert("RGB")))
    assert picture.warnings == ()
    assert is_picture_path(path)
    assert picture.format == Image.registered_extensions()["." + suffix]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_the_orientation_is_applied_once(tmp_path, suffix, orientation):
    image = Image.fromarray(np.kron(RGB[:2, :3], np.ones((16, 16, 1), np.uint8)))
    options = {"tiffinfo": {0x0112: orientation}} if suffix == "tiff" else {"exif": exif_with(orientation)}
    options |= {"lossless": True} if suffix == "webp" else {}
    plain = saved(tmp_path / f"plain.{suffix}", image, **({"lossless": True} if suffix == "webp" else {}))
    pixels = np.asarray(Image.open(plain).convert("RGB"))
    # What the number says of the first row and column (EXIF 2.32): where they are to be shown.
    upright = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: pixels.transpose(1, 0, 2)[:, ::-1],
        7: pixels[::-1, ::-1].transpose(1, 0, 2),
        8: pixels.transpose(1, 0, 2)[::-1],
    }[orientation]
    picture = read_picture(saved(tmp_path / f"a.{suffix}", image, **options))
    np.testing.assert_array_equal(np.asarray(picture.image), upright)
    again = tmp_path / "again.png"
    write_picture(picture.image, again, picture.metadata)
    np.testing.assert_array_equal(np.asarray(read_picture(again).image), upright)
    assert Image.open(again).getexif().get(0x0112, 1) == 1


def test_png_text_before_and_after_the_pixels_is_read(tmp_path):
    late = chunk(b"tEXt", b"late\x00after the pixels")
    data = png(
        4,
        4,
        8,
        2,
        3,
        chunk(b"tEXt", b"parameters\x00a cat\nSteps: 20"),
        chunk(b"zTXt", b"z\x00\x00" + zlib.compress(b"packed")),
    )
    (tmp_path / "a.png").write_bytes(data[:-12] + late + data[-12:])
    text = read_picture(tmp_path / "a.png").metadata.text
    assert text == {"parameters": "a cat\nSteps: 20", "z": "packed", "late": "after the pixels"}


def test_an_animation_is_read_at_its_first_frame_with_a_warning(tmp_path):
    frames = [Image.new("RGB", (4, 4), c) for c in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    for name in ("a.gif", "a.png", "a.webp", "a.tif"):
        options = {"lossless": True} if name == "a.webp" else {}
        path = saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], **options)
        picture = read_picture(path)
        assert picture.image.convert("RGB").getpixel((0, 0)) == (255, 0, 0)
        assert picture.warnings == (f"{name} has 3 frames; only the first is upscaled",)


@pytest.mark.parametrize(("bits", "level"), [(1, 255), (2, 85), (4, 17), (8, 1)])
def test_grey_png_of_few_bits_with_a_transparent_grey(tmp_path, bits, level):
    per_row = 8 // bits
    row = int("".join(format(value % 2**bits, f"0{bits}b") for value in range(per_row)), 2)
    data = png(per_row, 1, bits, 0, 1, chunk(b"tRNS", struct.pack(">H", 1)), rows=bytes([0, row]))
    (tmp_path / "a.png").write_bytes(data)
    pixels = decompose(read_picture(tmp_path / "a.png").image)
    values = [value % 2**bits for value in range(per_row)]
    assert pixels.color[0, :, 0].tolist() == [value * level for value in values]
    if 1 in values:
        assert pixels.alpha[0].tolist() == [0 if value == 1 else 255 for value in values]


BAD_FILES = {
    "missing": None,
    "empty": b"",
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
    "text": b"This is not a picture at all, only a line of text.\n" * 50,
    "garbage": bytes(range(256)) * 20,
    "truncated png": png(64, 64, 8, 2, 3)[:60],
    "png that ends early": png(64, 64, 8, 2, 3, rows=bytes(100)),
    "bomb": png(200_000, 200_000, 8, 2, 3, rows=b"x"),
    "bomb in one row": png(2**31 - 1, 1, 8, 2, 3, rows=b"x"),
    "no size": png(0, 5, 8, 2, 3),
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"></svg>',
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_cannot_be_read_is_said_in_words(tmp_path, name):
    path = tmp_path / "holiday.png"
    if BAD_FILES[name] is not None:
        path.write_bytes(BAD_FILES[name])
    with pytest.raises(PictureReadError, match=r"holiday\.png") as caught:
        read_picture(path)
    assert caught.value.why


def test_a_web_page_is_called_one(tmp_path):
    (tmp_path / "a.jpg").write_bytes(BAD_FILES["html"])
    with pytest.raises(PictureReadError, match="web page"):
        read_picture(tmp_path / "a.jpg")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(PictureReadError, match="folder"):
        read_picture(tmp_path)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "gif", "bmp", "tif", "png"])
def test_half_a_file_is_refused(tmp_path, suffix):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(noise))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(PictureReadError):
        read_picture(path)


def test_the_limit_of_pixels_holds_where_a_host_has_turned_pillows_off(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    (tmp_path / "a.png").write_bytes(BAD_FILES["bomb"])
    with pytest.raises(PictureReadError, match="200000x200000"):
        read_picture(tmp_path / "a.png")


# ------------------------------------------------------------------------------------- broken metadata


def test_broken_metadata_costs_a_warning_and_not_the_picture(tmp_path):
    image = Image.fromarray(RGB)
    saved(tmp_path / "icc.png", image, icc_profile=b"not a profile")
    saved(tmp_path / "exif.jpg", image, exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x00rubbish")
    saved(tmp_path / "exif.png", image, exif=b"Exif\x00\x00nonsense")
    saved(tmp_path / "exif.webp", image, exif=b"Exif\x00\x00nonsense", lossless=True)
    for name, word in (("icc.png", "profile"), ("exif.jpg", "EXIF"), ("exif.png", "EXIF"), ("exif.webp", "EXIF")):
        picture = read_picture(tmp_path / name)
        assert picture.image.size == (9, 6)
        assert any(word in warning for warning in picture.warnings), name
        write_picture(picture.image, tmp_path / f"out-{name}", picture.metadata)


def test_broken_chunks_of_a_png_are_left_out(tmp_path):
    bad_sum = chunk(b"tEXt", b"parameters\x00a cat")[:-1] + b"\x00"
    too_long = chunk(b"zTXt", b"z\x00\x00" + zlib.compress(bytes(130 << 20)))
    bad_profile = chunk(b"iCCP", b"icc\x00\x00not zlib")
    for number, extra in enumerate((bad_sum, too_long, bad_profile)):
        path = tmp_path / f"{number}.png"
        path.write_bytes(png(5, 3, 8, 2, 3, extra))
        picture = read_picture(path)
        row = np.arange(15, dtype=np.uint8).reshape(1, 5, 3)
        np.testing.assert_array_equal(np.asarray(picture.image), np.repeat(row, 3, axis=0))
        assert len(picture.warnings) == 1


# ------------------------------------------------------------------------------------------------ writing


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "tiff", "bmp"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_lossless_formats_keep_every_pixel(tmp_path, suffix, mode):
    image = Image.fromarray(RGB).convert("RGBA")
    image.putalpha(Image.fromarray(RGB[:, :, 1] // 2 * (RGB[:, :, 2] > 99)))
    image = image.convert(mode)
    path = tmp_path / f"a.{suffix}"
    if mode.endswith("A") and suffix == "bmp":
        with pytest.raises(RequestError, match="transparency"):
            write_picture(image, path, Metadata())
        return
    assert write_picture(image, path, Metadata()) == ()
    np.testing.assert_array_equal(np.asarray(Image.open(path).convert(mode)), np.asarray(image))
    assert files_in(tmp_path) == [path.name]


def test_jpeg_is_fine_and_not_subsampled(tmp_path):
    write_picture(Image.fromarray(SMOOTH), tmp_path / "a.jpg", Metadata())
    with Image.open(tmp_path / "a.jpg") as image:
        assert [component[1:3] for component in image.layer] == [(1, 1)] * 3
        assert np.abs(np.asarray(image).astype(int) - SMOOTH).mean() < 1
    write_picture(Image.fromarray(SMOOTH), tmp_path / "b.jpg", Metadata(), quality=30)
    assert (tmp_path / "b.jpg").stat().st_size < (tmp_path / "a.jpg").stat().st_size
    write_picture(Image.fromarray(SMOOTH), tmp_path / "c.webp", Metadata(), quality=10)
    assert not np.array_equal(np.asarray(Image.open(tmp_path / "c.webp")), SMOOTH)


FULL = Metadata(
    ICC, exif_with(), {"parameters": "a cat, 猫", "Author": "me", "note": iTXt("ü", "de", "Notiz")}, (300.0, 300.0)
)


def test_png_keeps_all_metadata(tmp_path):
    assert write_picture(Image.fromarray(SMOOTH), tmp_path / "a.png", FULL) == ()
    picture = read_picture(tmp_path / "a.png")
    assert picture.metadata.icc_profile == ICC
    assert picture.metadata.text == FULL.text
    assert picture.metadata.text["note"].lang == "de"
    assert picture.metadata.dpi == pytest.approx((300, 300), abs=0.1)
    exif = Image.open(tmp_path / "a.png").getexif()
    assert exif[0x010F] == "Camera"
    details = exif.get_ifd(0x8769)
    assert (details[0xA002], details[0xA003]) == (64, 48)  # the size as it is now
    assert float(details[0x829A]) == 0.5


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif"])
def test_other_formats_keep_profile_and_exif_and_the_parameters_in_it(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    (warning,) = write_picture(Image.fromarray(SMOOTH), path, FULL)
    assert "'Author', 'note'" in warning
    picture = read_picture(path)
    assert picture.metadata.icc_profile == ICC
    exif = Image.open(path).getexif()
    assert exif[0x010F] == "Camera"
    details = exif.get_ifd(0x8769)
    assert details[0x9286] == b"UNICODE\x00" + "a cat, 猫".encode("utf-16-be")
    assert (details[0xA002], details[0xA003]) == (64, 48)
    if suffix != "webp":
        assert picture.metadata.dpi == pytest.approx((300, 300), abs=0.1)
    if suffix == "tif":
        np.testing.assert_array_equal(np.asarray(picture.image), SMOOTH)


def test_exif_of_a_tiff_reaches_a_png(tmp_path):
    write_picture(Image.fromarray(SMOOTH), tmp_path / "a.tif", Metadata(exif=exif_with()))
    picture = read_picture(tmp_path / "a.tif")
    write_picture(picture.image, tmp_path / "a.png", picture.metadata)
    exif = Image.open(tmp_path / "a.png").getexif()
    assert exif[0x010F] == "Camera"
    assert float(exif.get_ifd(0x8769)[0x829A]) == 0.5
    assert not {0x0100, 0x0111, 0x0103} & set(exif)


def test_exif_of_a_compressed_tiff_is_read(tmp_path):
    path = saved(tmp_path / "a.tif", Image.fromarray(RGB), compression="tiff_lzw", tiffinfo={0x010F: "Camera"})
    picture = read_picture(path)
    assert picture.warnings == ()
    exif = Image.Exif()
    exif.load(picture.metadata.exif)
    assert dict(exif) == {0x010F: "Camera"}


def test_bmp_says_what_it_loses(tmp_path):
    profile, others = write_picture(Image.fromarray(RGB), tmp_path / "a.bmp", FULL)
    assert "BMP cannot keep its colour profile" in profile
    assert all(word in others for word in ("BMP", "EXIF", "'Author'", "'note'", "'parameters'"))


def test_a_profile_for_another_kind_of_colour_is_left_out(tmp_path):
    (warning,) = write_picture(Image.fromarray(RGB[:, :, 0]), tmp_path / "a.png", Metadata(icc_profile=ICC))
    assert "grey" in warning
    assert "icc_profile" not in Image.open(tmp_path / "a.png").info


def test_exif_too_long_for_jpeg_is_left_out(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    (warning,) = write_picture(Image.fromarray(RGB), tmp_path / "a.jpg", Metadata(exif=exif.tobytes()))
    assert "too long" in warning
    assert read_picture(tmp_path / "a.jpg").metadata.exif is None


def test_xmp_does_not_turn_the_picture_a_second_time(tmp_path):
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6" dc:title="t"/>')
    path = saved(tmp_path / "a.png", Image.fromarray(RGB), pnginfo=info)
    picture = read_picture(path)
    assert picture.image.size == (6, 9)
    assert picture.metadata.text == {"XML:com.adobe.xmp": '<x dc:title="t"/>'}


def test_nothing_is_overwritten_unless_asked(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"mine")
    with pytest.raises(PictureWriteError, match="already"):
        write_picture(Image.fromarray(RGB), path, Metadata())
    assert path.read_bytes() == b"mine"
    write_picture(Image.fromarray(RGB), path, Metadata(), overwrite=True)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), RGB)
    assert files_in(tmp_path) == ["a.png"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path, monkeypatch, links):
    path = tmp_path / "a.png"
    save = Image.Image.save

    def slow_save(self, file, **options):
        save(self, file, **options)
        path.write_bytes(b"theirs")

    monkeypatch.setattr(Image.Image, "save", slow_save)
    if not links:
        monkeypatch.setattr(os, "link", no_links, raising=False)
    with pytest.raises(PictureWriteError, match="already"):
        write_picture(Image.fromarray(RGB), path, Metadata())
    assert path.read_bytes() == b"theirs"
    assert files_in(tmp_path) == ["a.png"]


def no_links(*_):
    raise PermissionError(1, "Operation not permitted")


def test_a_disk_without_hard_links_is_written_to_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", no_links, raising=False)
    write_picture(Image.fromarray(RGB), tmp_path / "a.png", Metadata())
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), RGB)
    assert files_in(tmp_path) == ["a.png"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_stop_in_the_middle_leaves_nothing(tmp_path, monkeypatch, error):
    def stopped(self, file, **options):
        file.write(b"half")
        raise error

    monkeypatch.setattr(Image.Image, "save", stopped)
    with pytest.raises(error):
        write_picture(Image.fromarray(RGB), tmp_path / "a.png", Metadata())
    assert files_in(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="file size limits are POSIX")
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp"])
def test_a_disk_that_takes_no_more_is_an_error_and_leaves_nothing(tmp_path, suffix):
    import resource

    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(PictureWriteError):
            write_picture(noise, tmp_path / f"a.{suffix}", Metadata())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files_in(tmp_path) == []


def test_a_full_disk_is_called_so(tmp_path, monkeypatch):
    def full(self, file, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(PictureWriteError, match="disk is full"):
        write_picture(Image.fromarray(RGB), tmp_path / "a.png", Metadata())


def test_a_missing_folder_and_a_folder_in_the_way_are_said_in_words(tmp_path):
    with pytest.raises(PictureWriteError, match="no folder"):
        write_picture(Image.fromarray(RGB), tmp_path / "none" / "a.png", Metadata())
    (tmp_path / "b.png").mkdir()
    with pytest.raises(PictureWriteError):
        write_picture(Image.fromarray(RGB), tmp_path / "b.png", Metadata(), overwrite=True)
    assert files_in(tmp_path) == ["b.png"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.xyz", {}),
        ("a", {}),
        ("a.tga", {}),
        ("a.png", {"format": "tga"}),
        ("a.png", {"format": "jpg"}),
        ("a.jpg", {"quality": 0}),
        ("a.jpg", {"quality": 101}),
        ("a.jpg", {"quality": True}),
        ("a.jpg", {"quality": 90.5}),
    ],
)
def test_wrong_requests_are_refused(tmp_path, name, options):
    with pytest.raises(RequestError):
        write_picture(Image.fromarray(RGB), tmp_path / name, Metadata(), **options)
    assert files_in(tmp_path) == []


def test_alpha_is_not_dropped_in_silence(tmp_path):
    with pytest.raises(RequestError, match="transparency"):
        write_picture(Image.new("RGBA", (4, 4)), tmp_path / "a.jpg", Metadata())


def test_a_size_beyond_the_format_is_refused(tmp_path):
    with pytest.raises(SizeError, match="WEBP"):
        write_picture(Image.new("L", (16_384, 1)), tmp_path / "a.webp", Metadata())


def test_the_format_can_be_named(tmp_path):
    write_picture(Image.fromarray(RGB), tmp_path / "result", Metadata(), format="PNG")
    with Image.open(tmp_path / "result") as image:
        assert image.format == "PNG"
    assert {output_format(f"a.{name.upper()}") for name in output_formats()} == set(FORMATS.values())
    assert output_format("a.jpeg", "jpg").name == "JPEG"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.png", True), ("A.JPG", True), ("x/y.webp", True), ("a.txt", False), ("._a.png", False), ("png", False)],
)
def test_pictures_are_told_by_their_names(name, expected):
    assert is_picture_path(name) is expected


def test_unfinished_files_are_never_taken_for_pictures(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(Image.Image, "save", lambda self, file, **_: seen.append(file.name))
    write_picture(Image.fromarray(RGB), tmp_path / "a.png", Metadata())
    assert Path(seen[0]).parent == tmp_path
    assert not is_picture_path(seen[0])


@pytest.mark.skipif(not (SHARED / "images").is_dir(), reason="../shared/images is not there")
@pytest.mark.parametrize(
    ("name", "mode", "size"),
    [
        ("OST_009.png", "RGB", (448, 640)),
        ("children-alpha.png", "RGBA", (566, 350)),
        ("00017_gray.png", "L", (500, 351)),
        ("0014.jpg", "RGB", (179, 179)),
    ],
)
def test_real_pictures_go_through(tmp_path, name, mode, size):
    picture = read_picture(SHARED / "images" / name)
    assert (picture.image.mode, picture.image.size) == (mode, size)
    write_picture(picture.image, tmp_path / "a.png", picture.metadata)
    with Image.open(SHARED / "images" / name) as source:
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), np.asarray(source))


def test_real_encoder_errors_are_not_hidden_by_the_second_try(tmp_path, monkeypatch):
    def failing(self, file, **options):
        raise ValueError("encoding error 6")

    monkeypatch.setattr(Image.Image, "save", failing)
    with pytest.raises(PictureWriteError, match="encoding error 6"):
        write_picture(Image.fromarray(RGB), tmp_path / "a.webp", Metadata())
    assert files_in(tmp_path) == []


def test_metadata_that_the_encoder_refuses_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "_fitting_profile", lambda *_: ["not bytes"])
    (warning,) = write_picture(Image.fromarray(RGB), tmp_path / "a.png", Metadata())
    assert "left out" in warning
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), RGB)


def test_readers_see_nothing_of_the_file_in_the_image(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(RGB), icc_profile=ICC, exif=exif_with(6))
    image = read_picture(path).image
    assert image.info == {}
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    assert "exif" not in Image.open(buffer).info
