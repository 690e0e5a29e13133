"""A denoiser of tiles stands in for that of the whole latent: the same numbers, whatever the grid and the batches."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from effort import jobs
from lib_upscaler.diffusion.canvas import CanvasDenoiser
from lib_upscaler.diffusion.canvas_conditioning import Conditioning, Part, cut, for_each_part
from lib_upscaler.diffusion.canvas_grid import CanvasGrid, plan_canvas
from lib_upscaler.diffusion.sdxl_sizes import tile_sizes
from lib_upscaler.errors import Cancelled, MemoryLimitError, RequestError
from lib_upscaler.geometry import Region, Size
from seams import seam_ratio, texture_energy


def latents(size: Size, rows: int = 2, channels: int = 4, seed: int = 0) -> Tensor:
    return torch.randn((rows, channels, size.height, size.width), generator=torch.Generator().manual_seed(seed))


class Reaching:
    """A denoiser whose outputs depend on what is within ``reach`` px, on the row's level, prompt, and on what is laid
    over the canvas: whoever mixes up rows or places gives other numbers."""

    def __init__(self, reach: int) -> None:
        self.reach = reach
        random = torch.Generator().manual_seed(9)
        self.kernel = torch.randn((4, 9, 2 * reach + 1, 2 * reach + 1), generator=random) / (6 * (2 * reach + 1))
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, x: Tensor, level: Tensor, told: dict[str, Any]) -> Tensor:
        self.shapes.append(tuple(x.shape))
        assert len(x) == len(level) == len(told["crossattn"]) == len(told["c_concat"][0])
        seen = F.conv2d(torch.cat([x, *told["c_concat"]], 1), self.kernel, padding=self.reach)
        prompt = told["crossattn"].mean((1, 2))[:, None, None, None]
        return torch.tanh(seen * level[:, None, None, None]) + prompt


def told_of(size: Size, rows: int) -> dict[str, Any]:
    """As the host has it for an inpainting model."""
    random = torch.Generator().manual_seed(3)
    return {
        "crossattn": torch.randn((rows, 77, 16), generator=random),
        "c_concat": [torch.randn((rows, 5, size.height, size.width), generator=random)],
    }


@st.composite
def canvases(draw: st.DrawFn) -> tuple[Size, int, int, int, int]:
    """Size, reach, rows, batch, step."""
    size = Size(draw(st.integers(30, 150)), draw(st.integers(30, 150)))
    return size, draw(st.integers(0, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(0, 20))


@given(canvases(), st.integers(0, 4), st.integers(0, 9))
@settings(max_examples=jobs(150), deadline=None)
def test_what_reaches_no_further_than_the_context_is_as_if_it_were_whole(
    canvas: tuple[Size, int, int, int, int], overlap: int, seed: int
) -> None:
    """50 examples; 150 with ``pytest --long``."""
    size, reach, rows, batch, step = canvas
    denoise, x, told = Reaching(reach), latents(size, rows), told_of(size, rows)
    level = torch.linspace(0.5, 2, rows)
    expected = denoise(x, level, told)

    grid = plan_canvas(size, 32, overlap, context=reach, seed=seed)
    found = CanvasDenoiser(grid, batch)(denoise, x, level, told, step)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-5
    assert max(shape[0] for shape in denoise.shapes[1:]) <= batch * rows


def test_without_context_it_would_not_be() -> None:
    """That the test above can fail."""
    size, denoise = Size(100, 100), Reaching(3)
    x, level, told = latents(size), torch.ones(2), told_of(size, 2)
    found = CanvasDenoiser(plan_canvas(size, 32, 2))(denoise, x, level, told, 0)
    assert (found - denoise(x, level, told)).abs().max() > 0.01


@pytest.mark.parametrize("size", [Size(64, 64), Size(61, 37)])
def test_one_tile_gets_the_very_objects(size: Size) -> None:
    x, level, told, answer = latents(size), torch.ones(2), {"crossattn": torch.ones(2, 77, 16)}, latents(size)
    got: list[Any] = []

    def denoise(*arguments: Any) -> Tensor:
        got.extend(arguments)
        return answer

    found = CanvasDenoiser(plan_canvas(size, 64), batch=3)(denoise, x, level, told, 4)
    assert found is answer
    assert [id(each) for each in got] == [id(x), id(level), id(told)]


def grain(count: int, height: int, width: int, source: np.random.Generator) -> np.ndarray:
    """``(count, h, w)`` of variance 1, neighbours correlated by 2/3: sums of 1, 2, 1 over white noise, both ways."""
    white = source.standard_normal((count, height + 2, width + 2), np.float32)
    for axis in (1, 2):
        length = white.shape[axis] - 2
        first, second, third = (white.take(range(start, start + length), axis) for start in range(3))
        white = (first + 2 * second + third) / np.sqrt(np.float32(6))
    return white


class Textured:
    """Gives each tile a texture of its own, made from the picture and place that it is of: not from the batch."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, x: Tensor, level: Tensor, told: Any) -> Tensor:
        self.calls.append(len(x))
        seeds = [zlib.crc32(row.numpy().tobytes()) for row in x]
        return torch.stack([torch.from_numpy(grain(*x.shape[1:], np.random.default_rng(seed))) for seed in seeds])


