"""The sizes of LDSR's networks, told from the names and shapes in a file. No torch.

Names of weights, and the order of the UNet's blocks, are those of CompVis/latent-diffusion (MIT):
``ldm/modules/diffusionmodules/openaimodel.py`` and ``model.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["HEAD_CHANNELS", "Block", "DecoderLayout", "LdsrLayout", "NotLdsr", "UNetLayout", "is_ldsr", "layout_of"]

Shapes = Mapping[str, tuple[int, ...]]

UNET, AVERAGE, FIRST_STAGE = "model.diffusion_model.", "model_ema.", "first_stage_model."
HEAD_CHANNELS = 32
"""Of each head of attention. No shape tells it: it is that of the only such model."""
_GROUPS = 32  # of GroupNorm


class NotLdsr(Exception):  # noqa: N818 - a signal to the reader of a file, which says it in words
    """What is missing in the file, or cannot be."""


@dataclass(frozen=True)
class Block:
    """A part of the UNet: a residual block, or a change of resolution. level: it works at 1 / 2 ** level of the latent.

    kind: "first" (the convolution at the beginning), "residual" or "down". inputs, outputs: channels.
    skip: of the inputs, channels that come from the way down. attends: followed by attention. ups: then enlarged.
    """

    kind: str
    inputs: int
    outputs: int
    level: int
    skip: int = 0
    attends: bool = False
    ups: bool = False


@dataclass(frozen=True)
class UNetLayout:
    """inputs, outputs: channels. width: channels at full resolution, each level has ``multipliers`` times as many.

    blocks: residual blocks of each level on the way down. attention: the levels that have it, beside the middle.
    """

    inputs: int
    outputs: int
    width: int
    multipliers: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]

    @property
    def multiple(self) -> int:
        """Latent px that its input's sides are multiples of."""
        return 2 ** (len(self.multipliers) - 1)

    @property
    def deepest(self) -> int:
        """Channels in the middle."""
        return self.width * self.multipliers[-1]

    def down(self) -> list[Block]:
        """The blocks before the middle."""
        found, channels = [Block("first", self.inputs, self.width, 0)], self.width
        for level, multiplier in enumerate(self.multipliers):
            for _ in range(self.blocks):
                found.append(
                    Block("residual", channels, self.width * multiplier, level, attends=level in self.attention)
                )
                channels = self.width * multiplier
            if level + 1 < len(self.multipliers):
                found.append(Block("down", channels, channels, level))
        return found

    def up(self) -> list[Block]:
        """The blocks behind it; each takes what one of those before it gave, the last one first."""
        skips, channels, found = [block.outputs for block in self.down()], self.deepest, []
        for level in reversed(range(len(self.multipliers))):
            for number in range(self.blocks + 1):
                skip, outputs = skips.pop(), self.width * self.multipliers[level]
                ups = level > 0 and number == self.blocks
                attends = level in self.attention
                found.append(Block("residual", channels + skip, outputs, level, skip, attends, ups))
                channels = outputs
        return found


@dataclass(frozen=True)
class DecoderLayout:
    """width: channels at full resolution, each level has ``multipliers`` times as many. blocks: residual ones of each.

    codes, code_channels: of the codebook. latent_channels, outputs: channels of the decoder's input and output.
    """

    width: int
    multipliers: tuple[int, ...]
    blocks: int
    latent_channels: int
    outputs: int
    codes: int
    code_channels: int

    @property
    def scale(self) -> int:
        """Picture px per latent px."""
        return 2 ** (len(self.multipliers) - 1)


@dataclass(frozen=True)
class LdsrLayout:
    """averaged: whether the UNet's weights are there as their average over the training (EMA)."""

    unet: UNetLayout
    decoder: DecoderLayout
    averaged: bool

    def stored_name(self, unet_weight: str) -> str:
        """What one of the UNet's weights is called in the file."""
        return average_name(unet_weight) if self.averaged else UNET + unet_weight


def average_name(unet_weight: str) -> str:
    """A buffer's name has no dots: ``ldm/modules/ema.py``."""
    return AVERAGE + "diffusion_model" + unet_weight.replace(".", "")


def is_ldsr(shapes: Shapes) -> bool:
    """Whether these tensors are of this kind of model, complete or not: by names and shapes alone.

    A UNet that takes a latent and a picture of its size, or a codebook beside some UNet; nothing that encodes a text.
    """
    if any(name.startswith(("cond_stage_model.", "conditioner.")) or ".transformer_blocks." in name for name in shapes):
        return False
    first, last = _unet(shapes, "input_blocks.0.0.weight"), _unet(shapes, "out.2.weight")
    has_unet = any(name.startswith((UNET, average_name(""))) for name in shapes)
    if has_unet and FIRST_STAGE + "quantize.embedding.weight" in shapes:
        return first is None or last is None or first[1:2] == (2 * last[0],)
    return first is not None and last is not None and first[1:2] == (2 * last[0],)


