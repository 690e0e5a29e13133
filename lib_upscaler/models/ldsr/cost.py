"""What LDSR's networks take on a latent: multiply-accumulates and memory, told from their sizes. No torch."""

from __future__ import annotations

from .layout import Block, DecoderLayout, UNetLayout

__all__ = ["LARGEST_SCORES", "QUANTIZED_ROWS", "decoder_elements", "decoder_work", "unet_elements", "unet_work"]

LARGEST_SCORES = 1 << 25
"""Elements of a matrix of attention's scores at once, where torch has no kernel that does without it."""

QUANTIZED_ROWS = 1 << 12
"""Positions of a latent that are compared with the whole codebook at once."""

_KERNEL = 9  # of a convolution of 3x3


def unet_work(layout: UNetLayout, width: int, height: int) -> float:
    """Multiply-accumulates of one call on one latent; sums, norms and the time's own layers are not counted."""
    area = width * height
    deepest = area / 4 ** (len(layout.multipliers) - 1)
    middle = 2 * _residual_work(layout.deepest, layout.deepest) * deepest + _attention_work(layout.deepest, deepest)
    ways = sum(_block_work(block, area / 4**block.level) for block in (*layout.down(), *layout.up()))
    return middle + ways + _KERNEL * layout.width * layout.outputs * area


def _block_work(block: Block, area: float) -> float:
    """area: px at the block's level."""
    if block.kind == "first":
        return _KERNEL * block.inputs * block.outputs * area
    if block.kind == "down":
        return _KERNEL * block.outputs**2 * area / 4
    work = _residual_work(block.inputs, block.outputs) * area
    if block.attends:
        work += _attention_work(block.outputs, area)
    return work + (_KERNEL * block.outputs**2 * area * 4 if block.ups else 0)


def _residual_work(inputs: int, outputs: int) -> float:
    """For each px."""
    return _KERNEL * (inputs + outputs) * outputs + (inputs * outputs if inputs != outputs else 0)


def _attention_work(channels: int, area: float) -> float:
    return 4 * channels**2 * area + 2 * channels * area**2


def decoder_work(layout: DecoderLayout, width: int, height: int) -> float:
    """Multiply-accumulates of decoding a latent of this size as a whole, the search in the codebook included."""
    area: float = width * height
    channels = layout.width * layout.multipliers[-1]
    work: float = area * (layout.codes * layout.code_channels + layout.code_channels * layout.latent_channels)
    work += area * (_KERNEL * layout.latent_channels * channels + 2 * _residual_work(channels, channels))
    total = work + _attention_work(channels, area)
    for level in reversed(range(len(layout.multipliers))):
        outputs = layout.width * layout.multipliers[level]
        for _ in range(layout.blocks):
            total += _residual_work(channels, outputs) * area
            channels = outputs
        if level:
            area *= 4
            total += _KERNEL * channels**2 * area
    return total + _KERNEL * channels * layout.outputs * area


def unet_elements(layout: UNetLayout, width: int, height: int) -> float:
    """Elements of all tensors that live at the peak of one call on one latent."""
    area = width * height
    peak = held = 0.0
    for block in layout.down():
        here = area / 4**block.level
        own = _residual_elements(block.inputs, block.outputs) if block.kind == "residual" else block.outputs
        peak = max(peak, held + own * here, _attention_elements(block, here) + held)
        held += block.outputs * (here / 4 if block.kind == "down" else here)
    held += layout.inputs * area
    deepest = area / 4 ** (len(layout.multipliers) - 1)
    peak = max(peak, held + 4 * layout.deepest * deepest)
    for block in layout.up():
        here = area / 4**block.level
        joined = held + block.inputs * here  # the input's own part is still there, beside what the two become
        held -= block.skip * here
        running = held + (block.inputs + _residual_elements(block.inputs, block.outputs)) * here
        enlarging = held + (block.inputs + 9 * block.outputs) * here if block.ups else 0
        peak = max(peak, joined + (block.inputs - block.skip) * here, running, enlarging)
        peak = max(peak, held + block.inputs * here + _attention_elements(block, here))
    return peak


def _residual_elements(inputs: int, outputs: int) -> int:
    """For each px, beside the input."""
    return max(inputs + outputs, 3 * outputs)


def _attention_elements(block: Block, area: float) -> float:
    if not block.attends:
        return 0
    return 7 * block.outputs * area + 2 * min(LARGEST_SCORES, block.outputs / 32 * area**2)


def decoder_elements(layout: DecoderLayout, width: int, height: int) -> float:
    """Elements of all tensors that live at the peak of decoding a latent as a whole."""
    area: float = width * height
    channels = layout.width * layout.multipliers[-1]
    peak = 3.0 * min(area, QUANTIZED_ROWS) * layout.codes
    peak = max(peak, 7 * channels * area + 2 * min(LARGEST_SCORES, area**2))
    for level in reversed(range(len(layout.multipliers))):
        outputs = layout.width * layout.multipliers[level]
        for _ in range(layout.blocks):
            peak = max(peak, (channels + _residual_elements(channels, outputs)) * area)
            channels = outputs
        if level:
            area *= 4
            peak = max(peak, channels * area * 2.25)
    return max(peak, (2 * channels + layout.outputs) * area)
