"""LDSR's networks: the same numbers as CompVis/latent-diffusion's, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ldsr_models import REAL, SMALL, network
from lib_upscaler.models.ldsr import attention, vq
from lib_upscaler.models.ldsr.cost import decoder_work, unet_elements, unet_work
from lib_upscaler.models.ldsr.network import outline

# What ldm's own classes give (A1111 1.10.1's ldm and LDSR, torch 2.1.2) for the same weights and inputs, by
# tests/real_webui/ldsr_host.py: every 7th row and 11th column, every 31st row and 47th column.
EPS = [
    0.45493096, -0.05099893, -1.14899909, -0.54097706, -1.21462762, 0.37309110, -0.15570010, 1.04499292, -0.27312768,
    1.73634601, -0.00606919, -0.54172283, 0.07207309, -0.13798203, 0.03169710, 0.33953705, -0.09341101, -0.84823251,
    1.03931582, 0.01298337, -0.76850283, -1.28537560, -0.95030427, 0.70407993, -0.01475611, 0.25096455, 0.48776490,
]  # fmt: skip
DECODED = [
    -0.15436807, -0.18130827, -0.10172324, -0.27502275, -0.46666649, 0.04437807, -0.17629629, -0.10343938, -0.09305100,
    0.03169020, 0.08443130, 0.11530093, 0.07367416, 0.44273150, -0.03175453, 0.08616798, 0.17873798, 0.11377686,
    -0.07861348, -0.26976386, 0.04510229, -0.09093753, -0.27572837, -0.29464945, 0.05722937, 0.18942434, -0.11012105,
]  # fmt: skip


@pytest.fixture(scope="module")
def inputs() -> tuple[Tensor, Tensor]:
    """A latent and a picture, ``(1, 3, 16, 24)``."""
    numbers = np.random.RandomState(5)
    x, c = (torch.from_numpy(numbers.standard_normal((1, 3, 16, 24)).astype(np.float32)) for _ in range(2))
    return x, c


def test_the_unet_gives_ldms_numbers(inputs: tuple[Tensor, Tensor]) -> None:
    with torch.inference_mode():
        eps = network(SMALL).unet(torch.cat(inputs, dim=1), torch.tensor([321]))[0]
    assert eps[:, ::7, ::11].flatten().tolist() == pytest.approx(EPS, abs=2e-5)


def test_the_first_stage_gives_ldms_numbers(inputs: tuple[Tensor, Tensor]) -> None:
    with torch.inference_mode():
        decoded = network(SMALL).first_stage(inputs[0])[0]
    assert decoded[:, ::31, ::47].flatten().tolist() == pytest.approx(DECODED, abs=2e-5)


def test_attention_in_chunks_is_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = (
        torch.randn(2, 3, 50, 8, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in range(3)
    )
    exact = ((q @ k.transpose(2, 3)) / 8**0.5).softmax(dim=3) @ v
    rows: list[int] = []
    plain = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        attention.F, "scaled_dot_product_attention", lambda *a: (rows.append(a[0].shape[2]), plain(*a))[1]
    )
    for largest in (10**9, 2 * 3 * 50 * 7, 1):
        monkeypatch.setattr(attention, "LARGEST_SCORES", largest)
        assert torch.allclose(attention.attend(q, k, v), exact)
    assert rows == [50, *[7] * 7, 1, *[1] * 50]


def test_each_position_becomes_its_nearest_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vq, "QUANTIZED_ROWS", 37)
    codebook = network(SMALL).first_stage.quantize
    z = torch.randn(2, 3, 11, 9, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = codebook(z)
    codes = codebook.embedding.weight.double()
    distances = torch.cdist(z.double().permute(0, 2, 3, 1).reshape(-1, 3), codes)
    wanted = codes[distances.argmin(dim=1)].view(2, 11, 9, 3).permute(0, 3, 1, 2)
    assert torch.equal(found.double(), wanted)


# -- what they cost ----------------------------------------------------------------------------------------------------


@contextmanager
def counted(module: nn.Module) -> Iterator[list[float]]:
    """Multiply-accumulates of all convolutions while it runs, counted from their outputs."""
    total: list[float] = []

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        total.append(layer.weight.numel() * output.shape[2] * output.shape[3])

    hooks = [m.register_forward_hook(count) for m in module.modules() if isinstance(m, nn.Conv2d)]
    try:
        yield total
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("layout", [SMALL, REAL])
@pytest.mark.parametrize(("width", "height"), [(64, 64), (32, 96)])
def test_work_is_what_the_layers_do(layout, width: int, height: int) -> None:
    unet, first_stage = outline(layout)  # on the meta device: nothing is computed
    with counted(unet) as convolutions:
        unet(torch.empty(1, 6, height, width, device="meta"), torch.empty(1, device="meta"))
    deepest, positions = layout.unet.deepest, width * height // 64
    # Down: as many as there are blocks; up: one more; one in the middle. Their projections are no Conv2d.
    attentions = layout.unet.blocks * 2 + 2
    attention = attentions * (4 * deepest**2 * positions + 2 * positions**2 * deepest)
    assert unet_work(layout.unet, width, height) == pytest.approx(sum(convolutions) + attention, rel=1e-6)

    with counted(first_stage.decoder) as convolutions:
        first_stage.decoder(torch.empty(1, 3, height, width, device="meta"))
    area, channels = width * height, layout.decoder.width * layout.decoder.multipliers[-1]
    rest = 2 * area**2 * channels + area * 3 * (layout.decoder.codes + 3)
    assert decoder_work(layout.decoder, width, height) == pytest.approx(sum(convolutions) + rest, rel=1e-6)


@pytest.mark.parametrize("layout", [SMALL, REAL])
def test_memory_is_at_least_what_lives_at_once(layout) -> None:
    """What is held for the way up, and the widest input there with its normed copy, at full resolution alone."""
    unet, side = layout.unet, 64
    held = sum(block.outputs for block in unet.down() if block.level == 0 and block.kind != "down")
    widest = max((block for block in unet.up() if block.level == 0), key=lambda block: block.inputs)
    least = (held - widest.skip + 2 * widest.inputs + widest.outputs) * side**2
    assert least <= unet_elements(unet, side, side) <= 1.6 * least
