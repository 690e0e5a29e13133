"""Which autoencoders run in bands: those that are wholly known, and no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from lib_upscaler.diffusion.vae import recognise
from lib_upscaler.errors import UnsupportedModelError
from small_vaes import KlVae, kl_vae, vq_vae
from vae_plans import set_tiling


def test_stable_diffusions_and_ldsrs_are_known() -> None:
    kl, vq = recognise(kl_vae()), recognise(vq_vae())
    assert (kl.kind, kl.factor, kl.encoder.out_channels, kl.decoder.in_channels) == ("kl", 8, 8, 4)
    assert (vq.kind, vq.factor, vq.encoder.out_channels, vq.decoder.in_channels) == ("vq", 4, 3, 3)
    assert vq.quantiser is not None
    assert vq.quantiser.entries == 256
    assert (kl.wraps, kl.dtype, kl.device.type) == (False, torch.float32, "cpu")


def test_tiling_is_seen() -> None:
    model = kl_vae()
    set_tiling(model)
    assert recognise(model).wraps


def test_a_model_without_the_convolutions_around_the_latent() -> None:
    """As Forge has it for some models."""
    model = kl_vae()
    model.quant_conv = model.post_quant_conv = None
    tree = recognise(model)
    assert len(tree.decoder.plain) == 1
    assert tree.encoder.out_channels == 8


def _taesd(_: KlVae) -> nn.Module:
    model = nn.Module()
    model.encoder, model.decoder = nn.Sequential(nn.Conv2d(3, 64, 3)), nn.Sequential(nn.Conv2d(4, 64, 3))
    return model


def _time(model: KlVae) -> nn.Module:
    model.decoder.mid.block_1.time_stack = nn.Conv3d(4, 4, 3)
    return model


def _linear_attention(model: KlVae) -> nn.Module:
    attention = nn.Module()
    attention.to_qkv = nn.Conv2d(128, 384, 1)
    model.decoder.mid.attn_1 = attention
    return model


def _partly_tiling(model: KlVae) -> nn.Module:
    model.decoder.conv_in.padding_mode = "circular"
    return model


def _hooked(model: KlVae) -> nn.Module:
    model.decoder.forward = lambda z: z
    return model


def _other_norm(model: KlVae) -> nn.Module:
    model.encoder.norm_out = nn.BatchNorm2d(64)
    return model


def _strided(model: KlVae) -> nn.Module:
    model.encoder.conv_in = nn.Conv2d(3, 16, 3, padding=1, dilation=2)
    return model


def _own_weight(model: KlVae) -> nn.Module:
    model.decoder.mid.block_1.mix = nn.Parameter(torch.ones(1))
    return model


def _headless(model: KlVae) -> nn.Module:
    model.decoder.give_pre_end = True
    return model


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_taesd, "encoder"),
        (_time, "time_stack"),
        (_linear_attention, "attention"),
        (_partly_tiling, "borders"),
        (_hooked, "another extension"),
        (_other_norm, "BatchNorm2d"),
        (_strided, "another shape"),
        (_own_weight, "weights of its own"),
        (_headless, "last layers"),
        (lambda _: nn.Identity(), "'encoder'"),
    ],
)
def test_what_is_not_known_is_refused_in_words(change: Callable[[KlVae], nn.Module], why: str) -> None:
    with pytest.raises(UnsupportedModelError, match=why):
        recognise(change(kl_vae()))
