"""Networks of attention that are computed otherwise than their modules say: the same numbers, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spandrel as hosts_spandrel
import torch
from torch import Tensor, nn

from lib_upscaler.models.facts import BandPlan
from lib_upscaler.models.faster import is_attention, parts_of, sound_parts, windows
from lib_upscaler.models.faster.attention import Scores, attended
from lib_upscaler.models.faster.windows import WindowGrid, hide, masks_of
from lib_upscaler.models.network import UpscaleModel
from lib_upscaler.running.engine import PassOptions, run
from live_bytes import LiveBytes
from reference import CPU, by_spandrel, levels, load, photo, true_output
from small_networks import network_state

_SWIN: dict[str, Any] = dict(img_size=16, embed_dim=12, depths=[2], num_heads=[2], window_size=8, mlp_ratio=2.0)
_DAT: dict[str, Any] = dict(img_size=16, embed_dim=16, split_size=[4, 8], num_heads=[2], expansion_factor=2.0)

NETWORKS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "SwinIR": ("SwinIR", dict(_SWIN, upscale=2, upsampler="pixelshuffledirect"), ["SwinBlock"] * 2),
    "SwinIR real": ("SwinIR", dict(_SWIN, upscale=4, upsampler="nearest+conv"), ["SwinBlock"] * 2),
    "SwinIR odd window": ("SwinIR", dict(_SWIN, img_size=14, window_size=7), ["SwinBlock"] * 2),
    "Swin2SR": ("Swin2SR", dict(_SWIN, upscale=2, upsampler="pixelshuffledirect"), ["AngleBlock"] * 2),
    "DRCT": ("DRCT", dict(_SWIN, upscale=2, upsampler="pixelshuffle", gc=6), ["SwinBlock"] * 5),
    "HAT": (
        "HAT",
        dict(_SWIN, compress_ratio=3, squeeze_factor=6, overlap_ratio=0.5, upscale=2, num_feat=16),
        ["HybridBlock", "HybridBlock", "OverlapBlock"],
    ),
    # The third block is the first that is shifted.
    "DAT": (
        "DAT",
        dict(_DAT, depth=[3], upscale=2, upsampler="pixelshuffledirect"),
        ["SpatialAttention", "GatedLayers", "ChannelAttention", "GatedLayers", "SpatialAttention", "GatedLayers"],
    ),
}


def state_of(name: str) -> dict[str, Tensor]:
    architecture, hyperparameters, _ = NETWORKS[name]
    return network_state(architecture, hyperparameters)


def picture(width: int, height: int, channels: int = 3) -> Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(3))


def output(model: UpscaleModel, image: Tensor) -> tuple[Tensor, float]:
    """What a pass gives, and the work that it told of."""
    rows: list[Tensor] = []
    work: list[float] = []
    model.copy_for(CPU, torch.float32).run(image, BandPlan(), lambda y, _: rows.append(y.clone()), work.append)
    return torch.cat(rows, 2), sum(work)


@pytest.fixture
def few_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few px at a time that small pictures take many turns."""
    monkeypatch.setattr(windows, "_AREA", 1)


# -- what is found -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_are_found(name: str) -> None:
    found = [part for part in parts_of(by_spandrel(state_of(name)).model) if is_attention(part)]
    assert [type(part).__name__ for part in found] == NETWORKS[name][2]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_hosts_spandrel_is_read_like_ours(name: str) -> None:
    state = state_of(name)
    ours, hosts = by_spandrel(state).eval(), hosts_spandrel.ModelLoader("cpu").load_from_state_dict(dict(state)).eval()
    found = {part.name for part in parts_of(ours.model) if is_attention(part)}
    assert found <= sound_parts(hosts) == sound_parts(ours)


