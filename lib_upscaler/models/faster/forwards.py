"""The forwards that stand in for those of a network's parts while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import jit, onednn
from .structure import Chain, DenseBlock, Part, Parts, has_other_forward, is_attention, slope_of
from .ways import Forward, OnWork, Way
from .weights import bias_of, doubled, last_of, slices_of, widened
from .windows import forget_orders

__all__ = ["Faster", "Way", "faster_for", "is_possible", "way_for"]


class Faster:
    """The other ways of one copy of a network."""

    def __init__(self, ways: list[Way]) -> None:
        self._ways = ways
        self.bytes = sum(way.bytes for way in ways)

    @contextmanager
    def in_place(self, on_work: OnWork) -> Iterator[None]:
        """Its parts run the other way meanwhile, but for those with a module that has been given a forward of its own.

        on_work: told of multiply-accumulates; may raise.
        """
        with ExitStack() as stack:
            stack.callback(forget_orders)
            for way in self._ways:
                if has_other_forward(way.part):
                    continue
                first, *others = way.part.modules
                first.forward = way.forward(on_work)
                for other in others:
                    other.forward = _handed_on
                for module in way.part.modules:
                    stack.callback(module.__dict__.pop, "forward", None)
            yield


def _handed_on(x: Tensor) -> Tensor:
    return x


def faster_for(parts: Parts, device: torch.device, dtype: torch.dtype, accepts: Callable[[Way], bool]) -> Faster | None:
    """For a copy of the network on this device in this precision; None where there is nothing.

    accepts: whether a way gives the numbers that it should.
    """
    ways = [way for way in (way_for(part, device, dtype) for part in parts) if way is not None and accepts(way)]
    return Faster(ways) if ways else None


def is_possible(part: Part, device: torch.device, dtype: torch.dtype, layout: torch.memory_format) -> bool:
    """Whether there may be another way for it in a copy of this layout."""
    return _runs_attention(device, dtype) if is_attention(part) else layout == torch.channels_last


def _runs_attention(device: torch.device, dtype: torch.dtype) -> bool:
    return device.type == "cpu" and dtype == torch.float32


def way_for(part: Part, device: torch.device, dtype: torch.dtype) -> Way | None:
    """The quickest one that there is; None where the modules' own is."""
    if not isinstance(part, (Chain, DenseBlock)):
        return part.way() if _runs_attention(device, dtype) else None
    if device.type == "cpu" and dtype in (torch.float32, torch.bfloat16) and onednn.is_here():
        if isinstance(part, Chain):
            return _chain_on_cpu(part)
        return _dense_on_cpu(part) if dtype == torch.float32 else None
    if dtype == torch.float16 and jit.is_here(device):
        return _chain_on_cuda(part) if isinstance(part, Chain) else _dense_on_cuda(part)
    return None


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _work(convolution: nn.Conv2d, x: Tensor) -> float:
    """Of one call, elementwise work included (as ``analysis.leaf_work`` counts)."""
    pixels = x.shape[0] * x.shape[2] * x.shape[3]
    return float(pixels * (convolution.weight.numel() + 16 * convolution.out_channels))


# -- dense blocks ------------------------------------------------------------------------------------------------------


def _dense_on_cpu(block: DenseBlock) -> Way:
    """Each convolution by its sources, summed up as it is computed: nothing is ever put side by side."""
    convolutions, padding = block.convolutions, block.convolutions[0].kernel_size[0] // 2
    last_weight, last_bias = (_last(last_of(block)[0]), last_of(block)[1])
    weights = [convolution.weight.detach() for convolution in convolutions[:-1]] + [last_weight]
    sliced = [[weight[:, part] for part in slices_of(block, number)] for number, weight in enumerate(weights)]
    biases = [bias_of(convolution) for convolution in convolutions]

    def make(on_work: OnWork) -> Forward:
        def forward(x: Tensor) -> Tensor:
            sources = [_last(x)]
            for number, convolution in enumerate(convolutions[:-1]):
                own = block.slope if number == 0 else None
                y = onednn.convolution(sources[0], _last(sliced[number][0]), biases[number], padding, own)
                for source, weight in zip(sources[1:], sliced[number][1:]):
                    on_work(0.0)  # a convolution of a large band takes a while: a cancel is heard between its parts
                    onednn.add_convolution(y, source, _last(weight), padding)
                sources.append(y if number == 0 else F.leaky_relu_(y, block.slope))
                on_work(_work(convolution, x))
            y = onednn.convolution_added(sources[0], _last(sliced[-1][0]), last_bias, padding, sources[0])
            for source, weight in zip(sources[1:], sliced[-1][1:]):
                on_work(0.0)
                onednn.add_convolution(y, source, _last(weight), padding)
            on_work(_work(convolutions[-1], x))
            return y

        return forward

    return Way(block, last_weight.numel() * last_weight.element_size(), make)


