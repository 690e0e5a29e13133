"""Hires Fix's second pass: in tiles, with noise of its own, and once more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fake_host.forge import become_forge
from fake_host.running import FakeHost
from networks import off, true_picture
from second_passes import (
    SIZE,
    TILES,
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


# -- in tiles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("upscaler", "given"),
    [("four", {}), ("Latent", {}), ("Nearest", {"sampler_name": "SDE"}), ("four", {"batch_size": 2, "n_iter": 2})],
)
def test_the_sampler_sees_one_canvas(upscaler: str, given: dict[str, Any], host: FakeHost) -> None:
    network = Widths()
    with_network(host, network)
    whole = generate(host, hr_upscaler=upscaler, **given)
    assert set(network.seen) == {40}
    network.seen.clear()
    tiled = generate(host, TILES, hr_upscaler=upscaler, **given)

    assert max(network.seen) <= 32
    assert len(tiled.images) == len(whole.images)
    assert all(off(one, np.asarray(other)) <= 1 for one, other in zip(tiled.images, whole.images))
    assert "Hires second pass: one canvas in tiles" in tiled.info
    assert host.warnings == []


def test_one_tile_is_the_hosts_own_picture(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def smooth(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(latent, 3, stride=1, padding=1)

    tiles_of(384, monkeypatch)
    for name in ("second_pass", "ways"):  # or it would not come to tiles
        monkeypatch.setattr(FakeHost.ours(f"places.hires_fix.{name}"), "fits_one_tile", lambda latent: False)
    with_network(host, smooth)

    tiled = generate(host, TILES)
    assert tiled.images[0].tobytes() == generate(host).images[0].tobytes()
    assert "tiles per step: 1" in tiled.comments


def test_the_first_pass_and_the_next_generation_are_as_ever(host: FakeHost) -> None:
    with_network(host, by_itself)
    before = generate(host)
    generate(host, TILES)

    assert generate(host).images[0].tobytes() == before.images[0].tobytes()
    assert "second pass" not in generate(host).info


def test_what_was_done_is_said_below_the_picture(host: FakeHost) -> None:
    with_network(host, by_itself)

    assert "tiles per step: 2" in generate(host, TILES).comments
    assert "tiles per step" not in generate(host).comments


def test_the_vae_runs_in_bands_meanwhile(host: FakeHost) -> None:
    wanted, vae = [], FakeHost.ours("takeover.vae")

    def step(p: Any, number: int) -> None:
        wanted.append((p.is_hr_pass, vae._wanted()))

    with_network(host, by_itself)
    generate(host, TILES, steps=step)
    assert set(wanted) == {(False, "when memory is short"), (True, "always")}
    wanted.clear()
    generate(host, steps=step)
    assert {words for _, words in wanted} == {"when memory is short"}


def test_the_composition_of_the_whole_is_kept(host: FakeHost) -> None:
    """40 x 32 px of the latent once more as 20 x 16, up to the next multiples of 8, where there is much noise."""
    shapes: list[tuple[int, ...]] = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        shapes.append(tuple(latent.shape[2:]))
        return 0.75 * latent

    with_network(host, network)
    result = generate(host, {**TILES, "composition": True})
    assert shapes.count((16, 24)) == 1
    assert shapes[2] == (16, 24)
    assert "Hires keep composition: True" in result.info
    shapes.clear()
    assert "keep composition" not in generate(host, {"enabled": True, "composition": True}).info
    assert (16, 24) not in shapes
    shapes.clear()
    generate(host, TILES)
    assert (16, 24) not in shapes


def test_a_nested_generation_is_whole(host: FakeHost) -> None:
    """As by ADetailer, within the second pass."""
    processing, nested = host.module("processing"), []
    network = Widths()
    with_network(host, network)

    def step(p: Any, number: int) -> None:
        if getattr(p, "is_hr_pass", False) and not nested:
            nested.append(1)
            inner = processing.StableDiffusionProcessingImg2Img(
                width=320, height=256, init_images=[first_pass(host)], denoising_strength=0.2, do_not_save_samples=True
            )
            processing.process_images(inner)
            nested.extend(network.seen)
            network.seen.clear()

    generate(host, TILES, steps=step)
    assert set(nested[1:]) == {40}
    assert max(network.seen) <= 32


@pytest.mark.parametrize(
    ("needed", "free", "kind", "tiles"),
    [(10, 11, {}, False), (10, 9, {}, True), (10, None, {}, False), (10, 9, {"is_sd1": False}, False)],
)
def test_auto_takes_tiles_where_the_whole_does_not_fit(
    needed: int, free: int | None, kind: dict[str, Any], tiles: bool, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = FakeHost.ours("places.hires_fix.ways")
    monkeypatch.setattr(ways, "memory_of", lambda latent, batch: needed)
    monkeypatch.setattr(ways, "memory_free", lambda: free)
    network = Widths()
    with_network(host, network, **kind)
    generate(host, {"enabled": True, "second_pass": "auto"})

    assert max(network.seen) == (32 if tiles else 40)


def test_where_tiles_are_not_possible_the_pass_is_whole_and_says_why(host: FakeHost) -> None:
    network = Widths()
    with_network(host, network)
    host.opts.data["hypertile_enable_unet_secondpass"] = True
    result = generate(host, TILES)

    assert set(network.seen) == {40}
    assert "as a whole, not in tiles: Hypertile" in host.warnings[0]
    assert "as a whole, not in tiles: Hypertile" in result.comments


def test_in_the_forge_family(host: FakeHost) -> None:
    """There the network is behind a patcher's wrapper; once more in tiles as well."""
    network = Widths()
    checkpoint, samplers = become_forge(host, lambda latent, sigma, **told: network(latent, sigma, told))
    whole = generate(host)
    assert set(network.seen) == {40}
    network.seen.clear()
    tiled = generate(host, TILES)
    assert max(network.seen) <= 32
    assert off(tiled.images[0], np.asarray(whole.images[0])) <= 1
    network = Widths(2, no_memory)
    again = generate(host)
    assert network.seen[:2] == [40, 40]
    assert max(network.seen[2:]) <= 32
    assert off(again.images[0], np.asarray(whole.images[0])) <= 1
    assert "model_function_wrapper" not in checkpoint.forge_objects.unet.model_options
    assert not any("sample_img2img" in vars(sampler) for sampler in samplers)


