"""Hints over parts of a canvas: to the pixel."""

from __future__ import annotations

import numpy as np
import torch

from lib_upscaler.diffusion.canvas import CanvasDenoiser
from lib_upscaler.diffusion.canvas_conditioning import Part
from lib_upscaler.diffusion.canvas_grid import plan_canvas
from lib_upscaler.diffusion.hints import cut_hint, cut_rows, fitted, middle_fitted, shrunk_to_tile
from lib_upscaler.geometry import Region, Size


def _hint(width: int, height: int) -> torch.Tensor:
    """Each px tells its place."""
    x, y = torch.arange(width).float(), torch.arange(height).float()
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)])[None]


def test_one_part_has_one_row() -> None:
    part = cut_hint(_hint(96, 64), 6, [Part(Region(2, 3, 4, 5))])
    assert part.shape == (1, 2, 40, 32)
    assert part[0, :, 0, 0].tolist() == [16, 24]
    assert part[0, :, -1, -1].tolist() == [47, 63]


def test_several_parts_have_a_row_for_each_of_the_batch() -> None:
    parts = [Part(Region(x, 0, 4, 4)) for x in (0, 3)]
    hints = cut_hint(_hint(96, 64), 2, parts)
    assert hints[:, 0, 0, 0].tolist() == [0, 0, 24, 24]
    latents = cut_rows(_hint(12, 8), 2, parts)
    assert latents[:, 0, 0, 0].tolist() == [0, 0, 3, 3]


def test_each_picture_of_a_batch_has_its_own_hint() -> None:
    """Rows: both pictures with the prompt, both with the negative one; then the same of the next part."""
    both = torch.cat([_hint(96, 64), 1000 + _hint(96, 64)])
    one = [0, 1000, 0, 1000]
    parts = [Part(Region(x, 0, 4, 4)) for x in (0, 3)]
    assert cut_hint(both, 4, parts[:1])[:, 0, 0, 0].tolist() == one
    assert cut_hint(both, 4, parts)[:, 0, 0, 0].tolist() == [*one, *(24 + row for row in one)]


def test_a_shrunk_part_is_the_mean_of_as_many_px() -> None:
    """120 px, to the next multiple of 64 by reflection: 128 that become 64."""
    canvas = _hint(120, 128)
    small = cut_hint(canvas, 1, [Part(Region(0, 0, 15, 16), 2)])
    row = np.concatenate([np.arange(120), np.arange(119, 111, -1)]).reshape(64, 2).mean(1)
    assert small.shape == (1, 2, 64, 64)
    assert np.array_equal(small[0, 0, 5].numpy(), row)


def test_what_fits_stays_itself() -> None:
    hint = _hint(96, 64)
    assert fitted(hint, Size(12, 8)) is hint
    assert fitted(hint, Size(24, 16)).shape == (1, 2, 128, 192)


def test_the_middle_is_made_to_fit() -> None:
    """240x640 px for 256x640: 600 rows of the middle have these proportions. For 480x640: 320 rows."""
    hint = _hint(240, 640)
    wide, wider = middle_fitted(hint, Size(32, 80)), middle_fitted(hint, Size(60, 80))
    columns = (np.arange(256) + 0.5) * 240 / 256
    rows = 20 + (np.arange(640) + 0.5) * 600 / 640
    assert np.array_equal(wide[0, 0, 7].numpy(), np.floor(columns))
    assert np.array_equal(wide[0, 1, :, 7].numpy(), np.floor(rows))
    assert np.array_equal(wider[0, 1, :, 7].numpy(), 160 + np.arange(640) // 2)
    tall = middle_fitted(hint, Size(15, 80))
    assert np.array_equal(tall[0, 0, 7].numpy(), 60 + np.arange(120))
    assert middle_fitted(hint, Size(30, 80)) is hint


def test_a_reference_has_no_more_px_than_a_tile() -> None:
    small = _hint(256, 128)
    assert shrunk_to_tile(small, 64 * 64) is small
    shrunk = shrunk_to_tile(_hint(1024, 512), 32 * 32)
    assert shrunk.shape == (1, 2, 128, 320)
    assert abs(float(shrunk.mean()) - float(_hint(1024, 512).mean())) < 1


def test_the_denoiser_tells_what_it_sees_before_each_call() -> None:
    """A network that is told of its place in no argument puts the canvas together again."""
    grid = plan_canvas(Size(60, 40), 32, seed=3)
    canvas = _hint(60, 40)
    now: list[torch.Tensor] = []

    def sees(rows: int, parts: list[Part]) -> None:
        now[:] = [cut_rows(canvas, rows, parts)]

    denoiser = CanvasDenoiser(grid, 3, sees=sees)
    for step in range(3):
        result = denoiser(lambda x, *_: now.pop().expand_as(x), torch.zeros(2, 2, 40, 60), torch.ones(2), {}, step)
        assert torch.allclose(result, canvas.expand(2, -1, -1, -1), atol=1e-4)