def layout_of(shapes: Shapes) -> LdsrLayout:
    """The sizes of the networks. That all weights are there, in these sizes, is for the reader to see.

    Raises NotLdsr for parts that are missing, and for sizes that no such network has.
    """
    missing = [words for words, is_there in _parts(shapes) if not is_there]
    if missing:
        raise NotLdsr(f"parts of it are missing: {', '.join(missing)}")
    averaged = average_name("input_blocks.0.0.weight") in shapes
    unet = _unet_layout(lambda name: shapes.get(average_name(name) if averaged else UNET + name))
    decoder = _decoder_layout(lambda name: shapes.get(FIRST_STAGE + name))
    if decoder.code_channels != unet.outputs or unet.inputs != unet.outputs + decoder.outputs:
        raise NotLdsr("its UNet and its decoder do not belong together")
    return LdsrLayout(unet, decoder, averaged)


def _parts(shapes: Shapes) -> list[tuple[str, bool]]:
    """What a file needs, in words, and whether some of it is there."""

    def has(*beginnings: str) -> bool:
        return any(name.startswith(beginnings) for name in shapes)

    return [
        ("the UNet", _unet(shapes, "input_blocks.0.0.weight") is not None),
        ("the decoder", has(FIRST_STAGE + "decoder.")),
        ("the codebook", has(FIRST_STAGE + "quantize.embedding.")),
        ("the decoder's first convolution (post_quant_conv)", has(FIRST_STAGE + "post_quant_conv.")),
    ]


def _unet(shapes: Shapes, name: str) -> tuple[int, ...] | None:
    return shapes.get(average_name(name)) or shapes.get(UNET + name)


Ask = Callable[[str], "tuple[int, ...] | None"]


def _size(ask: Ask, name: str, dimensions: int) -> tuple[int, ...]:
    """Raises NotLdsr where there is no such weight with so many dimensions."""
    shape = ask(name)
    if shape is None:
        raise NotLdsr(f"weights are missing, such as '{name}'")
    if len(shape) != dimensions or min(shape) < 1:
        raise NotLdsr(f"the weight '{name}' has a wrong shape")
    return shape


def _unet_layout(ask: Ask) -> UNetLayout:
    width, inputs = _size(ask, "input_blocks.0.0.weight", 4)[:2]
    outputs = _size(ask, "out.2.weight", 4)[0]
    levels: list[list[int]] = [[]]
    attention: set[int] = set()
    for number in range(1, 100):
        block = f"input_blocks.{number}"
        if ask(f"{block}.0.in_layers.2.weight") is not None:
            levels[-1].append(_size(ask, f"{block}.0.in_layers.2.weight", 4)[0])
            if ask(f"{block}.1.qkv.weight") is not None:
                attention.add(len(levels) - 1)
        elif ask(f"{block}.0.op.weight") is not None:
            levels.append([])
        else:
            break
    counts = {len(level) for level in levels}
    if counts == {0} or len(counts) > 1 or any(len(set(level)) > 1 for level in levels):
        raise NotLdsr("the levels of its UNet are unequal, or blocks are missing")
    channels = [level[0] for level in levels]
    if width % _GROUPS or any(one % width for one in channels):
        raise NotLdsr("its UNet has a number of channels that no such network has")
    return UNetLayout(
        inputs, outputs, width, tuple(one // width for one in channels), counts.pop(), tuple(sorted(attention))
    )


def _decoder_layout(ask: Ask) -> DecoderLayout:
    codes, code_channels = _size(ask, "quantize.embedding.weight", 2)
    outputs, width = _size(ask, "decoder.conv_out.weight", 4)[:2]
    channels: list[int] = []
    while ask(f"decoder.up.{len(channels)}.block.0.conv1.weight") is not None and len(channels) < 10:
        channels.append(_size(ask, f"decoder.up.{len(channels)}.block.0.conv1.weight", 4)[0])
    blocks = 0
    while ask(f"decoder.up.0.block.{blocks}.conv1.weight") is not None and blocks < 100:
        blocks += 1
    if not channels or width % _GROUPS or any(one % width for one in channels):
        raise NotLdsr("weights of its decoder are missing")
    if ask("decoder.up.0.attn.0.q.weight") is not None:
        raise NotLdsr("its decoder has attention at full resolution, which no such network has")
    return DecoderLayout(
        width,
        tuple(one // width for one in channels),
        blocks,
        _size(ask, "decoder.conv_in.weight", 4)[1],
        outputs,
        codes,
        code_channels,
    )
