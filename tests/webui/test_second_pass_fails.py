"""Where Hires Fix's second pass fails or is interrupted: it is tried in tiles, and the first pass is never lost."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fake_host.running import FakeHost
from networks import off
from second_passes import (
    NOTE,
    OTHER_SEED,
    SIZE,
    TILES,
    WORDS,
    Widths,
    by_itself,
    first_pass,
    generate,
    no_memory,
    tiles_of,
    with_network,
)


@pytest.fixture(autouse=True)
def small_tiles(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles_of(256, monkeypatch)


# -- memory runs out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampler", "call", "hires"),
    [("Euler", 1, None), ("SDE", 2, None), ("Euler", 2, OTHER_SEED), ("SDE", 1, OTHER_SEED)],
)
def test_out_of_memory_in_a_whole_pass_tries_tiles(
    sampler: str, call: int, hires: dict[str, Any] | None, host: FakeHost
) -> None:
    with_network(host, by_itself)
    expected = generate(host, hires, sampler_name=sampler)
    network = Widths(call, no_memory)
    with_network(host, network)
    result = generate(host, hires, sampler_name=sampler)

    assert network.seen[:call] == [40] * call
    assert max(network.seen[call:]) <= 32
    assert off(result.images[0], np.asarray(expected.images[0])) <= 1
    assert "once more in tiles" in host.warnings[0]
    assert "once more in tiles" in result.comments
    assert NOTE not in result.info


def test_out_of_memory_in_the_tiles_too_keeps_the_first_pass(host: FakeHost) -> None:
    def never(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        raise no_memory()

    with_network(host, never)
    result = generate(host)

    assert result.images[0].tobytes() == first_pass(host).tobytes()
    assert NOTE in result.info


def test_other_errors_are_not_tried_again(host: FakeHost) -> None:
    network = Widths(1)
    with_network(host, network)
    generate(host)

    assert network.seen == [40]


# -- the first pass is never lost --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hires", "upscaler"), [(None, "four"), (None, "Latent"), ({"enabled": True}, "Nearest"), (TILES, "four")]
)
def test_the_first_pass_is_kept_and_saved(upscaler: str, hires: dict[str, Any] | None, host: FakeHost) -> None:
    with_network(host, Widths(2))
    result = generate(host, hires, hr_upscaler=upscaler, batch_size=2)

    assert [one.tobytes() for one in result.images] == [first_pass(host, seed).tobytes() for seed in (1, 2)]
    assert all(f"{NOTE}: out of luck" in text for text in result.infotexts)
    assert WORDS in host.warnings[0]
    assert "out of luck" in result.comments
    saved = [Image.open(path) for path in host.saved()]
    assert [one.size for one in saved] == [(160, 128)] * 2
    assert all(NOTE in one.info["parameters"] for one in saved)


def test_only_the_batch_that_failed_says_so(host: FakeHost) -> None:
    network = Widths(3)  # two calls for each picture
    with_network(host, network)
    result = generate(host, n_iter=3)

    assert [one.size for one in result.images] == [SIZE, (160, 128), SIZE]
    assert [NOTE in text for text in result.infotexts] == [False, True, False]


@pytest.mark.parametrize("upscaler", ["Nearest", "Latent"])
def test_also_where_the_checkpoint_of_the_second_pass_cannot_be_loaded(upscaler: str, host: FakeHost) -> None:
    """Between the two passes."""
    models = host.module("sd_models")
    plain = models.reload_model_weights

    def reload_model_weights(*given: Any, info: Any = None) -> None:
        if info == "damaged":
            raise OSError("the file is damaged")
        plain(*given)

    models.reload_model_weights = reload_model_weights
    result = generate(host, hr_upscaler=upscaler, hr_checkpoint_info="damaged")

    assert result.images[0].tobytes() == first_pass(host).tobytes()
    assert f"{NOTE}: OSError: the file is damaged" in result.info


@pytest.mark.parametrize("fails", [True, False])
def test_where_the_host_hands_over_pictures_from_0_to_1(
    fails: bool, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Neo, which clamps them before its second pass, and not in it: what is kept, and what is enlarged once more."""
    processing = host.module("processing")
    kind, seen = processing.StableDiffusionProcessingTxt2Img, []
    plain = kind.sample_hr_pass

    def sample(self: Any, conditioning: Any, unconditional_conditioning: Any, seeds: Any, *more: Any) -> Any:
        samples = processing._to_samples([processing.first_pass(seed, self.width, self.height) for seed in seeds])
        decoded_samples = torch.clamp((samples + 1.0) / 2.0, min=0.0, max=1.0)
        return self.sample_hr_pass(samples, decoded_samples, seeds, *more)

    def sample_hr_pass(self: Any, samples: Any, decoded_samples: Any, *more: Any) -> Any:
        seen.append((float(decoded_samples.min()), float(decoded_samples.max())))
        if fails:
            raise RuntimeError("out of luck")
        return plain(self, samples, decoded_samples * 2 - 1, *more)

    monkeypatch.setattr(kind, "sample", sample)
    monkeypatch.setattr(kind, "sample_hr_pass", sample_hr_pass)
    result = generate(host, {"enabled": True, "again_scale": 1.5})

    expected = first_pass(host)
    if not fails:
        for size in (SIZE, (480, 384)):
            expected = expected.resize(size, Image.Resampling.NEAREST)
    assert len(seen) == (1 if fails else 2)
    assert all(0 <= low < 0.2 and 0.8 < high <= 1 for low, high in seen)
    assert off(result.images[0], np.asarray(expected)) <= 1


