"""What the WebUIs' samplers mean by a noise level is known from their denoisers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fake_host.running import FakeHost
from lib_upscaler.diffusion.noise_levels import FlowLevels, SigmaLevels, TimestepLevels
from lib_upscaler.errors import TrueScaleError
from lib_upscaler.webui.sampling.levels import levels_of


class CompVisDenoiser(SimpleNamespace):
    """k-diffusion's."""


class CompVisTimestepsDenoiser(SimpleNamespace):
    """The Forge family's, for DDIM, PLMS and UniPC."""


class CONST:
    """What reForge mixes into its models of rectified flow."""


class EPS:
    pass


def _sampler(denoiser: Any, **checkpoint: Any) -> Any:
    return SimpleNamespace(
        model_wrap_cfg=SimpleNamespace(inner_model=denoiser(inner_model=SimpleNamespace(**checkpoint)))
    )


def _forge(denoiser: Any, **network: Any) -> Any:
    return _sampler(denoiser, forge_objects=SimpleNamespace(unet=SimpleNamespace(model=SimpleNamespace(**network))))


@pytest.mark.parametrize(
    ("sampler", "kind"),
    [
        (_sampler(CompVisDenoiser), SigmaLevels),
        (_sampler(CompVisDenoiser, is_sd3=True), FlowLevels),
        (_forge(CompVisDenoiser, predictor=SimpleNamespace(prediction_type="epsilon")), SigmaLevels),
        (_forge(CompVisTimestepsDenoiser, predictor=SimpleNamespace(prediction_type="v_prediction")), SigmaLevels),
        (_forge(CompVisDenoiser, predictor=SimpleNamespace(prediction_type="const")), FlowLevels),
        (_forge(CompVisDenoiser, model_sampling=type("ModelSampling", (CONST,), {})()), FlowLevels),
        (_forge(CompVisDenoiser, model_sampling=type("ModelSampling", (EPS,), {})()), SigmaLevels),
    ],
)
def test_sigma_or_the_share_of_noise(sampler: Any, kind: type) -> None:
    assert type(levels_of(sampler)) is kind


@pytest.mark.parametrize("name", ["CompVisTimestepsDenoiser", "CompVisTimestepsVDenoiser"])
def test_timesteps_by_the_checkpoints_own_schedule(name: str, host: FakeHost) -> None:
    """AUTOMATIC1111's, for DDIM, PLMS and UniPC, and the like for v-models."""
    denoiser = getattr(host.module("sd_samplers_timesteps"), name)
    checkpoint = SimpleNamespace(alphas_cumprod=torch.tensor([0.9, 0.36]))
    levels = levels_of(SimpleNamespace(model_wrap_cfg=SimpleNamespace(inner_model=denoiser(checkpoint))))
    assert isinstance(levels, TimestepLevels)
    signal, noise = levels.parts(torch.tensor([1]))
    assert (float(signal), float(noise)) == pytest.approx((0.6, 0.8))


def test_a_schedule_that_is_not_known_is_told() -> None:
    with pytest.raises(TrueScaleError, match="its noise levels are not known"):
        levels_of(_sampler(CompVisTimestepsDenoiser))