def _dense_on_cuda(block: DenseBlock) -> Way | None:
    """One convolution for each source, for all that see it; what they give is summed up where it is needed.

    Wide convolutions use the tensor cores far better than narrow ones, and sums in one pass cost less than to put
    together what the next convolution sees.
    """
    convolutions, padding = block.convolutions, block.convolutions[0].kernel_size[0] // 2
    widths = [convolution.out_channels for convolution in convolutions]
    if len(widths) + 1 > jit.MOST_PARTS or any(width % 4 for width in widths):
        return None
    weights = [_last(weight) for weight in widened(block)]
    biases = [bias_of(convolution) for convolution in convolutions[:-1]] + [last_of(block)[1]]
    packed_biases = [jit.packed(bias.contiguous()) for bias in biases]
    slopes = [jit.packed(torch.full_like(bias, block.slope)) for bias in biases[:-1]]
    slopes.append(jit.packed(torch.ones_like(biases[-1])))

    def make(on_work: OnWork) -> Forward:
        def forward(x: Tensor) -> Tensor:
            source, given = _last(x), []
            first = _packed_last(source)
            for number, convolution in enumerate(convolutions):
                # Its channels from here on: those of this convolution come first.
                given.append(_packed_last(F.conv2d(source, weights[number], None, padding=padding)))
                width = widths[number] // 4
                parts = [each[..., :width] for each in given]
                if convolution is convolutions[-1]:
                    parts.append(first)
                source = _unpacked(jit.activated_sum(parts, packed_biases[number], slopes[number]), x.dtype)
                given = [each[..., width:] for each in given]
                on_work(_work(convolution, x))
            return source

        return forward

    return Way(block, sum(weight.numel() * weight.element_size() for weight in weights), make)


def _packed_last(x: Tensor) -> Tensor:
    """``(B, C, H, W)`` with the channels last to ``(B, H, W, C / 4)``, packed."""
    return jit.packed(x.permute(0, 2, 3, 1).contiguous())


def _unpacked(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.view(dtype).permute(0, 3, 1, 2)


# -- chains ------------------------------------------------------------------------------------------------------------


def _chain_on_cpu(chain: Chain) -> Way | None:
    """The activation together with the convolution."""
    slope = slope_of(chain.activation)
    if chain.activation is None and chain.upsample is None:
        return None
    if chain.activation is not None and slope is None:
        return None  # oneDNN has none with a slope for each channel
    bias, padding = bias_of(chain.convolution), chain.convolution.kernel_size[0] // 2
    weight = chain.convolution.weight.detach()
    if chain.upsample is None:

        def forward(x: Tensor) -> Tensor:
            return onednn.convolution(_last(x), weight, bias, padding, slope)

        return Way(chain, 0, lambda _: forward)
    twice = _last(doubled(weight))
    biases = bias.repeat(4)

    def enlarging(x: Tensor) -> Tensor:
        given = onednn.convolution(_last(x), twice, biases, 1, slope)
        return _interleaved(given.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    return Way(chain, twice.numel() * twice.element_size(), lambda _: enlarging)


def _chain_on_cuda(chain: Chain) -> Way | None:
    """Bias and activation in one pass after the convolution."""
    out, padding = chain.convolution.out_channels, chain.convolution.kernel_size[0] // 2
    slopes = _slopes(chain)
    if out % 4 or slopes is None:
        return None
    weight, bias = _last(chain.convolution.weight.detach()), jit.packed(bias_of(chain.convolution).contiguous())
    slope = jit.packed(slopes)
    if chain.upsample is None:

        def forward(x: Tensor) -> Tensor:
            given = _packed_last(F.conv2d(_last(x), weight, None, padding=padding))
            return _unpacked(jit.activated_sum([given], bias, slope), x.dtype)

        return Way(chain, 0, lambda _: forward)
    twice, biases, all_slopes = _last(doubled(weight)), bias.repeat(4), slope.repeat(4)

    def enlarging(x: Tensor) -> Tensor:
        given = jit.activated_sum([_packed_last(F.conv2d(_last(x), twice, None, padding=1))], biases, all_slopes)
        return _unpacked(_interleaved(given), x.dtype)

    return Way(chain, twice.numel() * twice.element_size(), lambda _: enlarging)


def _slopes(chain: Chain) -> Tensor | None:
    """For each channel, what values below zero are multiplied by; None where that cannot be said."""
    bias = bias_of(chain.convolution)
    if chain.activation is None:
        return torch.ones_like(bias)
    if isinstance(chain.activation, nn.PReLU):
        count = chain.activation.num_parameters
        return chain.activation.weight.detach().expand(bias.shape).contiguous() if count in (1, len(bias)) else None
    slope = slope_of(chain.activation)
    return None if slope is None else torch.full_like(bias, slope)


def _interleaved(given: Tensor) -> Tensor:
    """What a doubled convolution (padding 1) gives, ``(B, H + 1, W + 1, 4 * C)``, as ``(B, 2 * H, 2 * W, C)``."""
    batch, height, width, channels = given.shape
    height, width, channels = height - 1, width - 1, channels // 4
    result = given.new_empty((batch, 2 * height, 2 * width, channels))
    for number, part in enumerate(given.split(channels, 3)):
        down, right = divmod(number, 2)
        result[:, down::2, right::2] = part[:, down : down + height, right : right + width]
    return result
