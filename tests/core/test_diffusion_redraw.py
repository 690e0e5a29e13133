"""Redrawing tile by tile: what the user gets, with samplers that are known to the last level."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lib_upscaler.diffusion.grid import ORDERS
from lib_upscaler.diffusion.noise import NoiseField, TileNoise
from lib_upscaler.diffusion.redraw import Redraw, Redrawn, RedrawSettings, Stop, Tile
from lib_upscaler.errors import RequestError, TrueScaleError
from lib_upscaler.geometry import Region, Size
from seams import Change, constants, smooth_picture, textures

Sampler = Callable[[Sequence[Tile]], Sequence[Image.Image]]


class Listener:
    """told: (done, total) of each batch. shown: what the picture was after it."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []
        self.shown: list[Image.Image] = []

    def begins(self, done: int, total: int) -> None:
        self.told.append((done, total))

    def shows(self, picture: Callable[[], Image.Image]) -> None:
        self.shown.append(picture())


class Quiet(Listener):
    def shows(self, picture: Callable[[], Image.Image]) -> None:
        pass


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float64)


def grain(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def giving_back(tiles: Sequence[Tile]) -> list[Image.Image]:
    return [tile.picture for tile in tiles]


def adding(change: Change) -> Sampler:
    def sample(tiles: Sequence[Tile]) -> list[Image.Image]:
        sums = [levels(tile.picture) + change(tile.number, tile.region) for tile in tiles]
        return [Image.fromarray(np.clip(np.floor(each + 0.5), 0, 255).astype(np.uint8)) for each in sums]

    return sample


def lighter(by: int = 40) -> Sampler:
    return adding(lambda number, region: np.float32(by))


def run(source: Image.Image, sampler: Sampler, mask: Image.Image | None = None, **choices: Any) -> Redrawn:
    return Redraw(source, RedrawSettings(**choices), mask).run(sampler, Quiet())


# -- nothing is lost ---------------------------------------------------------------------------------------------------


@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.tuples(st.integers(64, 200), st.integers(64, 200)),
    st.integers(0, 56),
    st.sampled_from(ORDERS),
    st.integers(1, 5),
    st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_what_a_sampler_does_not_change_stays_as_it_is(
    size: tuple[int, int], tile: tuple[int, int], overlap: int, order: str, batch: int, lock: float
) -> None:
    source = grain(*size)
    redrawn = run(source, giving_back, tile=Size(*tile), overlap=overlap, order=order, batch=batch, color_lock=lock)
    assert redrawn.image.size == size
    assert redrawn.image.mode == "RGB"
    assert (levels(redrawn.image) == levels(source)).all()
    assert redrawn.complete


@pytest.mark.parametrize("size", [(500, 333), (40, 30), (65, 9), (1, 1)])
def test_tiles_are_cut_from_the_picture_as_it_is_continued_by_reflection(size: tuple[int, int]) -> None:
    source, seen = grain(*size), []

    def watching(tiles: Sequence[Tile]) -> list[Image.Image]:
        seen.extend(tiles)
        return giving_back(tiles)

    job = Redraw(source, RedrawSettings(Size(128, 96), 16))
    job.run(watching, Quiet())

    canvas = job.grid.canvas
    continued = [(0, canvas.height - size[1]), (0, canvas.width - size[0]), (0, 0)]
    mode = "reflect" if min(size) > 1 else "edge"
    expected = np.pad(np.asarray(source), continued, mode=mode)
    assert len(seen) == len(job.grid.tiles)
    for tile in seen:
        assert tile.picture.size == (job.grid.tile.width, job.grid.tile.height)
        assert tile.mask is None
        assert (np.asarray(tile.picture) == expected[tile.region.rows, tile.region.columns]).all()


# -- seams -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "overlap"), [(240, 16), (200, 56), (216, 24), (192, 64)])
@pytest.mark.parametrize("order", ["rows", "detail"])
def test_a_step_between_tiles_is_spread_over_the_whole_overlap(width: int, overlap: int, order: str) -> None:
    """Two tiles of 128: 60 levels darker and 60 lighter."""
    source = Image.new("RGB", (width, 128), (128, 128, 128))
    redrawn = run(source, adding(constants([-60, 60])), tile=Size(128, 128), overlap=overlap, color_lock=0, order=order)

    actual = 256 - width
    share = ((np.arange(width) + 0.5 - (width - 128)) / actual).clip(0, 1)
    expected = -60 + 120 * (1 - np.cos(np.pi * share)) / 2
    change = levels(redrawn.image)[:, :, 1] - 128
    assert np.abs(change - expected).max() <= 0.51
    linear = 120 / actual
    assert np.abs(np.diff(change, axis=1)).max() <= 1.6 * linear + 1  # both neighbours are rounded


def test_texture_does_not_make_a_step_steeper() -> None:
    """Neighbours that differ in lightness, and with grain of their own: the means of the columns are the ramp."""
    width, height = 448, 2048
    grains = textures(width, height, 0, strength=3)
    step = constants([-40, 40] * 20)
    both = adding(lambda number, region: step(number, region) + grains(number, region))
    redrawn = run(Image.new("RGB", (width, height), (128,) * 3), both, tile=Size(256, 256), overlap=64, color_lock=0)
    change = (levels(redrawn.image) - 128).mean(axis=(0, 2))
    share = ((np.arange(width) + 0.5 - 192) / 64).clip(0, 1)
    assert np.abs(change - (-40 + 40 * (1 - np.cos(np.pi * share)))).max() <= 0.5
    assert np.abs(np.diff(change)).max() <= 1.6 * 80 / 64 + 0.2


@pytest.mark.parametrize("overlap", [0, 8, 64, 96])
def test_the_color_lock_takes_back_what_a_tile_as_a_whole_has_changed(overlap: int) -> None:
    source = smooth_picture(333, 290)
    job = Redraw(source, RedrawSettings(Size(128, 128), overlap, color_lock=1))
    steps = np.random.default_rng(0).uniform(-60, 60, len(job.grid.tiles))
    off = levels(job.run(adding(constants(steps)), Quiet()).image) - levels(source)
    assert np.abs(off).max() <= 1

    job = Redraw(source, RedrawSettings(Size(128, 128), overlap, color_lock=1))
    grains, step = textures(400, 400, 0.3), constants(steps)
    off = levels(job.run(adding(lambda *tile: step(*tile) + grains(*tile)), Quiet()).image) - levels(source)
    for tile in job.grid.tiles:
        assert np.abs(off[tile.rows, tile.columns].mean(axis=(0, 1))).max() <= 0.5
    assert off.std() > 5  # the texture stays


@pytest.mark.parametrize("lock", [0.0, 0.25, 0.5])
def test_of_a_change_in_color_the_lock_leaves_the_rest(lock: float) -> None:
    redrawn = run(smooth_picture(300, 200), lighter(40), tile=Size(128, 128), color_lock=lock)
    change = levels(redrawn.image) - levels(smooth_picture(300, 200))
    assert np.abs(change - 40 * (1 - lock)).max() <= 0.5


# -- noise, order and batches ------------------------------------------------------------------------------------------


def _from_noise(job: Redraw, seed: int) -> Sampler:
    """As Stable Diffusion does: start from the tile's noise, then add some with a second draw. Each number is its own
    pixel's, so tiles agree where they overlap up to what depends on where they end."""
    random = torch.Generator().manual_seed(seed)
    canvas = job.grid.canvas
    field = NoiseField(lambda: torch.randn((1, 3, canvas.height // 8, canvas.width // 8), generator=random))

    def sample(tiles: Sequence[Tile]) -> list[Image.Image]:
        noise = TileNoise(field, [tile.region for tile in tiles])
        first, second = noise.next(), noise.next()
        change = torch.nn.functional.interpolate(12 * first + 6 * second**2, scale_factor=8, mode="bicubic")
        found = adding(lambda number, region: change[numbers.index(number)].permute(1, 2, 0).numpy())
        numbers = [tile.number for tile in tiles]
        return found(tiles)

    return sample


def test_one_seed_is_one_picture_in_every_order_and_batch() -> None:
    source = smooth_picture(330, 250)
    pictures = {}
    for order in ORDERS:
        for batch in (1, 2, 4):
            job = Redraw(source, RedrawSettings(Size(128, 128), 32, order=order, batch=batch))
            pictures[order, batch] = levels(job.run(_from_noise(job, 7), Quiet()).image)
    first = pictures["rows", 1]
    assert np.abs(first - levels(source)).mean() > 3  # it was redrawn
    for name, picture in pictures.items():
        assert np.abs(picture - first).max() <= 1, name

    job = Redraw(source, RedrawSettings(Size(128, 128), 32))
    assert np.abs(levels(job.run(_from_noise(job, 8), Quiet()).image) - first).mean() > 3


# -- what is left as it is ---------------------------------------------------------------------------------------------


def test_flat_tiles_are_left_as_they_are() -> None:
    """Left half grey, right half grain; three tiles side by side."""
    source = grain(512, 128)
    source.paste((90, 120, 150), (0, 0, 256, 128))
    seen: list[int] = []

    def watching(tiles: Sequence[Tile]) -> Sequence[Image.Image]:
        seen.extend(tile.number for tile in tiles)
        return lighter()(tiles)

    job = Redraw(source, RedrawSettings(Size(128, 128), 0, color_lock=0, flatness=1))
    redrawn = job.run(watching, Quiet())
    assert seen == [2, 3]
    assert (redrawn.drawn, redrawn.skipped, redrawn.complete) == (2, 2, True)
    assert (levels(redrawn.image)[:, :256] == [90, 120, 150]).all()
    assert (levels(redrawn.image)[:, 256:] >= levels(source)[:, 256:]).all()
    assert levels(redrawn.image)[:, 256:].mean() > levels(source)[:, 256:].mean() + 20


def test_what_is_outside_of_the_mask_is_neither_sampled_nor_changed() -> None:
    source, mask = smooth_picture(512, 128), Image.new("L", (512, 128), 0)
    mask.paste(255, (300, 20, 360, 100))
    mask.paste(51, (360, 20, 380, 100))  # a fifth
    seen: list[Tile] = []

    def watching(tiles: Sequence[Tile]) -> Sequence[Image.Image]:
        seen.extend(tiles)
        return lighter(50)(tiles)

    redrawn = run(source, watching, mask, tile=Size(128, 128), overlap=0, color_lock=0)
    assert [tile.number for tile in seen] == [2]
    assert seen[0].mask is not None
    assert (np.asarray(seen[0].mask) == np.asarray(mask)[:, 256:384]).all()
    expected = levels(source) + 50 * levels(mask)[:, :, None] / 255
    assert np.abs(levels(redrawn.image) - expected).max() <= 0.5
    assert (levels(redrawn.image)[:, :300] == levels(source)[:, :300]).all()


def test_a_soft_mask_blends_across_tiles_too() -> None:
    source = smooth_picture(300, 200)
    mask = Image.fromarray(np.tile(np.linspace(0, 255, 300).astype(np.uint8), (200, 1)))
    redrawn = run(source, lighter(60), mask, tile=Size(128, 128), overlap=32, color_lock=0)
    assert np.abs(levels(redrawn.image) - levels(source) - 60 * levels(mask)[:, :, None] / 255).max() <= 0.51


def test_a_mask_of_another_size_is_refused_in_words() -> None:
    with pytest.raises(RequestError, match="the mask does not fit the picture"):
        Redraw(smooth_picture(128, 128), RedrawSettings(), Image.new("L", (64, 64)))


# -- stopping and failing ----------------------------------------------------------------------------------------------


def stopping_at(call: int, error: Exception) -> Sampler:
    calls = []

    def sample(tiles: Sequence[Tile]) -> Sequence[Image.Image]:
        calls.append(tiles)
        if len(calls) == call:
            raise error
        return lighter()(tiles)

    return sample


def _columns(source: Image.Image, redrawn: Image.Image) -> list[float]:
    """How much the middles of four tiles side by side are lighter."""
    change = levels(redrawn) - levels(source)
    return [float(change[:, middle - 8 : middle + 8].mean()) for middle in (64, 160, 256, 352)]


@pytest.mark.parametrize(("whole", "expected"), [(True, [40, 0, 0, 0]), (False, [40, 0, 40, 40])])
def test_an_interrupt_and_a_skip_keep_what_is_redrawn_and_leave_the_rest(whole: bool, expected: list[int]) -> None:
    source = smooth_picture(416, 128)
    redrawn = run(source, stopping_at(2, Stop(whole)), tile=Size(128, 128), overlap=32, color_lock=0)
    assert np.allclose(_columns(source, redrawn.image), expected, atol=0.5)
    assert (redrawn.drawn, redrawn.skipped) == (expected.count(40), expected.count(0))
    assert redrawn.complete is not whole
    change = levels(redrawn.image) - levels(source)
    assert change.min() >= 0  # never black
    assert change.max() <= 40
    assert np.abs(np.diff(change, axis=1)).max() <= 1.6 * 40 / 32 + 1  # it fades out


def test_an_interrupt_at_once_leaves_the_upscaled_picture() -> None:
    source = smooth_picture(416, 128)
    redrawn = run(source, stopping_at(1, Stop(True)), tile=Size(128, 128))
    assert (levels(redrawn.image) == levels(source)).all()
    assert (redrawn.drawn, redrawn.complete) == (0, False)


def test_texture_that_fades_out_is_not_made_stronger() -> None:
    """One of two tiles is drawn: where it fades out its grain has the weight's strength."""
    source, grains = Image.new("RGB", (448, 256), (128,) * 3), textures(448, 256, 0)
    calls = []

    def once(tiles: Sequence[Tile]) -> Sequence[Image.Image]:
        calls.append(tiles)
        if len(calls) > 1:
            raise Stop(True)
        return adding(grains)(tiles)

    redrawn = run(source, once, tile=Size(256, 256), overlap=64, color_lock=0)
    share = (np.arange(64) + 0.5) / 64
    expected = (1 + np.cos(np.pi * share))[None, :, None] / 2 * grains(0, Region(0, 0, 256, 256))[:, 192:]
    assert np.abs(levels(redrawn.image)[:, 192:256] - 128 - expected).max() <= 1.5


def test_what_goes_wrong_goes_through_and_what_is_done_is_kept() -> None:
    source = smooth_picture(416, 128)
    job = Redraw(source, RedrawSettings(Size(128, 128), 32, color_lock=0))
    with pytest.raises(ZeroDivisionError):
        job.run(stopping_at(3, ZeroDivisionError()), Quiet())
    assert np.allclose(_columns(source, job.image()), [40, 40, 0, 0], atol=0.5)


def test_tiles_of_another_size_or_number_are_an_error_in_words() -> None:
    source = smooth_picture(416, 128)
    with pytest.raises(TrueScaleError, match="a tile came back in another size: 64x64, not 128x128"):
        run(source, lambda tiles: [Image.new("RGB", (64, 64)) for _ in tiles], tile=Size(128, 128))
    with pytest.raises(TrueScaleError, match="2 tiles were to be redrawn and 1 came back"):
        run(source, lambda tiles: [tiles[0].picture], tile=Size(128, 128), batch=2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"order": "zigzag"}, "'zigzag'"),
        ({"color_lock": 1.1}, "from 0 to 1"),
        ({"color_lock": -0.1}, "from 0 to 1"),
        ({"batch": 0}, "at least 1"),
        ({"tile": Size(32, 512)}, "64 px"),
        ({"overlap": -1}, "0 or more"),
        ({"overlap": 512}, "at most 504 px"),
    ],
)
def test_wrong_settings_are_refused_in_words(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        Redraw(smooth_picture(600, 600), RedrawSettings(**wrong))


# -- progress and memory -----------------------------------------------------------------------------------------------


def test_the_listener_hears_of_each_batch_and_sees_the_picture_grow() -> None:
    source, listener = smooth_picture(512, 128), Listener()
    job = Redraw(source, RedrawSettings(Size(128, 128), 0, batch=3, color_lock=0))
    redrawn = job.run(lighter(), listener)
    assert listener.told == [(0, 4), (3, 4)]
    grown = [float((levels(picture) - levels(source)).mean()) for picture in listener.shown]
    assert np.allclose(grown, [30, 40], atol=0.01)
    assert listener.shown[-1].tobytes() == redrawn.image.tobytes()


def test_a_preview_is_the_picture_but_for_texture_in_overlaps() -> None:
    source, listener = smooth_picture(448, 256), Listener()
    mask = Image.new("L", (448, 256), 255)
    mask.paste(90, (0, 0, 448, 100))
    job = Redraw(source, RedrawSettings(Size(256, 256), 64), mask)
    redrawn = job.run(adding(textures(448, 256, 0)), listener)
    away = np.r_[0:192, 256:448]
    assert len(listener.shown) == 2
    off = np.abs(levels(listener.shown[-1]) - levels(redrawn.image))
    assert off[:, away].max() <= 1
    assert off[:, 192:256].max() > 1
    assert (levels(listener.shown[0])[:, 256:] == levels(source)[:, 256:]).all()
    assert np.abs(levels(listener.shown[0])[:, :192] - levels(redrawn.image)[:, :192]).max() <= 1


def _peak(side: int) -> int:
    source = smooth_picture(side, side)
    tracemalloc.start()
    try:
        run(source, lighter(), tile=Size(128, 128), overlap=16)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_grows_by_no_more_than_the_change_and_the_pictures() -> None:
    """Per pixel 4 + 2 bytes for each colour of the change and its texture, and pictures of 3; little else."""
    slope = (_peak(1024) - _peak(512)) / (1024**2 - 512**2)
    assert slope <= 3 * (4 + 2) + 3 * 3 + 4
