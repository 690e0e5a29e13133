"""Parts of a network that are computed otherwise than its modules say: the same numbers, or not at all."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spandrel as hosts_spandrel
import torch
from torch import Tensor, nn

from lib_upscaler.models.facts import BandPlan
from lib_upscaler.models.faster import jit, onednn, parts_of, sound_parts
from lib_upscaler.models.faster.forwards import Way, _chain_on_cuda, _dense_on_cuda, way_for
from lib_upscaler.models.faster.structure import Chain, DenseBlock
from lib_upscaler.models.layouts import best_layout
from lib_upscaler.models.network import UpscaleModel
from lib_upscaler.running.engine import PassOptions, run
from reference import CPU, by_spandrel, levels, load, photo, true_output
from small_networks import compact, rrdb

needs_onednn = pytest.mark.skipif(not onednn.is_here(), reason="this PyTorch has no fused convolutions")


def ways_of(model: UpscaleModel, dtype: torch.dtype = torch.float32) -> list[Way]:
    faster = model.copy_for(CPU, dtype).faster()
    return [] if faster is None else faster._ways


def outputs(model: UpscaleModel, picture: Tensor, bands: BandPlan = BandPlan()) -> tuple[Tensor, float]:  # noqa: B008
    """What a pass gives, and the work that it told of."""
    rows: list[Tensor] = []
    work: list[float] = []
    model.copy_for(CPU, torch.float32).run(picture, bands, lambda y, _: rows.append(y.clone()), work.append)
    return torch.cat(rows, 2), sum(work)


def picture(width: int = 36, height: int = 28, channels: int = 3) -> Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(3))


# -- what is found -----------------------------------------------------------------------------------------------------


def test_an_rrdb_network_has_its_dense_blocks_and_all_around_them_found() -> None:
    parts = parts_of(by_spandrel(rrdb(blocks=2)).model)
    assert sum(isinstance(part, DenseBlock) for part in parts) == 2 * 3
    chains = [part for part in parts if isinstance(part, Chain)]
    # 4x: two enlargements; the first, the trunk's last and the two convolutions of the end.
    assert sum(chain.upsample is not None for chain in chains) == 2
    assert len(chains) == 2 + 4


def test_a_compact_network_is_convolutions_with_their_activations() -> None:
    parts = parts_of(by_spandrel(compact(layers=4)).model)
    assert [isinstance(part.activation, nn.PReLU) for part in parts if isinstance(part, Chain)] == [True] * 5 + [False]


@pytest.mark.parametrize("make", [rrdb, compact])
def test_the_hosts_spandrel_is_read_like_ours(make: Any) -> None:
    state = make()
    ours, hosts = by_spandrel(state), hosts_spandrel.ModelLoader("cpu").load_from_state_dict(dict(state))
    assert [part.name for part in parts_of(hosts.model)] == [part.name for part in parts_of(ours.model)]
    assert sound_parts(hosts) == sound_parts(ours) == {part.name for part in parts_of(ours.model)}


# -- the same numbers --------------------------------------------------------------------------------------------------


@needs_onednn
@pytest.mark.parametrize(
    "state",
    [rrdb(), rrdb(scale=2, shuffle=2), rrdb(scale=1, shuffle=4), rrdb(channels=1, scale=2), compact()],
    ids=["x4", "x2 shuffled", "x1 shuffled", "grey x2", "compact"],
)
def test_a_pass_gives_spandrels_own_output_whole_and_in_bands(state: dict[str, Tensor], tmp_path: Path) -> None:
    model, descriptor = load(state, tmp_path), by_spandrel(state).eval()
    image = picture(channels=descriptor.input_channels)
    with torch.inference_mode():
        true = descriptor(image).clamp(0, 1)
    whole, work = outputs(model, image)
    bands, _ = outputs(model, image, BandPlan(7, 5))
    spread = float(true.max() - true.min())
    assert (whole - true).abs().max() < 1e-5 * spread
    assert (bands - true).abs().max() < 1e-5 * spread
    assert work == pytest.approx(model.facts.work_per_pixel * image.shape[2] * image.shape[3], rel=0.05)


@needs_onednn
def test_parts_did_run_otherwise(tmp_path: Path) -> None:
    model = load(rrdb(blocks=1), tmp_path)
    kinds = [type(way.part) for way in ways_of(model)]
    assert kinds.count(DenseBlock) == 3
    assert kinds.count(Chain) == 3  # two enlargements, and the convolution of the end that has an activation
    calls: list[str] = []
    block = model.copy_for(CPU, torch.float32).descriptor.model.get_submodule("model.1.sub.0.RDB1")
    block.conv1.register_forward_hook(lambda *_: calls.append("conv1"))
    outputs(model, picture())
    assert not calls


@pytest.mark.parametrize("make", [rrdb, compact])
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 17)])
def test_pictures_of_a_few_pixels(make: Any, size: tuple[int, int], tmp_path: Path) -> None:
    state = make()
    pixels = photo(*size)
    done = run(load(state, tmp_path), pixels, CPU, PassOptions("exact"))
    assert np.abs(done.pixels.astype(int) - levels(true_output(state, pixels))).max() <= 1


@pytest.mark.parametrize("make", [rrdb, compact])
def test_the_network_that_says_what_is_true_stays_as_it_is(make: Any, tmp_path: Path) -> None:
    state = make()
    model = load(state, tmp_path)
    outputs(model, picture())
    with torch.inference_mode():
        true = by_spandrel(state).eval()(picture()).clamp(0, 1)
        assert (model.reference(picture(), lambda: None) - true).abs().max() < 1e-5
    assert not any("forward" in vars(module) for module in model._base.descriptor.model.modules())


@needs_onednn
def test_a_failure_leaves_the_modules_as_they_were(tmp_path: Path) -> None:
    model = load(rrdb(), tmp_path)

    class StopError(Exception):
        pass

    def stop(_: float) -> None:
        raise StopError

    with pytest.raises(StopError):
        model.copy_for(CPU, torch.float32).run(picture(), BandPlan(), lambda *_: None, stop)
    assert not any("forward" in vars(module) for module in model._base.descriptor.model.modules())


@needs_onednn
def test_weights_that_were_laid_out_anew_are_counted(tmp_path: Path) -> None:
    model = load(rrdb(features=16, blocks=1), tmp_path)
    before = model.weights_bytes
    outputs(model, picture())
    last = 3 * (16 + 4 * 32) * 16 * 9  # of each dense block
    doubled = 2 * 4 * 16 * 16 * 4
    assert model.weights_bytes - before == 4 * (last + doubled)


# -- what only looks like it -------------------------------------------------------------------------------------------


def test_a_block_that_adds_another_share_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = rrdb()
    model = load(state, tmp_path)
    block = model._base.descriptor.model.get_submodule("model.1.sub.1.RDB2")
    kind = type(block)

    class LooksLike(kind):  # type: ignore[valid-type, misc]
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * 0.5 + x * 0.5

    monkeypatch.setattr(block, "__class__", LooksLike)
    with torch.inference_mode():
        true = model._base.descriptor(picture()).clamp(0, 1)
    found = model._sound_parts()
    assert "model.1.sub.1.RDB2" not in found
    assert "model.1.sub.1.RDB1" in found
    assert (outputs(model, picture())[0] - true).abs().max() < 1e-5


@pytest.mark.parametrize(
    "change",
    [
        lambda block: setattr(block.conv2[0], "dilation", (2, 2)),
        lambda block: setattr(block.conv1[0], "padding_mode", "reflect"),
        lambda block: setattr(block.conv3[1], "negative_slope", 0.1),
        lambda block: setattr(block, "conv4", nn.Sequential(block.conv4[0], nn.PReLU(32))),
        lambda block: setattr(block, "conv5", nn.Sequential(block.conv5[0], nn.LeakyReLU(0.2))),
        lambda block: setattr(block, "conv1x1", nn.Conv2d(16, 32, 1)),
        lambda block: setattr(block, "forward", lambda x: x),
    ],
    ids=["dilated", "reflecting", "another slope", "slopes", "activation last", "ESRGAN+", "forward of its own"],
)
def test_a_block_of_another_build_is_not_taken_for_one(change: Any) -> None:
    network = by_spandrel(rrdb()).model
    change(network.get_submodule("model.1.sub.0.RDB1"))
    assert "model.1.sub.0.RDB1" not in {part.name for part in parts_of(network)}


def test_a_layer_that_is_used_twice_keeps_its_own_forward() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.LeakyReLU(0.2))

        def forward(self, x: Tensor) -> Tensor:
            return self.steps(x) + self.steps[1](x - 1)

    class Descriptor:
        model, input_channels = Twice(), 3

        def __call__(self, x: Tensor) -> Tensor:
            return self.model(x)

    assert parts_of(Descriptor.model)
    assert not sound_parts(Descriptor())


def test_where_pytorch_has_no_fused_convolutions_the_modules_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onednn, "_fused", lambda: torch.ops.mkldnn._no_such_operation)
    state = rrdb()
    model = load(state, tmp_path)
    assert not onednn.is_here()
    assert not ways_of(model)
    with torch.inference_mode():
        true = by_spandrel(state).eval()(picture()).clamp(0, 1)
    assert (outputs(model, picture())[0] - true).abs().max() < 1e-5


@needs_onednn
def test_a_way_that_fails_here_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("not on this processor")

    monkeypatch.setattr(onednn, "add_convolution", fails)
    ways = ways_of(load(rrdb(), tmp_path))
    assert ways
    assert all(isinstance(way.part, Chain) for way in ways)


# -- CUDA's way, with its one kernel written out -----------------------------------------------------------------------


@pytest.fixture
def on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU has no such compiler, and no float16; the packing is the same for bfloat16."""

    def values(packed: Tensor) -> Tensor:
        return packed.contiguous().view(torch.bfloat16).float()

    def activated_sum(parts: Sequence[Tensor], bias: Tensor, slope: Tensor) -> Tensor:
        assert len(parts) <= jit.MOST_PARTS
        total = sum(map(values, parts)) + values(bias)
        return torch.where(total > 0, total, total * values(slope)).bfloat16().contiguous().view(torch.int64)

    monkeypatch.setattr(jit, "activated_sum", activated_sum)


