"""Pages of 16 bits and of floating point keep their depth, each its own; animations have 8 bits, and say so."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter

from cli_runs import upscale
from lib_upscaler import scratch
from lib_upscaler.animation import upscale_frames
from lib_upscaler.depths import Bits
from lib_upscaler.geometry import Size
from lib_upscaler.pictures.frames.source import Frame, FrameSource, frame_headers, read_frames
from lib_upscaler.pictures.frames.writing import write_frames
from lib_upscaler.pictures.metadata import Metadata
from lib_upscaler.pictures.pixels import Pixels
from lib_upscaler.progress import Progress
from lib_upscaler.request import UpscaleReport, UpscaleResult
from made_animations import Part, gif
from made_pictures import photo, tiff
from reference import true_output
from small_networks import compact, save_pth

made = scratch.planes
STATE = compact(scale=2, features=8, layers=2)


def values(channels: int, dtype: type, size: tuple[int, int]) -> np.ndarray:
    """``(H, W, channels)``: every bit counts."""
    random = np.random.default_rng(channels)
    if np.dtype(dtype).kind == "f":
        return random.random((*size, channels)).astype(dtype)
    return random.integers(0, np.iinfo(dtype).max + 1, (*size, channels), dtype)


PAGES = [
    values(3, np.uint16, (13, 17)),
    values(1, np.float32, (9, 12)),
    values(3, np.uint8, (11, 11)),
    values(4, np.uint16, (7, 20)),
    values(1, np.uint16, (13, 17)),
]
BITS = [16, 32, 8, 16, 16]


def together(pages: list[np.ndarray]) -> bytes:
    """Files of one page each, put behind one another by Pillow."""
    buffer = io.BytesIO()
    writer = AppendingTiffWriter(buffer)
    for page in pages:
        kind = 3 if page.dtype.kind == "f" else 1
        writer.write(tiff(page, 1 if page.shape[2] == 1 else 2, (2,) if page.shape[2] == 4 else (), format=kind))
        writer.newFrame()
    return buffer.getvalue()


def source_of(data: bytes, folder: Path) -> FrameSource:
    (folder / "source").write_bytes(data)
    found = read_frames(folder / "source")
    assert found is not None
    return found


def planes(image: Image.Image | Pixels) -> np.ndarray:
    """``(H, W, channels)``, of a page as it is read."""
    if isinstance(image, Pixels):
        return image.color if image.alpha is None else np.dstack([image.color, image.alpha])
    found = np.asarray(image)
    return found if found.ndim == 3 else found[:, :, None]


def bits_in(data: bytes) -> list[tuple[int, ...]]:
    """BitsPerSample of each page of a classic TIFF, by the specification."""
    found = []
    (place,) = struct.unpack_from("<I", data, 4)
    while place:
        (count,) = struct.unpack_from("<H", data, place)
        for row in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from("<HHI", data, row)
            if tag == 258:
                assert kind == 3
                start = row + 8 if number <= 2 else struct.unpack_from("<I", data, row + 8)[0]
                found.append(struct.unpack_from(f"<{number}H", data, start))
        (place,) = struct.unpack_from("<I", data, place + 2 + 12 * count)
    return found


def test_each_page_is_read_with_every_bit_it_has(tmp_path: Path) -> None:
    source = source_of(together(PAGES), tmp_path)
    headers = frame_headers(tmp_path / "source")
    assert headers == source.headers
    assert [(header.size, header.bits) for header in headers] == [
        (Size(page.shape[1], page.shape[0]), bits) for page, bits in zip(PAGES, BITS)
    ]
    for frame, page in zip(source.frames(), PAGES):
        assert planes(frame.image).dtype == page.dtype
        np.testing.assert_array_equal(planes(frame.image), page)


def test_each_page_is_written_with_every_bit_it_has(tmp_path: Path) -> None:
    source = source_of(together(PAGES), tmp_path)
    notes = write_frames(source.frames(), tmp_path / "r.tif", Metadata(), count=len(source))
    assert notes == ()
    data = (tmp_path / "r.tif").read_bytes()
    assert bits_in(data) == [(bits,) * page.shape[2] for page, bits in zip(PAGES, BITS)]
    with Image.open(tmp_path / "r.tif") as image:  # those of colours with 16 bits Pillow does not read
        for number in (1, 2, 4):
            image.seek(number)
            np.testing.assert_array_equal(np.asarray(image).reshape(PAGES[number].shape), PAGES[number])
    result = read_frames(tmp_path / "r.tif")
    assert result is not None
    for frame, page in zip(result.frames(), PAGES):
        np.testing.assert_array_equal(planes(frame.image), page)


def report(bits: Bits) -> UpscaleReport:
    size = Size(1, 1)
    return UpscaleReport(size, size, (), 0, "", 0, 0, 0.0, "", None, "", 0.0, 0.0, 0, bits=bits)


def test_the_report_tells_the_deepest_page(tmp_path: Path) -> None:
    def same(image: Image.Image | Pixels, progress: Progress) -> UpscaleResult:
        bits = image.bits if isinstance(image, Pixels) else 8
        array = planes(image)
        alpha = array[:, :, 3] if array.shape[2] == 4 else None
        return UpscaleResult(Pixels(array[:, :, :3], alpha, image.mode), report(bits))

    told, _ = upscale_frames(source_of(together(PAGES), tmp_path), same, tmp_path / "r.tif")
    assert (told.frames, told.bits) == (len(PAGES), 32)


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current folder, and the network."""
    (tmp_path / "models").mkdir()
    save_pth(STATE, tmp_path / "models" / "two.pth")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUESCALE_MODELS", "models")
    monkeypatch.setenv("TRUESCALE_CACHE", "cache")