def test_batches_make_no_difference() -> None:
    size = Size(260, 200)
    x, level, told = latents(size), torch.ones(2), None
    found, calls = [], []
    for batch in (1, 2, 5):
        denoise = Textured()
        found.append(CanvasDenoiser(plan_canvas(size, 64), batch)(denoise, x, level, told, 3))
        calls.append(denoise.calls)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert set(calls[0]) == {2}  # both rows of one tile
    assert max(calls[1]) == 4
    assert sum(calls[0]) == sum(calls[1]) == sum(calls[2])
    assert len(calls[0]) > len(calls[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_put_together_in_float32(dtype: torch.dtype) -> None:
    size = Size(100, 100)
    x = latents(size).to(dtype)
    found = CanvasDenoiser(plan_canvas(size, 64, 16))(lambda x, level, told: x, x, torch.ones(2), None, 0)
    assert found.dtype == dtype
    assert (found == x).all()  # weights in half precision would round it


# -- what can be seen --------------------------------------------------------------------------------------------------


def weights_of(plan: CanvasGrid, step: int) -> list[np.ndarray]:
    """What each tile, in the order of its calls, counts for at each px: by a denoiser that gives each a channel."""
    count = len(plan.step(step).tiles)
    calls: list[int] = []

    def denoise(x: Tensor, level: Tensor, told: Any) -> Tensor:
        calls.append(1)
        channels = F.one_hot(torch.tensor(len(calls) - 1), count).float()
        return channels[None, :, None, None].expand(1, -1, *x.shape[2:])

    x = torch.zeros((1, 4, plan.size.height, plan.size.width))
    shares = CanvasDenoiser(plan)(denoise, x, torch.ones(1), None, step)
    assert len(calls) == count
    return list(shares[0].double().numpy())


@pytest.mark.parametrize(("side", "tile"), [(256, 64), (256, 128), (203, 64)])
def test_lines_cannot_be_told_from_the_rest(side: int, tile: int) -> None:
    """In the mean of 20 steps. Of the textures that tiles make up, half is their own, half all have in common. Other
    programs' ratios: tests/benchmarks/bench_canvas.py."""
    plan = plan_canvas(Size(side, side), tile, seed=1)
    whole = Region(0, 0, side, side)
    energies, borders = [], []
    for step in range(20):
        weights = weights_of(plan, step)
        energies.append(texture_energy([whole] * len(weights), weights, side, side))
        borders.append((plan.step(step).across.blends, plan.step(step).down.blends))
    assert 0.95 <= seam_ratio(energies, borders, correlation=0.5) <= 1.02


def test_lines_that_stand_still_are_seen() -> None:
    """That the measure sees what is there. Across a cut the variance of a difference is 2; of grain that is correlated
    by 2/3 with its neighbour it is 2/3."""
    tiles = [Region(x, y, 64, 64) for y in (0, 64) for x in (0, 64)]
    energies = texture_energy(tiles, [np.ones((64, 64))] * 4, 128, 128)
    cuts = [(64, 64)]
    assert seam_ratio([energies] * 5, [(cuts, cuts)] * 5) == pytest.approx(3)
    assert seam_ratio([energies], [([(32, 32)], cuts)]) == pytest.approx(2)
    assert seam_ratio([energies], [(cuts, cuts)], correlation=0.5) == pytest.approx(2)


def test_the_measure_is_that_of_real_textures() -> None:
    """Two tiles of grain, one of which gives way to the other, against what is said of them."""
    source = np.random.default_rng(4)
    fall = np.tile(np.clip((80 - np.arange(128)) / 32, 0, 1), (512, 1))
    tiles, weights = [Region(0, 0, 96, 512), Region(32, 0, 96, 512)], [fall[:, :96], 1 - fall[:, 32:]]
    across, _ = texture_energy(tiles, weights, 128, 512)
    mixed = np.zeros((24, 512, 128), np.float32)
    for tile, weight in zip(tiles, weights):
        mixed[:, tile.rows, tile.columns] += (grain(24, 512, 96, source) * weight).astype(np.float32)
    usual = np.square(np.diff(grain(24, 512, 512, source), axis=2)).mean()
    found = np.square(np.diff(mixed, axis=2)).mean(axis=(0, 1)) / usual
    assert np.abs(found - across[1:]).max() <= 0.05


# -- what the denoiser is told -----------------------------------------------------------------------------------------

CANVAS = Size(80, 72)
PARTS = [Part(Region(0, 0, 64, 32)), Part(Region(16, 40, 64, 32))]


def test_conditioning_is_cut_and_repeated_in_the_order_of_the_tiles() -> None:
    rows = 3
    planes = torch.arange(rows * 2 * 72 * 80.0).reshape(rows, 2, 72, 80)
    prompts = torch.arange(rows * 77 * 4.0).reshape(rows, 77, 4)
    dummy = torch.arange(rows * 5.0).reshape(rows, 5, 1, 1)
    constant, before = torch.arange(7.0), planes.clone()
    told = {"c_concat": [planes, dummy], "c_crossattn": [prompts], "scale": 7.5, "few": (constant,), "none": None}

    found = Conditioning(CANVAS)(told, rows, PARTS)
    assert list(found) == list(told)
    for number, part in enumerate(PARTS):
        for row in range(rows):
            place = number * rows + row
            region = part.region
            expected = planes[row, :, region.y : region.y + 32, region.x : region.x + 64]
            assert torch.equal(found["c_concat"][0][place], expected)
            assert torch.equal(found["c_concat"][1][place], dummy[row])
            assert torch.equal(found["c_crossattn"][0][place], prompts[row])
    assert found["c_concat"][0].shape == (6, 2, 32, 64)
    assert found["scale"] == 7.5
    assert found["few"][0] is constant
    assert found["none"] is None
    assert torch.equal(planes, before)


def test_what_has_a_function_of_its_own_is_replaced_at_any_depth() -> None:
    vectors = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    place = for_each_part(lambda told, part: told + part.region.x * 100 + part.region.y)
    found = Conditioning(CANVAS, {"vector": place})({"deep": [{"vector": vectors}], "y": vectors}, 2, PARTS)
    assert found["deep"][0]["vector"].tolist() == [[1, 2], [3, 4], [1641, 1642], [1643, 1644]]
    assert found["y"].tolist() == [[1, 2], [3, 4], [1, 2], [3, 4]]


def test_the_whole_shrunk_is_a_part_too() -> None:
    planes = torch.arange(72 * 80.0).reshape(1, 1, 72, 80)
    found = cut(planes, [Part(Region.of(CANVAS), 2)])
    assert found.shape == (1, 1, 40, 40)
    assert found[0, 0, 3, 5] == planes[0, 0, 6:8, 10:12].mean()
    # 72 rows are not 80: the last are a mirror of those before.
    assert torch.equal(found[0, 0, 36:], found[0, 0, 32:36].flip(0))


def sinusoids(number: float) -> np.ndarray:
    angles = number / 10000 ** (np.arange(128) / 128)
    return np.concatenate([np.cos(angles), np.sin(angles)])


@pytest.mark.parametrize(("length", "numbers"), [(2816, 6), (2560, 4)])
def test_each_tile_hears_of_its_own_size(length: int, numbers: int) -> None:
    """SDXL, and its refiner, whose fifth number is a score."""
    vector = torch.randn((2, length), generator=torch.Generator().manual_seed(0))
    found = Conditioning(CANVAS, {"vector": tile_sizes()})({"vector": vector}, 2, PARTS)["vector"]
    expected = np.concatenate([sinusoids(each) for each in (256, 512, 0, 0, 256, 512)[:numbers]])
    for row in range(4):
        assert torch.equal(found[row, :1280], vector[row % 2, :1280])
        assert np.abs(found[row, 1280 : 1280 + 256 * numbers].numpy() - expected).max() <= 1e-4
        assert torch.equal(found[row, 1280 + 256 * numbers :], vector[row % 2, 1280 + 256 * numbers :])


def test_a_vector_of_another_model_stays() -> None:
    vector = torch.randn((2, 2048))  # SD3
    found = Conditioning(CANVAS, {"vector": tile_sizes()})({"vector": vector}, 2, PARTS)["vector"]
    assert torch.equal(found, torch.cat([vector, vector]))


# -- what can go wrong -------------------------------------------------------------------------------------------------


def limited(most: int) -> tuple[Callable, list[int]]:
    """A denoiser that has memory for so many rows, and how many it was given."""
    calls: list[int] = []

    def denoise(x: Tensor, level: Tensor, told: Any) -> Tensor:
        calls.append(len(x))
        if len(x) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")
        return x * 2

    return denoise, calls


def test_out_of_memory_makes_batches_smaller_for_good() -> None:
    size = Size(200, 200)
    denoise, calls = limited(most=4)  # two tiles of two rows
    canvas, x = CanvasDenoiser(plan_canvas(size, 64), batch=7), latents(size)
    found = canvas(denoise, x, torch.ones(2), None, 0)
    assert (found - 2 * x).abs().max() <= 1e-5
    assert max(calls) > 4
    assert canvas.batch <= 2
    calls.clear()
    canvas(denoise, x, torch.ones(2), None, 1)
    assert max(calls) <= 4


def test_a_tile_that_does_not_fit_is_an_error_in_words() -> None:
    size = Size(200, 200)
    denoise, calls = limited(most=1)
    words = r"not enough memory to denoise a tile of \d+x\d+ px.*: CUDA out of memory. Tried to allocate 2 GiB. Choose"
    with pytest.raises(MemoryLimitError, match=words):
        CanvasDenoiser(plan_canvas(size, 64), batch=8)(denoise, latents(size), torch.ones(2), None, 0)
    assert calls[-1] == 2


def test_other_failures_go_through() -> None:
    def denoise(x: Tensor, level: Tensor, told: Any) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    size = Size(200, 200)
    with pytest.raises(RuntimeError, match="mat1"):
        CanvasDenoiser(plan_canvas(size, 64), batch=8)(denoise, latents(size), torch.ones(2), None, 0)


def test_it_can_be_stopped_before_each_batch() -> None:
    size = Size(200, 200)
    denoise, calls = limited(most=99)
    asked: list[tuple[int, int]] = []

    def check(done: int, total: int) -> None:
        asked.append((done, total))
        if len(asked) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        CanvasDenoiser(plan_canvas(size, 64), batch=2, check=check)(denoise, latents(size), torch.ones(2), None, 0)
    assert [calls[0] // 2, (calls[0] + calls[1]) // 2] == [done for done, _ in asked[1:]]
    assert {total for _, total in asked} == {len(plan_canvas(size, 64).step(0).tiles)}
    assert len(calls) == 2


def test_a_latent_of_another_size_is_refused_in_words() -> None:
    with pytest.raises(RequestError, match=r"80x72 px.*planned for 72x80"):
        CanvasDenoiser(plan_canvas(Size(72, 80), 64))(limited(9)[0], latents(CANVAS), torch.ones(2), None, 0)


def test_a_batch_of_none_is_refused_in_words() -> None:
    with pytest.raises(RequestError, match="batch of 0 tiles"):
        CanvasDenoiser(plan_canvas(CANVAS, 64), batch=0)
