"""Hires Fix's second pass: in tiles, with noise of its own, once more, and the first pass is never lost."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fake_host.forge import become_forge
from fake_host.running import FakeHost
from networks import off, true_picture

SIZE = (320, 256)
"""Of the second pass: 40 x 32 px of the latent. Two tiles, where these have 256 px."""
TILES = {"enabled": True, "second_pass": "one canvas in tiles"}
OTHER_SEED = {"enabled": True, "second_seed": 77}
WORDS = "The second pass failed, the picture of the first is kept"
NOTE = f'TrueScale: "{WORDS}'


@pytest.fixture(autouse=True)
def small_tiles(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    _tiles_of(256, monkeypatch)


def _tiles_of(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("second_sampling", "ways", "plan"):
        monkeypatch.setattr(FakeHost.ours(f"places.hires_fix.{name}"), "tile_for_checkpoint", lambda: side)


def _generate(host: FakeHost, hires: dict[str, Any] | None = None, **values: Any) -> Any:
    given = {"enable_hr": True, "hr_upscaler": "Nearest", "width": 160, "height": 128, "denoising_strength": 0.4}
    return host.txt2img(hires=hires, **{**given, **values})


def _with_network(host: FakeHost, network: Callable[..., torch.Tensor], **kind: Any) -> None:
    model = host.module("sd_models").model_data
    model.sd_model = SimpleNamespace(**{"is_sd1": True, **kind}, apply_model=network)


def _by_itself(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
    """Each px by itself, so that it is the same in whatever tiles."""
    return 0.75 * latent


def _first(host: FakeHost, seed: int = 1) -> Image.Image:
    return Image.fromarray(host.module("processing").first_pass(seed, 160, 128))


class Widths:
    """A network that tells how wide its latents were. fails: at which call (from 1), and how."""

    def __init__(self, fails: int = 0, error: Callable[[], BaseException] = lambda: RuntimeError("out of luck")):
        self.seen: list[int] = []
        self._fails, self._error = fails, error

    def __call__(self, latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        self.seen.append(latent.shape[3])
        if len(self.seen) == self._fails:
            raise self._error()
        return 0.75 * latent


def _no_memory() -> BaseException:
    return torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")


# -- in tiles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("upscaler", "given"),
    [("four", {}), ("Latent", {}), ("Nearest", {"sampler_name": "SDE"}), ("four", {"batch_size": 2, "n_iter": 2})],
)
def test_the_sampler_sees_one_canvas(upscaler: str, given: dict[str, Any], host: FakeHost) -> None:
    network = Widths()
    _with_network(host, network)
    whole = _generate(host, hr_upscaler=upscaler, **given)
    assert set(network.seen) == {40}
    network.seen.clear()
    tiled = _generate(host, TILES, hr_upscaler=upscaler, **given)

    assert max(network.seen) <= 32
    assert len(tiled.images) == len(whole.images)
    assert all(off(one, np.asarray(other)) <= 1 for one, other in zip(tiled.images, whole.images))
    assert "Hires second pass: one canvas in tiles" in tiled.info
    assert host.warnings == []


def test_one_tile_is_the_hosts_own_picture(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def smooth(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(latent, 3, stride=1, padding=1)

    _tiles_of(384, monkeypatch)
    for name in ("second_pass", "ways"):  # or it would not come to tiles
        monkeypatch.setattr(FakeHost.ours(f"places.hires_fix.{name}"), "fits_one_tile", lambda latent: False)
    _with_network(host, smooth)

    tiled = _generate(host, TILES)
    assert tiled.images[0].tobytes() == _generate(host).images[0].tobytes()
    assert "tiles per step: 1" in tiled.comments


def test_the_first_pass_and_the_next_generation_are_as_ever(host: FakeHost) -> None:
    _with_network(host, _by_itself)
    before = _generate(host)
    _generate(host, TILES)

    assert _generate(host).images[0].tobytes() == before.images[0].tobytes()
    assert "second pass" not in _generate(host).info


def test_what_was_done_is_said_below_the_picture(host: FakeHost) -> None:
    _with_network(host, _by_itself)

    assert "tiles per step: 2" in _generate(host, TILES).comments
    assert "tiles per step" not in _generate(host).comments


def test_the_vae_runs_in_bands_meanwhile(host: FakeHost) -> None:
    wanted, vae = [], FakeHost.ours("takeover.vae")

    def step(p: Any, number: int) -> None:
        wanted.append((p.is_hr_pass, vae._wanted()))

    _with_network(host, _by_itself)
    _generate(host, TILES, steps=step)
    assert set(wanted) == {(False, "when memory is short"), (True, "always")}
    wanted.clear()
    _generate(host, steps=step)
    assert {words for _, words in wanted} == {"when memory is short"}


def test_the_composition_of_the_whole_is_kept(host: FakeHost) -> None:
    """40 x 32 px of the latent once more as 20 x 16, up to the next multiples of 8, where there is much noise."""
    shapes: list[tuple[int, ...]] = []

    def network(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        shapes.append(tuple(latent.shape[2:]))
        return 0.75 * latent

    _with_network(host, network)
    result = _generate(host, {**TILES, "composition": True})
    assert shapes.count((16, 24)) == 1
    assert shapes[2] == (16, 24)
    assert "Hires keep composition: True" in result.info
    shapes.clear()
    assert "keep composition" not in _generate(host, {"enabled": True, "composition": True}).info
    assert (16, 24) not in shapes
    shapes.clear()
    _generate(host, TILES)
    assert (16, 24) not in shapes


def test_a_nested_generation_is_whole(host: FakeHost) -> None:
    """As by ADetailer, within the second pass."""
    processing, nested = host.module("processing"), []
    network = Widths()
    _with_network(host, network)

    def step(p: Any, number: int) -> None:
        if getattr(p, "is_hr_pass", False) and not nested:
            nested.append(1)
            inner = processing.StableDiffusionProcessingImg2Img(
                width=320, height=256, init_images=[_first(host)], denoising_strength=0.2, do_not_save_samples=True
            )
            processing.process_images(inner)
            nested.extend(network.seen)
            network.seen.clear()

    _generate(host, TILES, steps=step)
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
    _with_network(host, network, **kind)
    _generate(host, {"enabled": True, "second_pass": "auto"})

    assert max(network.seen) == (32 if tiles else 40)


def test_where_tiles_are_not_possible_the_pass_is_whole_and_says_why(host: FakeHost) -> None:
    network = Widths()
    _with_network(host, network)
    host.opts.data["hypertile_enable_unet_secondpass"] = True
    result = _generate(host, TILES)

    assert set(network.seen) == {40}
    assert "as a whole, not in tiles: Hypertile" in host.warnings[0]
    assert "as a whole, not in tiles: Hypertile" in result.comments


def test_in_the_forge_family(host: FakeHost) -> None:
    """There the network is behind a patcher's wrapper; once more in tiles as well."""
    network = Widths()
    checkpoint, samplers = become_forge(host, lambda latent, sigma, **told: network(latent, sigma, told))
    whole = _generate(host)
    assert set(network.seen) == {40}
    network.seen.clear()
    tiled = _generate(host, TILES)
    assert max(network.seen) <= 32
    assert off(tiled.images[0], np.asarray(whole.images[0])) <= 1
    network = Widths(2, _no_memory)
    again = _generate(host)
    assert network.seen[:2] == [40, 40]
    assert max(network.seen[2:]) <= 32
    assert off(again.images[0], np.asarray(whole.images[0])) <= 1
    assert "model_function_wrapper" not in checkpoint.forge_objects.unet.model_options
    assert not any("sample_img2img" in vars(sampler) for sampler in samplers)


