"""Animations and pages through a network: each frame its true output, in a file of the same kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_runs import upscale
from lib_upscaler.animation import upscale_frames
from lib_upscaler.errors import BrokenModelError, Cancelled, MemoryLimitError, PictureReadError, RequestError, SizeError
from lib_upscaler.geometry import Size
from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.pictures.alpha import bleed
from lib_upscaler.pictures.formats import TIFF, WEBP
from lib_upscaler.pictures.frames.source import FrameSource, read_frames
from lib_upscaler.pictures.pixels import Pixels, decompose
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.planning.sizing import ByDimensions
from lib_upscaler.progress import NO_PROGRESS, Progress
from lib_upscaler.request import UpscaleRequest, UpscaleResult
from made_animations import Part, apng, gif, shown, tiff_pages, webp
from made_pictures import photo
from reference import levels, true_output
from small_networks import compact, save_pth

STATE = compact(scale=2, features=8, layers=2)
GREY = (90, 90, 90, 255)
KINDS: dict[str, Callable] = {"gif": gif, "png": apng, "webp": webp}


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Upscaler:
    folder = tmp_path_factory.mktemp("models")
    save_pth(STATE, folder / "two.pth")
    return Upscaler(ModelLibrary([folder]), device="cpu")


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current folder, and the network."""
    (tmp_path / "models").mkdir()
    save_pth(STATE, tmp_path / "models" / "two.pth")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUESCALE_MODELS", "models")
    monkeypatch.setenv("TRUESCALE_CACHE", "cache")


def opaque(width: int, height: int, seed: int) -> np.ndarray:
    return np.dstack([photo(width, height, seed=seed), np.full((height, width), 255, np.uint8)])


def parts(delays: tuple = (70, 30, 40)) -> list[Part]:
    return [
        Part(opaque(16, 12, 1), delay=delays[0]),
        Part(opaque(6, 5, 2), 4, 4, delays[1]),
        Part(opaque(5, 6, 3), 10, 2, delays[2]),
    ]


def source_of(data: bytes, folder: Path) -> FrameSource:
    (folder / "source").write_bytes(data)
    found = read_frames(folder / "source")
    assert found is not None
    return found


def enlarging(upscaler: Upscaler, **wanted: object) -> Callable[[Image.Image | Pixels, Progress], UpscaleResult]:
    request = UpscaleRequest("two", precision="exact", **wanted)
    return lambda image, progress: upscaler.upscale(image, request, progress)


def read(path: Path) -> tuple[list[np.ndarray], list[float], int | None]:
    """By Pillow: each frame as it is seen, RGBA; times; the loop."""
    frames, times = [], []
    with Image.open(path) as image:
        loop = image.info.get("loop")
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGBA")))
            times.append(image.info.get("duration", 0))
    return frames, times, loop


def expected(pixels: np.ndarray) -> np.ndarray:
    """The untiled float32 network on a frame, RGB."""
    return levels(true_output(STATE, pixels[..., :3]))


# -- the core ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_each_frame_is_the_networks_true_output(kind: str, upscaler: Upscaler, tmp_path: Path) -> None:
    source = source_of(KINDS[kind](parts(), 16, 12, 3), tmp_path)
    report, warnings = upscale_frames(source, enlarging(upscaler), tmp_path / f"r.{kind}")
    frames, times, loop = read(tmp_path / f"r.{kind}")
    unit = 10 if kind == "gif" else 1
    assert times == [70 * unit, 30 * unit, 40 * unit]
    assert loop == 3
    assert (report.frames, report.input_size, report.output_size) == (3, Size(16, 12), Size(32, 24))
    for found, wanted in zip(frames, shown(parts(), 16, 12)):
        off = np.abs(found[..., :3].astype(int) - expected(wanted))
        if kind == "gif":  # by Pillow's own choice of colours
            own = np.asarray(Image.fromarray(expected(wanted)).quantize(255).convert("RGB"))
            assert off.mean() <= 1.2 * np.abs(own.astype(int) - expected(wanted)).mean()
        else:
            assert off.max() <= 1
    assert bool(warnings) == (kind == "gif")


