"""Files of 16 bits and of floating point are read and written with every bit that they have."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.errors import PictureReadError, UnsupportedPictureError
from lib_upscaler.geometry import Size
from lib_upscaler.pictures import tiff_writer
from lib_upscaler.pictures.colours import ColorTags, tags_to_srgb
from lib_upscaler.pictures.metadata import Metadata
from lib_upscaler.pictures.pixels import Pixels
from lib_upscaler.pictures.reading import read_header, read_picture
from lib_upscaler.pictures.writing import write_picture
from made_pictures import chunk, encoded, exif_data, png, tiff
from picture_parts import ICC, given

CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def values(channels: int, dtype: type = np.uint16, size: tuple[int, int] = (13, 17), seed: int = 0) -> np.ndarray:
    """``(H, W, channels)``: every bit counts."""
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return random.random((*size, channels)).astype(dtype)
    return random.integers(0, np.iinfo(dtype).max + 1, (*size, channels), dtype)


def planes(pixels: Pixels) -> np.ndarray:
    return pixels.color if pixels.alpha is None else np.dstack([pixels.color, pixels.alpha])


def pixels_of(array: np.ndarray) -> Pixels:
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[array.shape[2]]
    alpha = array[:, :, -1] if mode.endswith("A") else None
    return Pixels(array[:, :, : 1 if mode.startswith("L") else 3], alpha, mode)


# -- read --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", CHANNELS)
def test_a_png_of_16_bits_is_read_to_the_bit(tmp_path: Path, mode: str) -> None:
    array = values(CHANNELS[mode])
    picture = given(tmp_path, png(array if mode != "L" else array[:, :, 0]))
    np.testing.assert_array_equal(planes(picture.image), array)
    assert picture.image.mode == mode
    assert picture.warnings == ()
    header = read_header(tmp_path / "a.png")
    assert (header.size, header.bits, header.alpha) == (Size(17, 13), 16, mode.endswith("A"))
    assert header.channels == (1 if mode.startswith("L") else 3)


def test_an_interlaced_png_is_read_to_the_bit(tmp_path: Path) -> None:
    array = values(3)
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b""
    for left, top, across, down in passes:  # Adam7
        for row in array[top::down, left::across]:
            rows += b"\x00" + row.astype(">u2").tobytes() if len(row) else b""
    header = struct.pack(">IIBBBBB", 17, 13, 16, 2, 0, 0, 1)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(planes(given(tmp_path, data).image), array)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_transparent_colour_of_16_bits_becomes_alpha(tmp_path: Path, mode: str) -> None:
    array = values(CHANNELS[mode])
    array[3, 4] = array[9, 2]
    key = chunk(b"tRNS", array[3, 4].astype(">u2").tobytes())
    picture = given(tmp_path, png(array if mode == "RGB" else array[:, :, 0], key))
    expected = np.full((13, 17), 65535)
    expected[[3, 9], [4, 2]] = 0
    np.testing.assert_array_equal(picture.image.color, array)
    np.testing.assert_array_equal(picture.image.alpha, expected)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mode", CHANNELS)
def test_a_tiff_of_16_bits_is_read_to_the_bit(tmp_path: Path, mode: str, order: str) -> None:
    array = values(CHANNELS[mode])
    extra = (2,) if mode.endswith("A") else ()
    picture = given(tmp_path, tiff(array, 1 if mode.startswith("L") else 2, extra, order), "a.tif")
    np.testing.assert_array_equal(planes(picture.image), array)
    assert picture.image.mode == mode
    header = read_header(tmp_path / "a.tif")
    assert (header.size, header.bits, header.alpha) == (Size(17, 13), 16, mode.endswith("A"))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("mode", CHANNELS)
def test_a_tiff_of_floating_point_is_read_as_it_is(tmp_path: Path, mode: str, dtype: type) -> None:
    array = values(CHANNELS[mode], dtype) * dtype(3) - dtype(1)
    array[..., -1] = np.abs(array[..., -1]) / 2 if mode.endswith("A") else array[..., -1]
    extra = (2,) if mode.endswith("A") else ()
    picture = given(tmp_path, tiff(array, 1 if mode.startswith("L") else 2, extra, format=3), "a.tif")
    np.testing.assert_array_equal(planes(picture.image), array.astype(np.float32))
    assert read_header(tmp_path / "a.tif").bits == 32


def test_what_a_deep_tiff_says_of_its_samples_holds(tmp_path: Path) -> None:
    array = values(1)
    turned_round = given(tmp_path, tiff(array, 0), "a.tif")  # white is zero
    np.testing.assert_array_equal(turned_round.image.color, 65535 - array)

    four = values(4)
    four[:, :, 3] = 32768
    four[:, :, :3] //= 2  # colours multiplied by half
    divided = given(tmp_path, tiff(four, 2, (1,)), "a.tif").image
    expected = np.minimum(np.floor(four[:, :, :3] * 65535.0 / 32768 + 0.5), 65535)
    assert np.abs(divided.color - expected).max() == 0
    assert (divided.alpha == 32768).all()

    left_out = given(tmp_path, tiff(four, 2, (0,)), "a.tif")
    np.testing.assert_array_equal(planes(left_out.image), four[:, :, :3])
    assert "no transparency" in left_out.warnings[0]

    for orientation, turn in ((3, lambda x: x[::-1, ::-1]), (6, lambda x: np.rot90(x, -1)), (8, np.rot90)):
        upright = given(tmp_path, tiff(four[:, :, :3], 2, t274=(3, (orientation,))), "a.tif")
        np.testing.assert_array_equal(upright.image.color, turn(four[:, :, :3]))
        header = read_header(tmp_path / "a.tif")
        assert (header.size.width, header.size.height) == upright.image.size == upright.metadata.size


def test_exif_turns_a_deep_png_once(tmp_path: Path) -> None:
    array = values(3)
    picture = given(tmp_path, png(array, chunk(b"eXIf", exif_data((0x0112, 3, 1, 6))[6:])))
    np.testing.assert_array_equal(picture.image.color, np.rot90(array, -1))
    assert picture.metadata.size == (13, 17)


def test_netpbm_of_more_than_255_levels(tmp_path: Path) -> None:
    array = values(3)
    picture = given(tmp_path, b"P6 # a cat\n17 13\n65535\n" + array.astype(">u2").tobytes(), "a.ppm")
    np.testing.assert_array_equal(picture.image.color, array)
    thousand = values(1) % 1001
    text = b"P2\n17 13 1000\n" + b" ".join(str(value).encode() for value in thousand.flat)
    levels = given(tmp_path, text, "a.pgm").image.color
    np.testing.assert_array_equal(levels, np.floor(thousand * 65.535 + 0.5))
    with pytest.raises(PictureReadError, match="missing"):
        given(tmp_path, b"P6 17 13 65535\n" + array.astype(">u2").tobytes()[:-4], "a.ppm")


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_tiff_whose_channels_lie_apart_is_read_to_the_bit(tmp_path: Path, mode: str) -> None:
    array = values(CHANNELS[mode])
    apart = tiff(np.ascontiguousarray(array.transpose(2, 0, 1)).reshape(1, -1, 1), 1 if mode == "L" else 2)
    samples, plane = array.shape[2], 13 * 17 * 2
    for tag, numbers in ((256, 17), (257, 13), (277, samples), (278, 13), (284, 2)):
        apart = _with_number(apart, tag, numbers)
    for tag, kind, numbers in ((258, 3, [16] * samples), (273, 4, [8 + plane * c for c in range(samples)])):
        apart = _with_numbers(apart, tag, kind, numbers)
    picture = given(tmp_path, _with_numbers(apart, 279, 4, [plane] * samples), "a.tif")
    np.testing.assert_array_equal(picture.image.color, array)


def _row(data: bytes, tag: int) -> int:
    """Where the directory of ``made_pictures.tiff`` tells of it."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    rows = [start + 2 + 12 * number for number in range(count)]
    (found,) = (row for row in rows if struct.unpack_from("<H", data, row)[0] == tag)
    return found