# -- memory runs out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampler", "call", "hires"),
    [("Euler", 1, None), ("SDE", 2, None), ("Euler", 2, OTHER_SEED), ("SDE", 1, OTHER_SEED)],
)
def test_out_of_memory_in_a_whole_pass_tries_tiles(
    sampler: str, call: int, hires: dict[str, Any] | None, host: FakeHost
) -> None:
    _with_network(host, _by_itself)
    expected = _generate(host, hires, sampler_name=sampler)
    network = Widths(call, _no_memory)
    _with_network(host, network)
    result = _generate(host, hires, sampler_name=sampler)

    assert network.seen[:call] == [40] * call
    assert max(network.seen[call:]) <= 32
    assert off(result.images[0], np.asarray(expected.images[0])) <= 1
    assert "once more in tiles" in host.warnings[0]
    assert "once more in tiles" in result.comments
    assert NOTE not in result.info


def test_out_of_memory_in_the_tiles_too_keeps_the_first_pass(host: FakeHost) -> None:
    def never(latent: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        raise _no_memory()

    _with_network(host, never)
    result = _generate(host)

    assert result.images[0].tobytes() == _first(host).tobytes()
    assert NOTE in result.info


def test_other_errors_are_not_tried_again(host: FakeHost) -> None:
    network = Widths(1)
    _with_network(host, network)
    _generate(host)

    assert network.seen == [40]


# -- the first pass is never lost --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hires", "upscaler"), [(None, "four"), (None, "Latent"), ({"enabled": True}, "Nearest"), (TILES, "four")]
)
def test_the_first_pass_is_kept_and_saved(upscaler: str, hires: dict[str, Any] | None, host: FakeHost) -> None:
    _with_network(host, Widths(2))
    result = _generate(host, hires, hr_upscaler=upscaler, batch_size=2)

    assert [one.tobytes() for one in result.images] == [_first(host, seed).tobytes() for seed in (1, 2)]
    assert all(f"{NOTE}: out of luck" in text for text in result.infotexts)
    assert WORDS in host.warnings[0]
    assert "out of luck" in result.comments
    saved = [Image.open(path) for path in host.saved()]
    assert [one.size for one in saved] == [(160, 128)] * 2
    assert all(NOTE in one.info["parameters"] for one in saved)


