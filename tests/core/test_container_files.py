"""What HEIC, AVIF, JPEG XL and JPEG 2000 files say is read from the files themselves, whatever their readers tell.

The files are made box by box; what the numbers in them mean is taken from the standards.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from container_files import MIRROR, TURN, box, full, heif, item, jp2, jxl_stream, reference
from lib_upscaler.errors import PictureReadError, UnsupportedPictureError
from lib_upscaler.pictures import heifs, jxls, plugins
from lib_upscaler.pictures.colours import ColorTags
from lib_upscaler.pictures.reading import read_header, read_picture
from made_pictures import cmyk_profile, encoded, exif_data, photo

PHOTO = photo()
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" a:b="c"/>'


def test_kinds_are_known_by_how_they_begin() -> None:
    heads = {
        heif(b"heic"): plugins.HEIF,
        heif(b"hevc"): plugins.HEIF,
        heif(b"mif1", brands=b"mif1heic"): plugins.HEIF,
        heif(b"heic", brands=b"avif"): plugins.HEIF,
        heif(b"avif"): plugins.AVIF,
        heif(b"avis"): plugins.AVIF,
        heif(b"mif1", brands=b"miafavif"): plugins.AVIF,
        heif(b"isom", brands=b"mp41"): None,
        heif(b"crx ", brands=b"isom"): None,
        jxl_stream("1"): plugins.JXL,
        box(b"JXL ", b"\r\n\x87\n"): plugins.JXL,
        jp2(PHOTO): plugins.JP2,
        encoded(PHOTO, "JPEG2000", no_jp2=True): plugins.JP2,
        encoded(PHOTO, "PNG"): None,
        b"": None,
        b"\x00\x00\x00\x18ftyp": None,
    }
    for data, kind in heads.items():
        assert plugins.kind_of(data[:1024]) is kind, data[:40]


# -- HEIC, AVIF --------------------------------------------------------------------------------------------------------

VIEWS = {
    1: Image.Transpose.ROTATE_180,  # not used
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
STEPS = {
    TURN(1): Image.Transpose.ROTATE_90,
    TURN(2): Image.Transpose.ROTATE_180,
    TURN(3): Image.Transpose.ROTATE_270,
    MIRROR(0): Image.Transpose.FLIP_TOP_BOTTOM,
    MIRROR(1): Image.Transpose.FLIP_LEFT_RIGHT,
}


@pytest.mark.parametrize("first", [b"", *STEPS])
@pytest.mark.parametrize("second", [b"", *STEPS])
def test_turns_and_mirrors_in_their_order(first: bytes, second: bytes) -> None:
    seen = plain = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    for step in filter(None, (first, second)):
        seen = seen.transpose(STEPS[step])
    number = heifs.look_into(heif(properties=[step for step in (first, second) if step])).orientation
    assert np.array_equal(np.asarray(plain if number == 1 else plain.transpose(VIEWS[number])), np.asarray(seen))


def test_only_what_belongs_to_the_main_picture_counts() -> None:
    data = heif(properties=[box(b"ispe", bytes(12))], others=[TURN(1), box(b"colr", b"prof", ICC)])
    assert (heifs.look_into(data).orientation, heifs.look_into(data).found.icc) == (1, None)


def nclx(primaries: int, transfer: int) -> bytes:
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, 6, 128))


@pytest.mark.parametrize(
    ("properties", "icc", "code"),
    [
        ([box(b"colr", b"prof", ICC)], ICC, None),
        ([box(b"colr", b"rICC", ICC), nclx(9, 16)], ICC, None),
        ([nclx(12, 13)], None, bytes([12, 13, 0, 1])),  # Display P3, in RGB of the full range
        ([nclx(9, 16)], None, bytes([9, 16, 0, 1])),
        ([nclx(2, 16)], None, bytes([1, 16, 0, 1])),  # 2: not told
        ([nclx(1, 13)], None, None),  # sRGB, which is what nothing means
        ([nclx(2, 2)], None, None),
        ([box(b"colr", b"nclx", b"\x00")], None, None),
    ],
)
def test_colours(properties: list[bytes], icc: bytes | None, code: bytes | None) -> None:
    found = heifs.look_into(heif(properties=properties)).found
    assert found.icc == icc
    assert found.colors == (None if code is None else ColorTags(code=code))


@pytest.mark.parametrize(
    ("property", "bits"),
    [
        (full(b"pixi", bytes([3, 10, 10, 10])), 10),
        (full(b"pixi", bytes([3, 8, 8, 8])), 8),
        (box(b"av1C", bytes([0x81, 0, 0x40, 0])), 10),
        (box(b"av1C", bytes([0x81, 0, 0x60, 0])), 12),
        (box(b"av1C", bytes([0x81, 0, 0x0C, 0])), 8),
        (box(b"hvcC", bytes(17), bytes([0xFA, 0xFA]), bytes(4)), 10),
        (box(b"hvcC", bytes(17), bytes([0xF8, 0xF8]), bytes(4)), 8),
    ],
)
def test_bits_per_channel(property: bytes, bits: int) -> None:
    assert heifs.look_into(heif(properties=[property])).bits == bits


def test_what_lies_beside_the_main_picture_is_named() -> None:
    def auxiliary(name: str) -> bytes:
        return full(b"auxC", name.encode() + b"\x00")

    data = heif(
        items=[
            item(1, b"hvc1"),
            *(item(number, b"hvc1") for number in range(2, 8)),
            item(8, b"Exif"),
            item(9, b"tmap"),
        ],
        references=[
            reference(b"thmb", 2, 1),
            *(reference(b"auxl", number, 1) for number in (3, 4, 5)),
            reference(b"cdsc", 8, 1),
        ],
        others=[
            auxiliary("urn:mpeg:hevc:2015:auxid:1"),
            auxiliary("urn:mpeg:hevc:2015:auxid:2"),
            auxiliary("urn:com:apple:photo:2020:aux:hdrgainmap"),
            auxiliary("urn:com:apple:photo:2018:aux:portraiteffectsmatte"),
        ],
    )
    assert heifs.look_into(data).found.lost == [
        "its HDR gain map",
        "its depth map",
        "a further channel or mask of it",
        "the 2 further pictures in it",
    ]
    assert heifs.look_into(heif()).found.lost == []


def test_the_parts_of_a_grid_are_no_further_pictures() -> None:
    parts = range(2, 6)
    data = heif(
        items=[item(1, b"grid"), *(item(number, b"hvc1") for number in parts)],
        references=[reference(b"dimg", 1, *parts)],
    )
    assert heifs.look_into(data).found.lost == []


def test_a_cut_container_tells_what_is_there() -> None:
    whole = heif(properties=[TURN(1), box(b"colr", b"prof", ICC)], items=[item(1, b"hvc1"), item(2, b"Exif")])
    for length in range(0, len(whole), 7):
        heifs.look_into(whole[:length])
    assert heifs.look_into(whole).orientation == 8


# -- JPEG XL -----------------------------------------------------------------------------------------------------------


def bits(number: int, count: int) -> str:
    return f"{number:0{count}b}"[::-1]


SMALL = "1" + bits(4, 5) + "000" + bits(6, 5)  # in eighths: 40 high, no ratio, 56 wide


def test_sizes_of_jpeg_xl() -> None:
    large = "0 11" + bits(99_999, 30) + "111"  # 100000 high, twice as wide
    assert jxls.look_into(jxl_stream(SMALL + "1")).size == (56, 40)
    assert jxls.look_into(jxl_stream(large + "1")).size == (200_000, 100_000)


@pytest.mark.parametrize(
    ("ratio", "wide", "high"),
    [(1, 1, 1), (2, 12, 10), (3, 4, 3), (4, 3, 2), (5, 16, 9), (6, 5, 4), (7, 2, 1)],
)
def test_ratios_of_jpeg_xl(ratio: int, wide: int, high: int) -> None:
    assert jxls.look_into(jxl_stream("0 00" + bits(359, 9) + bits(ratio, 3) + "1")).size == (360 * wide // high, 360)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_a_header_of_jpeg_xl_tells(orientation: int) -> None:
    depth_10, alpha = "0" + "10", "0" + "00" + "0" + "00" + "00" + "00" + "1"  # of kind 0, multiplied
    further = "1" + bits(orientation - 1, 3) + "0" + "0" + "0"
    told = jxls.look_into(jxl_stream(SMALL + "0" + further + depth_10 + "1" + "10" + alpha))
    assert (told.orientation, told.bits, told.premultiplied, told.is_animated) == (orientation, 10, True, False)


def test_an_animation_in_floating_point_with_black_ink() -> None:
    animation = "1" + "00" + "00" + "00" + "0"
    floats = "1" + "00" + bits(7, 4)
    black = "0" + "01" + bits(2, 4) + "0" + "00" + "00" + "00"  # kind 4
    told = jxls.look_into(jxl_stream(SMALL + "0" + "1" + "000" + "0" + "0" + animation + floats + "1" + "10" + black))
    assert (told.is_animated, told.bits, told.is_cmyk) == (True, 0, True)
    assert told.found.lost == ["a further channel of it"]


def test_parts_of_a_jpeg_xl_container() -> None:
    stream = jxl_stream(SMALL + "1")
    parts = box(b"xml ", XMP), box(b"jxlp", bytes(4), stream[:4]), box(b"jxlp", b"\x80\x00\x00\x01", stream[4:])
    data = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl ", bytes(4), b"jxl ") + b"".join(parts)
    told = jxls.look_into(data + box(b"brob", b"xml ", b"packed") + box(b"jhgm", b"map"))
    assert told.size == (56, 40)
    assert told.found.text["XML:com.adobe.xmp"] == XMP.decode()
    assert told.found.lost == ["its compressed XMP", "its HDR gain map"]


def test_a_jpeg_xl_too_large_to_open_is_refused_before_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jxl"
    path.write_bytes(jxl_stream("0 11" + bits(99_999, 30) + "111" + "1"))
    with pytest.raises(PictureReadError, match="200000x100000"):
        read_picture(path)


# -- JPEG 2000 ---------------------------------------------------------------------------------------------------------


def read(tmp_path: Path, data: bytes, name: str = "a.jp2") -> tuple[np.ndarray, tuple[str, ...], object]:
    path = tmp_path / name
    path.write_bytes(data)
    picture, header = read_picture(path), read_header(path)
    assert (header.size.width, header.size.height) == picture.image.size
    assert (header.channels, header.alpha) == (1 if picture.image.mode[0] == "L" else 3, picture.image.mode[-1] == "A")
    return np.asarray(picture.image), picture.warnings, picture.metadata


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bare", [False, True])
def test_jpeg_2000_is_read_to_the_level(channels: int, bare: bool, tmp_path: Path) -> None:
    pixels = PHOTO[:, :, 0] if channels == 1 else photo(channels=4)[:, :, :channels].copy()
    data = encoded(pixels, "JPEG2000", no_jp2=bare)
    result, warnings, _ = read(tmp_path, data, "a.j2k" if bare else "a.jp2")
    assert np.array_equal(result, pixels)
    assert warnings == ()


def test_jpeg_2000_by_another_name(tmp_path: Path) -> None:
    assert np.array_equal(read(tmp_path, encoded(PHOTO, "JPEG2000"), "a.jpg")[0], PHOTO)


def test_parts_of_a_jp2(tmp_path: Path) -> None:
    density = box(b"res ", box(b"resc", struct.pack(">HHHHbb", 11811, 1, 5906, 1, 0, 0)))  # per metre, down and across
    exif = exif_data((0x010F, 2, 7, 26), more=b"Camera\x00")
    uuids = (
        box(b"uuid", bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC"), XMP)
        + box(b"uuid", b"JpgTiffExif->JP2", exif[6:])
        + box(b"uuid", bytes.fromhex("B14BF8BD083D4B43A5AE8CD7D5A6CE03"), b"II*\x00")
    )
    _, warnings, metadata = read(tmp_path, jp2(PHOTO, b"\x02\x00\x00" + ICC, density, uuids))
    assert metadata.icc_profile == ICC
    assert metadata.dpi == pytest.approx((150, 300), abs=0.1)
    assert b"Camera" in metadata.exif
    assert metadata.text["XML:com.adobe.xmp"] == XMP.decode()
    assert warnings == ("its place on a map (GeoTIFF) cannot be kept; left out",)


def test_a_palette_in_a_jp2(tmp_path: Path) -> None:
    """With a colour that stands in it twice, which Pillow's own reader trips over."""
    palette = np.array([[10, 20, 30], [200, 100, 0], [200, 100, 0], [0, 0, 255]], np.uint8)
    numbers = np.random.default_rng(0).integers(0, 4, (12, 16)).astype(np.uint8)
    boxes = box(b"pclr", struct.pack(">HB3B", 4, 3, 7, 7, 7), palette.tobytes())
    boxes += box(b"cmap", b"".join(struct.pack(">HBB", 0, 1, column) for column in range(3)))
    assert np.array_equal(read(tmp_path, jp2(numbers, header=boxes))[0], palette[numbers])


