"""Attention within windows, a few of them at a time, so that their scores never leave the processor's cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .windows import Hidden

__all__ = ["Projections", "Scores", "attended", "bias_of"]

_NOTHING = -80.0
"""Scores so far below the largest count as hidden. A mask of -100 leaves numbers of some 1e-44 behind the softmax:
nothing in float32, but processors take a hundred times as long for a product with them as with a zero. A shifted block
of SwinIR takes half as long again for it at 96x96 px."""


def bias_of(table: Tensor, index: Tensor) -> Tensor:
    """``(heads, px, px seen)``. table: ``(differences, heads)``. index: ``(px, px seen)``, into it; HAT's has numbers
    below zero, which count from the end.
    """
    numbers = index.reshape(-1).remainder(len(table))
    return table.index_select(0, numbers).t().reshape(-1, *index.shape)


class Projections:
    """The linear layers before and behind attention, with their biases where they cost least.

    That of the keys adds the same to all scores of a px, of which a softmax makes nothing; that of the values is added
    to each of them, and so to their mean: it goes into the last layer's.
    """

    def __init__(self, qkv: nn.Linear, last: nn.Linear) -> None:
        self._qkv, self._weight = qkv, last.weight.t()
        self._bias: Tensor | None = last.bias
        self._query_bias = None
        if qkv.bias is not None:
            self._query_bias, _, values = qkv.bias.chunk(3)
            self._bias = F.linear(values, last.weight, last.bias)

    def given(self, x: Tensor, windows: int, heads: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each ``(windows, px, heads, d)``. x: ``(windows * px, channels)``."""
        qkv = F.linear(x, self._qkv.weight)
        if self._query_bias is not None:
            qkv[:, : len(self._query_bias)] += self._query_bias
        query, key, value = qkv.view(windows, len(x) // windows, 3, heads, -1).unbind(2)
        return query, key, value

    def add(self, total: Tensor, inner: Tensor) -> Tensor:
        """``total`` += what becomes of the attended values."""
        if self._bias is not None:
            total += self._bias
        return total.addmm_(inner, self._weight)


@dataclass(frozen=True)
class Scores:
    """What is done to the products of queries and keys. scale: by which they are multiplied.

    bias: ``(heads, px, px seen)``, by how two px lie to each other.
    """

    scale: float
    bias: Tensor


def attended(qkv: Sequence[Tensor], scores: Scores, hidden: Hidden = ()) -> Tensor:
    """Softmax of the scores, times the values.

    qkv: queries ``(windows, px, heads, d)``, and keys and values ``(windows, px seen, heads, d)``. hidden: of these
    windows. Returns ``(windows * px, heads * d)``.
    """
    query, key, value = qkv
    windows, px, heads, width = query.shape
    table = query.new_empty(windows, px, key.shape[1])
    result = query.new_empty(windows, px, heads, width)
    queries, keys, values, results = (each.unbind(2) for each in (query, key, value, result))
    for head, bias in enumerate(scores.bias):
        torch.baddbmm(bias.expand_as(table), queries[head], keys[head].mT, alpha=scores.scale, out=table)
        for which, mask in hidden:
            part = table[which].add_(mask)
            part -= part.amax(-1, keepdim=True)
            torch.threshold_(part, _NOTHING, -math.inf)
        torch.softmax(table, -1, out=table)
        results[head].copy_(torch.bmm(table, values[head]))
    return result.view(windows * px, heads * width)
