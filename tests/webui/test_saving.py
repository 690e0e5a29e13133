"""The host saves a picture of 8 bits; what that is a part of takes its place, and nothing else does."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fake_host.running import FakeHost
from networks import encoded, picture

PANEL: dict[str, Any] = {"ours": {"enabled": True, "upscaler_1": "four"}}
ACCORDION: dict[str, Any] = {"upscale": {"upscale_mode": 0, "upscale_by": 4.0, "upscaler_1_name": "four"}}
FRAMES = [picture(seed=seed) for seed in (1, 2, 3)]
RED = (255, 0, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def _moving(path: Path) -> Path:
    FRAMES[0].save(path, save_all=True, append_images=FRAMES[1:], duration=100, loop=0)
    return path


def _deep(path: Path) -> Path:
    Image.fromarray(np.random.default_rng(3).integers(0, 65536, (20, 30)).astype(np.uint16)).save(path)
    return path


def _frames(path: Path) -> int:
    with Image.open(path) as image:
        return getattr(image, "n_frames", 1)


def _bits(path: Path) -> int:
    return path.read_bytes()[24]  # of a PNG


@pytest.mark.parametrize("kind", ["gif", "apng", "deep"])
def test_an_earlier_result_of_that_name_stays(kind: str, host: FakeHost, folder: Path) -> None:
    """Where the host is to add a number rather than to replace a file."""
    host.opts.data["save_images_replace_action"] = "Add number suffix"
    picture(seed=5).save(folder / "a.png")
    (earlier,) = host.extras(folder=folder, **PANEL).saved
    before = earlier.read_bytes()
    (folder / "a.png").unlink()
    {"gif": _moving, "apng": _moving, "deep": _deep}[kind](folder / ("a.gif" if kind == "gif" else "a.png"))
    host.extras(folder=folder, **PANEL)

    assert earlier.read_bytes() == before
    (other,) = set(earlier.parent.iterdir()) - {earlier}
    assert other.suffix == (".gif" if kind == "gif" else ".png")
    assert (_bits(other) == 16) if kind == "deep" else (_frames(other) == 3)


@pytest.mark.parametrize("kind", ["apng", "deep"])
def test_where_the_host_replaces_a_file_so_do_we(kind: str, host: FakeHost, folder: Path) -> None:
    {"apng": _moving, "deep": _deep}[kind](folder / "a.png")
    for _ in range(2):
        result = host.extras(folder=folder, **PANEL)
    assert len(list(result.pictures)) == 1
    assert {path.name for path in host.saved()} == {"a.png"}
    (saved,) = host.saved()
    assert (_bits(saved) == 16) if kind == "deep" else (_frames(saved) == 3)


@pytest.mark.parametrize("first", ["still", "moving"])
def test_a_picture_with_the_same_pixels_is_another_file(first: str, host: FakeHost, folder: Path) -> None:
    """The host keeps results by the pixels of what it saw."""
    still, moving = ("a.png", "b.png") if first == "still" else ("b.png", "a.png")
    FRAMES[0].save(folder / still)
    _moving(folder / moving)
    result = host.extras(folder=folder, **ACCORDION)
    assert {path.name: _frames(path) for path in result.saved} == {still: 1, moving: 3}


@pytest.mark.parametrize("how", ["in place", "a copy"])
def test_what_others_draw_into_it_stays(how: str, host: FakeHost, folder: Path) -> None:
    def mark(parameters: Any) -> None:
        if how == "a copy":
            parameters.image = parameters.image.convert("RGB")
        parameters.image.paste(255 if parameters.image.mode == "L" else RED, (0, 0, 60, 60))

    _moving(folder / "a.png")
    _deep(folder / "d.png")
    host.module("script_callbacks").on_before_image_saved(mark)
    saved = host.extras(folder=folder, **PANEL).saved
    assert len(saved) == 2
    for path in saved:
        with Image.open(path) as image:
            assert image.convert("RGB").getpixel((10, 10)) == RED
        assert any(path.name in words and "a further step has changed it" in words for words in host.warnings)


def test_a_mere_copy_is_the_same_picture(host: FakeHost, folder: Path) -> None:
    def copied(parameters: Any) -> None:
        parameters.image = parameters.image.copy()

    _moving(folder / "a.png")
    host.module("script_callbacks").on_before_image_saved(copied)
    (saved,) = host.extras(folder=folder, **PANEL).saved
    assert _frames(saved) == 3
    assert host.warnings == []


def test_who_wants_no_texts_in_pictures_gets_none(host: FakeHost, folder: Path) -> None:
    host.opts.data["enable_pnginfo"] = False
    _moving(folder / "a.png")
    _deep(folder / "d.png")
    told = PngInfo()
    told.add_text("parameters", "a secret")
    with Image.open(folder / "d.png") as image:
        image.save(folder / "e.png", pnginfo=told)
    saved = host.extras(folder=folder, **PANEL).saved
    assert len(saved) == 3
    for path in saved:
        with Image.open(path) as image:
            assert getattr(image, "text", {}) == {}


def test_an_animation_tells_of_the_last_run(host: FakeHost, folder: Path, tmp_path: Path) -> None:
    _moving(folder / "a.png")
    (saved,) = host.extras(folder=folder, **PANEL).saved
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "b.png").write_bytes(saved.read_bytes())
    ours = {"enabled": True, "upscaler_1": "two", "scale": 2.0}
    (saved,) = host.extras(folder=tmp_path / "second", ours=ours).saved
    with Image.open(saved) as image:
        assert "Postprocess upscaler: two" in image.info["postprocessing"]
        assert "four" not in image.info["postprocessing"]


@pytest.mark.skipif(os.name == "nt", reason="there are no such rights")
def test_everybody_may_read_what_they_may_read_of_the_hosts(host: FakeHost, folder: Path) -> None:
    before = os.umask(0o022)
    try:
        _moving(folder / "a.gif")
        (saved,) = host.extras(folder=folder, **PANEL).saved
    finally:
        os.umask(before)
    assert saved.suffix == ".gif"
    assert saved.stat().st_mode & 0o777 == 0o644


def test_what_is_saved_takes_no_memory_any_more(host: FakeHost, folder: Path) -> None:
    """The page keeps the pictures of 8 bits."""
    kept: list[Any] = []
    callbacks = host.module("script_callbacks")
    callbacks.on_before_image_saved(
        lambda parameters: kept.append(weakref.ref(parameters.image.truescale_kept.rewrite))
    )
    _deep(folder / "a.png")
    result = host.extras(folder=folder, **PANEL)
    gc.collect()
    assert [one() for one in kept] == [None]
    assert len(result.pictures) == 1


def test_who_saves_it_again_is_told(host: FakeHost, folder: Path, tmp_path: Path) -> None:
    _moving(folder / "a.png")
    (image,) = host.extras(folder=folder, **PANEL).pictures
    host.module("images").save_image(image, str(tmp_path / "again"), "", forced_filename="b")
    assert any("b.png has its first frame alone: it was saved before, as" in words for words in host.warnings)


def test_an_address_that_is_none_is_no_path(host: FakeHost) -> None:
    """gradio 3 takes such words for an upload; a file of that name is none of the client's business."""
    image = host.component("extras_image").preprocess(f"\\\\server\\share\\f;x,{encoded(picture())}")
    assert image.size == picture().size
    assert host.ours("host.uploads").file_of(image) is None