def test_cmyk_in_a_jp2(tmp_path: Path) -> None:
    ink = photo(channels=4, seed=3)
    plain = Image.frombytes("CMYK", (56, 44), ink.tobytes()).convert("RGB")
    result, warnings, _ = read(tmp_path, jp2(ink, b"\x01\x00\x00\x00\x00\x00\x0c"))
    assert np.array_equal(result, np.asarray(plain))
    assert "no profile" in warnings[0]
    _, warnings, metadata = read(tmp_path, jp2(ink, b"\x03\x00\x00" + cmyk_profile("Test press")))
    assert warnings == ("its CMYK colours were converted to sRGB through its profile 'Test press'",)
    assert metadata.icc_profile is None


def channels(*told: tuple[int, int, int]) -> bytes:
    return box(b"cdef", struct.pack(">H", len(told)), *(struct.pack(">HHH", *row) for row in told))


def test_what_the_fourth_channel_of_a_jp2_is(tmp_path: Path) -> None:
    pixels = photo(channels=4).copy()
    pixels[:, :, :3] = np.minimum(pixels[:, :, :3], pixels[:, :, 3:])
    colors = ((0, 0, 1), (1, 0, 2), (2, 0, 3))

    assert np.array_equal(read(tmp_path, jp2(pixels, header=channels(*colors, (3, 1, 0))))[0], pixels)
    divided = read(tmp_path, jp2(pixels, header=channels(*colors, (3, 2, 0))))[0]
    alpha = pixels[:, :, 3:].astype(float)
    assert np.abs(divided[:, :, :3] - 255.0 * pixels[:, :, :3] / np.maximum(alpha, 1))[alpha[:, :, 0] > 0].max() <= 0.5
    plain, warnings, _ = read(tmp_path, jp2(pixels, header=channels(*colors, (3, 65_535, 65_535))))
    assert np.array_equal(plain, pixels[:, :, :3])
    assert "no transparency" in warnings[0]