# -- noise of its own --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["Euler", "SDE"])
@pytest.mark.parametrize("hires", [{"enabled": True}, TILES])
def test_a_seed_of_its_own(sampler: str, hires: dict[str, Any], host: FakeHost) -> None:
    with_network(host, by_itself)
    results = {
        seed: generate(host, {**hires, "second_seed": seed}, sampler_name=sampler, seed=5) for seed in (-1, 5, 6)
    }
    pictures = {seed: result.images[0] for seed, result in results.items()}

    assert off(pictures[5], np.asarray(pictures[-1])) <= 1
    assert off(pictures[6], np.asarray(pictures[-1])) > 20
    assert "Hires second pass seed: 6" in results[6].info
    assert "second pass seed" not in results[-1].info
    assert "Seed: 5," in results[6].info


def test_each_picture_of_a_batch_has_the_next_seed(host: FakeHost) -> None:
    """That of the noise of the second pass, over one and the same first pass."""
    with_network(host, by_itself)
    first = host.module("processing").first_pass
    host.module("processing").first_pass = lambda seed, width, height: first(1, width, height)
    together = generate(host, {"enabled": True, "second_seed": 20}, batch_size=2, n_iter=2)
    alone = [generate(host, {"enabled": True, "second_seed": seed}) for seed in (20, 21, 22, 23)]

    assert [one.tobytes() for one in together.images] == [one.images[0].tobytes() for one in alone]