@pytest.mark.parametrize("kind", KINDS)
def test_transparency_moves_with_the_frames(kind: str, upscaler: Upscaler, tmp_path: Path) -> None:
    """A square on nothing: what was empty long before an edge stays empty, the square's middle is opaque."""
    square = np.broadcast_to(np.array(GREY, np.uint8), (8, 8, 4)).copy()
    made = [Part(np.zeros((24, 40, 4), np.uint8)), *(Part(square, x, 8, 5, then=2) for x in (4, 16, 28))]
    source = source_of(KINDS[kind](made, 40, 24, 0), tmp_path)
    upscale_frames(source, enlarging(upscaler), tmp_path / f"r.{kind}")
    frames, _, _ = read(tmp_path / f"r.{kind}")
    assert not frames[0][..., 3].any()
    for found, x in zip(frames[1:], (4, 16, 28)):
        alpha = found[..., 3]
        assert (alpha[22:26, 2 * x + 6 : 2 * x + 10] == 255).all()
        beyond = np.ones(alpha.shape, bool)
        beyond[12:36, max(0, 2 * x - 4) : 2 * x + 20] = False
        assert not alpha[beyond].any()
        whole = np.zeros((24, 40, 3), np.uint8)
        whole[8:16, x : x + 8] = 90
        filled = bleed(whole, np.asarray(shown(made, 40, 24)[(4, 16, 28).index(x) + 1])[..., 3])
        middle = np.s_[20:28, 2 * x + 4 : 2 * x + 12]
        assert np.abs(found[middle][..., :3].astype(int) - expected(filled)[middle]).max() <= (
            1 if kind != "gif" else 3
        )


def test_frames_that_are_the_same_are_enlarged_once(upscaler: Upscaler, tmp_path: Path) -> None:
    made = [Part(opaque(8, 8, 1)), Part(opaque(8, 8, 1)), Part(opaque(8, 8, 2)), Part(opaque(8, 8, 2))]
    sizes = []
    plain = enlarging(upscaler)

    def counted(image: Image.Image, progress: Progress) -> UpscaleResult:
        sizes.append(image.size)
        return plain(image, progress)

    upscale_frames(source_of(gif(made, 8, 8), tmp_path), counted, tmp_path / "r.gif")
    assert len(sizes) == 2
    frames, times, _ = read(tmp_path / "r.gif")
    assert times == [100] * 4
    np.testing.assert_array_equal(frames[0], frames[1])
    np.testing.assert_array_equal(frames[2], frames[3])


def test_a_still_picture_of_an_apng_is_enlarged_with_it(upscaler: Upscaler, tmp_path: Path) -> None:
    still = opaque(16, 12, 9)
    source = source_of(apng(parts(), 16, 12, still=still), tmp_path)
    upscale_frames(source, enlarging(upscaler), tmp_path / "r.png")
    result = read_frames(tmp_path / "r.png")
    assert result is not None
    assert (len(result), result.hidden) == (3, True)
    found = [np.asarray(frame.image) for frame in result.frames(hidden=True)]
    for pixels, wanted in zip(found, [still, *shown(parts(), 16, 12)]):
        assert np.abs(pixels[..., :3].astype(int) - expected(wanted)).max() <= 1
    with Image.open(tmp_path / "r.png") as image:
        assert (image.default_image, image.n_frames) == (True, 4)  # Pillow counts the still picture
        for number, pixels in enumerate(found):
            image.seek(number)
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), pixels)
    _, warnings = upscale_frames(source, enlarging(upscaler), tmp_path / "r.webp")
    assert any("still picture" in warning for warning in warnings)


def test_times_of_an_apng_stay_fractions(upscaler: Upscaler, tmp_path: Path) -> None:
    source = source_of(apng(parts(((1001, 30_000), (1, 3), (0, 7))), 16, 12), tmp_path)
    upscale_frames(source, enlarging(upscaler), tmp_path / "r.png")
    result = read_frames(tmp_path / "r.png")
    assert result is not None
    assert result.durations == (Fraction(1001, 30), Fraction(1000, 3), Fraction(0))


def test_pages_each_by_its_own_size(upscaler: Upscaler, tmp_path: Path) -> None:
    pages = [photo(30, 20), photo(12, 16, 1), photo(18, 10, 4)]
    source = source_of(tiff_pages(*map(Image.fromarray, pages)), tmp_path)
    report, _ = upscale_frames(source, enlarging(upscaler), tmp_path / "r.tiff")
    assert report.frames == 3
    with Image.open(tmp_path / "r.tiff") as image:
        found = []
        for number in range(image.n_frames):
            image.seek(number)
            found.append((image.mode, np.array(image)))
    assert [(mode, pixels.shape[:2]) for mode, pixels in found] == [
        ("RGB", (40, 60)),
        ("L", (32, 24)),
        ("RGBA", (20, 36)),
    ]
    assert np.abs(found[0][1].astype(int) - expected(pages[0])).max() <= 1
    for (_, pixels), page in zip(found[1:], pages[1:]):  # what one of them alone becomes, test_pipeline.py says
        alone = enlarging(upscaler)(Image.fromarray(page), NO_PROGRESS).image
        np.testing.assert_array_equal(pixels, np.asarray(alone))


def test_pages_are_no_frames(upscaler: Upscaler, tmp_path: Path) -> None:
    source = source_of(tiff_pages(*map(Image.fromarray, (photo(30, 20), photo(12, 16)))), tmp_path)
    with pytest.raises(RequestError, match="PNG holds no pages"):
        upscale_frames(source, enlarging(upscaler), tmp_path / "r.png")


