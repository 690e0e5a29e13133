"""In the early steps the tiles' composition is that of the whole, and what is fine is their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lib_upscaler.diffusion.canvas import CanvasDenoiser
from lib_upscaler.diffusion.canvas_grid import plan_canvas
from lib_upscaler.diffusion.composition import Composition, LowPass, shrunk
from lib_upscaler.diffusion.noise_levels import FlowLevels, NoiseLevels, SigmaLevels, TimestepLevels
from lib_upscaler.errors import RequestError
from lib_upscaler.geometry import Size

ALPHAS = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
"""Stable Diffusion's, 1.x to XL."""

RATIOS = ((1 - ALPHAS) / ALPHAS) ** 0.5

SIZE, TILE, FACTOR = Size(256, 192), 64, 4


@dataclass
class Way:
    """A way to write noise levels, and the level at which noise over signal is about 8."""

    levels: NoiseLevels
    level: float
    mix: Callable[[float], tuple[float, float]]
    """level -> (signal, noise)."""


WAYS = {
    "sigma": Way(SigmaLevels(), 8.0, lambda level: (1.0, level)),
    "flow": Way(FlowLevels(), 8 / 9, lambda level: (1 - level, level)),
    "timestep": Way(
        TimestepLevels(torch.from_numpy(ALPHAS)),
        float(np.abs(RATIOS - 8).argmin()),
        lambda level: (float(ALPHAS[round(level)] ** 0.5), float((1 - ALPHAS[round(level)]) ** 0.5)),
    ),
}


def picture() -> Tensor:
    """``(1, 4, 192, 256)``: a slow wave and a texture."""
    y, x = torch.meshgrid(torch.arange(192.0), torch.arange(256.0), indexing="ij")
    slow = torch.sin(x / 40) + torch.cos(y / 50)
    fine = torch.from_numpy(np.random.default_rng(1).standard_normal((4, 192, 256), np.float32))
    fine = fine - shrunk(fine[None], FACTOR)[0].repeat_interleave(FACTOR, 1).repeat_interleave(FACTOR, 2)[:, :192]
    return (slow + fine)[None]


def noisy(way: Way, x0: Tensor, level: float) -> Tensor:
    signal, noise = way.mix(level)
    return signal * x0 + noise * torch.from_numpy(np.random.default_rng(2).standard_normal(x0.shape, np.float32))


class Drifting:
    """Knows the picture, from what lies over the canvas, but makes each tile lighter or darker by its own; the whole at
    low resolution it sees rightly."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.calls: list[tuple[float, Tensor]] = []
        self.random = np.random.default_rng(3)

    def __call__(self, x: Tensor, level: Tensor, told: dict[str, Any]) -> Tensor:
        self.calls.append((float(level[0]), x))
        x0 = told["c_concat"][0]
        if abs(float(level[0]) - self.way.level) < 1e-4:
            x0 = x0 + float(self.random.choice([-1, 1]))
        signal, noise = self.way.mix(float(level[0]))
        return (x - signal * x0) / noise if self.way.levels.predicts_noise else x0


def denoised(way: Way, x0: Tensor, level: float, composition: Composition | None) -> tuple[Tensor, Drifting]:
    """(what the picture is thought to be, the denoiser)."""
    denoise, x = Drifting(way), noisy(way, x0, level)
    canvas = CanvasDenoiser(plan_canvas(SIZE, TILE), 4, composition=composition)
    found = canvas(denoise, x, torch.tensor([level]), {"c_concat": [x0]}, 0)
    signal, noise = way.mix(level)
    return (x - noise * found) / signal if way.levels.predicts_noise else found, denoise


def coarse_and_fine(planes: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(means of 4x4 px, what is left), counted in numpy."""
    values = planes[0].double().numpy()
    means = values.reshape(4, 48, 4, 64, 4).mean(axis=(2, 4))
    return means, values - means.repeat(4, axis=1).repeat(4, axis=2)


@pytest.mark.parametrize("name", WAYS)
def test_low_frequencies_are_those_of_the_whole_and_fine_ones_the_tiles(name: str) -> None:
    way, x0 = WAYS[name], picture()
    with_it, _ = denoised(way, x0, way.level, Composition(way.levels))
    without, _ = denoised(way, x0, way.level, None)
    true, drifted, kept = (coarse_and_fine(planes) for planes in (x0, without, with_it))
    assert np.abs(drifted[0] - true[0]).mean() > 0.5
    assert np.abs(kept[0] - true[0]).mean() < 0.1
    assert np.abs(kept[1] - true[1]).mean() < 0.05  # the texture has 0.8


