"""What the dry runs tell about a network is true: how far it looks, and which of its parts can run in bands."""

from __future__ import annotations

from functools import lru_cache

import pytest
import spandrel
import torch
from torch import Tensor

from lib_upscaler.models.analysis import analyse
from lib_upscaler.models.facts import NetworkFacts
from reference import by_spandrel
from small_networks import NETWORKS, available, compact, rrdb

GLOBAL = {
    "AuraSR-x4", "CRAFT-x2", "DAT-x2", "FDAT-x2", "HAT-x2", "KBNet-s", "MMRealSR-x4", "NAFNet", "OmniSR-x2",
    "PLKSR-real-x4", "RCAN-x2", "RGT-x2", "RealCUGAN-x2", "Restormer", "SCUNet",
}  # fmt: skip
"""Networks whose output's top row changes when the bottom half of the input does, found by trying."""

LOCAL = {
    "Compact-x1", "Compact-x2", "Compact-x3", "Compact-x4", "Compact-x8", "Compact-grey", "Compact-rgba", "DnCNN",
    "DnCNN-grey", "ESRGAN-x1", "ESRGAN-x2", "ESRGAN-x4", "ESRGAN-x8", "ESRGAN-x2-unshuffle", "ESRGAN-x1-unshuffle",
    "ESRGAN-plus", "FDnCNN", "MoESR-x4", "MoSR-x2", "PLKSR-x4", "SPAN-x4", "SPAN-x2-plain", "SwiftSRGAN-x2",
}  # fmt: skip
"""Networks of convolutions only."""

NETWORKS_HERE = available()


@lru_cache(maxsize=2)
def _descriptor(name: str) -> spandrel.ImageModelDescriptor:
    return by_spandrel(NETWORKS[name].build()).eval()


def _facts(state: dict[str, Tensor]) -> NetworkFacts:
    return analyse(by_spandrel(state).eval())


@pytest.mark.parametrize("layers", [1, 4, 16])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_radius_of_a_compact_network_is_its_number_of_convolutions(scale: int, layers: int) -> None:
    # layers + 2 convolutions of 3x3; the nearest upscaling beside them adds none.
    assert _facts(compact(scale=scale, layers=layers)).radius == layers + 2


@pytest.mark.parametrize(
    ("scale", "shuffle", "blocks", "radius"),
    [
        # First convolution, 3 x 5 convolutions in each block, one behind them; then at 2x and 4x the resolution:
        # 1/2 + 1/4 for the upscaling, 2 x 1/4 for the last two.
        (4, 1, 1, 19),  # 1 + 15 + 1 + 1.25 = 18.25
        (4, 1, 2, 34),  # 1 + 30 + 1 + 1.25 = 33.25
        (2, 1, 2, 34),  # 1 + 30 + 1 + 1/2 + 2 x 1/2 = 33.5
        (1, 1, 2, 34),  # 1 + 30 + 1 + 2
    ],
)
def test_radius_of_an_rrdb_network(scale: int, shuffle: int, blocks: int, radius: int) -> None:
    assert _facts(rrdb(scale=scale, shuffle=shuffle, blocks=blocks)).radius == radius


def test_work_of_a_compact_network() -> None:
    # Multiply-accumulates of the convolutions alone: 9 x (3 x 16 + 4 x 16 x 16 + 16 x 48) px.
    convolutions = 9 * (3 * 16 + 4 * 16 * 16 + 16 * 48)

    assert convolutions <= _facts(compact()).work_per_pixel <= convolutions * 1.5


@pytest.mark.parametrize("name", sorted(GLOBAL & NETWORKS_HERE.keys()))
def test_global_context_is_noticed(name: str) -> None:
    facts = analyse(_descriptor(name))

    assert facts.global_context
    assert facts.radius is None


@pytest.mark.parametrize("name", sorted(LOCAL & NETWORKS_HERE.keys()))
def test_networks_of_convolutions_are_local_and_no_influence_reaches_beyond_their_radius(name: str) -> None:
    descriptor = _descriptor(name)
    facts = analyse(descriptor)

    assert not facts.global_context
    assert facts.radius is not None
    align, scale = facts.alignment, descriptor.scale
    before = 3  # changed px at the left border
    width = -(-(before + facts.radius + 24) // align) * align + align
    torch.manual_seed(0)
    image = torch.rand(1, descriptor.input_channels, 24 + align, width)
    changed = image.clone()
    changed[..., :before] = 1 - changed[..., :before]
    with torch.inference_mode():
        difference = (descriptor(image) - descriptor(changed)).abs().amax(dim=(0, 1, 2))
    assert float(difference[: before * scale].max()) > 0
    # A tile begins at a multiple of the alignment, so its context does too.
    reach = -(-facts.radius // align) * align
    first_safe = -(-before // align) * align + reach
    assert float(difference[first_safe * scale :].max()) == 0


def test_radius_is_not_far_beyond_what_is_seen() -> None:
    descriptor = _descriptor("Compact-x4")
    radius = analyse(descriptor).radius
    image = torch.rand(1, 3, 20, 40, generator=torch.Generator().manual_seed(0))
    changed = image.clone()
    changed[..., 0] = 1 - changed[..., 0]

    with torch.inference_mode():
        difference = (descriptor(image) - descriptor(changed)).abs().amax(dim=(0, 1, 2))

    assert float(difference[radius * 4 : (radius + 1) * 4].max()) > 0


def test_the_analysis_leaves_the_network_as_it_was() -> None:
    state = rrdb()
    descriptor = spandrel.ModelLoader("cpu").load_from_state_dict(dict(state)).eval()
    image = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = descriptor(image)
        analyse(descriptor)
        after = descriptor(image)

    assert torch.equal(before, after)
    assert not any(module._forward_hooks or "forward" in vars(module) for module in descriptor.model.modules())
    assert {p.device.type for p in descriptor.model.parameters()} == {"cpu"}


def test_parts_of_an_rrdb_network_that_run_in_bands() -> None:
    facts = _facts(rrdb(scale=4, blocks=2))

    # The dense blocks: 2 x 3, each 5 convolutions of 3x3; and the trunk's last convolution.
    assert [block.radius for block in facts.blocks] == [5] * 6 + [1]
    assert facts.blocks[-1].name == "model.1.sub.2"
    # What is left to run over a whole tile in one go is the first convolution, of 3 to 16 channels.
    assert facts.trunk_largest_work == 16 * (3 * 9 + 8)
    # The head: two upscalings and two convolutions; 1/2 + 1/4 + 1/4 + 1/4 + what lies before, at least 2 whole px.
    assert 2 <= facts.head_radius <= 4
    assert facts.head_divisor == 1
    assert facts.trunk_elements < facts.elements_per_pixel / 3


def test_head_of_a_network_that_unshuffles() -> None:
    facts = _facts(rrdb(scale=2, shuffle=2))

    assert facts.head_divisor == 2
    assert facts.alignment % 2 == 0
