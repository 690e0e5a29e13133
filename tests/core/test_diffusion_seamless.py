"""A picture that goes on at its other side is redrawn so that it still does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from lib_upscaler.diffusion.noise import NoiseField
from lib_upscaler.diffusion.seamless import Seamless
from lib_upscaler.geometry import Region, Size
from reference import photo


@pytest.mark.parametrize("axes", [(True, False), (False, True), (True, True)])
def test_what_is_redrawn_goes_on_with_the_beginning(axes: tuple[bool, bool]) -> None:
    picture = photo(100, 72)
    seamless = Seamless.of(Size(100, 72), axes, 20)
    opened = np.asarray(seamless.opened(Image.fromarray(picture)))
    across, down = 24 * axes[0], 24 * axes[1]
    assert seamless.canvas == Size(100 + across, 72 + down)
    np.testing.assert_array_equal(opened, np.tile(picture, (2, 2, 1))[: 72 + down, : 100 + across])


@pytest.mark.parametrize("axes", [(True, False), (False, True), (True, True), (False, False)])
def test_a_redraw_that_changes_nothing_changes_nothing(axes: tuple[bool, bool]) -> None:
    picture = photo(100, 72)
    seamless = Seamless.of(Size(100, 72), axes, 64)
    closed = seamless.closed(seamless.opened(Image.fromarray(picture)))
    np.testing.assert_array_equal(np.asarray(closed), picture)


def test_the_end_goes_over_into_the_beginning() -> None:
    """A redraw that knows of no border: brightness rises all the way, and so at the seam there is one of its steps."""
    seamless = Seamless.of(Size(160, 40), (True, False), 32)
    rising = np.arange(seamless.canvas.width, dtype=np.uint8)
    redrawn = Image.fromarray(np.repeat(rising[None, :], 40, axis=0))
    closed = np.asarray(seamless.closed(redrawn)).astype(int)
    assert closed.shape == (40, 160)
    assert np.abs(closed[:, 0] - closed[:, -1]).max() <= 2  # without it: 159
    np.testing.assert_array_equal(closed[:, 32:], np.asarray(redrawn)[:, 32:160])


def test_small_pictures() -> None:
    for size in ((1, 1), (7, 90), (16, 16)):
        seamless = Seamless.of(Size(*size), (True, True), 64)
        image = Image.fromarray(photo(*size))
        assert seamless.closed(seamless.opened(image)).size == size


def test_both_times_start_from_the_same_noise() -> None:
    draws = iter(torch.randn(2, 1, 4, 12, 20, generator=torch.Generator().manual_seed(1)))
    seamless = Seamless.of(Size(128, 72), (True, True), 24)
    assert seamless.canvas == Size(152, 96)
    field = NoiseField(lambda: next(draws)[:, :, :, :19], seamless.period)
    begins, goes_on = field.part(0, [Region(0, 0, 24, 24)]), field.part(0, [Region(128, 72, 24, 24)])
    assert torch.equal(begins, goes_on)
    assert torch.equal(field.part(1, [Region(0, 16, 24, 24)]), field.part(1, [Region(128, 16, 24, 24)]))
    assert not torch.equal(begins, field.part(0, [Region(24, 24, 24, 24)]))
    assert Seamless.of(Size(100, 72), (True, False), 24).period == (0, 0)
