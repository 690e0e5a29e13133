"""Every tile gets its part of one noise for the whole canvas, whatever the order and the batches are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lib_upscaler.diffusion.grid import plan_grid
from lib_upscaler.diffusion.noise import NoiseField, TileNoise, TileTree
from lib_upscaler.geometry import Size

GRID = plan_grid(Size(200, 144), Size(96, 64), 16)


def field(seed: int = 1) -> NoiseField:
    random = torch.Generator().manual_seed(seed)
    return NoiseField(lambda: torch.randn((1, 4, GRID.canvas.height // 8, GRID.canvas.width // 8), generator=random))


def put_together(parts: list[Tensor]) -> Tensor:
    """The canvas's noise from its tiles' parts; fails where two of them differ."""
    whole = torch.full((4, GRID.canvas.height // 8, GRID.canvas.width // 8), torch.nan)
    for tile, part in zip(GRID.tiles, parts):
        place = whole[:, tile.y // 8 : tile.bottom // 8, tile.x // 8 : tile.right // 8]
        known = ~place.isnan()
        assert (place[known] == part[known]).all()
        place.copy_(part)
    return whole


def test_tiles_have_the_same_noise_where_they_overlap() -> None:
    drawn = field()
    whole = put_together([TileNoise(drawn, [tile]).next()[0] for tile in GRID.tiles])
    expected = torch.randn((1, 4, 18, 25), generator=torch.Generator().manual_seed(1))[0]
    assert (whole == expected).all()


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_kth_draw_is_the_same_in_any_order_and_batch(batch: int, backwards: bool) -> None:
    drawn, draws = field(), 3
    numbers = list(range(len(GRID.tiles)))[:: -1 if backwards else 1]
    found: dict[tuple[int, int], Tensor] = {}
    for first in range(0, len(numbers), batch):
        some = numbers[first : first + batch]
        noise = TileNoise(drawn, [GRID.tiles[number] for number in some])
        for draw in range(draws):
            for number, part in zip(some, noise.next()):
                found[draw, number] = part
    fields = [put_together([found[draw, number] for number in range(len(GRID.tiles))]) for draw in range(draws)]

    random = torch.Generator().manual_seed(1)
    for whole in fields:
        assert (whole == torch.randn((1, 4, 18, 25), generator=random)[0]).all()


def test_first_is_the_first_draw_and_next_goes_on_from_there() -> None:
    """As the WebUI's ImageRNG: ``first`` starts anew, ``next`` is the first where there was none."""
    drawn, tiles = field(), GRID.tiles[:2]
    noise = TileNoise(drawn, tiles)
    first, second = noise.first(), noise.next()
    assert (first == drawn.part(0, tiles)).all()
    assert (second == drawn.part(1, tiles)).all()
    assert not (first == second).any()
    assert (noise.first() == first).all()


def test_a_sampler_that_writes_into_its_noise_does_not_spoil_that_of_others() -> None:
    drawn = field()
    TileNoise(drawn, GRID.tiles[:1]).next().zero_()
    assert (TileNoise(drawn, GRID.tiles[:1]).next() != 0).all()


def test_a_tree_is_asked_for_the_canvas_and_cut() -> None:
    asked = []

    def tree(sigma: float, sigma_next: float) -> Tensor:
        asked.append((sigma, sigma_next))
        return torch.arange(18.0 * 25).reshape(1, 1, 18, 25)

    part = TileTree(tree, GRID.tiles[-1:])(2.0, 1.5)
    tile = GRID.tiles[-1]
    assert asked == [(2.0, 1.5)]
    assert part.shape == (1, 1, 8, 12)
    assert part[0, 0, 0, 0] == tile.y // 8 * 25 + tile.x // 8
    assert part[0, 0, -1, -1] == 18 * 25 - 1
