"""At the width of the real models: whole against bands."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from lib_upscaler.diffusion.vae import decode, encode, recognise
from lib_upscaler.geometry import Size
from small_vaes import kl_vae, uneven, vq_vae
from vae_plans import by_hand

pytestmark = pytest.mark.long
LEVEL = 1 / 127.5


@pytest.mark.parametrize(("make", "keeps"), [(lambda: kl_vae(128), "aals"), (lambda: vq_vae(128, entries=8192), "als")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_as_whole(make: Any, keeps: str, dtype: torch.dtype) -> None:
    model = make().to(dtype)
    tree, size = recognise(model), Size(256, 192)
    latent = uneven(tree.quantiser.channels if tree.quantiser else 4, 192 // tree.factor, 256 // tree.factor).to(dtype)
    picture = uneven(3, 192, 256).to(dtype)
    exact = copy.deepcopy(model).float()
    with torch.no_grad():
        results = [
            (
                decode(tree, latent, plan=by_hand(tree, size, "decode", keeps, working=16_000_000, dtype=dtype)),
                model.decode(latent),
                exact.decode(latent.float()),
            ),
            (
                encode(tree, picture, plan=by_hand(tree, size, "encode", keeps, working=16_000_000, dtype=dtype)),
                model.encode(picture),
                exact.encode(picture.float()),
            ),
        ]
    for done, whole, true in results:
        if dtype == torch.float32:
            assert float((done.tensor - whole).abs().max()) < 0.1 * LEVEL
        else:  # the model itself is off by what its small numbers are rounded to, and another order rounds otherwise
            assert _rms(done.tensor - true) < 1.1 * _rms(whole.float() - true)


def _rms(difference: Tensor) -> float:
    return float(difference.square().mean().sqrt())
