"""Animations and pages in the Extras: every frame is enlarged, and the file that is saved has them all."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_host.running import FakeHost
from networks import off, picture, true_picture

PANEL: dict[str, Any] = {"ours": {"enabled": True, "upscaler_1": "four"}}
ACCORDION: dict[str, Any] = {"upscale": {"upscale_mode": 0, "upscale_by": 4.0, "upscaler_1_name": "four"}}
BOTH = pytest.mark.parametrize("door", [PANEL, ACCORDION], ids=["panel", "accordion"])
FRAMES = [picture(seed=seed) for seed in (1, 2, 3)]
TIMES = [100, 250, 70]


def _apng(path: Path) -> Path:
    FRAMES[0].save(path, save_all=True, append_images=FRAMES[1:], duration=TIMES, loop=2)
    return path


def _gif(path: Path) -> Path:
    flat = [frame.quantize(64, dither=Image.Dither.NONE) for frame in FRAMES]
    flat[0].save(path, save_all=True, append_images=flat[1:], duration=TIMES, loop=0)
    return path


def _read(path: Path) -> tuple[list[Image.Image], list[float]]:
    """By Pillow: frames as they are seen, and their times in ms."""
    frames, times = [], []
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append(image.convert("RGB"))
            times.append(float(image.info.get("duration", 0)))
    return frames, times


@BOTH
@pytest.mark.parametrize("way", ["folder", "batch"])
def test_an_apng_from_a_file(door: dict[str, Any], way: str, host: FakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    file = _apng(folder / "a.png")
    before = file.read_bytes()
    result = host.extras(**({"folder": folder} if way == "folder" else {"batch": [file]}), **door)

    assert result.error == ""
    (saved,) = result.saved
    assert saved.suffix == ".png"
    frames, times = _read(saved)
    assert times == TIMES
    assert all(off(frame, true_picture("four", source)) <= 1 for frame, source in zip(frames, FRAMES))
    assert off(result.pictures[0].convert("RGB"), true_picture("four", FRAMES[0])) <= 1
    assert file.read_bytes() == before


def test_a_gif_becomes_a_gif_that_the_page_shows(host: FakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    sources, _ = _read(_gif(folder / "a.gif"))
    result = host.extras(folder=folder, **PANEL)

    (saved,) = result.saved
    assert saved.suffix == ".gif"
    assert result.pictures[0].already_saved_as == str(saved)
    frames, times = _read(saved)
    assert times == TIMES
    for frame, source in zip(frames, sources):  # 256 colours each
        difference = np.abs(np.asarray(frame).astype(int) - true_picture("four", source))
        assert difference.mean() < 9
    assert "Postprocess upscaler: four" in saved.read_bytes().decode("latin-1")
    assert list(saved.parent.glob(".truescale*")) == []


def test_frames_are_told_below_the_result(host: FakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    _apng(folder / "a.png")
    picture(40, 24).save(folder / "b.png")
    host.extras(folder=folder, **PANEL)
    told = host.ours("takeover.results").latest_html()
    assert told.count("<li>") == 2
    assert "frames" in told


def test_pages_lie_beside_the_first_one(host: FakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    FRAMES[0].save(folder / "a.tif", save_all=True, append_images=[picture(20, 16)])
    result = host.extras(folder=folder, **PANEL)

    shown, pages = sorted(result.saved, key=lambda path: path.suffix)
    assert (shown.suffix, pages.suffix) == (".png", ".tiff")
    frames, _ = _read(pages)
    assert off(frames[0], true_picture("four", FRAMES[0])) <= 1
    assert off(frames[1], true_picture("four", picture(20, 16))) <= 1


def test_a_step_behind_gets_the_first_frame_and_that_is_said(host: FakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    _apng(folder / "a.png")
    result = host.extras(folder=folder, gfpgan={"gfpgan_visibility": 0.5}, **PANEL)
    frames, _ = _read(result.saved[0])
    assert len(frames) == 1
    assert any("first frame alone" in text for text in host.warnings)


def test_a_damaged_frame_costs_that_file_alone(host: FakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    data = _gif(folder / "a.gif").read_bytes()
    (folder / "a.gif").write_bytes(data[: len(data) * 2 // 3])
    picture().save(folder / "b.png")
    result = host.extras(folder=folder, **PANEL)
    assert [image.size for image in result.pictures] == [(120, 80)]
    assert any("a.gif" in text for text in [*host.warnings, result.error])


def test_our_route_keeps_the_frames(host: FakeHost, tmp_path: Path) -> None:
    import base64

    body = {
        "image": base64.b64encode(_apng(tmp_path / "a.png").read_bytes()).decode(),
        "upscaler_1": "four",
        "scale": 4,
    }
    answer = host.client().post("/truescale/v1/upscale", json=body).json()
    (tmp_path / "b.png").write_bytes(base64.b64decode(answer["image"]))
    frames, times = _read(tmp_path / "b.png")
    assert [Fraction(time) for time in times] == TIMES
    assert all(off(frame, true_picture("four", source)) <= 1 for frame, source in zip(frames, FRAMES))