def _with_number(data: bytes, tag: int, number: int) -> bytes:
    row = _row(data, tag)
    (kind,) = struct.unpack_from("<H", data, row + 2)
    return data[: row + 8] + struct.pack("<H" if kind == 3 else "<I", number).ljust(4, b"\x00") + data[row + 12 :]


def _with_numbers(data: bytes, tag: int, kind: int, numbers: list[int]) -> bytes:
    if len(numbers) == 1:
        return _with_number(data, tag, numbers[0])
    row, packed = _row(data, tag), struct.pack(f"<{len(numbers)}{'HI'[kind == 4]}", *numbers)
    return data[: row + 4] + struct.pack("<II", len(numbers), len(data)) + data[row + 12 :] + packed


def test_what_is_no_number_is_black_and_said(tmp_path: Path) -> None:
    array = values(3, np.float32) * 4
    array[2, 3, 1], array[5, 5, 0], array[6, 6, 2] = np.nan, np.inf, -np.inf
    picture = given(tmp_path, tiff(array, 2, format=3), "a.tif")
    assert "2 of its pixels are no numbers" in "".join(picture.warnings)
    assert "1 of its pixels are infinitely bright" in "".join(picture.warnings)
    assert picture.image.color[2, 3, 1] == picture.image.color[6, 6, 2] == 0
    assert picture.image.color[5, 5, 0] == array[np.isfinite(array)].max()


