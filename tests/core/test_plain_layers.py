"""What a host does to PyTorch's classes of layers, before or after a model is loaded, does not reach our networks."""

from __future__ import annotations

import copy
import functools
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lib_upscaler.models.plain_layers import make_plain

LAYERS = (nn.Conv2d, nn.Linear, nn.LayerNorm, nn.GroupNorm, nn.MultiheadAttention)


class _Twice(nn.Linear):
    """As some architectures do: a layer that adds to what PyTorch's gives."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.Sequential(nn.GroupNorm(2, 8), nn.GELU())
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.twice = _Twice(8, 8)
        self.last = nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x)).flatten(2).transpose(1, 2)
        return self.last(self.twice(self.attention(x, x, x)[0]))


def _patched(kind: type, looks_like_it: bool) -> Callable[..., Any]:
    plain = kind.forward

    def forward(self: Any, *_: Any, **__: Any) -> Any:
        raise AssertionError(f"the patched forward of {kind.__name__} was called")

    return functools.wraps(plain)(forward) if looks_like_it else forward


@pytest.fixture(params=[False, True], ids=["another function", "one that looks like PyTorch's"])
def patch_classes(request: pytest.FixtureRequest) -> Iterator[Callable[[], None]]:
    before = {kind: kind.forward for kind in LAYERS}

    def patch() -> None:
        for kind in LAYERS:
            kind.forward = _patched(kind, request.param)

    yield patch
    for kind, forward in before.items():
        kind.forward = forward


@pytest.fixture
def network() -> _Network:
    torch.manual_seed(0)
    return _Network().eval()


PICTURE = torch.linspace(0, 1, 3 * 6 * 5).reshape(1, 3, 6, 5)


@pytest.mark.parametrize("made_plain_first", [True, False])
@torch.no_grad()
def test_a_patch_of_the_classes_is_not_seen(
    made_plain_first: bool, network: _Network, patch_classes: Callable[[], None]
) -> None:
    expected = network(PICTURE)
    if made_plain_first:
        make_plain(network)
        patch_classes()
    else:
        patch_classes()
        make_plain(network)

    assert torch.equal(network(PICTURE), expected)
    assert torch.equal(copy.deepcopy(network)(PICTURE), expected)


@torch.no_grad()
def test_other_networks_keep_the_patch(network: _Network, patch_classes: Callable[[], None]) -> None:
    other = copy.deepcopy(network)
    patch_classes()
    make_plain(network)

    with pytest.raises(AssertionError, match="patched forward"):
        other(PICTURE)


@torch.no_grad()
def test_twice_is_as_once(network: _Network) -> None:
    expected = network(PICTURE)
    make_plain(network)
    kinds = [type(layer) for layer in network.modules()]
    make_plain(network)

    assert [type(layer) for layer in network.modules()] == kinds
    assert torch.equal(network(PICTURE), expected)


def test_layers_are_still_what_they_were(network: _Network) -> None:
    before = [(type(layer), repr(layer)) for layer in network.modules()]
    make_plain(network)

    for layer, (kind, text) in zip(network.modules(), before):
        assert isinstance(layer, kind)
        assert repr(layer) == text


def test_weights_go_with_the_last_reference() -> None:
    """Not only when Python looks for circles: a device's memory is wanted at once."""
    network = _Network()
    make_plain(network)
    gone = weakref.ref(network.conv)
    gc.disable()
    try:
        del network
        assert gone() is None
    finally:
        gc.enable()
