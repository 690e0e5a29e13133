"""What the network takes for a tile, and for the whole."""

from __future__ import annotations

import pytest

from lib_upscaler.diffusion.network_memory import KINDS, network_bytes

ALIVE = {"sd1": 8000, "sd2": 8000, "sdxl": 4880}
"""Bytes of the tensors that the real U-Nets have alive at once, for each px and byte of a number: counted on torch's
meta device at 64, 128 and 256 px of the latent, attention without its table."""


@pytest.mark.parametrize("kind", ALIVE)
@pytest.mark.parametrize("itemsize", [2, 4])
def test_it_is_above_what_is_alive_at_once_and_below_twice_that(kind: str, itemsize: int) -> None:
    alive = 2 * 128 * 128 * itemsize * ALIVE[kind]
    assert alive < network_bytes(2, 128 * 128, itemsize, kind) < 2 * alive


def test_a_picture_of_512_px_with_its_prompts() -> None:
    """0.01 MiB for each px and byte: 2 * 4096 * 2 of them."""
    assert network_bytes(2, 64 * 64, 2) == pytest.approx(163.84 * 2**20, rel=1e-6)


def test_a_tile_of_a_picture_takes_as_much_less_as_it_is_smaller() -> None:
    tile, whole = (network_bytes(2, side**2, 2, "sdxl") for side in (128, 512))
    assert whole == pytest.approx(16 * tile, rel=1e-6)


def test_attention_in_slices_takes_more_whatever_the_precision() -> None:
    halves, floats = (network_bytes(2, 4096, itemsize, efficient_attention=False) for itemsize in (2, 4))
    assert halves == floats > 3 * network_bytes(2, 4096, 4)


def test_a_kind_that_is_not_known_counts_as_the_hungriest() -> None:
    assert network_bytes(1, 4096, 2, "another") == max(network_bytes(1, 4096, 2, kind) for kind in KINDS)