def test_transparency_of_floating_point_is_from_0_to_1_and_that_is_said(tmp_path: Path) -> None:
    array = values(4, np.float32)
    array[2, 3:6, 3] = np.nan, 7, -3
    picture = given(tmp_path, tiff(array, 2, (2,), format=3), "a.tif")
    np.testing.assert_array_equal(picture.image.alpha[2, 3:6], [0, 1, 0])
    np.testing.assert_array_equal(picture.image.alpha[3:], array[3:, :, 3])
    assert "transparency is not all between 0 and 1" in picture.warnings[0]


def test_numbers_of_12_bits_are_those_of_the_file_or_refused(tmp_path: Path) -> None:
    """Whatever library is there to read them."""
    levels = np.random.default_rng(3).integers(0, 4096, (13, 18))
    pairs = levels.reshape(13, 9, 2)
    first, second = pairs[:, :, 0], pairs[:, :, 1]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=2).astype(np.uint8)
    data = tiff(packed.reshape(13, -1, 1), 1)
    data = _with_number(_with_number(data, 256, 18), 258, 12)
    with suppress(UnsupportedPictureError):
        color = given(tmp_path, data, "a.tif").image.color
        np.testing.assert_array_equal(color[:, :, 0], np.floor(levels * 65535 / 4095 + 0.5))


def test_a_tiff_that_tells_of_too_few_bytes_is_refused(tmp_path: Path) -> None:
    """Readers take what lies behind for pixels: here the directory itself."""
    data = _with_number(tiff(values(3), 2), 279, 600)
    with pytest.raises(PictureReadError, match="fewer bytes"):
        given(tmp_path, data, "a.tif")


def test_damage_in_packed_data_is_called_that(tmp_path: Path) -> None:
    packed = zlib.compress(values(3).tobytes())[:500]
    data = tiff(np.frombuffer(packed, np.uint8).reshape(1, -1, 1), 2)
    for tag, number in ((256, 17), (257, 13), (259, 8), (277, 3), (278, 13)):
        data = _with_number(data, tag, number)
    data = _with_numbers(data, 258, 3, [16, 16, 16])
    with pytest.raises(PictureReadError, match="damaged"):
        given(tmp_path, data, "a.tif")


def test_a_deep_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureReadError, match="missing"):
        given(tmp_path, tiff(values(3), 2, order=">")[:300], "a.tif")
    with pytest.raises(PictureReadError, match="damaged"):
        given(tmp_path, png(values(3, size=(90, 80)))[:-200])


