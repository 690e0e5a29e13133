"""Sum, bias and activation in one pass over float16 on CUDA.

PyTorch adds a bias to channels that lie last two bytes at a time and takes longer for it than for the convolution. Here
four values travel together as one whole number of 64 bits, which PyTorch's own small compiler for such passes
(``torch.cuda.jiterator``, NVRTC) takes on every system that CUDA runs on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

__all__ = ["MOST_PARTS", "activated_sum", "is_here", "packed"]

MOST_PARTS = 6
"""That are summed at once: it takes eight tensors, of which two are bias and slopes."""

_CODE = """
template <typename T> T {name}({parameters}, T bias, T slope) {{
    unsigned long long result = 0;
    for (int place = 0; place < 64; place += 16) {{
        float sum, term;
        unsigned short bits = (unsigned short)((unsigned long long)bias >> place);
        asm("cvt.f32.f16 %0, %1;" : "=f"(sum) : "h"(bits));
{terms}
        bits = (unsigned short)((unsigned long long)slope >> place);
        asm("cvt.f32.f16 %0, %1;" : "=f"(term) : "h"(bits));
        sum = sum > 0.0f ? sum : sum * term;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(sum));
        result |= (unsigned long long)bits << place;
    }}
    return (T)result;
}}
"""
_TERM = """        bits = (unsigned short)((unsigned long long)x{number} >> place);
        asm("cvt.f32.f16 %0, %1;" : "=f"(term) : "h"(bits));
        sum += term;"""


def is_here(device: torch.device) -> bool:
    """Whether it can be compiled for this device: for NVIDIA's alone."""
    return device.type == "cuda" and torch.version.hip is None and hasattr(torch.cuda, "jiterator")


def packed(x: Tensor) -> Tensor:
    """Four values of float16 as one; a view. The last dimension is contiguous and has a multiple of four."""
    return x.view(torch.int64)


def activated_sum(parts: Sequence[Tensor], bias: Tensor, slope: Tensor) -> Tensor:
    """The sum of the parts and the bias, in float32; values below zero times the slope; rounded once.

    parts: ``(B, H, W, C / 4)``, bias, slope: ``(C / 4)``, all packed. Returns the like.
    """
    return _compiled(len(parts))(*parts, bias, slope)


@cache
def _compiled(count: int) -> Any:
    return torch.cuda.jiterator._create_jit_fn(code(count))


def code(count: int) -> str:
    """The CUDA C++ for so many parts."""
    return _CODE.format(
        name=f"truescale_sum{count}",
        parameters=", ".join(f"T x{number}" for number in range(count)),
        terms="\n".join(_TERM.format(number=number) for number in range(count)),
    )
