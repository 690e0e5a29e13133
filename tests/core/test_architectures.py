"""Every architecture that spandrel can load upscales as spandrel itself would, or is refused by its purpose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from lib_upscaler.errors import UnsupportedModelError
from lib_upscaler.models.library import ModelLibrary
from lib_upscaler.pipeline import Upscaler
from lib_upscaler.request import UpscaleRequest
from reference import by_spandrel
from small_networks import NETWORKS, SmallNetwork, available, registered, save_pth, save_safetensors

if TYPE_CHECKING:
    import spandrel

IMAGES = {name: network for name, network in available().items() if network.kind == "image"}
REFUSED = {name: network for name, network in available().items() if network.kind == "refused"}
LARGE = {"AdaCode", "FeMaSR-x2"}
"""Their code fixes most of their size: the smallest network has 25 million weights, and takes seconds."""
BUILT = [pytest.param(name, marks=[pytest.mark.long] if name in LARGE else []) for name in IMAGES]
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def test_every_architecture_that_is_registered_has_a_small_network() -> None:
    assert registered() - {network.architecture for network in NETWORKS.values()} == set()


@pytest.mark.parametrize("name", ["Compact-x4", "ESRGAN-x4", "SwinIR-x2"])
def test_small_networks_are_the_same_at_every_call(name: str) -> None:
    torch.manual_seed(5)
    first = NETWORKS[name].build()
    torch.manual_seed(6)
    second = NETWORKS[name].build()

    assert all(torch.equal(first[key], second[key]) for key in first.keys() | second.keys())


# Of module scope, so that pytest runs both tests of a network one after the other, and the state is made once.
@pytest.fixture(scope="module", params=BUILT)
def built(request: pytest.FixtureRequest) -> Built:
    network, state = IMAGES[request.param], IMAGES[request.param].build()
    descriptor = by_spandrel(state)
    with pytest.MonkeyPatch.context() as patch:
        _without_chance(network, patch)
        output = np.asarray(_expected(network, descriptor, _photo(MODES[network.in_channels])))
    return Built(request.param, state, descriptor, output)


class Built(NamedTuple):
    """A small network: its weights, as spandrel loads them, and what that makes of a photo, ``(H, W[, C])`` uint8."""

    name: str
    state: dict[str, torch.Tensor]
    descriptor: spandrel.ImageModelDescriptor
    output: np.ndarray


def _without_chance(network: SmallNetwork, patch: pytest.MonkeyPatch) -> None:
    """Two runs must see the same "random" numbers to be comparable."""
    if network.random:
        patch.setattr(torch, "randn", lambda *size, device=None, **_: torch.zeros(*size, device=device))
        patch.setattr(torch, "randn_like", lambda like, **_: torch.zeros_like(like))


def test_small_network_is_what_its_name_says(built: Built) -> None:
    network, descriptor = IMAGES[built.name], built.descriptor

    found = (descriptor.architecture.id, descriptor.scale, descriptor.input_channels, descriptor.output_channels)
    assert found == (network.architecture, network.scale, network.in_channels, network.out_channels)
    # Most of the output must lie inside [0, 1] and differ from pixel to pixel, or a comparison could not fail.
    output = built.output[..., :3]
    assert output.std() > 10
    assert np.mean((output > 0) & (output < 255)) > 0.6


def test_upscales_as_spandrel_does(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, state, network = built.name, built.state, IMAGES[built.name]
    # Half of the networks are saved in one format, half in the other.
    if list(NETWORKS).index(name) % 2:
        save_safetensors(state, tmp_path / f"{name}.safetensors")
    else:
        save_pth(state, tmp_path / f"{name}.pth")
    picture = _photo(MODES[network.in_channels])
    _without_chance(network, monkeypatch)
    upscaler = Upscaler(ModelLibrary([tmp_path]), device="cpu")
    result = upscaler.upscale(picture, UpscaleRequest(model=name, precision="exact"))

    assert result.image.size == (picture.width * network.scale, picture.height * network.scale)
    assert result.image.mode == picture.mode
    # The network's own alpha is another matter: an opaque picture stays opaque.
    levels = np.asarray(result.image).astype(int)[..., :3]
    assert np.abs(levels - built.output.astype(int)[..., :3]).max() <= 1


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_upscaler_is_refused_by_its_purpose(name: str, tmp_path: Path) -> None:
    save_pth(REFUSED[name].build(), tmp_path / f"{name}.pth")
    upscaler = Upscaler(ModelLibrary([tmp_path]), device="cpu")

    with pytest.raises(UnsupportedModelError) as caught:
        upscaler.upscale(_photo("RGB"), UpscaleRequest(model=name))

    assert REFUSED[name].refused_as in str(caught.value).lower()
    assert name in str(caught.value)


def _photo(mode: str) -> Image.Image:
    """37x29, smooth shapes with grain; opaque where there is an alpha."""
    random = np.random.default_rng(1)
    shapes = Image.fromarray(random.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize((37, 29), Image.BICUBIC)
    pixels = np.asarray(shapes).astype(int) + random.integers(-6, 7, (29, 37, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode)


def _expected(network: SmallNetwork, descriptor: spandrel.ImageModelDescriptor, picture: Image.Image) -> Image.Image:
    """spandrel's own call on the whole picture, float32, rounded to 8 bits."""
    pixels = np.asarray(picture, dtype=np.float32) / 255
    tensor = torch.from_numpy(pixels.reshape(picture.height, picture.width, -1)).permute(2, 0, 1)[None].contiguous()
    if network.multiple_of > 1:
        descriptor.size_requirements = type(descriptor.size_requirements)(multiple_of=network.multiple_of)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        output = descriptor.eval()(tensor)[0].permute(1, 2, 0).numpy()
    levels = np.floor(output * 255 + 0.5).astype(np.uint8)
    return Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)