@pytest.mark.parametrize("state", [rrdb(), compact()], ids=["rrdb", "compact"])
@pytest.mark.usefixtures("on_cuda")
def test_sums_in_one_pass_are_as_near_to_the_truth_as_the_modules(state: dict[str, Tensor]) -> None:
    true_network = by_spandrel(state).model.double()
    network = copy.deepcopy(true_network).bfloat16()
    for true_part, part in zip(parts_of(true_network), parts_of(network)):
        way = _chain_on_cuda(part) if isinstance(part, Chain) else _dense_on_cuda(part)
        first = part.convolution if isinstance(part, Chain) else part.convolutions[0]
        if isinstance(part, Chain) and part.convolution.out_channels % 4:
            assert way is None
            continue
        assert way is not None
        x = torch.randn(1, first.in_channels, 9, 14, generator=torch.Generator().manual_seed(1)).bfloat16()
        own, true = x, x.double()
        with torch.no_grad():
            for module, true_module in zip(part.modules, true_part.modules):
                own, true = module(own), true_module(true)
            told: list[float] = []
            ours = way.forward(told.append)(x)
        assert ours.shape == true.shape
        assert ours.dtype == torch.bfloat16
        error, own_error = (float((y.double() - true).pow(2).mean().sqrt()) for y in (ours, own))
        assert error <= 2 * own_error  # what each source gives is rounded before it is summed up
        # A dense block tells of its work itself; a chain's modules do.
        assert (len(told) == 5) == isinstance(part, DenseBlock)


