"""Animations and pages as they are read: what is seen of each frame, for how long, and how often."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.errors import PictureReadError, UnsupportedPictureError
from lib_upscaler.geometry import Size
from lib_upscaler.pictures.frames.kinds import kind_of_frames
from lib_upscaler.pictures.frames.source import FrameSource, frame_headers, read_frames
from made_animations import Part, apng, gif, shown, tiff_pages, webp
from made_pictures import encoded, photo, png

MAKERS: dict[str, Callable] = {"gif": gif, "png": apng, "webp": webp}
RED, GREEN, BLUE = (200, 30, 20, 255), (10, 180, 40, 255), (20, 30, 190, 255)


def plain(color: tuple[int, ...], width: int, height: int) -> np.ndarray:
    return np.broadcast_to(np.array(color, np.uint8), (height, width, 4)).copy()


def holed(color: tuple[int, ...], width: int, height: int) -> np.ndarray:
    """Every second pixel is transparent."""
    pixels = plain(color, width, height)
    pixels[(np.indices((height, width)).sum(axis=0) % 2) == 1] = 0
    return pixels


def source_of(data: bytes, folder: Path) -> FrameSource:
    path = folder / "source"
    path.write_bytes(data)
    found = read_frames(path)
    assert found is not None
    return found


def sizes_told(path: Path) -> tuple[Size, ...]:
    """Without the pixels."""
    return tuple(header.size for header in frame_headers(path))


def seen(source: FrameSource) -> list[np.ndarray]:
    """RGBA, nothing where nothing is seen."""
    frames = [np.array(frame.image.convert("RGBA")) for frame in source.frames()]
    for frame in frames:
        frame[frame[..., 3] == 0] = 0
    return frames


PARTS = [
    Part(plain(RED, 12, 10), delay=0),
    Part(holed(GREEN, 6, 4), 2, 2, 7, then=2),
    Part(plain(BLUE, 4, 4), 6, 4, 300, then=3),
    Part(plain(GREEN, 2, 2), 10, 8, 7),
    Part(holed(BLUE, 12, 10), 0, 0, 1),
]


@pytest.mark.parametrize("kind", MAKERS)
def test_each_frame_is_seen_as_its_format_says(kind: str, tmp_path: Path) -> None:
    """Disposal, transparency and blending by the words of the standards, worked out pixel by pixel."""
    parts = [part for part in PARTS if kind != "webp" or part.then != 3]  # WebP takes nothing back
    source = source_of(MAKERS[kind](parts, 12, 10), tmp_path)
    expected = shown(parts, 12, 10)
    assert len(source) == len(expected)
    for found, wanted in zip(seen(source), expected):
        np.testing.assert_array_equal(found, wanted)
    unit = 10 if kind == "gif" else 1
    assert source.durations == tuple(Fraction(part.delay * unit) for part in parts)


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_a_frame_that_replaces_brings_its_holes_along(kind: str, tmp_path: Path) -> None:
    parts = [Part(plain(RED, 8, 6)), Part(holed(BLUE, 4, 4), 2, 2, over=False)]
    for found, wanted in zip(seen(source_of(MAKERS[kind](parts, 8, 6), tmp_path)), shown(parts, 8, 6)):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("loop", "plays"), [(None, 1), (0, 0), (1, 2), (65_535, 65_536)])
def test_a_gif_tells_how_often_it_is_repeated(loop: int | None, plays: int, tmp_path: Path) -> None:
    assert source_of(gif(PARTS, 12, 10, loop), tmp_path).plays == plays


@pytest.mark.parametrize("make", [apng, webp])
def test_others_tell_how_often_they_are_shown(make: Callable, tmp_path: Path) -> None:
    parts = PARTS[:2]
    assert source_of(make(parts, 12, 10, 0), tmp_path).plays == 0
    assert source_of(make(parts, 12, 10, 3), tmp_path).plays == 3


def test_times_of_an_apng_are_fractions_of_a_second(tmp_path: Path) -> None:
    parts = [Part(plain(RED, 3, 3), delay=(1001, 30_000)), Part(plain(BLUE, 3, 3), delay=(7, 0))]
    assert source_of(apng(parts, 3, 3), tmp_path).durations == (Fraction(1001, 30), Fraction(70))


def test_a_picture_that_is_no_frame_of_its_apng(tmp_path: Path) -> None:
    parts = [Part(holed(GREEN, 8, 6), then=3), Part(plain(BLUE, 2, 2), 4, 4)]
    source = source_of(apng(parts, 8, 6, still=plain(RED, 8, 6)), tmp_path)
    assert (len(source), source.hidden) == (2, True)
    for found, wanted in zip(seen(source), shown(parts, 8, 6)):
        np.testing.assert_array_equal(found, wanted)
    first, *frames = source.frames(hidden=True)
    assert (first.shown, len(frames)) == (False, 2)
    np.testing.assert_array_equal(np.asarray(first.image), plain(RED, 8, 6))


def test_a_single_frame_beside_a_picture_that_is_none(tmp_path: Path) -> None:
    source = source_of(apng([Part(plain(BLUE, 8, 6))], 8, 6, still=plain(RED, 8, 6)), tmp_path)
    assert (len(source), source.hidden) == (1, True)
    np.testing.assert_array_equal(seen(source)[0], plain(BLUE, 8, 6))


# -- what is unusual ---------------------------------------------------------------------------------------------------


def test_a_first_frame_that_is_smaller_than_the_picture(tmp_path: Path) -> None:
    parts = [Part(plain(RED, 4, 4), 3, 2), Part(plain(BLUE, 4, 4), 5, 4)]
    source = source_of(gif(parts, 12, 10), tmp_path)
    assert source.mode == "RGBA"
    for found, wanted in zip(seen(source), shown(parts, 12, 10)):
        np.testing.assert_array_equal(found, wanted)


def test_a_frame_beyond_the_picture_is_cut_off_and_that_is_said(tmp_path: Path) -> None:
    parts = [Part(plain(RED, 8, 6)), Part(plain(BLUE, 6, 6), 5, 3), Part(plain(GREEN, 2, 2), 20, 20)]
    source = source_of(gif(parts, 8, 6), tmp_path)
    for found, wanted in zip(seen(source), shown(parts, 8, 6)):
        np.testing.assert_array_equal(found, wanted)
    assert any("beyond the picture" in warning for warning in source.warnings)


def test_a_first_frame_that_is_larger_than_the_picture_makes_it_larger(tmp_path: Path) -> None:
    source = source_of(gif([Part(plain(RED, 8, 6)), Part(plain(BLUE, 2, 2))], 4, 4), tmp_path)
    assert source.sizes[0] == Size(8, 6)


def test_a_background_that_is_named_is_not_painted(tmp_path: Path) -> None:
    """As in browsers, and in libwebp's own reader of animations."""
    parts = [Part(plain(RED, 4, 4), 2, 2, then=2), Part(plain(BLUE, 2, 2), 2, 2)]
    source = source_of(webp(parts, 8, 8, background=b"\xff\xff\xff\xff"), tmp_path)
    for found, wanted in zip(seen(source), shown(parts, 8, 8)):
        np.testing.assert_array_equal(found, wanted)


