"""SD Upscale: the picture that comes out, its noise, and masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fake_host.running import FakeHost
from lib_upscaler.errors import TrueScaleError
from networks import off, picture, true_picture
from sd_upscaling import enlarged, img2img, levels, run

# -- the picture -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"scale": 2.0}, (150, 100)),
        ({"scale": 1.5}, (113, 75)),
        ({"size_by": "Longest side", "longest_side": 201}, (201, 134)),
        ({"size_by": "Scale to", "width": 131, "height": 97}, (131, 97)),
        ({"size_by": "img2img's size"}, (91, 77)),
        ({"scale": 1.0}, (75, 50)),
    ],
)
def test_the_exact_size_and_where_nothing_is_redrawn_the_upscaled_picture(
    values: dict[str, Any], size: tuple[int, int], host: FakeHost
) -> None:
    image = picture(75, 50)
    processed = run(host, img2img(host, image, denoising_strength=0.0, width=91, height=77), **values)
    (result,) = processed.images
    assert result.size == size
    assert np.abs(levels(result) - enlarged(image, size)).max() <= 1


def test_the_core_upscales_it(host: FakeHost) -> None:
    image = picture(75, 50)
    (result,) = run(host, img2img(host, image, denoising_strength=0.0), upscaler_1="two").images
    assert off(result, true_picture("two", image, (150, 100))) <= 1


def test_transparent_parts_are_put_on_the_hosts_ground(host: FakeHost) -> None:
    image = picture(75, 50, "RGBA")
    (result,) = run(host, img2img(host, image, denoising_strength=0.0), scale=1.0).images
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image)
    assert result.mode == "RGB"
    assert off(result, np.asarray(ground.convert("RGB"))) <= 1


def test_without_a_picture_it_says_so(host: FakeHost) -> None:
    p = img2img(host)
    p.init_images = [None]
    with pytest.raises(TrueScaleError, match="there is no picture to upscale"):
        run(host, p)


def _redrawn(seed: int, strength: float) -> np.ndarray:
    """``(104, 152, 3)`` levels: what the fake host would change if it did the canvas at once."""
    random = torch.Generator().manual_seed(seed)
    first, *later = (torch.randn((4, 13, 19), generator=random) for _ in range(3))
    change = strength * (0.5 * first + 0.2 * later[0] + 0.2 * later[1])
    seen = (change[:3] + strength * change[3:]) * 127.5
    return seen.repeat_interleave(8, 1).repeat_interleave(8, 2).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("overlap", [0, 16, 40])
def test_tiles_get_their_parts_of_one_noise(overlap: int, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiles together are what one large tile would be, as long as the autoencoder draws nothing."""
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    image = Image.new("RGB", (75, 50), (120, 130, 140))
    (result,) = run(host, img2img(host, image, seed=5), overlap=overlap).images
    expected = np.array([120, 130, 140]) + _redrawn(5, 0.1)[:100, :150]
    assert np.abs(_redrawn(5, 0.1)).mean() > 3
    assert np.abs(levels(result) - expected).max() <= 1.1  # the tile is rounded, and the sum


@pytest.mark.parametrize("given", [{}, {"sampler_name": "SDE"}, {"subseed_strength": 0.4, "subseed": 9}])
def test_one_seed_is_one_picture_in_every_order_and_batch(given: dict[str, Any], host: FakeHost) -> None:
    runs = [("rows", 1), ("chess", 1), ("spiral", 2), ("detail", 4), ("rows", 4)]
    first, *others = (
        levels(run(host, img2img(host, seed=5, **given), order=order, batch=batch).images[0]) for order, batch in runs
    )
    for picture_, name in zip(others, runs[1:]):
        assert np.abs(picture_ - first).max() <= 1, name
    other = levels(run(host, img2img(host, seed=6, **given)).images[0])
    assert np.abs(other - first).mean() > 3


@pytest.mark.parametrize("given", [{"sampler_name": "SDE"}, {"subseed_strength": 0.4, "subseed": 9}])
def test_samplers_and_variations_differ(given: dict[str, Any], host: FakeHost) -> None:
    """So that the test before does not compare what was left out."""
    plain = levels(run(host, img2img(host, seed=5)).images[0])
    assert np.abs(levels(run(host, img2img(host, seed=5, **given)).images[0]) - plain).mean() > 1


def test_torchs_own_random_numbers_go_on_as_if_nothing_had_been(host: FakeHost) -> None:
    torch.manual_seed(3)
    expected = torch.randn(4)
    torch.manual_seed(3)
    run(host, img2img(host))
    assert (torch.randn(4) == expected).all()


def test_the_seed_alone_decides_what_the_autoencoder_draws(host: FakeHost) -> None:
    pictures = []
    for before in (1, 2):
        torch.manual_seed(before)
        pictures.append(levels(run(host, img2img(host, seed=5)).images[0]))
    assert (pictures[0] == pictures[1]).all()


# -- masks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inverted", [0, 1])
def test_only_the_mask_is_redrawn(inverted: int, host: FakeHost) -> None:
    image, mask = picture(75, 50), Image.new("L", (75, 50), 255 * inverted)
    mask.paste(255 - 255 * inverted, (5, 5, 30, 45))
    p = img2img(host, image, mask=mask, inpainting_mask_invert=inverted, mask_blur_x=0, mask_blur_y=0)
    tiles = []
    (result,) = run(host, p, lambda tile, step: step or tiles.append(tile)).images
    change = np.abs(levels(result) - enlarged(image, (150, 100)))
    assert change[16:80, 16:54].mean() > 3
    assert change[:, 66:].max() <= 1
    assert change[94:].max() <= 1
    assert 0 < len(tiles) < 6


def test_a_host_whose_masks_have_the_dimension_of_the_batch(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neo: what it redraws is what the others do."""
    kind = host.module("processing").StableDiffusionProcessingImg2Img
    mask = Image.new("L", (75, 50), 0)
    mask.paste(255, (5, 5, 60, 45))
    plain, init = levels(run(host, img2img(host, mask=mask), batch=2).images[0]), kind.init

    def init_in_neo(self: Any, *given: Any) -> None:
        init(self, *given)
        self.mask, self.nmask = self.mask[None], self.nmask[None]

    monkeypatch.setattr(kind, "init", init_in_neo)
    assert (levels(run(host, img2img(host, mask=mask), batch=2).images[0]) == plain).all()


def test_a_blurred_mask_fades_out(host: FakeHost) -> None:
    image, mask = Image.new("RGB", (75, 50), (128,) * 3), Image.new("L", (75, 50), 0)
    mask.paste(255, (0, 0, 38, 50))
    p = img2img(host, image, mask=mask, mask_blur_x=4, mask_blur_y=4)
    (result,) = run(host, p).images
    change = np.abs(levels(result) - 128).mean(axis=(0, 2))
    assert change[:60].mean() > 3
    assert 0.2 * change[:60].mean() < change[74:78].mean() < 0.8 * change[:60].mean()
    assert change[110:].max() == 0