def test_a_fixed_size_is_that_of_each_page(upscaler: Upscaler, tmp_path: Path) -> None:
    source = source_of(tiff_pages(*map(Image.fromarray, (photo(30, 20), photo(12, 16)))), tmp_path)
    upscale_frames(source, enlarging(upscaler, size=ByDimensions(width=40)), tmp_path / "r.tiff")
    result = read_frames(tmp_path / "r.tiff")
    assert result is not None
    assert result.sizes == (Size(40, 27), Size(40, 53))


class Watching:
    """Writes down what it is told; cancels at ``stop_at``."""

    def __init__(self, stop_at: float = 2) -> None:
        self.told: list[tuple[float, str]] = []
        self.stop_at = stop_at

    def advance(self, fraction: float, note: str = "") -> None:
        self.told.append((fraction, note))

    def cancelled(self) -> bool:
        return bool(self.told) and self.told[-1][0] >= self.stop_at


def test_progress_names_the_frame_and_never_falls(upscaler: Upscaler, tmp_path: Path) -> None:
    watching = Watching()
    upscale_frames(source_of(gif(parts(), 16, 12), tmp_path), enlarging(upscaler), tmp_path / "r.gif", watching)
    fractions = [fraction for fraction, _ in watching.told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    notes = " ".join(note for _, note in watching.told)
    assert all(f"frame {number} of 3" in notes for number in (1, 2, 3))


@pytest.mark.parametrize("stop_at", [0.01, 0.5, 0.9])
def test_a_cancel_leaves_nothing(stop_at: float, upscaler: Upscaler, tmp_path: Path) -> None:
    source = source_of(webp(parts(), 16, 12), tmp_path)
    with pytest.raises(Cancelled):
        upscale_frames(source, enlarging(upscaler), tmp_path / "r.webp", Watching(stop_at))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("kind", [MemoryLimitError, BrokenModelError])
def test_an_error_names_the_frame(kind: type, tmp_path: Path) -> None:
    calls = []

    def failing(image: Image.Image, progress: Progress) -> UpscaleResult:
        calls.append(image)
        if len(calls) == 2:
            raise kind("cannot", "too much", "take less")
        return Upscaled(image)

    with pytest.raises(kind, match="frame 2 of 3: too much"):
        upscale_frames(source_of(gif(parts(), 16, 12), tmp_path), failing, tmp_path / "r.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


class Upscaled:
    """What stands for a result that is not looked at."""

    report = None

    def __init__(self, image: Image.Image) -> None:
        self.pixels = decompose(image)


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("console")
@pytest.mark.parametrize("kind", KINDS)
def test_a_command_gives_an_animation_its_own_format(kind: str, capsys: pytest.CaptureFixture) -> None:
    Path("in").mkdir()
    Path(f"in/a.{kind}").write_bytes(KINDS[kind](parts(), 16, 12, 0))
    assert upscale("in", "--model", "two", "--report", "r.jsonl") == 0
    assert sorted(path.name for path in Path("in").iterdir()) == [f"a-upscaled.{kind}", f"a.{kind}"]
    result = read_frames(Path(f"in/a-upscaled.{kind}"))
    assert result is not None
    assert (len(result), result.sizes[0], result.plays) == (3, Size(32, 24), 0)
    assert "16x12 -> 32x24 px, 3 frames" in capsys.readouterr().out
    assert json.loads(Path("r.jsonl").read_text())["frames"] == 3
    assert upscale("in", "--model", "two", "--skip-existing") == 0
    assert "skipped" in capsys.readouterr().out
    assert len(list(Path("in").iterdir())) == 2


@pytest.mark.usefixtures("console")
def test_stills_and_animations_of_one_name_do_not_collide() -> None:
    Path("in").mkdir()
    Path("in/a.gif").write_bytes(gif(parts(), 16, 12, 0))
    Path("in/b.gif").write_bytes(gif(parts()[:1], 16, 12))
    Path("in/a.webp").write_bytes(gif(parts(), 16, 12, 0))
    Image.fromarray(photo(8, 8)).save("in/a.png")
    assert upscale("in", "-o", "out", "--model", "two") == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["a-2.gif", "a.gif", "a.png", "b.png"]


@pytest.mark.usefixtures("console")
@pytest.mark.parametrize(("name", "frames"), [("o.gif", 3), ("o.png", 3), ("o.webp", 3), ("o.tif", 3), ("o.jpg", 1)])
def test_a_format_that_is_asked_for(name: str, frames: int, capsys: pytest.CaptureFixture) -> None:
    Path("a.gif").write_bytes(gif(parts(), 16, 12, 2))
    assert upscale("a.gif", "-o", name, "--model", "two") == 0
    with Image.open(name) as image:
        assert getattr(image, "n_frames", 1) == frames
        if name in ("o.png", "o.webp"):
            assert image.info["loop"] == 3, "two repetitions are three times"
    assert ("only the first is upscaled" in capsys.readouterr().err) == (frames == 1)


@pytest.mark.usefixtures("console")
def test_pages_go_into_a_tiff_and_else_the_first(capsys: pytest.CaptureFixture) -> None:
    Path("a.tif").write_bytes(tiff_pages(Image.fromarray(photo(8, 8)), Image.fromarray(photo(6, 6))))
    assert upscale("a.tif", "--model", "two") == 0
    assert len(read_frames("a-upscaled.tiff") or ()) == 2
    capsys.readouterr()
    assert upscale("a.tif", "-o", "o.png", "--model", "two") == 0
    assert read_frames("o.png") is None
    assert "only the first" in capsys.readouterr().err


@pytest.mark.usefixtures("console")
def test_the_first_frame_alone(capsys: pytest.CaptureFixture) -> None:
    Path("a.gif").write_bytes(gif(parts(), 16, 12, 2))
    assert upscale("a.gif", "--model", "two", "--frames", "first", "--precision", "exact") == 0
    found = np.asarray(Image.open("a-upscaled.png").convert("RGB"))
    assert np.abs(found.astype(int) - expected(parts()[0].pixels)).max() <= 1
    assert "only the first" in capsys.readouterr().err


@pytest.mark.usefixtures("console")
def test_a_plan_tells_the_frames(capsys: pytest.CaptureFixture) -> None:
    Path("a.gif").write_bytes(gif(parts(), 16, 12, 2))
    Path("b.tif").write_bytes(tiff_pages(Image.fromarray(photo(8, 8)), Image.fromarray(photo(6, 6))))
    assert upscale("a.gif", "b.tif", "--model", "two", "--plan") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "a-upscaled.gif: 16x12 -> 32x24 px, 0.00 MP, 3 frames, " in first
    assert "b-upscaled.tiff: 8x8 -> 16x16 px, 0.00 MP, 2 frames of several sizes, " in second
    assert upscale("a.gif", "--model", "two", "--plan", "--frames", "first") == 0
    assert "frames" not in capsys.readouterr().out


@pytest.mark.usefixtures("console")
def test_a_damaged_frame_costs_the_file_and_not_the_others(capsys: pytest.CaptureFixture) -> None:
    Path("in").mkdir()
    Path("in/a.gif").write_bytes(gif(parts(), 16, 12, 2)[:-120])
    Path("in/b.gif").write_bytes(gif(parts(), 16, 12, 2))
    assert upscale("in", "-o", "out", "--model", "two") == 1
    assert [path.name for path in Path("out").iterdir()] == ["b.gif"]
    assert "frame 3" in capsys.readouterr().err
    assert upscale("in/a.gif", "-o", "out", "--model", "two", "--frames", "first") == 0


@pytest.mark.usefixtures("console")
def test_a_still_picture_into_a_gif(capsys: pytest.CaptureFixture) -> None:
    Image.fromarray(photo(20, 14, 4)).save("a.png")
    assert upscale("a.png", "--format", "gif", "--model", "two", "--overwrite") == 0
    with Image.open("a-upscaled.gif") as image:
        assert (image.size, image.n_frames, "loop" in image.info) == ((40, 28), 1, False)
        assert image.convert("RGBA").getextrema()[3] == (0, 255)
    assert "transparency in between" in capsys.readouterr().err


def test_what_a_format_cannot_hold_is_told_before_any_work() -> None:
    from lib_upscaler.animation import check_frames

    with pytest.raises(SizeError, match="16383"):
        check_frames([Size(20_000, 10)], WEBP, 3)
    check_frames([Size(30_000, 40_000)], TIFF, 3)
    with pytest.raises(SizeError, match="4 GB"):
        check_frames([Size(30_000, 40_000)] * 2, TIFF, 3)


def test_an_input_is_never_overwritten(upscaler: Upscaler, tmp_path: Path) -> None:
    before = gif(parts(), 16, 12)
    source = source_of(before, tmp_path)
    with pytest.raises(RequestError, match="it is the input"):
        upscale_frames(source, enlarging(upscaler), source.path, format="gif", overwrite=True)
    assert source.path.read_bytes() == before


def test_a_source_that_goes_away_is_told(upscaler: Upscaler, tmp_path: Path) -> None:
    source = source_of(gif(parts(), 16, 12), tmp_path)
    source.path.unlink()
    with pytest.raises(PictureReadError, match="no file"):
        upscale_frames(source, enlarging(upscaler), tmp_path / "r.gif", NO_PROGRESS)
    assert list(tmp_path.iterdir()) == []