def test_ycc_in_a_jp2(tmp_path: Path) -> None:
    ycc = np.asarray(Image.fromarray(PHOTO).convert("YCbCr"))
    result = read(tmp_path, jp2(ycc, b"\x01\x00\x00\x00\x00\x00\x12"))[0].astype(int)
    assert np.abs(result - PHOTO).max() <= 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (encoded(Image.fromarray(PHOTO[:, :, 0].astype(np.uint16) * 257), "JPEG2000"), "16 bits"),
        (jp2(PHOTO, b"\x01\x00\x00\x00\x00\x00\x0e"), "number 14"),
        (jp2(PHOTO, header=channels((0, 0, 3), (1, 0, 2), (2, 0, 1))), "another order"),
        (jp2(PHOTO[:, :, 0], header=box(b"pclr", struct.pack(">HB3B", 1, 3, 15, 15, 15), bytes(6))), "palette"),
    ],
)
def test_what_pillow_would_make_wrong_is_refused(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.jp2").write_bytes(data)
    for reader in (read_picture, read_header):
        with pytest.raises(UnsupportedPictureError, match=words):
            reader(tmp_path / "a.jp2")


def test_channels_of_fewer_samples_are_refused(tmp_path: Path) -> None:
    data = jp2(PHOTO)
    place = data.index(b"\xff\x4f\xff\x51") + 4 + 38  # behind the number of channels, three bytes for each
    (tmp_path / "a.jp2").write_bytes(data[: place + 4] + b"\x02\x02" + data[place + 6 :])
    with pytest.raises(UnsupportedPictureError, match="fewer samples"):
        read_picture(tmp_path / "a.jp2")


@pytest.mark.parametrize("options", [{}, {"tile_size": (32, 32)}, {"no_jp2": True}])
def test_cut_jpeg_2000(options: dict, tmp_path: Path) -> None:
    data = encoded(PHOTO, "JPEG2000", **options)
    for length in (len(data) - 3, len(data) * 3 // 4, len(data) // 2):
        (tmp_path / "a.jp2").write_bytes(data[:length])
        with pytest.raises(PictureReadError, match="ends early"):
            read_picture(tmp_path / "a.jp2")
    for length in (len(data) - 1, len(data) - 2):
        result, warnings, _ = read(tmp_path, data[:length])
        assert np.array_equal(result, PHOTO)
        assert warnings == ("its end marker is missing; all its pixels are there",)


@pytest.mark.parametrize(("comment", "kept"), [(b"a cat", "a cat"), (b"Created by OpenJPEG version 2.5.0", None)])
def test_a_comment_is_kept_where_it_is_no_programs_name(comment: bytes, kept: str | None, tmp_path: Path) -> None:
    stream = encoded(PHOTO, "JPEG2000", no_jp2=True)
    place = stream.index(b"\xff\x52")  # the first marker behind the sizes
    told = b"\xff\x64" + struct.pack(">HH", 4 + len(comment), 1) + comment
    metadata = read(tmp_path, stream[:place] + told + stream[place:])[2]
    assert metadata.text.get("Comment") == kept
