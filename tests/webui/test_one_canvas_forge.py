"""One canvas in the Forge family, where the network is wrapped on a clone of the checkpoint's patcher."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fake_host.forge import ForgeSampler, become_forge
from fake_host.running import FakeHost
from lib_upscaler.errors import TrueScaleError
from networks import picture
from sd_upscaling import WIDE, by_the_host, levels, on_canvas


@pytest.fixture
def wide() -> Image.Image:
    return picture(*WIDE)


def _smooth(latent: torch.Tensor, sigma: torch.Tensor, **told: Any) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(latent, 3, stride=1, padding=1)


def _noting(seen: list[tuple[torch.Tensor, torch.Tensor, dict[str, Any]]]) -> Callable[..., torch.Tensor]:
    def network(latent: torch.Tensor, sigma: torch.Tensor, **told: Any) -> torch.Tensor:
        seen.append((latent, sigma, told))
        return 0.75 * latent

    return network


def test_in_one_tile_it_is_the_hosts_own_picture(host: FakeHost, wide: Image.Image) -> None:
    become_forge(host, _smooth)
    result = levels(on_canvas(host, wide, {"seed": 5}, tile_width=384, tile_height=384).images[0])
    assert np.abs(result - levels(wide)).mean() > 3
    assert (result == by_the_host(host, wide, seed=5)).all()


@pytest.mark.parametrize("apart", [False, True])
def test_the_sampler_sees_one_canvas(apart: bool, host: FakeHost, wide: Image.Image) -> None:
    """What denoises each px by itself gives the same in whatever tiles; prompt and negative prompt have the same."""
    seen: list[Any] = []
    become_forge(host, _noting(seen))
    plain = host.module("sd_samplers").create_sampler

    def create_sampler(*given: Any) -> ForgeSampler:
        sampler = plain(*given)
        sampler.model_wrap_cfg.apart = apart
        return sampler

    host.module("sd_samplers").create_sampler = create_sampler
    result = levels(on_canvas(host, wide, {"seed": 5}).images[0])
    widths = [latent.shape[3] for latent, *_ in seen]
    assert len(widths) == (8 if apart else 4)  # two tiles in each of two steps
    assert max(widths) <= 32
    if apart:
        assert widths[:2] == widths[2:4]
        assert widths[4:6] == widths[6:8]
    assert np.abs(result - by_the_host(host, wide, seed=5)).max() <= 1


def test_what_is_told_of_several_tiles_at_once(host: FakeHost) -> None:
    """Whose row each is must fit the rows: extensions look it up there."""
    seen: list[Any] = []
    become_forge(host, _noting(seen))
    on_canvas(host, picture(120 * 8, 32 * 8), {"seed": 3}, batch=4)
    assert max(len(latent) for latent, *_ in seen) > 2
    for latent, sigma, told in seen:
        prompts = [1, 0] * (len(latent) // 2)
        options = told["transformer_options"]
        assert len(sigma) == len(latent)
        assert told["c_crossattn"].flatten().tolist() == prompts
        assert options["cond_or_uncond"] == [0, 1] * (len(latent) // 2)
        assert options["cond_mark"].tolist() == [1 - prompt for prompt in prompts]
        assert options["cond_indices"] == [row for row, prompt in enumerate(prompts) if prompt]
        assert options["uncond_indices"] == [row for row, prompt in enumerate(prompts) if not prompt]


def test_sdxl_is_told_the_size_of_each_tile(host: FakeHost, wide: Image.Image) -> None:
    seen: list[Any] = []
    become_forge(host, _noting(seen), is_sdxl=True)
    on_canvas(host, wide)
    assert len(seen) == 4
    for latent, _, told in seen:
        heights, widths = (told["y"][:, 1280 + 256 * number].tolist() for number in range(2))
        assert heights == pytest.approx([math.cos(8 * latent.shape[2])] * 2, abs=1e-4)
        assert widths == pytest.approx([math.cos(8 * latent.shape[3])] * 2, abs=1e-4)


@pytest.mark.parametrize("asks_options", [True, False], ids=["Forge", "Neo"])
def test_memory_is_reserved_for_a_batch_of_tiles(
    asks_options: bool, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patcher says 1000 bytes for each px of each row: the host asks for prompt and negative prompt."""
    monkeypatch.setattr(ForgeSampler, "asks_options", asks_options)
    become_forge(host, _smooth)
    image = picture(120 * 8, 64 * 8)
    expected = {1: 2 * 1000 * 32 * 32, 3: 6 * 1000 * 32 * 32, 8: 2 * 1000 * 120 * 64}  # eight are more than the whole
    for batch, most in expected.items():
        ForgeSampler.reserved.clear()
        on_canvas(host, image, batch=batch)
        assert ForgeSampler.reserved == [most]
    ForgeSampler.reserved.clear()
    by_the_host(host, image)
    assert ForgeSampler.reserved == [2 * 1000 * 120 * 64]