# -- the same numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(16, 16), (37, 22), (8, 40)])
@pytest.mark.parametrize("turns", ["as many as usual", "few windows at a time"])
def test_a_pass_gives_spandrels_own_output(
    name: str, size: tuple[int, int], turns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if turns == "few windows at a time":
        monkeypatch.setattr(windows, "_AREA", 1)
    state, image = state_of(name), picture(*size)
    model, descriptor = load(state, tmp_path), by_spandrel(state).eval()
    assert len(model.copy_for(CPU, torch.float32).faster()._ways) >= len(NETWORKS[name][2])
    with torch.inference_mode():
        true = descriptor(image).clamp(0, 1)
    ours, work = output(model, image)
    assert ours.shape == true.shape
    assert (ours - true).abs().max() < 1e-5 * (true.max() - true.min())
    told: list[float] = []
    with torch.inference_mode(), model.copy_for(CPU, torch.float32).watched(told.append):
        model._base.descriptor(image)
    assert work == pytest.approx(sum(told), rel=0.15)


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_did_run_otherwise(name: str, tmp_path: Path) -> None:
    model = load(state_of(name), tmp_path)
    network = model.copy_for(CPU, torch.float32).descriptor.model
    calls: list[str] = []
    for path, module in network.named_modules():
        if isinstance(module, (nn.Softmax, nn.Dropout)) or path.endswith((".qkv", ".fc1")):
            module.register_forward_hook(lambda *_, path=path: calls.append(path))
    model.copy_for(CPU, torch.float32).faster()
    calls.clear()
    output(model, picture(20, 20))
    assert not [path for path in calls if "pos_drop" not in path]
    assert not any("forward" in vars(module) for module in network.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_less_is_in_memory_at_once_than_with_the_modules(name: str, tmp_path: Path) -> None:
    state, image = state_of(name), picture(48, 48)
    model, descriptor = load(state, tmp_path), by_spandrel(state).eval()
    model.copy_for(CPU, torch.float32).faster()
    with torch.inference_mode(), LiveBytes() as plain:
        descriptor(image)
    with LiveBytes() as ours:
        model.copy_for(CPU, torch.float32).run(image, BandPlan(), lambda *_: None, lambda _: None)
    # A copy, since some networks write into what they are handed, and the order of px in two grids of windows.
    assert ours.peak <= plain.peak + image.numel() * 4 + 2 * 8 * 48 * 48


def test_the_whole_way_gives_levels_of_the_truth(tmp_path: Path) -> None:
    state, pixels = state_of("HAT"), photo(41, 30)
    done = run(load(state, tmp_path), pixels, CPU, PassOptions("exact"))
    assert np.abs(done.pixels.astype(int) - levels(true_output(state, pixels))).max() <= 1


def test_a_cancel_is_heard_between_windows(tmp_path: Path, few_windows: None) -> None:
    model = load(state_of("SwinIR"), tmp_path)
    heard: list[float] = []

    class StopError(Exception):
        pass

    def stop(work: float) -> None:
        heard.append(work)
        if len(heard) > 8:
            raise StopError

    with pytest.raises(StopError):
        model.copy_for(CPU, torch.float32).run(picture(64, 64), BandPlan(), lambda *_: None, stop)
    assert not any("forward" in vars(module) for module in model._base.descriptor.model.modules())


# -- windows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [(0, 0), (2, 3)])
def test_px_stand_in_the_order_of_their_windows(shift: tuple[int, int]) -> None:
    grid = WindowGrid((8, 18), (4, 6), shift)
    index, inverse = grid.order()
    expected = [
        ((row * 4 + y + shift[0]) % 8) * 18 + (column * 6 + x + shift[1]) % 18
        for row in range(2)
        for column in range(3)
        for y in range(4)
        for x in range(6)
    ]
    assert index.tolist() == expected
    assert index[inverse.long()].tolist() == list(range(8 * 18))
    assert (grid.count, grid.area) == (6, 24)


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 7, 12])
@pytest.mark.parametrize("size", [(16, 24), (8, 24), (24, 8), (8, 8)])
def test_shifted_windows_are_hidden_from_each_other_as_swin_says(at_once: int, size: tuple[int, int]) -> None:
    block = by_spandrel(state_of("SwinIR")).model.layers[0].residual_group.blocks[1]
    assert block.shift_size == 4
    true = block.calculate_mask(size)
    grid = WindowGrid(size, (8, 8), (4, 4))
    masks = masks_of((8, 8), (4, 4), torch.float32)
    scores = []
    for first in range(0, grid.count, at_once):
        last = min(grid.count, first + at_once)
        scores.append(torch.zeros(last - first, 64, 64))
        for which, mask in hide(grid, first, last, masks):
            scores[-1][which] += mask
    assert torch.equal(torch.cat(scores), true)


# -- what only looks like it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda block: setattr(block, "norm1", nn.Identity()),
        lambda block: setattr(block.mlp, "act", nn.GELU(approximate="tanh")),
        lambda block: setattr(block.attn, "qkv", nn.Sequential(block.attn.qkv)),
        lambda block: setattr(block, "window_size", 4),
        lambda block: setattr(block, "gate", nn.Linear(12, 12)),
        lambda block: setattr(block, "forward", lambda x, size: x),
    ],
    ids=["no norm", "another GELU", "another layer", "another window", "more in it", "forward of its own"],
)
def test_a_block_of_another_build_is_not_taken_for_one(change: Callable[[Any], None]) -> None:
    network = by_spandrel(state_of("SwinIR")).model
    change(network.get_submodule("layers.0.residual_group.blocks.1"))
    assert "layers.0.residual_group.blocks.1" not in {part.name for part in parts_of(network)}


def test_a_block_that_does_something_else_keeps_its_own_forward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(state_of("SwinIR"), tmp_path)
    block = model._base.descriptor.model.get_submodule("layers.0.residual_group.blocks.1")
    kind = type(block)

    class LooksLike(kind):  # type: ignore[valid-type, misc]
        def forward(self, x: Tensor, x_size: tuple[int, int]) -> Tensor:
            return super().forward(x, x_size) * 0.5 + x * 0.5

    monkeypatch.setattr(block, "__class__", LooksLike)
    image = picture(20, 20)
    with torch.inference_mode():
        true = model._base.descriptor(image).clamp(0, 1)
    assert "layers.0.residual_group.blocks.1" not in model._sound_parts()
    assert "layers.0.residual_group.blocks.0" in model._sound_parts()
    assert (output(model, image)[0] - true).abs().max() < 1e-5


@pytest.mark.parametrize("strength", [1.0, 40.0])
def test_a_mask_hides_as_much_as_it_says_and_no_more(strength: float) -> None:
    """Scores that are larger than the mask reach through it, as they do in the networks' own modules."""
    random = torch.Generator().manual_seed(4)
    query, key, value = (torch.randn(4, 64, 2, 6, generator=random) for _ in range(3))
    bias, grid = torch.randn(2, 64, 64, generator=random), WindowGrid((16, 16), (8, 8), (4, 4))
    hidden = hide(grid, 0, 4, masks_of((8, 8), (4, 4), torch.float32))
    block = by_spandrel(state_of("SwinIR")).model.layers[0].residual_group.blocks[1]
    scores = strength * torch.einsum("wihd,wjhd->whij", query.double(), key.double()) + bias
    weights = (scores + block.calculate_mask((16, 16))[:, None]).softmax(-1)
    true = torch.einsum("whij,wjhd->wihd", weights, value.double()).reshape(256, 12)
    ours = attended((query, key, value), Scores(strength, bias), hidden)
    assert (ours - true).abs().max() < 1e-4 * strength / 40 + 1e-5