def test_what_nothing_here_can_unpack_is_named(tmp_path: Path) -> None:
    data = tiff(values(3, np.int16), 2, format=2)
    with pytest.raises(UnsupportedPictureError, match="RGB with signs of 16 bits"):
        given(tmp_path, data, "a.tif")


# -- written -----------------------------------------------------------------------------------------------------------


def unfiltered(data: bytes, width: int, channels: int, bits: int) -> np.ndarray:
    """The pixels of a PNG by the specification, a byte at a time."""
    place, packed = 8, b""
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        packed += data[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        place += length + 12
    size = channels * bits // 8
    line, rows, content = width * size, [bytes(width * size)], zlib.decompress(packed)
    for start in range(0, len(content), line + 1):
        kind, row = content[start], bytearray(content[start + 1 : start + 1 + line])
        for i in range(line):
            a, b = row[i - size] if i >= size else 0, rows[-1][i]
            c = rows[-1][i - size] if i >= size else 0
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            row[i] = (row[i] + (0, a, b, (a + b) // 2, paeth)[kind]) % 256
        rows.append(bytes(row))
    return np.frombuffer(b"".join(rows[1:]), f">u{bits // 8}").reshape(-1, width, channels)


@pytest.mark.parametrize("mode", CHANNELS)
def test_a_png_of_16_bits_is_written_to_the_bit(tmp_path: Path, mode: str) -> None:
    smooth = np.linspace(0, 1, 17 * 13 * CHANNELS[mode]).reshape(13, 17, -1) * 65535
    array = (smooth.astype(np.int64) + values(CHANNELS[mode]) % 9).clip(0, 65535).astype(np.uint16)
    assert write_picture(pixels_of(array), tmp_path / "a.png", Metadata()) == ()
    data = (tmp_path / "a.png").read_bytes()
    np.testing.assert_array_equal(unfiltered(data, 17, CHANNELS[mode], 16), array)
    with Image.open(io.BytesIO(data)) as image:
        image.load()  # Pillow looks at the checksums


def tiff_values(data: bytes) -> dict[int, tuple[int, tuple[int, ...]]]:
    """The tags of the first directory: type, and whole numbers; of a classic TIFF or a BigTIFF."""
    big = data[2] == 43
    (start,) = struct.unpack_from("<Q" if big else "<I", data, 8 if big else 4)
    (count,) = struct.unpack_from("<Q" if big else "<H", data, start)
    found = {}
    for number in range(count):
        row = start + (8 + 20 * number if big else 2 + 12 * number)
        tag, kind, length = struct.unpack_from("<HHQ" if big else "<HHI", data, row)
        letter, size = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 7: ("B", 1), 16: ("Q", 8)}.get(kind, ("B", 1))
        room = 8 if big else 4
        place = row + (12 if big else 8)
        if length * size > room:
            (place,) = struct.unpack_from("<Q" if big else "<I", data, place)
        found[tag] = kind, struct.unpack_from(f"<{length}{letter}", data, place)
    return found


def unpacked(data: bytes) -> np.ndarray:
    """The pixels of a TIFF as this program writes them, by the specification."""
    tags = {tag: numbers for tag, (_, numbers) in tiff_values(data).items()}
    width, channels, bits = tags[256][0], tags[277][0], tags[258][0]
    strips = []
    for place, length in zip(tags[273], tags[279]):
        content = np.frombuffer(zlib.decompress(data[place : place + length]), np.uint8)
        if tags[317] == (3,):  # by bytes, then apart
            lines = content.reshape(-1, 4 * width, channels).astype(np.uint64).cumsum(axis=1) % 256
            apart = lines.astype(np.uint8).reshape(-1, 4, width * channels)
            strips.append(np.ascontiguousarray(apart.transpose(0, 2, 1)).view(">f4").reshape(-1, width, channels))
        else:
            lines = content.view(f"<u{bits // 8}").reshape(-1, width, channels).astype(np.uint64)
            strips.append(lines.cumsum(axis=1) % 2**bits)
    return np.concatenate(strips)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("mode", CHANNELS)
def test_a_deep_tiff_is_written_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, dtype: type, big: bool
) -> None:
    monkeypatch.setattr(tiff_writer, "_STRIP_BYTES", 300)  # several strips, the last one shorter
    monkeypatch.setattr(tiff_writer, "CLASSIC_BYTES", 100 if big else 2**32)
    array = values(CHANNELS[mode], dtype)
    write_picture(pixels_of(array), tmp_path / "a.tif", Metadata())
    data = (tmp_path / "a.tif").read_bytes()
    assert data[:4] == (b"II\x2b\x00" if big else b"II\x2a\x00")
    np.testing.assert_array_equal(unpacked(data), array)
    np.testing.assert_array_equal(planes(read_picture(tmp_path / "a.tif").image), array)


def test_other_libraries_read_them(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    for dtype in (np.uint16, np.float32):
        array = values(4, dtype)
        write_picture(pixels_of(array), tmp_path / "a.tif", Metadata(), overwrite=True)
        try:
            found = tifffile.imread(tmp_path / "a.tif")
        except ValueError as error:
            pytest.skip(str(error))  # without imagecodecs it knows no differences of floating point
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_what_stands_beside_the_pixels_is_kept(tmp_path: Path, suffix: str) -> None:
    told = Image.Exif()
    told[0x010F] = "Camera"
    exif = told.tobytes()
    metadata = Metadata(icc_profile=ICC, exif=exif, text={"parameters": "a cat"}, dpi=(300, 300), size=(17, 13))
    write_picture(pixels_of(values(3)), tmp_path / f"a.{suffix}", metadata)
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert image.info["icc_profile"] == ICC
        assert max(abs(float(value) - 300) for value in image.info["dpi"]) < 0.1
        assert image.getexif()[0x010F].rstrip("\x00") == "Camera"
        if suffix == "png":
            assert image.text["parameters"] == "a cat"
    data = (tmp_path / f"a.{suffix}").read_bytes()
    assert any("a cat".encode(code) in data for code in ("utf-8", "utf-16-be", "utf-16-le"))


def test_less_deep_formats_get_what_they_hold_and_say_so(tmp_path: Path) -> None:
    array = values(3, np.float32)
    notes = write_picture(pixels_of(array), tmp_path / "a.png", Metadata())
    assert "at most 16 bits" in notes[0]
    data = (tmp_path / "a.png").read_bytes()
    np.testing.assert_array_equal(unfiltered(data, 17, 3, 16), np.floor(array.astype(float) * 65535 + 0.5))
    notes = write_picture(pixels_of(values(3)), tmp_path / "a.webp", Metadata())
    assert "at most 8 bits" in notes[0]
    with Image.open(tmp_path / "a.webp") as image:
        np.testing.assert_array_equal(np.asarray(image), np.floor(values(3) / 257 + 0.5))


def test_colour_tags_are_converted_at_full_depth() -> None:
    ramp = np.linspace(0, 65535, 501).round().astype(np.uint16)[None, :, None]
    linear = tags_to_srgb(Pixels(ramp, None, "L"), ColorTags(gamma=1.0))
    light = ramp / 65535
    code = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    assert linear is not None
    np.testing.assert_array_equal(linear.color, np.floor(code * 65535 + 0.5))


# -- OpenEXR -----------------------------------------------------------------------------------------------------------


def exr_header(channels: str, size: tuple[int, int]) -> bytes:
    """The beginning of an OpenEXR file, by its specification."""

    def attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
        return name + b"\x00" + kind + b"\x00" + struct.pack("<I", len(value)) + value

    listed = b"".join(name.encode() + b"\x00" + struct.pack("<IIII", 2, 0, 1, 1) for name in channels) + b"\x00"
    window = struct.pack("<4i", 0, 0, size[0] - 1, size[1] - 1)
    parts = attribute(b"channels", b"chlist", listed) + attribute(b"dataWindow", b"box2i", window)
    return b"v/1\x01" + struct.pack("<I", 2) + parts + b"\x00"


def test_the_header_of_an_exr_needs_no_library(tmp_path: Path) -> None:
    (tmp_path / "a.exr").write_bytes(exr_header("ABGR", (40, 30)))
    header = read_header(tmp_path / "a.exr")
    assert (header.size, header.channels, header.alpha, header.bits) == (Size(40, 30), 3, True, 32)
    with pytest.raises((PictureReadError, UnsupportedPictureError)):
        read_picture(tmp_path / "a.exr")
    (tmp_path / "b.exr").write_bytes(exr_header("ABGR", (40, 30))[:40])
    with pytest.raises(PictureReadError, match="header"):
        read_header(tmp_path / "b.exr")


def test_an_exr_holds_light_and_comes_back(tmp_path: Path) -> None:
    library = pytest.importorskip("OpenEXR")
    array = values(4, np.float32) + np.float32(0.05)
    array[2, 3, :3] = 7.5  # a highlight
    array[:, :, 3] = 0.5
    light = {name: np.ascontiguousarray(array[:, :, i]) for i, name in enumerate("RGBA")}
    with library.File({"type": library.scanlineimage}, dict(light)) as file:
        file.write(str(tmp_path / "a.exr"))
    picture = read_picture(tmp_path / "a.exr")
    straight = array[:, :, :3].astype(float) / 0.5
    code = np.where(straight <= 0.0031308, straight * 12.92, 1.055 * straight ** (1 / 2.4) - 0.055)
    assert np.abs(picture.image.color - code).max() < 1e-5
    write_picture(picture.image, tmp_path / "b.exr", picture.metadata)
    with library.File(str(tmp_path / "b.exr"), separate_channels=True) as file:
        back = {name: np.array(channel.pixels) for name, channel in file.channels().items()}
    for name, plane in light.items():
        assert np.abs(back[name] / plane - 1).max() < 2e-6


def test_what_an_exr_cannot_hold_is_cut_off_and_said(tmp_path: Path) -> None:
    library = pytest.importorskip("OpenEXR")
    array = np.full((4, 5, 3), 0.5, np.float32)
    array[1, 2] = 1e20  # as light: far beyond what there is a number for
    notes = write_picture(Pixels(array, None, "RGB"), tmp_path / "a.exr", Metadata())
    assert any("was cut off" in note for note in notes)
    with library.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        red = np.array(file.channels()["R"].pixels)
    assert red[1, 2] == np.finfo(np.float32).max
    assert np.isfinite(red).all()


def test_light_without_cover_does_not_blind(tmp_path: Path) -> None:
    library = pytest.importorskip("OpenEXR")
    array = np.full((6, 8, 4), 0.25, np.float32)
    array[:, 4:, 3] = 0
    light = {name: np.ascontiguousarray(array[:, :, i]) for i, name in enumerate("RGBA")}
    with library.File({"type": library.scanlineimage}, light) as file:
        file.write(str(tmp_path / "a.exr"))
    picture = read_picture(tmp_path / "a.exr")
    assert "24 of its pixels are light without any cover" in picture.warnings[0]
    assert (picture.image.color[:, 4:] == 0).all()
    assert np.abs(picture.image.color[:, :4] - 1).max() < 1e-6


# -- limits ------------------------------------------------------------------------------------------------------------


def test_large_pictures_are_a_question_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own limit is set low here, so that a small picture is beyond it."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    array = values(3, np.uint8)
    (tmp_path / "a.jpg").write_bytes(encoded(array, "JPEG"))
    for name, data in (("a.png", png(array)), ("deep.png", png(values(3))), ("a.tif", tiff(array, 2))):
        picture = given(tmp_path, data, name)
        assert picture.image.size == (17, 13)
        assert picture.warnings == ()
    assert read_picture(tmp_path / "a.jpg").image.size == (17, 13)
