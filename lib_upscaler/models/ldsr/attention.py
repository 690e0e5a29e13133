"""Attention over long sequences in bounded memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .cost import LARGEST_SCORES

__all__ = ["attend"]


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(C)) v of each head, in chunks of queries: ``(B, heads, T, C)`` each, and the result."""
    batch, heads, length = q.shape[:3]
    rows = max(1, LARGEST_SCORES // max(1, batch * heads * k.shape[2]))
    if rows >= length:
        return F.scaled_dot_product_attention(q, k, v)
    return torch.cat([F.scaled_dot_product_attention(part, k, v) for part in q.split(rows, dim=2)], dim=2)