# -- once more ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upscaler", ["four", "Nearest"])
@pytest.mark.parametrize("way", ["whole", "one canvas in tiles"])
def test_the_result_is_enlarged_once_more(upscaler: str, way: str, host: FakeHost) -> None:
    hires = {"enabled": True, "second_pass": way, "again_scale": 1.5, "again_denoising": 0.05}
    result = generate(host, hires, hr_upscaler=upscaler, batch_size=2)

    assert [one.size for one in result.images] == [(480, 384)] * 2
    assert "Hires once more by: 1.5, Hires once more denoising: 0.05" in result.info
    if upscaler == "four":
        twice = Image.fromarray(true_picture("four", first_pass(host), SIZE).round().astype(np.uint8))
        assert off(result.images[0], true_picture("four", twice, (480, 384))) <= 2


def test_each_pass_has_its_denoising_strength(host: FakeHost) -> None:
    seen: list[tuple[Any, ...]] = []

    def step(p: Any, number: int) -> None:
        seen.append((p.denoising_strength, host.state.job_no, host.state.job_count))

    result = generate(host, {"enabled": True, "again_scale": 1.25, "again_denoising": 0.15}, steps=step)

    assert [strength for strength, _, _ in seen] == [0.4] * 8 + [0.15] * 4
    assert seen[4] == (0.4, 1, 3)
    assert seen[8] == (0.15, 2, 3)
    assert "Denoising strength: 0.4" in result.info


def test_after_a_refiner_the_checkpoint_and_its_conditions_are_the_second_passs(host: FakeHost) -> None:
    models, loaded = host.module("sd_models"), []
    models.reload_model_weights = lambda *given, info=None: loaded.append(info)
    p = host.module("processing").StableDiffusionProcessingTxt2Img(
        enable_hr=True, hr_upscaler="Nearest", width=160, height=128, hr_checkpoint_info="second"
    )
    p.refiner_checkpoint_info, p.hr_c, p.hr_uc = "refiner", "of the refiner", "of the refiner"
    host.generate(p, {"enabled": True, "again_scale": 1.5})

    assert loaded[-2:] == ["second", "second"]
    assert (p.hr_c, p.hr_uc) == (None, None)


def test_where_once_more_fails_the_picture_before_is_kept(host: FakeHost) -> None:
    with_network(host, by_itself)
    expected = generate(host)
    network = Widths(3)
    with_network(host, network)
    result = generate(host, {"enabled": True, "again_scale": 2.0})

    assert result.images[0].tobytes() == expected.images[0].tobytes()
    assert "Enlarging once more failed, the picture before it is kept: out of luck" in result.info


def test_the_picture_before_hires_fix_is_saved_once(host: FakeHost) -> None:
    host.opts.data["save_images_before_highres_fix"] = True
    generate(host, {"enabled": True, "again_scale": 1.5})

    assert len(host.saved()) == 2


# -- where others look -------------------------------------------------------------------------------------------------


def test_it_is_pasted_back(host: FakeHost) -> None:
    given = {"second_pass": "auto", "second_seed": 12, "again_scale": 1.5, "again_denoising": 0.2}
    result = generate(host, {"enabled": True, **given})
    found = host.module("infotext_utils").parse_generation_parameters(result.info)
    pasted = {c.elem_id: f(found) for c, f in host.module("scripts").scripts_txt2img.infotext_fields}

    assert {name: pasted[f"truescale_hires_{name}"] for name in given} == given
    plain = host.module("infotext_utils").parse_generation_parameters(generate(host).info)
    pasted = {c.elem_id: f(plain) for c, f in host.module("scripts").scripts_txt2img.infotext_fields}
    assert pasted["truescale_hires_second_seed"] == -1
    assert pasted["truescale_hires_second_pass"] == "whole"


@pytest.mark.parametrize("upscaler", ["Nearest", "Latent"])
def test_what_does_nothing_with_others_upscalers_is_told(upscaler: str, host: FakeHost) -> None:
    with_network(host, by_itself)
    generate(host, {**TILES, "precision": "exact"}, hr_upscaler=upscaler)
    assert "Precision" in host.warnings[0]
    host.warnings.clear()
    generate(host, TILES, hr_upscaler=upscaler)
    assert host.warnings == []
