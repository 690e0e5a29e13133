"""Animations and pages as they are written, by what Pillow reads of them: frames, times, repetition, and what stays."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from lib_upscaler.errors import PictureWriteError, RequestError
from lib_upscaler.pictures.frames.source import Frame, read_frames
from lib_upscaler.pictures.frames.writing import write_frames
from lib_upscaler.pictures.metadata import Metadata
from lib_upscaler.pictures.origin import origin_of
from made_animations import moving
from made_pictures import exif_data, photo

KINDS = ["gif", "png", "webp", "tiff"]
ANIMATED = ["gif", "png", "webp"]
TIMES = [70, 30, 0, 120, 40, 10]


def given(frames: list[np.ndarray], times: list[int] | list[Fraction] = TIMES) -> Iterator[Frame]:
    image, before = None, None
    for pixels, time in zip(frames, times):
        repeats = pixels is before
        image = image if repeats else Image.fromarray(pixels)
        assert image is not None
        yield Frame(image, Fraction(time), repeats)
        before = pixels


def read(path: Path) -> tuple[list[np.ndarray], list[float], dict]:
    """By Pillow: what is seen, RGBA, zeros where nothing is; the times; what stands beside the first."""
    found, times = [], []
    with Image.open(path) as image:
        info = dict(image.info)
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
            pixels = np.array(image.convert("RGBA"))
            pixels[pixels[..., 3] == 0] = 0
            found.append(pixels)
            times.append(image.info.get("duration", 0))
    return found, times, info


def as_rgba(pixels: np.ndarray) -> np.ndarray:
    result = np.array(Image.fromarray(pixels).convert("RGBA"))
    result[result[..., 3] == 0] = 0
    return result


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_is_seen_as_it_was_given(kind: str, mode: str, tmp_path: Path) -> None:
    """As often, as long, and to the pixel; of a GIF where no frame has more than 255 colours."""
    frames = moving(mode, few=kind == "gif")
    path = tmp_path / f"a.{kind}"
    notes = write_frames(given(frames), path, Metadata(), count=6, plays=0)
    found, times, info = read(path)
    assert len(found) == 6
    for pixels, wanted in zip(found, frames):
        np.testing.assert_array_equal(pixels, as_rgba(wanted))
    if kind == "tiff":
        assert any("no time" in note for note in notes)
    else:
        assert times == TIMES
        assert info["loop"] == 0
        assert notes == ()
    assert list(tmp_path.iterdir()) == [path], "nothing else is left"


@pytest.mark.parametrize("kind", ANIMATED)
def test_it_is_read_here_as_it_is_by_pillow(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    write_frames(given(moving("RGBA", few=False)), path, Metadata(), count=6, plays=3)
    source = read_frames(path)
    assert source is not None
    assert source.plays == 3
    assert source.repeats == (False, False, False, True, False, False)
    assert source.durations == tuple(map(Fraction, TIMES))
    for frame, wanted in zip(source.frames(), read(path)[0]):
        pixels = np.array(frame.image.convert("RGBA"))
        pixels[pixels[..., 3] == 0] = 0
        np.testing.assert_array_equal(pixels, wanted)


@pytest.mark.parametrize(("plays", "block"), [(0, 0), (1, None), (2, 1), (70_000, 65_535)])
def test_how_often_a_gif_is_shown(plays: int, block: int | None, tmp_path: Path) -> None:
    """Its block counts repetitions, and there is none where it is shown once."""
    path = tmp_path / "a.gif"
    write_frames(given(moving("RGB", few=True)), path, Metadata(), count=6, plays=plays)
    assert read(path)[2].get("loop") == block


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_how_often_others_are_shown(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    write_frames(given(moving("RGB", few=True)), path, Metadata(), count=6, plays=7)
    assert read(path)[2]["loop"] == 7


# -- times -------------------------------------------------------------------------------------------------------------


def test_an_apng_keeps_fractions_of_a_second(tmp_path: Path) -> None:
    times = [Fraction(1001, 30), Fraction(1000, 3), Fraction(1, 65), Fraction(0), Fraction(40), Fraction(65_535_000)]
    path = tmp_path / "a.png"
    assert write_frames(given(moving("RGB", few=True), times), path, Metadata(), count=6) == ()
    source = read_frames(path)
    assert source is not None
    assert source.durations == tuple(times)


@pytest.mark.parametrize(("kind", "unit", "least"), [("gif", 10, 20), ("webp", 1, 1)])
def test_times_that_a_format_cannot_tell_are_rounded_and_do_not_run_away(
    kind: str, unit: int, least: int, tmp_path: Path
) -> None:
    times = [
        Fraction(1001, 30),
        Fraction(1001, 30),
        Fraction(1001, 30),
        Fraction(0),
        Fraction(1001, 30),
        Fraction(1, 3),
    ]
    path = tmp_path / f"a.{kind}"
    notes = write_frames(given(moving("RGB", few=True), times), path, Metadata(), count=6)
    told = read(path)[1]
    assert any("rounded" in note for note in notes)
    assert told[3] == 0, "what has no time keeps none"
    assert told[5] == least, "and what has some does not lose it"
    for count in range(1, 6):
        assert abs(sum(told[:count]) - sum(times[:count])) <= unit / 2


# -- GIF ---------------------------------------------------------------------------------------------------------------


def test_what_is_at_rest_in_a_gif_keeps_its_pixels(tmp_path: Path) -> None:
    """With thousands of colours in each frame, and others in each."""
    ground = photo(90, 70)
    frames = []
    for number in range(5):
        pixels = ground.copy()
        pixels[10:50, 10 * number : 10 * number + 40] = photo(40, 40, seed=number + 9)
        frames.append(pixels)
    path = tmp_path / "a.gif"
    notes = write_frames(given(frames), path, Metadata(), count=5)
    found = read(path)[0]
    for number in range(1, 5):
        at_rest = (frames[number] == frames[number - 1]).all(axis=2)
        assert at_rest.mean() > 0.4
        np.testing.assert_array_equal(found[number][at_rest], found[number - 1][at_rest])
    for pixels, wanted in zip(found, frames):
        off = pixels[..., :3].astype(float) - wanted
        assert (off * off).mean() ** 0.5 < 9
    assert any("256 colours" in note for note in notes)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_frame_that_comes_again_in_a_gif_has_the_same_pixels(mode: str, tmp_path: Path) -> None:
    one, other = photo(60, 40), photo(60, 40, seed=4)
    frames = [one, other, one, other, one]
    if mode == "RGBA":
        holes = [np.full((40, 60), 255, np.uint8) for _ in range(2)]
        holes[0][:, :20], holes[1][:, 40:] = 0, 0
        frames = [np.dstack([pixels, holes[number % 2]]) for number, pixels in enumerate(frames)]
    path = tmp_path / "a.gif"
    write_frames(given(frames, [50] * 5), path, Metadata(), count=5)
    found = read(path)[0]
    for number in (2, 4):
        np.testing.assert_array_equal(found[number], found[0])
    np.testing.assert_array_equal(found[3], found[1])


def test_alpha_in_a_gif_is_there_or_not(tmp_path: Path) -> None:
    alpha = np.array([[0, 1, 127, 128, 200, 255]], np.uint8)
    pixels = np.dstack([np.full((1, 6, 3), 90, np.uint8), alpha])
    path = tmp_path / "a.gif"
    notes = write_frames(given([pixels, pixels[:, ::-1]], [10, 10]), path, Metadata(), count=2)
    found = read(path)[0]
    assert found[0][0, :, 3].tolist() == [0, 0, 0, 255, 255, 255]
    assert found[1][0, :, 3].tolist() == [255, 255, 255, 0, 0, 0]
    assert any("transparency in between" in note for note in notes)


def test_random_animations_are_seen_as_they_were_given(tmp_path: Path) -> None:
    """Holes, changes and repetitions anywhere, one pixel and all of them."""
    chance = np.random.default_rng(3)
    for job in range(40):
        width, height, count = (int(chance.integers(1, 12)) for _ in range(3))
        colors = chance.integers(0, 256, (9, 4), np.uint8)
        colors[:, 3] = 255
        colors[0] = 0
        frames = [colors[chance.integers(0, 9, (height, width))]]
        for _ in range(count):
            pixels = frames[-1].copy()
            x, y = chance.integers(0, width), chance.integers(0, height)
            part = pixels[y : y + chance.integers(0, 6), x : x + chance.integers(0, 6)]
            part[...] = colors[chance.integers(0, 9, part.shape[:2])]
            frames.append(pixels)
        for kind in ANIMATED:
            path = tmp_path / f"{job}.{kind}"
            write_frames(given(frames, [20] * len(frames)), path, Metadata(), count=len(frames))
            found = read(path)[0]
            assert len(found) == len(frames)
            for pixels, wanted in zip(found, frames):
                np.testing.assert_array_equal(pixels, as_rgba(wanted))


# -- what stands beside ------------------------------------------------------------------------------------------------

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_beside_the_frames_is_kept_once(kind: str, tmp_path: Path) -> None:
    metadata = Metadata(
        icc_profile=PROFILE,
        exif=exif_data((0x010F, 2, 7, 26), more=b"Camera\x00"),
        text={"parameters": "a cat", "XML:com.adobe.xmp": '<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'},
        origin="0123456789abcdef" * 2,
    )
    path = tmp_path / f"a.{kind}"
    notes = write_frames(given(moving("RGB", few=True)), path, metadata, count=6)
    data = path.read_bytes()
    assert origin_of(path) == metadata.origin
    assert (b"a cat" in data) or ("a cat".encode("utf-16-be") in data)
    assert data.count(b"xmpmeta xmlns") == 1
    if kind == "gif":
        assert any("EXIF" in note for note in notes)
        assert any("sRGB" in note for note in notes)
    else:
        assert data.count(b"Camera") == 1
        assert read(path)[2]["icc_profile"] == PROFILE


def test_a_profile_that_a_gif_cannot_keep_is_converted_for_every_frame(tmp_path: Path) -> None:
    """One by which red is green: what is transparent stays so."""
    profile = PROFILE.replace(b"rXYZ", b"xxxx", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"xxxx", b"gXYZ", 1)
    frames = moving("RGBA", few=True)
    path = tmp_path / "a.gif"
    write_frames(given(frames), path, Metadata(icc_profile=profile), count=6)
    for pixels, wanted in zip(read(path)[0], frames):
        np.testing.assert_array_equal(pixels[..., 3], wanted[..., 3])
        seen = wanted[..., 3] > 0
        assert np.abs(pixels[seen].astype(int) - wanted[seen][:, [1, 0, 2, 3]]).max() <= 2


def test_pages_of_different_sizes_and_kinds(tmp_path: Path) -> None:
    pages = [photo(30, 20), photo(12, 40, 1), photo(9, 9, 4)]
    path = tmp_path / "a.tif"
    frames = (Frame(Image.fromarray(page), metadata=Metadata(dpi=(300, 300 - n))) for n, page in enumerate(pages))
    write_frames(frames, path, Metadata(), count=3)
    with Image.open(path) as image:
        for number, page in enumerate(pages):
            image.seek(number)
            np.testing.assert_array_equal(np.asarray(image), page)
            assert float(image.info["dpi"][1]) == pytest.approx(300 - number, abs=0.01)


# -- room, and what goes wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_no_more_than_three_frames_are_held(kind: str, tmp_path: Path) -> None:
    """Two that are compared, and the one that comes."""
    made: list[weakref.ref] = []
    most = 0

    def many() -> Iterator[Frame]:
        nonlocal most
        for number in range(40):
            image = Image.fromarray(np.roll(photo(40, 30), number, axis=1))
            made.append(weakref.ref(image))
            yield Frame(image, Fraction(40))
            del image
            most = max(most, sum(ref() is not None for ref in made))

    write_frames(many(), tmp_path / f"a.{kind}", Metadata(), count=40)
    assert most <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_in_the_middle_leaves_nothing(kind: str, tmp_path: Path) -> None:
    class Stopped(Exception):  # noqa: N818 - it is none
        pass

    def some() -> Iterator[Frame]:
        yield from list(given(moving("RGB", few=True)))[:3]
        raise Stopped

    with pytest.raises(Stopped):
        write_frames(some(), tmp_path / f"a.{kind}", Metadata(), count=6)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(b"precious")
    with pytest.raises(PictureWriteError, match="already"):
        write_frames(given(moving("RGB", few=True)), path, Metadata(), count=6)
    assert path.read_bytes() == b"precious"
    write_frames(given(moving("RGB", few=True)), path, Metadata(), count=6, overwrite=True)
    assert len(read(path)[0]) == 6


@pytest.mark.parametrize("name", ["a.jpg", "a.bmp", "a.xyz"])
def test_formats_of_a_single_picture_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        write_frames(iter(()), tmp_path / name, Metadata(), count=0)


def test_a_webp_with_a_quality_is_packed_with_loss(tmp_path: Path) -> None:
    frames = moving("RGB", few=False)
    write_frames(given(frames), tmp_path / "a.webp", Metadata(), count=6)
    write_frames(given(frames), tmp_path / "b.webp", Metadata(), count=6, quality=40)
    assert (tmp_path / "b.webp").stat().st_size < (tmp_path / "a.webp").stat().st_size / 2
    for pixels, wanted in zip(read(tmp_path / "b.webp")[0], frames):
        assert np.abs(pixels[..., :3].astype(int) - wanted).mean() < 12