def test_frames_that_are_the_same_are_known(tmp_path: Path) -> None:
    parts = [Part(plain(RED, 6, 6)), Part(plain(RED, 3, 3)), Part(plain(BLUE, 2, 2)), Part(plain(BLUE, 1, 1))]
    assert source_of(gif(parts, 6, 6), tmp_path).repeats == (False, True, False, True)


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [((photo(channels=1), photo(channels=1, seed=2)), "L"), ((photo(), photo(seed=2)), "RGB")],
)
def test_opaque_frames_have_no_alpha_and_grey_ones_no_colour(pixels: tuple, mode: str, tmp_path: Path) -> None:
    first, second = map(Image.fromarray, pixels)
    source = source_of(encoded(first, "PNG", save_all=True, append_images=[second]), tmp_path)
    assert source.mode == mode
    for frame, wanted in zip(source.frames(), pixels):
        np.testing.assert_array_equal(np.asarray(frame.image), wanted)


@pytest.mark.parametrize(
    "data",
    [
        encoded(photo(), "PNG"),
        encoded(photo(), "WEBP"),
        encoded(photo(), "TIFF"),
        encoded(photo(), "JPEG"),
        gif([Part(plain(RED, 5, 5))], 5, 5),
        apng([Part(plain(RED, 5, 5))], 5, 5),
        encoded(photo(), "MPO", save_all=True, append_images=[Image.fromarray(photo(seed=3))]),
        b"",
        b"GIF89a",
    ],
)
def test_a_single_picture_is_no_animation(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(data)
    assert read_frames(tmp_path / "one") is None
    assert frame_headers(tmp_path / "one") == ()


def test_a_file_that_is_not_there_is_none() -> None:
    assert kind_of_frames("nowhere.gif") is None


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
@pytest.mark.parametrize("alpha", [False, True])
def test_pillows_own_animations_look_as_pillow_shows_them(kind: str, alpha: bool, tmp_path: Path) -> None:
    frames = []
    for number in range(6):
        pixels = np.dstack([photo(30, 20), np.full((20, 30), 255, np.uint8)]) if alpha else photo(30, 20).copy()
        pixels[4:12, 3 * number : 3 * number + 9] = photo(9, 8, pixels.shape[2], seed=number)
        if alpha:
            pixels[:, 25 - number :] = 0
        frames.append(Image.fromarray(pixels))
    options = {"lossless": True, "exact": True} if kind == "webp" else {"disposal": 2} if kind == "gif" else {}
    path = tmp_path / f"a.{kind}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 50, 60, 70, 80, 90], **options)
    source = read_frames(path)
    assert source is not None
    with Image.open(path) as image:
        for number, found in enumerate(seen(source)):
            image.seek(number)
            wanted = np.array(image.convert("RGBA"))
            wanted[wanted[..., 3] == 0] = 0
            np.testing.assert_array_equal(found, wanted)
    assert source.durations == tuple(map(Fraction, (40, 50, 60, 70, 80, 90)))


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_frames_are_turned_upright(kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [photo(30, 20), photo(30, 20, seed=2)]
    options = {"lossless": True} if kind == "webp" else {}
    first, second = map(Image.fromarray, frames)
    source = source_of(encoded(first, kind, save_all=True, append_images=[second], exif=exif, **options), tmp_path)
    assert source.sizes == (Size(20, 30), Size(20, 30)) == sizes_told(tmp_path / "source")
    for frame, wanted in zip(source.frames(), frames):
        np.testing.assert_array_equal(np.asarray(frame.image), np.rot90(wanted, -1))


# -- pages -------------------------------------------------------------------------------------------------------------


def test_pages_of_a_tiff_have_sizes_and_kinds_of_their_own(tmp_path: Path) -> None:
    pages = [Image.fromarray(photo(30, 20)), Image.fromarray(photo(12, 40, 1)), Image.fromarray(photo(9, 9, 4))]
    data = tiff_pages(*pages, compression="tiff_lzw")
    source = source_of(data, tmp_path)
    assert source.sizes == (Size(30, 20), Size(12, 40), Size(9, 9)) == sizes_told(tmp_path / "source")
    assert not source.is_animation
    for frame, page in zip(source.frames(), pages):
        assert frame.image.mode == page.mode
        np.testing.assert_array_equal(np.asarray(frame.image), np.asarray(page))


def test_smaller_copies_of_a_page_are_no_pages(tmp_path: Path) -> None:
    pages = [Image.fromarray(photo(30, 20)), Image.fromarray(photo(15, 10)), Image.fromarray(photo(30, 20, seed=2))]
    data = bytearray(tiff_pages(*pages, tiffinfo={254: 0}))
    second = _directories(bytes(data))[1]
    struct.pack_into("<I", data, second + 2 + 8, 1)  # the first row of each is NewSubfileType
    source = source_of(bytes(data), tmp_path)
    assert source.sizes == (Size(30, 20), Size(30, 20))
    assert any("smaller copies" in warning for warning in source.warnings)
    np.testing.assert_array_equal(np.asarray(list(source.frames())[1].image), photo(30, 20, seed=2))


def _directories(data: bytes) -> list[int]:
    places = [struct.unpack_from("<I", data, 4)[0]]
    while places[-1]:
        rows = struct.unpack_from("<H", data, places[-1])[0]
        places.append(struct.unpack_from("<I", data, places[-1] + 2 + 12 * rows)[0])
    return places[:-1]


# -- what is damaged ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MAKERS)
def test_a_file_that_ends_early_names_the_frame(kind: str, tmp_path: Path) -> None:
    parts = [Part(photo(16, 16, 4, seed=n) | np.array([0, 0, 0, 255], np.uint8)) for n in range(4)]
    data = MAKERS[kind](parts, 16, 16)
    with pytest.raises(PictureReadError, match=r"frame 4 "):
        source_of(data[:-200], tmp_path)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_damaged_frame_in_the_middle_names_it(kind: str, tmp_path: Path) -> None:
    parts = [Part(photo(16, 16, 4, seed=n) | np.array([0, 0, 0, 255], np.uint8)) for n in range(4)]
    whole = MAKERS[kind](parts, 16, 16)
    mark = {"gif": b"\x21\xf9", "png": b"fdAT", "webp": b"VP8L"}[kind]
    places = [place for place in range(len(whole)) if whole.startswith(mark, place)]
    place = places[{"gif": 2, "png": 1, "webp": 2}[kind]]
    broken = bytearray(whole)
    if kind == "gif":
        start = place + 8 + 10 + 768 + 1
        broken[start + 1 : start + 60] = b"\xff" * 59  # codes that are not in the table yet
    else:
        broken[place + 10 : place + 80] = b"\xff" * 70
    with pytest.raises(PictureReadError, match=r"frame 3 of 4"):
        source_of(bytes(broken), tmp_path)


def test_frames_that_an_apng_announces_and_lacks(tmp_path: Path) -> None:
    data = apng(PARTS, 12, 10).replace(struct.pack(">II", 5, 0), struct.pack(">II", 6, 0), 1)
    with pytest.raises(PictureReadError, match="frame 6"):
        source_of(data, tmp_path)


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    data = bytearray(tiff_pages(*(Image.fromarray(photo(30, 20, seed=n)) for n in range(3))))
    place = _directories(bytes(data))[1]
    data[place + 2 : place + 14 * 12] = bytes(14 * 12 - 2)
    with pytest.raises((PictureReadError, UnsupportedPictureError), match="page 2"):
        source_of(bytes(data), tmp_path)


def test_anything_at_all_is_read_or_refused_in_words(tmp_path: Path) -> None:
    """Bytes changed and cut at random: nothing but our own errors, and frames of the size that was told."""
    chance = np.random.default_rng(7)
    samples = [MAKERS[kind](PARTS[:3:2], 12, 10) for kind in MAKERS]
    samples.append(tiff_pages(*(Image.fromarray(photo(30, 20, seed=n)) for n in range(3))))
    outcomes = set()
    for number in range(240):
        data = bytearray(samples[number % 4])
        for _ in range(chance.integers(1, 6)):
            data[chance.integers(40, len(data))] = chance.integers(256)  # before that, the size: large ones take long
        if number % 3 == 0:
            data = data[: chance.integers(12, len(data))]
        path = tmp_path / "some"
        path.write_bytes(bytes(data))
        try:
            source = read_frames(path)
            if source is not None:
                for frame, size in zip(source.frames(), source.sizes):
                    assert frame.image.size == (size.width, size.height)
            outcomes.add("read" if source else "one")
        except (PictureReadError, UnsupportedPictureError):
            outcomes.add("refused")
    assert outcomes == {"read", "one", "refused"}


def test_a_still_picture_before_a_png_of_one_frame_is_a_still_picture(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(png(photo()))
    assert read_frames(tmp_path / "a") is None
