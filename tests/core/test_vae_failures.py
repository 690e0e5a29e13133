"""The VAE in bands when something goes wrong: overflow, no memory, a stop."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lib_upscaler.diffusion.vae import Means, decode, encode, recognise
from lib_upscaler.errors import BrokenModelError, Cancelled, MemoryLimitError
from lib_upscaler.geometry import Size
from small_vaes import KlVae, kl_vae, uneven
from vae_plans import by_hand

SIZE, HALF = Size(64, 48), torch.bfloat16
LEVEL = 1 / 127.5


def latent() -> Tensor:
    return uneven(4, 6, 8)


class Overflows(nn.Conv2d):
    """A convolution whose results overflow in small precisions, where they are large."""

    limit = 1.5

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if x.dtype == torch.float32 else y.masked_fill(y.abs() > self.limit, torch.inf)


def overflowing(where: str) -> KlVae:
    model = kl_vae()
    parent, name = where.rsplit(".", 1)
    plain = model.get_submodule(where)
    made = Overflows(plain.in_channels, plain.out_channels, plain.kernel_size, padding=plain.padding)
    made.load_state_dict(plain.state_dict())
    setattr(model.get_submodule(parent), name, made)
    return model.requires_grad_(False).to(HALF)


@pytest.mark.parametrize("where", ["decoder.up.0.block.1.conv1", "decoder.mid.attn_1.v", "decoder.conv_out"])
@pytest.mark.parametrize("keeps", ["aaaa", "aasn"])
def test_what_overflows_runs_again_in_float32_and_it_is_said(where: str, keeps: str) -> None:
    model = overflowing(where)
    Overflows.limit = 0.3 if where.endswith("conv_out") else 1.5
    z = latent().to(HALF)
    assert not bool(torch.isfinite(model.decode(z)).all())
    tree = recognise(model)
    done = decode(tree, z, plan=by_hand(tree, SIZE, "decode", keeps, working=300_000, dtype=HALF))
    true = kl_vae().decode(z.float())
    assert float((done.tensor - true).square().mean().sqrt()) < LEVEL
    assert len(done.warnings) == 1
    assert "bfloat16 overflowed" in done.warnings[0]
    assert "float32" in done.warnings[0]


def test_a_whole_that_overflows_is_done_in_bands() -> None:
    model = overflowing("decoder.up.1.block.0.conv2")
    Overflows.limit = 1.5
    z = latent().to(HALF)
    done = decode(recognise(model), z, "whole")
    assert bool(torch.isfinite(done.tensor).all())
    assert done.strategy == "exact"
    assert any("overflowed" in text for text in done.warnings)


def test_numbers_that_are_not_finite_in_any_precision_are_an_error() -> None:
    z = latent()
    z[0, 0, 2, 2] = torch.nan
    with pytest.raises(BrokenModelError, match="VAE"):
        decode(recognise(kl_vae()), z, "exact")


class _Fails(nn.Conv2d):
    """Runs out of memory when its input is too large; ``often``: only the first times."""

    def __init__(self, plain: nn.Conv2d, most: int, often: int = 1 << 30) -> None:
        super().__init__(plain.in_channels, plain.out_channels, plain.kernel_size, padding=plain.padding)
        self.load_state_dict(plain.state_dict())
        self.most, self.often, self.failed = most, often, 0

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] * x.shape[3] > self.most and self.failed < self.often:
            self.failed += 1
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate ...")
        return super().forward(x)


def failing(most: int, often: int = 1 << 30) -> tuple[KlVae, _Fails]:
    model = kl_vae()
    made = _Fails(model.decoder.up[0].block[1].conv2, most, often)
    model.decoder.up[0].block[1].conv2 = made
    return model.requires_grad_(False), made


@pytest.mark.parametrize("keeps", ["aaaa", "ssss"])
def test_windows_are_cut_smaller_when_memory_runs_out(keeps: str) -> None:
    model, module = failing(most=900)
    tree = recognise(model)
    done = decode(tree, latent(), plan=by_hand(tree, SIZE, "decode", keeps, working=4_000_000))
    assert module.failed > 0
    assert float((done.tensor - kl_vae().decode(latent())).abs().max()) < 0.02 * LEVEL


def test_a_whole_that_runs_out_of_memory_is_done_in_bands() -> None:
    model, module = failing(most=900)
    done = decode(recognise(model), latent(), "whole")
    assert module.failed > 1
    assert float((done.tensor - kl_vae().decode(latent())).abs().max()) < 0.02 * LEVEL
    assert any("memory ran out" in text for text in done.warnings)


def test_where_nothing_fits_it_ends_in_words() -> None:
    model, _ = failing(most=0)
    with pytest.raises(MemoryLimitError, match="window"):
        decode(recognise(model), latent(), "exact")


class Listener:
    """Cancels after so many looks."""

    def __init__(self, looks: float = float("inf")) -> None:
        self.looks, self.seen = looks, 0
        self.fractions: list[float] = []
        self.notes: set[str] = set()

    def advance(self, fraction: float, note: str = "") -> None:
        self.fractions.append(fraction)
        self.notes.add(note)

    def cancelled(self) -> bool:
        self.seen += 1
        return self.seen > self.looks


@pytest.mark.parametrize("mode", ["whole", "exact"])
def test_progress_rises_and_a_stop_is_heard_after_each_operation(mode: Any) -> None:
    tree, listener = recognise(kl_vae()), Listener()
    decode(tree, latent(), mode, progress=listener)
    assert listener.fractions == sorted(listener.fractions)
    assert 0.8 < listener.fractions[-1] <= 1
    # At least once for each of the decoder's 35 convolutions.
    assert listener.seen > 35
    for looks in (0, 5, 30):
        stopped = Listener(looks)
        with pytest.raises(Cancelled):
            decode(tree, latent(), mode, progress=stopped)
        assert stopped.seen == looks + 1


def test_a_stop_is_heard_while_encoding() -> None:
    with pytest.raises(Cancelled):
        encode(recognise(kl_vae()), uneven(3, 48, 64), "exact", Means(), progress=Listener(10))