def test_a_first_pass_that_fails_is_the_hosts_error(host: FakeHost) -> None:
    def step(p: Any, number: int) -> None:
        raise ValueError("the first pass")

    with pytest.raises(ValueError, match="the first pass"):
        generate(host, steps=step)


@pytest.mark.parametrize("where", ["create_sampler", "encode"])
def test_whatever_fails(where: str, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sampler cannot be made; the upscaler of the host is broken."""

    def fail(*_: Any, **__: Any) -> Any:
        raise ValueError("a strange thing\nin many lines")

    if where == "create_sampler":
        monkeypatch.setattr(host.module("sd_samplers"), "create_sampler", fail)
    else:
        monkeypatch.setattr(host.module("images"), "resize_image", fail)
    result = generate(host)

    assert result.images[0].tobytes() == first_pass(host).tobytes()
    assert f"{NOTE}: ValueError: a strange thing" in result.info
    assert "many lines" not in result.info


def test_a_failed_second_pass_leaves_the_host_as_it_was(host: FakeHost) -> None:
    seen: list[Any] = []
    with_network(host, Widths(1))
    p = host.module("processing").StableDiffusionProcessingTxt2Img(
        enable_hr=True, hr_upscaler="Nearest", width=160, height=128
    )
    host.generate(p, TILES, lambda p, number: seen.append(p.sampler) if p.is_hr_pass else None)

    assert (p.is_hr_pass, p.sampler) == (False, None)
    assert "sample_hr_pass" not in vars(p)
    assert not [name for name in vars(seen[0]) if name in ("sample_img2img", "create_noise_sampler")]


def test_what_another_extension_has_put_there_is_called_and_stays(host: FakeHost) -> None:
    processing = host.module("processing")
    p = processing.StableDiffusionProcessingTxt2Img(enable_hr=True, hr_upscaler="Nearest", width=160, height=128)
    plain, calls = p.sample_hr_pass, []

    def theirs(*given: Any) -> Any:
        calls.append(1)
        return plain(*given)

    p.sample_hr_pass = theirs
    host.generate(p)
    host.generate(p)

    assert len(calls) == 2
    assert p.sample_hr_pass is theirs


@pytest.mark.parametrize(("call", "hires"), [(1, None), (2, None), (1, TILES), (2, TILES), (3, TILES)])
def test_an_interrupt_gives_a_picture(call: int, hires: dict[str, Any] | None, host: FakeHost) -> None:
    calls: list[int] = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == call:
            host.state.interrupt()
        return 0.75 * latent

    with_network(host, network)
    result = generate(host, hires)

    assert [one.size for one in result.images] == [SIZE]
    assert NOTE not in result.info


def test_a_sampler_that_cannot_be_given_tiles_samples_the_whole(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Widths()
    with_network(host, network)
    expected = generate(host)
    monkeypatch.setattr(host.module("sd_samplers").CFGDenoiser, "update_inner_model", property())
    result = generate(host, TILES)

    assert result.images[0].tobytes() == expected.images[0].tobytes()
    assert "as a whole, not in tiles: the sampler Sampler cannot be given tiles" in result.comments
    assert "Hires second pass" not in result.info


def test_a_picture_that_came_about_without_tiles_is_kept(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extension calls the network in its own way."""
    monkeypatch.setattr(host.module("sd_samplers").CFGDenoiser, "forward", lambda self, x, *_: 0.75 * x)
    with_network(host, Widths())
    expected = generate(host)
    result = generate(host, TILES)

    assert result.images[0].tobytes() == expected.images[0].tobytes()
    assert "as a whole, not in tiles: the picture was sampled without tiles" in result.comments


def test_a_copy_of_a_generation_runs_by_itself(host: FakeHost) -> None:
    """As other extensions make them, on the way."""
    processing, sizes = host.module("processing"), []

    def step(p: Any, number: int) -> None:
        if number == 0 and not p.is_hr_pass and not sizes:
            sizes.append(None)
            other = copy.copy(p)
            other.scripts, other.width, other.do_not_save_samples = None, 80, True
            sizes[:] = [one.size for one in processing.process_images(other).images]

    result = generate(host, TILES, steps=step)
    assert sizes == [(160, 256)]
    assert result.images[0].size == SIZE
