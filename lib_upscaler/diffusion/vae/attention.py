"""The attention of the middle block: over the whole plane in chunks of queries and keys, or within tiles of it.

The chunks are put together as in Rabe and Staats, "Self-attention does not need O(n^2) memory" (2021): exact, with a
table of scores that is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...geometry import Region
from .planes import Plane
from .regions import tiles_of
from .schedule import ATTENTION_OVERLAP, SCORE_BYTES, Step
from .state import Run
from .tree import Attention

__all__ = ["attend", "attention"]

FEWEST_KEYS = 256
OnWork = Callable[[float], None]


def attend(run: Run, step: Step) -> None:
    """``x + out(attention)``, over the plane that it reads."""
    (_Tiles if run.schedule.setting.attention == "tiles" else _Whole)(run, step).run()


class _Block:
    """What both kinds share."""

    def __init__(self, state: Run, step: Step) -> None:
        self.state, self.step = state, step
        self.value = state.graph.values[step.value]
        assert isinstance(self.value.part, Attention)
        self.part = self.value.part
        self.size = state.windows.sizes[step.value]
        self.plane = state.planes[self.value.source]
        self.moments = state.moments(self.value)

    def run(self) -> None:
        self._run()
        self.state.replace(self.value.source, self.value.number)
        self.state.known(self.value, self.moments)

    def _run(self) -> None:
        raise NotImplementedError

    def stream(self, region: Region) -> Tensor:
        return self.state.windows.window(self.value.source, region)

    def normed(self, region: Region) -> Tensor:
        return self.state.arithmetic.normed(self.stream(region), self.state.windows.affines[self.value.source])

    def attention(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """``(B, n, C)``, ``(B, N, C)``, ``(B, N, C)`` to ``(B, n, C)``. Tells of the work as it goes."""
        return attention(queries, keys, values, self.state.schedule.setting.working // 4, self.state.arithmetic.on_work)

    def finish(self, region: Region, attended: Tensor) -> Tensor:
        """attended: ``(B, C, h, w)``."""
        return self.stream(region) + self.state.arithmetic.conv(self.part.out, attended)

    def write(self, region: Region, part: Tensor) -> None:
        self.state.bands += 1
        self.state.write(self.plane, region, part.to(self.plane.tensor.device))


class _Whole(_Block):
    """Each token sees every other."""

    def _run(self) -> None:
        finite, windows = self.state.finite, [r for row in tiles_of(self.size, self.step.tile) for r in row]
        keys, values = (self.state.new_plane(self.value.channels, self.size) for _ in range(2))
        for region in windows:
            for plane, conv in ((keys, self.part.k), (values, self.part.v)):
                made = finite(partial(self._projected, conv, region))
                self.state.write(plane, region, made.to(plane.tensor.device))
        for region in windows:
            self.write(region, finite(partial(self._one, region, keys, values), self.moments))

    def _projected(self, conv: nn.Conv2d, region: Region) -> Tensor:
        return self.state.arithmetic.conv(conv, self.normed(region))

    def _one(self, region: Region, keys: Plane, values: Plane) -> Tensor:
        queries = _tokens(self._projected(self.part.q, region))
        return self.finish(region, _picture(self.attention(queries, keys.tokens, values.tokens), region))


class _Tiles(_Block):
    """A token sees its tile; neighbouring tiles are blended, so that no line is seen between them."""

    def _run(self) -> None:
        finite, tile = self.state.finite, self.step.tile
        total = self.state.new_plane(self.value.channels, self.size, torch.float32)
        total.tensor.zero_()
        for y, weights_down in _spread(self.size.height, tile.height):
            for x, weights_across in _spread(self.size.width, tile.width):
                region = Region(x, y, tile.width, tile.height)
                made = finite(partial(self._one, region)).float()
                weight = weights_down[:, None] * weights_across[None, :]
                place = total.tensor[:, :, region.rows, region.columns]
                place += (made * weight.to(made.device)).to(place.device)
        for row in tiles_of(self.size, tile):
            for region in row:
                self.write(region, finite(partial(self._sum, region, total), self.moments))

    def _one(self, region: Region) -> Tensor:
        run, h = self.state.arithmetic, self.normed(region)
        queries, keys, values = (_tokens(run.conv(conv, h)) for conv in (self.part.q, self.part.k, self.part.v))
        return _picture(self.attention(queries, keys, values), region)

    def _sum(self, region: Region, total: Plane) -> Tensor:
        run = self.state.arithmetic
        return self.finish(region, total.read(region, run.device, run.dtype))


def attention(queries: Tensor, keys: Tensor, values: Tensor, scores: int, on_work: OnWork) -> Tensor:
    """softmax(Q K^T / sqrt(C)) V for ``(B, n, C)`` queries over ``(B, N, C)`` keys and values, on any device.

    scores: bytes that the tables of scores may take. on_work: told of the multiply-accumulates; may raise.
    """
    batch, count, channels = queries.shape
    rows = max(1, min(count, scores // (SCORE_BYTES * batch * FEWEST_KEYS)))
    if rows < count:
        return torch.cat([attention(part, keys, values, scores, on_work) for part in queries.split(rows, 1)], 1)
    columns = max(FEWEST_KEYS, scores // (SCORE_BYTES * batch * count))
    if columns >= keys.shape[1]:
        on_work(2.0 * batch * count * keys.shape[1] * channels)
        q, k, v = (part.to(queries)[:, None] for part in (queries, keys, values))
        return F.scaled_dot_product_attention(q, k, v)[:, 0]
    return _in_chunks(queries * channels**-0.5, keys, values, columns, on_work)


def _in_chunks(queries: Tensor, keys: Tensor, values: Tensor, columns: int, on_work: OnWork) -> Tensor:
    batch, count, channels = queries.shape
    highest = torch.full((batch, count, 1), -math.inf, dtype=torch.float32, device=queries.device)
    weight = torch.zeros_like(highest)
    total = torch.zeros((batch, count, channels), dtype=torch.float32, device=queries.device)
    for key, value in zip(keys.split(columns, 1), values.split(columns, 1)):
        key, value = key.to(queries), value.to(queries)
        table = (queries @ key.transpose(1, 2)).float()
        above = torch.maximum(highest, table.amax(2, keepdim=True))
        table.sub_(above).exp_()
        fade = (highest - above).exp_()
        weight = weight * fade + table.sum(2, keepdim=True)
        total.mul_(fade).add_((table.to(queries.dtype) @ value).float())
        highest = above
        on_work(2.0 * batch * count * key.shape[1] * channels)
    return (total / weight).to(queries.dtype)


def _tokens(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _picture(tokens: Tensor, region: Region) -> Tensor:
    return tokens.unflatten(1, (region.height, region.width)).permute(0, 3, 1, 2)


def _spread(length: int, tile: int) -> list[tuple[int, Tensor]]:
    """Where tiles begin along one axis, and their weights there: half cosine waves over the overlaps, in sum 1."""
    gaps = math.ceil((length - tile) / max(1, tile - ATTENTION_OVERLAP))
    edges = [0] if gaps == 0 else [round(number * (length - tile) / gaps) for number in range(gaps + 1)]
    found = []
    for number, edge in enumerate(edges):
        place = torch.arange(edge, edge + tile) + 0.5
        into = _step(place, edge, edges[number - 1] + tile) if number else torch.ones(tile)
        away = _step(place, edges[number + 1], edge + tile) if number + 1 < len(edges) else torch.zeros(tile)
        found.append((edge, into - away))
    return found


def _step(place: Tensor, start: int, end: int) -> Tensor:
    share = ((place - start) / max(1e-9, end - start)).clamp(0, 1)
    return 0.5 - 0.5 * torch.cos(math.pi * share)