@pytest.mark.usefixtures("console")
def test_a_command_keeps_the_depth_of_each_page(capsys: pytest.CaptureFixture) -> None:
    Path("a.tif").write_bytes(together(PAGES[:3]))
    assert upscale("a.tif", "--model", "two", "--precision", "exact", "--report", "r.jsonl") == 0
    assert bits_in(Path("a-upscaled.tiff").read_bytes()) == [(16, 16, 16), (32,), (8, 8, 8)]
    result = read_frames("a-upscaled.tiff")
    assert result is not None
    first = next(result.frames()).image
    assert isinstance(first, Pixels)
    wanted = 257 * true_output(STATE, PAGES[0] / 257)
    assert np.abs(first.color - np.clip(wanted, 0, 65535)).max() <= 2
    assert json.loads(Path("r.jsonl").read_text())["bits"] == 32
    assert upscale("a.tif", "--model", "two", "--depth", "8", "-o", "o.tif") == 0
    assert bits_in(Path("o.tif").read_bytes()) == [(8, 8, 8), (8,), (8, 8, 8)]
    capsys.readouterr()
    assert upscale("a.tif", "--model", "two", "--plan") == 0
    assert "3 frames of several sizes" in capsys.readouterr().out


@pytest.mark.usefixtures("console")
def test_pages_that_memory_cannot_hold_lie_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.tif").write_bytes(together(PAGES))
    words = ("a.tif", "--model", "two", "--precision", "exact")
    assert upscale(*words, "-o", "o.tif") == 0
    monkeypatch.setattr("lib_upscaler.planning.job._SHARE_OF_PICTURES", 0.0)
    mapped = []
    monkeypatch.setattr(scratch, "planes", lambda *asked: mapped.append(asked) or made(*asked))
    assert upscale(*words, "-o", "d.tif") == 0
    assert {folder for _, _, folder in mapped} == {Path()}, "beside the result"
    ours, theirs = read_frames("d.tif"), read_frames("o.tif")
    assert ours is not None
    assert theirs is not None
    for one, other in zip(ours.frames(), theirs.frames()):
        np.testing.assert_array_equal(planes(one.image), planes(other.image))
    assert len(ours) == len(theirs) == len(PAGES)
    assert sorted(path.name for path in Path().glob(".*")) == []


@pytest.mark.usefixtures("console")
@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_an_animation_has_8_bits_and_that_is_said(kind: str, capsys: pytest.CaptureFixture) -> None:
    opaque = [np.dstack([photo(16, 12, seed=seed), np.full((12, 16), 255, np.uint8)]) for seed in (1, 2)]
    Path("a.gif").write_bytes(gif([Part(pixels) for pixels in opaque], 16, 12))
    assert upscale("a.gif", "-o", f"o.{kind}", "--model", "two", "--depth", "16") == 0
    assert "holds at most 8 bits per channel" in capsys.readouterr().err
    assert len(read_frames(f"o.{kind}") or ()) == 2
    assert upscale("a.gif", "-o", "o.tif", "--model", "two", "--depth", "16") == 0
    assert "8 bits" not in capsys.readouterr().err
    assert bits_in(Path("o.tif").read_bytes()) == [(16, 16, 16)] * 2


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_deep_frames_are_rounded_for_an_animation(kind: str, tmp_path: Path) -> None:
    """To the nearest: a result of more bits comes from where nobody has asked for 8."""
    levels = np.random.default_rng(1).integers(0, 256, (2, 5, 6, 1)).astype(np.uint16)

    def frames() -> Iterator[Frame]:
        for level in levels:
            yield Frame(Pixels(np.broadcast_to(level * 257 + 100, (5, 6, 3)).copy(), None, "RGB"), Fraction(40))

    levels[...] = np.minimum(levels, 254)
    notes = write_frames(frames(), tmp_path / f"r.{kind}", Metadata(), count=2)
    assert any("holds at most 8 bits per channel" in note for note in notes)
    with Image.open(tmp_path / f"r.{kind}") as image:
        for number, level in enumerate(levels):
            image.seek(number)
            np.testing.assert_array_equal(np.asarray(image.convert("RGB"))[:, :, :1], level)