def test_only_the_batch_that_failed_says_so(host: FakeHost) -> None:
    network = Widths(3)  # two calls for each picture
    _with_network(host, network)
    result = _generate(host, n_iter=3)

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
    result = _generate(host, hr_upscaler=upscaler, hr_checkpoint_info="damaged")

    assert result.images[0].tobytes() == _first(host).tobytes()
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
    result = _generate(host, {"enabled": True, "again_scale": 1.5})

    expected = _first(host)
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
        _generate(host, steps=step)


@pytest.mark.parametrize("where", ["create_sampler", "encode"])
def test_whatever_fails(where: str, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sampler cannot be made; the upscaler of the host is broken."""

    def fail(*_: Any, **__: Any) -> Any:
        raise ValueError("a strange thing\nin many lines")

    if where == "create_sampler":
        monkeypatch.setattr(host.module("sd_samplers"), "create_sampler", fail)
    else:
        monkeypatch.setattr(host.module("images"), "resize_image", fail)
    result = _generate(host)

    assert result.images[0].tobytes() == _first(host).tobytes()
    assert f"{NOTE}: ValueError: a strange thing" in result.info
    assert "many lines" not in result.info


def test_a_failed_second_pass_leaves_the_host_as_it_was(host: FakeHost) -> None:
    seen: list[Any] = []
    _with_network(host, Widths(1))
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

    _with_network(host, network)
    result = _generate(host, hires)

    assert [one.size for one in result.images] == [SIZE]
    assert NOTE not in result.info


def test_a_sampler_that_cannot_be_given_tiles_samples_the_whole(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Widths()
    _with_network(host, network)
    expected = _generate(host)
    monkeypatch.setattr(host.module("sd_samplers").CFGDenoiser, "update_inner_model", property())
    result = _generate(host, TILES)

    assert result.images[0].tobytes() == expected.images[0].tobytes()
    assert "as a whole, not in tiles: the sampler Sampler cannot be given tiles" in result.comments
    assert "Hires second pass" not in result.info


def test_a_picture_that_came_about_without_tiles_is_kept(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extension calls the network in its own way."""
    monkeypatch.setattr(host.module("sd_samplers").CFGDenoiser, "forward", lambda self, x, *_: 0.75 * x)
    _with_network(host, Widths())
    expected = _generate(host)
    result = _generate(host, TILES)

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

    result = _generate(host, TILES, steps=step)
    assert sizes == [(160, 256)]
    assert result.images[0].size == SIZE


# -- noise of its own --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["Euler", "SDE"])
@pytest.mark.parametrize("hires", [{"enabled": True}, TILES])
def test_a_seed_of_its_own(sampler: str, hires: dict[str, Any], host: FakeHost) -> None:
    _with_network(host, _by_itself)
    results = {
        seed: _generate(host, {**hires, "second_seed": seed}, sampler_name=sampler, seed=5) for seed in (-1, 5, 6)
    }
    pictures = {seed: result.images[0] for seed, result in results.items()}

    assert off(pictures[5], np.asarray(pictures[-1])) <= 1
    assert off(pictures[6], np.asarray(pictures[-1])) > 20
    assert "Hires second pass seed: 6" in results[6].info
    assert "second pass seed" not in results[-1].info
    assert "Seed: 5," in results[6].info


def test_each_picture_of_a_batch_has_the_next_seed(host: FakeHost) -> None:
    """That of the noise of the second pass, over one and the same first pass."""
    _with_network(host, _by_itself)
    first = host.module("processing").first_pass
    host.module("processing").first_pass = lambda seed, width, height: first(1, width, height)
    together = _generate(host, {"enabled": True, "second_seed": 20}, batch_size=2, n_iter=2)
    alone = [_generate(host, {"enabled": True, "second_seed": seed}) for seed in (20, 21, 22, 23)]

    assert [one.tobytes() for one in together.images] == [one.images[0].tobytes() for one in alone]


# -- once more ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upscaler", ["four", "Nearest"])
@pytest.mark.parametrize("way", ["whole", "one canvas in tiles"])
def test_the_result_is_enlarged_once_more(upscaler: str, way: str, host: FakeHost) -> None:
    hires = {"enabled": True, "second_pass": way, "again_scale": 1.5, "again_denoising": 0.05}
    result = _generate(host, hires, hr_upscaler=upscaler, batch_size=2)

    assert [one.size for one in result.images] == [(480, 384)] * 2
    assert "Hires once more by: 1.5, Hires once more denoising: 0.05" in result.info
    if upscaler == "four":
        twice = Image.fromarray(true_picture("four", _first(host), SIZE).round().astype(np.uint8))
        assert off(result.images[0], true_picture("four", twice, (480, 384))) <= 2


def test_each_pass_has_its_denoising_strength(host: FakeHost) -> None:
    seen: list[tuple[Any, ...]] = []

    def step(p: Any, number: int) -> None:
        seen.append((p.denoising_strength, host.state.job_no, host.state.job_count))

    result = _generate(host, {"enabled": True, "again_scale": 1.25, "again_denoising": 0.15}, steps=step)

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
    _with_network(host, _by_itself)
    expected = _generate(host)
    network = Widths(3)
    _with_network(host, network)
    result = _generate(host, {"enabled": True, "again_scale": 2.0})

    assert result.images[0].tobytes() == expected.images[0].tobytes()
    assert "Enlarging once more failed, the picture before it is kept: out of luck" in result.info


def test_the_picture_before_hires_fix_is_saved_once(host: FakeHost) -> None:
    host.opts.data["save_images_before_highres_fix"] = True
    _generate(host, {"enabled": True, "again_scale": 1.5})

    assert len(host.saved()) == 2


# -- where others look -------------------------------------------------------------------------------------------------


def test_it_is_pasted_back(host: FakeHost) -> None:
    given = {"second_pass": "auto", "second_seed": 12, "again_scale": 1.5, "again_denoising": 0.2}
    result = _generate(host, {"enabled": True, **given})
    found = host.module("infotext_utils").parse_generation_parameters(result.info)
    pasted = {c.elem_id: f(found) for c, f in host.module("scripts").scripts_txt2img.infotext_fields}

    assert {name: pasted[f"truescale_hires_{name}"] for name in given} == given
    plain = host.module("infotext_utils").parse_generation_parameters(_generate(host).info)
    pasted = {c.elem_id: f(plain) for c, f in host.module("scripts").scripts_txt2img.infotext_fields}
    assert pasted["truescale_hires_second_seed"] == -1
    assert pasted["truescale_hires_second_pass"] == "whole"


@pytest.mark.parametrize("upscaler", ["Nearest", "Latent"])
def test_what_does_nothing_with_others_upscalers_is_told(upscaler: str, host: FakeHost) -> None:
    _with_network(host, _by_itself)
    _generate(host, {**TILES, "precision": "exact"}, hr_upscaler=upscaler)
    assert "Precision" in host.warnings[0]
    host.warnings.clear()
    _generate(host, TILES, hr_upscaler=upscaler)
    assert host.warnings == []
