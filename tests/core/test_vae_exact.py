"""A picture through the VAE in bands comes out as from the model itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lib_upscaler.diffusion.vae import decode, encode, recognise
from lib_upscaler.diffusion.vae.attention import attention
from lib_upscaler.errors import RequestError
from lib_upscaler.geometry import Size
from small_vaes import KlVae, kl_vae, uneven, vq_vae
from vae_plans import by_hand, set_tiling

LEVEL = 1 / 127.5  # the network's output is in [-1, 1]
NONE_OF_IT = 0.02 * LEVEL  # what the order of sums makes of float32
SIZE, LATENT = Size(120, 72), Size(15, 9)
KEPT = ["aaaa", "llll", "ssss", "aaan", "aasn"]


@pytest.fixture(scope="module")
def model() -> KlVae:
    return kl_vae()


@pytest.fixture(scope="module")
def wrapping() -> KlVae:
    made = kl_vae()
    set_tiling(made)
    return made


def latent(batch: int = 2) -> Tensor:
    return uneven(4, LATENT.height, LATENT.width, batch)


def off(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


# -- what the tests rest on --------------------------------------------------------------------------------------------


def test_the_network_of_these_tests_needs_the_statistics_of_the_whole_picture(model: KlVae) -> None:
    """Bands with plenty of context, but each with its own statistics, are far off; pictures are not saturated."""
    whole = model.decode(latent())
    band = model.decode(latent()[:, :, :, :9])[:, :, :, :16]
    assert off(band, whole[:, :, :, :16]) > 10 * LEVEL
    assert 0.15 < float(whole.std()) < 0.6


# -- float32 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keeps", "tiling"), [*((keeps, False) for keeps in KEPT), ("ssss", True), ("aasn", True)])
def test_decoded_in_bands_as_whole(keeps: str, tiling: bool, model: KlVae, wrapping: KlVae) -> None:
    vae = wrapping if tiling else model
    tree = recognise(vae)
    plan = by_hand(tree, SIZE, "decode", keeps, batch=2)
    done = decode(tree, latent(), plan=plan)
    assert off(done.tensor, vae.decode(latent())) < NONE_OF_IT
    assert done.bands > 100
    assert (done.strategy, done.deviation, done.warnings) == ("exact", 0.0, ())


@pytest.mark.parametrize(("keeps", "tiling"), [*((keeps, False) for keeps in KEPT), ("ssss", True), ("aasn", True)])
def test_encoded_in_bands_as_whole(keeps: str, tiling: bool, model: KlVae, wrapping: KlVae) -> None:
    """Sides that are no multiples of 8 lose their last px, as in the model."""
    vae = wrapping if tiling else model
    tree, picture = recognise(vae), uneven(3, 77, 118, batch=2)
    done = encode(tree, picture, plan=by_hand(tree, Size(118, 77), "encode", keeps, batch=2))
    assert off(done.tensor, vae.encode(picture)) < NONE_OF_IT
    assert done.tensor.shape == (2, 8, 9, 14)
    assert done.bands > 50


@pytest.mark.parametrize("side", [(8, 16), (8, 72), (24, 16)])
def test_the_smallest_pictures(side: tuple[int, int], model: KlVae, wrapping: KlVae) -> None:
    width, height = side
    for vae in (model, wrapping):
        tree, small = recognise(vae), uneven(4, height // 8, width // 8)
        for keeps in ("aaaa", "aasn"):
            plan = by_hand(tree, Size(width, height), "decode", keeps, working=150_000)
            assert off(decode(tree, small, plan=plan).tensor, vae.decode(small)) < NONE_OF_IT


@pytest.mark.parametrize("quantise", [True, False])
def test_ldsrs_decoder(quantise: bool) -> None:
    vae = vq_vae()
    tree, z = recognise(vae), uneven(3, 18, 30)
    assert off(vae.decode(z), vae.decode(z, force_not_quantize=True)) > 10 * LEVEL
    plan = by_hand(tree, SIZE, "decode", "asn", quantise=quantise)
    done = decode(tree, z, plan=plan, quantise=quantise)
    assert off(done.tensor, vae.decode(z, force_not_quantize=not quantise)) < NONE_OF_IT
    picture = uneven(3, 72, 120)
    encoded = encode(tree, picture, plan=by_hand(tree, SIZE, "encode", "aas"))
    assert off(encoded.tensor, vae.encode(picture)) < NONE_OF_IT


def test_rows_are_handed_over_as_they_are_finished(model: KlVae) -> None:
    tree, rows = recognise(model), []
    plan = by_hand(tree, SIZE, "decode", "aaan", batch=2)
    done = decode(tree, latent(), plan=plan, sink=lambda part, top: rows.append((top, part)))
    assert done.tensor is None
    assert len(rows) > 3
    assert [top for top, _ in rows] == [sum(part.shape[2] for _, part in rows[:n]) for n in range(len(rows))]
    assert off(torch.cat([part for _, part in rows], 2), model.decode(latent())) < NONE_OF_IT


def test_the_model_is_left_as_it_was(model: KlVae) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    decode(recognise(model), latent(), plan=by_hand(recognise(model), SIZE, "decode", "aaaa", batch=2))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any("forward" in module.__dict__ or module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("shape", [(4, 13, 19), (1, 3, 13, 19), (1, 4, 0, 19)])
def test_latents_of_another_shape_are_refused(shape: tuple[int, ...], model: KlVae) -> None:
    with pytest.raises(RequestError, match="shape"):
        decode(recognise(model), torch.zeros(shape))


# -- bfloat16 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps", ["aaaa", "aasn"])
def test_bfloat16_is_as_near_to_the_truth_as_the_model_itself(keeps: str, model: KlVae) -> None:
    """Its roundings fall another way with each order of sums, in the model too (in another memory layout, say), so
    that the two are no further apart than each is from float32: less than a level, in the mean."""
    true = model.decode(latent())
    half = kl_vae().to(torch.bfloat16)
    z = latent().to(torch.bfloat16)
    whole = half.decode(z).float()
    tree = recognise(half)
    plan = by_hand(tree, SIZE, "decode", keeps, batch=2, dtype=torch.bfloat16)
    done = decode(tree, z, plan=plan).tensor

    def rms(one: Tensor, other: Tensor) -> float:
        return float((one - other).square().mean().sqrt()) / LEVEL

    assert rms(done, true) < 1.1 * rms(whole, true)
    assert rms(done, whole) < 1


# -- attention ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scores", [1 << 30, 1 << 20, 1 << 14])
def test_attention_in_chunks_is_attention(scores: int) -> None:
    random = torch.Generator().manual_seed(0)
    queries, keys, values = (torch.randn((2, 1500, 16), generator=random) * 2 for _ in range(3))
    table = torch.softmax(queries.double() @ keys.double().transpose(1, 2) / 4, 2)
    work: list[float] = []
    made = attention(queries, keys, values, scores, work.append)
    assert off(made, (table @ values.double()).float()) < 1e-5
    assert sum(work) == 2 * 2 * 1500 * 1500 * 16