@pytest.mark.parametrize("name", WAYS)
def test_the_shrunk_latent_has_the_noise_that_the_denoiser_is_told(name: str) -> None:
    """None is added: means of 4x4 px of white noise have a quarter of its standard deviation."""
    way, flat = WAYS[name], torch.full((1, 4, 192, 256), 0.7)
    _, denoise = denoised(way, flat, way.level, Composition(way.levels))
    level, x = denoise.calls[-1]
    signal, noise = way.mix(level)
    assert x.shape == (1, 4, 48, 64)
    assert noise / signal == pytest.approx(2, rel=0.02)  # 8 / 4; timesteps are whole numbers
    assert float(x.std()) == pytest.approx(noise, rel=0.03)
    assert float(x.mean()) == pytest.approx(signal * 0.7, abs=4 * noise / x.numel() ** 0.5)


@pytest.mark.parametrize(
    ("name", "late"), [("sigma", 1.0), ("flow", 0.5), ("timestep", float((RATIOS <= 1).sum() - 1))]
)
def test_there_is_no_such_pass_where_the_noise_hides_nothing(name: str, late: float) -> None:
    way = WAYS[name]
    _, early = denoised(way, picture(), way.level, Composition(way.levels))
    _, done = denoised(way, picture(), late, Composition(way.levels))
    assert len(early.calls) == len(done.calls) + 1
    assert {level for level, _ in done.calls} == {late}
    assert len(early.calls) > 1


def test_its_weight_fades_along_half_a_cosine_wave_of_the_logarithm() -> None:
    composition = Composition(SigmaLevels(), fades=1, full=4)
    assert composition.weight(0.3) == composition.weight(1) == 0
    assert composition.weight(2) == pytest.approx(0.5)
    assert composition.weight(2**0.5) == pytest.approx((1 - 0.5**0.5) / 2)
    assert composition.weight(4) == composition.weight(14.6) == 1


@pytest.mark.parametrize(("fades", "full"), [(0, 4), (4, 4), (5, 4)])
def test_a_weight_that_cannot_fade_is_refused_in_words(fades: float, full: float) -> None:
    with pytest.raises(RequestError, match=f"cannot fade from {full} to {fades}"):
        Composition(SigmaLevels(), fades, full)


def test_one_tile_needs_no_idea_of_the_whole() -> None:
    calls = []

    def denoise(x: Tensor, level: Tensor, told: Any) -> Tensor:
        calls.append(x)
        return x

    canvas = CanvasDenoiser(plan_canvas(Size(64, 64), 64), composition=Composition(SigmaLevels()))
    canvas(denoise, torch.zeros(1, 4, 64, 64), torch.tensor([14.0]), None, 0)
    assert len(calls) == 1


def test_noise_without_any_picture_is_shrunk_to_such_noise() -> None:
    """Rectified flow starts at a level of 1."""
    way = WAYS["flow"]
    _, denoise = denoised(way, torch.zeros(1, 4, 192, 256), 1.0, Composition(way.levels))
    level, x = denoise.calls[-1]
    assert level == pytest.approx(1, abs=1e-3)
    assert float(x.std()) == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize(
    ("canvas", "factor", "size"),
    [
        (Size(256, 256), 4, Size(64, 64)),
        (Size(512, 512), 8, Size(64, 64)),
        (Size(80, 64), 2, Size(40, 32)),
        (Size(333, 257), 5, Size(72, 56)),
        (Size(700, 30), 3, Size(240, 16)),
    ],
)
def test_it_is_about_as_large_as_a_tile(canvas: Size, factor: int, size: Size) -> None:
    low = LowPass(canvas, 64, Composition(SigmaLevels()))
    assert (low.factor, low.size) == (factor, size)
    planes = torch.arange(float(canvas.area)).reshape(1, 1, canvas.height, canvas.width)
    small = shrunk(planes, factor)
    assert small.shape[2:] == (size.height, size.width)
    assert small[0, 0, 1, 2] == planes[0, 0, factor : 2 * factor, 2 * factor : 3 * factor].mean()


def test_progress_counts_it_as_a_tile() -> None:
    plan, asked = plan_canvas(SIZE, TILE), []
    canvas = CanvasDenoiser(
        plan, check=lambda done, total: asked.append((done, total)), composition=Composition(SigmaLevels())
    )
    canvas(lambda x, level, told: x, torch.zeros(1, 4, 192, 256), torch.tensor([14.0]), None, 0)
    count = len(plan.step(0).tiles)
    assert asked == [(done, count + 1) for done in range(count + 1)]
