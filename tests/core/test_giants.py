"""Results that do not fit into memory lie on the disk while they are made, and are written piece by piece."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_runs import upscale
from lib_upscaler import scratch
from lib_upscaler.errors import PictureWriteError, SizeError
from lib_upscaler.geometry import Size
from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.pictures.pixels import Pixels, decompose
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.planning.sizing import ByDimensions, ByScale, SizeRequest
from lib_upscaler.request import UpscaleRequest, UpscaleResult
from reference import photo
from small_networks import compact, save_safetensors

NETWORKS = {
    "two": compact(2, features=4, layers=1, seed=1),
    "four": compact(4, features=4, layers=1),
    "grey": compact(4, channels=1, features=4, layers=1, seed=2),
}
MEMORY = 110_000_000  # a pass takes 60 MB and its tensors
SIDE = 200


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any picture is too large for memory."""
    monkeypatch.setattr("lib_upscaler.planning.job._SHARE_OF_PICTURES", 0.0)


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Upscaler:
    folder = tmp_path_factory.mktemp("models")
    for name, state in NETWORKS.items():
        save_safetensors(state, folder / f"{name}.safetensors")
    return Upscaler(ModelLibrary([folder]), "cpu")


def both(upscaler: Upscaler, picture: Pixels, folder: Path, **asked: object) -> tuple[UpscaleResult, UpscaleResult]:
    """From the disk, and in memory."""
    request = UpscaleRequest(**asked)
    plan = upscaler.plan(Size(*picture.size), request, picture.bits, folder)
    assert plan.stages[-1][1].on_disk
    on_disk = upscaler.upscale(picture, request, plan=plan)
    return on_disk, upscaler.upscale(picture, request)


CASES: dict[str, dict[str, object]] = {
    "one pass": {"model": "four"},
    "a grey network": {"model": "grey"},
    "two passes and a resample": {"model": "two", "size": ByScale(3.6)},
    "two networks": {"model": "four", "model2": "grey", "visibility": 0.3},
    "cropped": {"model": "four", "size": ByDimensions(700, 600, "crop")},
    "padded": {"model": "four", "size": ByDimensions(900, 880, "pad")},
}


@pytest.mark.parametrize("name", CASES)
def test_a_picture_on_the_disk_is_the_one_in_memory(
    upscaler: Upscaler, tmp_path: Path, name: str, little: None
) -> None:
    picture = decompose(Image.fromarray(photo(SIDE, SIDE - 30)))
    on_disk, in_memory = both(upscaler, picture, tmp_path, **CASES[name])
    assert not scratch.in_memory(on_disk.pixels.color)
    np.testing.assert_array_equal(on_disk.pixels.color, in_memory.pixels.color)
    assert list(tmp_path.iterdir()) == [], "its file has no name any more"


def test_transparency_and_depth_as_well(upscaler: Upscaler, tmp_path: Path, little: None) -> None:
    planes = photo(SIDE, SIDE - 30, 4).astype(np.uint16) * 257
    planes[50:100, 50:100, 3] = 0
    on_disk, in_memory = both(upscaler, Pixels(planes[:, :, :3], planes[:, :, 3], "RGBA"), tmp_path, model="four")
    for ours, theirs in (
        (on_disk.pixels.color, in_memory.pixels.color),
        (on_disk.pixels.alpha, in_memory.pixels.alpha),
    ):
        assert ours is not None
        assert theirs is not None
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_the_command_line_writes_it_piece_by_piece(
    upscaler: Upscaler, tmp_path: Path, suffix: str, little: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(photo(SIDE, SIDE - 30, 4)).save(tmp_path / "a.png")
    words = ("--model", upscaler.library.folders[0] / "four.safetensors")
    assert upscale(tmp_path / "a.png", "-o", tmp_path / f"b.{suffix}", *words) == 0
    monkeypatch.undo()
    assert upscale(tmp_path / "a.png", "-o", tmp_path / "c.png", *words) == 0
    with Image.open(tmp_path / f"b.{suffix}") as ours, Image.open(tmp_path / "c.png") as theirs:
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", f"b.{suffix}", "c.png"]


def test_formats_that_pillow_writes_whole_say_what_to_do(
    upscaler: Upscaler, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    Image.fromarray(photo(300, 300)).save(tmp_path / "a.png")
    words = ("--model", upscaler.library.folders[0] / "four.safetensors", "--scale", "16", "--memory", "110MB")
    assert upscale(tmp_path / "a.png", "-o", tmp_path / "b.jpg", *words) == 1
    told = capsys.readouterr().err
    assert "PNG or TIFF" in told


@pytest.mark.parametrize("size", [ByScale(4), ByScale(9.5)])
def test_a_disk_that_is_too_small_is_told_before_any_work(
    upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: SizeRequest, little: None
) -> None:
    monkeypatch.setattr("lib_upscaler.pipeline.free_bytes", lambda _: 1_000_000)
    request = UpscaleRequest(model="four", size=size)
    with pytest.raises(SizeError, match="on the disk"):
        upscaler.plan(Size(SIDE, SIDE), request, 8, tmp_path)


def test_memory_decides(upscaler: Upscaler, tmp_path: Path) -> None:
    """4000x4000 px: 48 MB as planes, and 48 to 64 more while they are put together."""
    for memory, on_disk in ((None, False), (MEMORY, True), (1_000_000_000, False)):
        request = UpscaleRequest(model="four", memory=memory)
        assert upscaler.plan(Size(1000, 1000), request, 8, tmp_path).stages[-1][1].on_disk is on_disk
        assert not upscaler.plan(Size(1000, 1000), request).stages[-1][1].on_disk  # for who cannot write it in pieces


def test_a_disk_that_fills_up_is_an_error_in_words(
    upscaler: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, little: None
) -> None:
    """Not the end of the process, as a write to a file without room behind it would be."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    request = UpscaleRequest(model="four")
    plan = upscaler.plan(Size(40, 40), request, 8, tmp_path)
    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(PictureWriteError, match="No space left"):
        upscaler.upscale(Image.fromarray(photo(40, 40)), request, plan=plan)
    assert list(tmp_path.iterdir()) == []