def _fail(*_: Any, **__: Any) -> None:
    raise RuntimeError("out of luck")


@pytest.mark.parametrize("how", ["well", "failed", "interrupted"])
def test_nothing_of_ours_is_left(how: str, host: FakeHost, wide: Image.Image) -> None:
    calls: list[int] = []
    action = {"well": lambda: None, "failed": _fail, "interrupted": host.state.interrupt}[how]

    def network(latent: torch.Tensor, sigma: torch.Tensor, **told: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 3:
            assert "model_function_wrapper" in checkpoint.forge_objects.unet.model_options
            action()
        return latent + 0.1

    checkpoint, made = become_forge(host, network)
    original = checkpoint.forge_objects.unet
    if how == "failed":
        with pytest.raises(TrueScaleError, match="RuntimeError: out of luck"):
            on_canvas(host, wide)
    else:
        on_canvas(host, wide)
    assert len(calls) >= 3
    assert checkpoint.forge_objects.unet is original
    assert original.model_options == {"transformer_options": {}}
    for sampler in made:
        assert "sample_img2img" not in vars(sampler)
        assert not {"update_inner_model", "forward"} & set(vars(sampler.model_wrap_cfg))


def test_an_interrupt_keeps_the_picture_as_it_stands(host: FakeHost, wide: Image.Image) -> None:
    calls: list[int] = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, **told: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 3:
            host.state.interrupt()
        return latent + 0.1

    become_forge(host, network)
    processed = on_canvas(host, wide, {"denoising_strength": 0.0})
    change = levels(processed.images[0]) - levels(wide)
    seen = change[(levels(wide) > 20) & (levels(wide) < 220)]
    assert len(calls) == 3
    assert np.abs(seen - 12.75).max() <= 1.1
    assert "TrueScale: partly redrawn (interrupted)" in processed.infotexts[0]


def test_the_refiners_network_gets_tiles_too(host: FakeHost, wide: Image.Image) -> None:
    """And is left as it was; memory is reserved for its tiles."""
    from fake_host.forge import Checkpoint

    first: list[Any] = []
    second: list[Any] = []
    checkpoint, _ = become_forge(host, _noting(first))
    refiner = Checkpoint(_noting(second), is_sdxl=True)
    original = refiner.forge_objects.unet
    plain = host.module("sd_samplers").create_sampler

    def create_sampler(*given: Any) -> ForgeSampler:
        sampler = plain(*given)
        sampler.model_wrap_cfg.refiner = refiner
        return sampler

    host.module("sd_samplers").create_sampler = create_sampler
    on_canvas(host, wide)
    assert [len(first), len(second)] == [2, 2]
    assert max(latent.shape[3] for latent, *_ in first + second) <= 32
    assert ForgeSampler.reserved == [2 * 1000 * 32 * 32] * 2
    assert refiner.forge_objects.unet is original
    assert "model_function_wrapper" not in checkpoint.forge_objects.unet.model_options


def test_another_extensions_wrapper_and_estimate_stay_in_force(host: FakeHost, wide: Image.Image) -> None:
    """It is called with each batch of tiles, as it would be with a picture of that size."""
    seen: list[Any] = []
    theirs: list[tuple[Any, ...]] = []
    checkpoint, _ = become_forge(host, _noting(seen))

    def wrapper(apply_model: Callable[..., Any], given: dict[str, Any]) -> torch.Tensor:
        theirs.append((tuple(given["input"].shape), len(given["timestep"]), given["cond_or_uncond"]))
        return apply_model(given["input"], given["timestep"], **given["c"])

    options = checkpoint.forge_objects_after_applying_lora.unet.model_options
    options["model_function_wrapper"] = wrapper
    options["memory_peak_estimation_modifier"] = lambda shape: 7 * math.prod(shape)
    on_canvas(host, wide)
    assert len(theirs) == len(seen) == 4
    assert all(shape[3] <= 32 and rows == shape[0] == len(kinds) == 2 for shape, rows, kinds in theirs)
    assert ForgeSampler.reserved == [7 * 2 * 4 * 32 * 32]
    assert options["model_function_wrapper"] is wrapper


def test_a_network_of_another_shape_is_refused_in_words(host: FakeHost, wide: Image.Image) -> None:
    checkpoint, _ = become_forge(host, _smooth)
    checkpoint.forge_objects_after_applying_lora.unet = object()
    with pytest.raises(TrueScaleError, match="cannot be given tiles"):
        on_canvas(host, wide)


def test_auto_takes_one_canvas(host: FakeHost, wide: Image.Image) -> None:
    become_forge(host, _smooth)
    assert "TrueScale engine: One canvas" in on_canvas(host, wide, engine="auto").infotexts[0]
