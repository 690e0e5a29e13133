"""Prompts for the parts of one canvas: in what the network is told, the rows of the prompt become those of the part's.

The host tells its network of one prompt and one negative prompt. For each part of the canvas the first is exchanged;
the negative one stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .canvas_conditioning import Part, Replace
from .sdxl_sizes import tile_sizes

__all__ = ["PartPrompts", "repeated_to"]

_TEXT = ("c_crossattn", "crossattn")
_VECTOR = ("vector", "y")
"""What hosts call them."""


class PartPrompts:
    """What stands in place of the prompt. reached: whether the network was told of a prompt under a known name."""

    def __init__(self, which: Callable[[Part], int | None]) -> None:
        """which: number of a part's prompt; None: that of the canvas."""
        self._which = which
        self._marks: Sequence[bool] = ()
        self._prompt: Callable[[int], Mapping[str, Tensor]] = _no_prompt
        self.reached = False

    def now(self, marks: Sequence[bool], prompt: Callable[[int], Mapping[str, Tensor]]) -> None:
        """For the next call of the denoiser. marks: of each row of its batch, whether it is told the prompt. prompt:
        gives what the host has made of one, by number: ``text`` ``(1, tokens, C)``, and ``vector`` ``(1, V)`` where
        the network has one."""
        self._marks, self._prompt = marks, prompt

    def replacements(self) -> dict[str, Replace]:
        """For ``Conditioning``; in place of ``sdxl_sizes.tile_sizes``, which they do as well."""
        return {**dict.fromkeys(_TEXT, self._texts), **dict.fromkeys(_VECTOR, self._vectors)}

    def _texts(self, told: Any, parts: Sequence[Part]) -> Any:
        if isinstance(told, (list, tuple)):
            return type(told)(self._texts(each, parts) for each in told)
        if not isinstance(told, Tensor):
            return told
        self.reached = True
        rows = [row for part in parts for row in self._rows(told, part, "text")]
        tokens = math.lcm(*(row.shape[1] for row in rows))
        return torch.cat([repeated_to(row, tokens) for row in rows])

    def _vectors(self, told: Any, parts: Sequence[Part]) -> Any:
        if not isinstance(told, Tensor):
            return told
        sizes = tile_sizes()
        return torch.cat([sizes(torch.cat(self._rows(told, part, "vector")), [part]) for part in parts])

    def _rows(self, told: Tensor, part: Part, name: str) -> list[Tensor]:
        """Of ``(B, ...)`` each row by itself, those of the prompt exchanged."""
        number = self._which(part)
        rows = list(told.split(1))
        own = None if number is None else self._prompt(number).get(name)
        if own is None:
            return rows
        return [own.to(row) if mark else row for mark, row in zip(self._marks, rows)]


def repeated_to(text: Tensor, tokens: int) -> Tensor:
    """``(B, T, C)`` as ``(B, tokens, C)``, a multiple of ``T``.

    Cross-attention to each token as often as to any other gives what it gives to each once, so that prompts of any
    lengths go into one call."""
    return text if text.shape[1] == tokens else text.repeat(1, tokens // text.shape[1], 1)


def _no_prompt(number: int) -> Mapping[str, Tensor]:
    raise RuntimeError(f"there is no prompt {number} yet")
