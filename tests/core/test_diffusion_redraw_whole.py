"""A redraw in one piece: the same picture as with a single tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.diffusion.redraw import Redraw, RedrawSettings, Stop, Tile
from lib_upscaler.diffusion.redraw_whole import WholeRedraw
from lib_upscaler.errors import RequestError, TrueScaleError
from lib_upscaler.geometry import Size


class _Listener:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def begins(self, done: int, total: int) -> None:
        self.told.append((done, total))

    def shows(self, picture: Callable[[], Image.Image]) -> None:
        self.told.append(picture())


def _noise(width: int, height: int, seed: int = 0) -> Image.Image:
    shape = (height, width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def _mask(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1)))


def _darker(tiles: Sequence[Tile]) -> list[Image.Image]:
    """Half as light, and other in every px."""
    (tile,) = tiles
    levels = np.asarray(tile.picture) // 2 + np.random.default_rng(1).integers(0, 30, (tile.picture.height, 1, 1))
    return [Image.fromarray(levels.astype(np.uint8))]


@pytest.mark.parametrize("size", [(160, 96), (131, 97), (40, 33)])
@pytest.mark.parametrize("color_lock", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_what_a_single_tile_gives(size: tuple[int, int], color_lock: float, masked: bool) -> None:
    source, mask = _noise(*size), _mask(*size) if masked else None
    tile = Size(*(max(64, length) for length in size))
    single = Redraw(source, RedrawSettings(tile, overlap=0, color_lock=color_lock), mask)
    expected = single.run(_darker, _Listener())
    listener = _Listener()
    result = WholeRedraw(source, color_lock, mask).run(_darker, listener)

    assert result.image.size == size
    assert (np.asarray(result.image) == np.asarray(expected.image)).all()
    assert not (np.asarray(result.image) == np.asarray(source)).all()
    assert (result.drawn, result.skipped, result.complete) == (1, 0, True)
    assert listener.told == [(0, 1), result.image]


def test_the_sampler_gets_the_padded_picture_and_its_mask() -> None:
    seen = []

    def sampler(tiles: Sequence[Tile]) -> list[Image.Image]:
        seen.extend(tiles)
        return [tile.picture for tile in tiles]

    source = _noise(131, 97)
    result = WholeRedraw(source, 0.5, _mask(131, 97)).run(sampler, _Listener())
    (tile,) = seen
    assert tile.picture.size == tile.mask.size == (136, 104)
    assert (np.asarray(tile.picture)[:97, :131] == np.asarray(source)).all()
    assert (np.asarray(tile.picture)[:97, 131] == np.asarray(source)[:, 129]).all()  # by reflection
    assert (np.asarray(result.image) == np.asarray(source)).all()


def test_outside_of_a_mask_there_is_nothing_to_do() -> None:
    job = WholeRedraw(_noise(80, 64), 0.0, Image.new("L", (80, 64), 0))
    assert job.todo() == []
    assert job.run(_darker, _Listener()).drawn == 0


@pytest.mark.parametrize("whole", [False, True])
def test_what_is_stopped_is_the_source(whole: bool) -> None:
    def sampler(tiles: Sequence[Tile]) -> list[Image.Image]:
        raise Stop(whole)

    source = _noise(80, 64)
    result = WholeRedraw(source).run(sampler, _Listener())
    assert (np.asarray(result.image) == np.asarray(source)).all()
    assert (result.drawn, result.skipped, result.complete) == (0, 1, not whole)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(RequestError, match="mask does not fit"):
        WholeRedraw(_noise(80, 64), 0.0, Image.new("L", (64, 64)))
    with pytest.raises(RequestError, match="colour lock"):
        WholeRedraw(_noise(80, 64), 1.5)
    with pytest.raises(TrueScaleError, match="another size"):
        WholeRedraw(_noise(80, 64)).run(lambda tiles: [_noise(64, 64)], _Listener())
    with pytest.raises(TrueScaleError, match="2 came back"):
        WholeRedraw(_noise(80, 64)).run(lambda tiles: [_noise(80, 64)] * 2, _Listener())
