"""LDSR's samplers and noise levels, on data of a known distribution, for which the exact solution is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from lib_upscaler.errors import RequestError
from lib_upscaler.models.ldsr.samplers import sample_ddim, sample_dpmpp_2m
from lib_upscaler.models.ldsr.schedule import (
    Level,
    default_alphas,
    even_levels,
    host_levels,
    host_times,
    karras_levels,
)
from lib_upscaler.models.ldsr.settings import LdsrSettings

MEAN, SPREAD = 0.3, 0.5
"""Of the data, a normal distribution."""

FAILING_IN_THE_WEBUI = {3, 9, 27, 36, 37, *range(101, 112)}


def noise_in(x: Tensor, level: Level) -> Tensor:
    """What a perfect UNet says."""
    return math.sqrt(1 - level.a) * (x - math.sqrt(level.a) * MEAN) / (level.a * SPREAD**2 + 1 - level.a)


def on_the_way(level: Level, z: Tensor) -> Tensor:
    """Where the probability-flow ODE is at this level: always as many standard deviations from the mean."""
    return math.sqrt(level.a) * MEAN + math.sqrt(level.a * SPREAD**2 + 1 - level.a) * z


def error(sample: Callable[..., Tensor], levels: list[Level]) -> float:
    z = torch.linspace(-2, 2, 9, dtype=torch.float64)
    return float((sample(noise_in, on_the_way(levels[0], z), levels) - on_the_way(levels[-1], z)).abs().max())


def smooth_levels(steps: int) -> list[Level]:
    """log(a) is a smooth function of time, and no level is clean, where the order would end."""
    times = np.linspace(1, 0.05, steps + 1)
    return [Level(0, math.exp(-(0.3 * t + 5 * t * t))) for t in times]


@pytest.mark.parametrize(("sample", "order"), [(sample_ddim, 1), (sample_dpmpp_2m, 2)])
def test_a_sampler_converges_to_the_exact_solution_with_its_order(sample: Callable[..., Tensor], order: int) -> None:
    errors = [error(sample, smooth_levels(steps)) for steps in (100, 200, 400)]
    for coarse, fine in zip(errors, errors[1:]):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)
    assert errors[-1] < {1: 5e-3, 2: 1e-4}[order]


def test_twenty_steps_of_dpmpp_2m_come_closer_than_a_hundred_of_ddim() -> None:
    alphas = default_alphas()
    assert error(sample_dpmpp_2m, karras_levels(20, alphas)) < 0.5 * error(sample_ddim, even_levels(100, alphas)) < 0.05


def test_ddim_with_fresh_noise_draws_from_the_data() -> None:
    generator = torch.Generator().manual_seed(1)
    draw = lambda: torch.randn(40_000, generator=generator, dtype=torch.float64)  # noqa: E731
    drawn = sample_ddim(noise_in, draw(), even_levels(200, default_alphas()), 1.0, draw)
    assert float(drawn.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(drawn.std()) == pytest.approx(SPREAD, rel=0.06)


def test_ddim_asks_for_one_field_of_noise_a_step_and_for_none_where_it_adds_none() -> None:
    drawn: list[int] = []

    def draw() -> Tensor:
        drawn.append(1)
        return torch.zeros(3)

    sample_ddim(noise_in, torch.zeros(3), even_levels(7, default_alphas()), 0.0, draw)
    assert not drawn
    sample_ddim(noise_in, torch.zeros(3), host_levels(5, default_alphas()), 1.0, draw)
    assert len(drawn) == 5  # the last step adds noise too, as in the WebUI
    drawn.clear()
    sample_ddim(noise_in, torch.zeros(3), even_levels(5, default_alphas()), 1.0, draw)
    assert len(drawn) == 4  # the last one leads to the clean latent


def test_what_is_seen_after_a_step_is_the_clean_latent() -> None:
    seen: list[tuple[int, float]] = []
    level = Level(500, 0.25)
    clean, noise = 0.8, -0.4
    x = torch.tensor([0.5 * clean + math.sqrt(0.75) * noise], dtype=torch.float64)
    answer = lambda x, level: torch.full_like(x, noise)  # noqa: E731
    for sample in (sample_ddim, sample_dpmpp_2m):
        end = sample(answer, x, [level, Level(0, 1.0)], seen=lambda step, x0: seen.append((step, float(x0))))
        assert float(end) == pytest.approx(clean)
    assert [step for step, _ in seen] == [0, 0]
    assert [value for _, value in seen] == pytest.approx([clean, clean])


def test_the_levels_are_those_of_the_training() -> None:
    alphas, left = default_alphas(), 1.0
    for t in range(1000):
        left *= 1 - (0.0015**0.5 + (0.0155**0.5 - 0.0015**0.5) * t / 999) ** 2
        assert alphas[t] == pytest.approx(left, rel=1e-5)
    assert alphas[0] == pytest.approx(0.9985)


def test_the_webuis_steps() -> None:
    failing = set()
    for steps in range(1, 201):
        times = host_times(steps)
        # ldm's make_ddim_timesteps, as it stands there
        assert times[::-1] == (np.asarray(list(range(0, 1000, 1000 // steps))) + 1).tolist()
        if max(times) > 999:
            failing.add(steps)
        levels = host_levels(steps, default_alphas())
        assert all(after.t < level.t <= 999 for level, after in zip(levels, levels[1:]))
        assert levels[-1].a == pytest.approx(0.9985)
    assert failing == FAILING_IN_THE_WEBUI


@pytest.mark.parametrize("levels_of", [even_levels, karras_levels])
def test_otherwise_there_are_as_many_steps_as_were_asked_for(levels_of: Callable[..., list[Level]]) -> None:
    for steps in range(1, 201):
        levels = levels_of(steps, default_alphas())
        assert len(levels) == steps + 1
        assert levels[0].t == pytest.approx(999)
        assert levels[-1].a == 1
        assert all(level.a < after.a for level, after in zip(levels, levels[1:]))
        assert steps == 1 or levels[-2].t == pytest.approx(0, abs=1e-6)


def test_defaults_of_the_settings() -> None:
    auto, webui = LdsrSettings().complete, LdsrSettings(mode="webui").complete
    assert (auto.steps, auto.sampler, auto.eta) == (20, "dpmpp_2m", 0)
    assert (webui.steps, webui.sampler, webui.eta, webui.precision) == (100, "ddim", 1, "exact")
    assert LdsrSettings().seed == LdsrSettings().seed == auto.seed


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "other"}, {"steps": 0}, {"steps": 201}, {"steps": 2.5}, {"sampler": "euler"}, {"eta": 1.5},
        {"seed": -1}, {"tile": 60}, {"tile": 100}, {"batch": 0}, {"precision": "fp8"}, {"eta": 0.5},
        {"mode": "webui", "sampler": "dpmpp_2m"}, {"mode": "webui", "tile": 128},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_in_words(wrong: dict) -> None:
    with pytest.raises(RequestError) as caught:
        LdsrSettings(**wrong)
    assert caught.value.todo
