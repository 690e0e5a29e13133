"""What the network of a checkpoint takes for itself while it denoises, beside its weights: an estimate. Pure.

ComfyUI's formula (``model_base.BaseModel.memory_required``, with the factors of ``supported_models``), by which it
decides what to keep on a card; reForge has it too. For SD 1 and 2 it is 1.3 times the tensors that their U-Net has
alive at once (25 planes of 320 channels), for SDXL 1.7 times; the rest is for what convolutions and attention take.
Measured with SD 1's on CUDA: 1.4 times what tensors took at 512 to 2048 px, 1.1 times what was reserved at 2048.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["KINDS", "network_bytes"]

KINDS: Mapping[str, float] = MappingProxyType({"sd1": 1.0, "sd2": 1.0, "refiner": 1.0, "sdxl": 0.8, "sd3": 1.6})
"""Kinds of checkpoints, and how much each takes beside the first."""

_EFFICIENT = 0.01 * (1 << 20)
"""Bytes for each px and each byte of a number."""

_IN_SLICES = 0.15 * (1 << 20)
"""Bytes for each px, whatever the precision: the slices of attention are made as large as they may be."""


def network_bytes(rows: int, area: int, itemsize: int, kind: str = "sd1", efficient_attention: bool = True) -> int:
    """Bytes that one call of the network takes at its peak, without its weights.

    rows: of the call: pictures or tiles, times prompts, negative ones included. area: of the latent, or of one of the
    tiles, px. itemsize: bytes of one of the numbers that the network computes with. kind: one of ``KINDS``; another
    counts as the one that takes the most. efficient_attention: whether it never has its whole table in memory
    (PyTorch's, xformers); else it works in slices (Doggettx, sub-quadratic).
    """
    factor = KINDS.get(kind, max(KINDS.values()))
    per_px = _EFFICIENT * itemsize if efficient_attention else _IN_SLICES
    return round(rows * area * per_px * factor)