def test_the_kernel_takes_each_part_and_stays_within_what_the_compiler_allows() -> None:
    for count in range(1, jit.MOST_PARTS + 1):
        text = jit.code(count)
        assert text.count("sum += term;") == count
        assert f"truescale_sum{count}(T x0" in text
    assert jit.MOST_PARTS + 2 <= 8


def test_no_cuda_way_without_its_compiler() -> None:
    part = parts_of(by_spandrel(rrdb()).model)[0]
    assert not jit.is_here(CPU)
    assert way_for(part, CPU, torch.float16) is None


# -- layouts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "dtype", "layout"),
    [
        ("cpu", torch.float32, torch.channels_last),
        ("cpu", torch.bfloat16, torch.channels_last),
        ("cuda", torch.float16, torch.channels_last),
        ("cuda", torch.float32, torch.contiguous_format),
    ],
)
def test_channels_lie_last_where_that_is_quicker(
    device: str, dtype: torch.dtype, layout: torch.memory_format, tmp_path: Path
) -> None:
    model = load(compact(), tmp_path)  # its weights on the CPU lie so that the channels come last
    descriptor = copy.deepcopy(model._base.descriptor)
    assert best_layout(descriptor, model.facts, torch.device(device), dtype) == layout
    weights = descriptor.model.body[2].weight
    assert weights.is_contiguous(memory_format=layout)
