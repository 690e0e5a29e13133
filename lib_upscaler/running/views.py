"""A picture in its eight flips and turns: the mean of what a network gives for each.

A network's result for a turned picture, turned back, is not quite that for the picture itself; what differs is error,
and the mean has less of it. Timofte et al. 2016, "Seven ways to improve example-based single image super resolution";
the "geometric self-ensemble" of EDSR (Lim et al. 2017). It is known to users as test-time augmentation, TTA.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import product

import numpy as np

from ..depths import Bits, rounded, type_of
from ..planning.passes import PassTask, Strategy
from ..progress import Progress, SubProgress
from .engine import PassResult

__all__ = ["VIEWS", "as_seen", "averaged", "seen_back"]

View = tuple[bool, bool, bool]
"""Whether rows and columns are exchanged, whether then the rows come in reverse, and whether the columns do."""

VIEWS: tuple[View, ...] = tuple((a, b, c) for a, b, c in product((False, True), repeat=3))
"""The picture itself comes first."""

_ORDER: tuple[Strategy, ...] = ("whole", "whole, in bands", "tiles")


def as_seen(picture: np.ndarray, view: View) -> np.ndarray:
    """``(H, W, C)`` in this view; a new view of the same memory where numpy can."""
    turned, flipped, mirrored = view
    seen = picture.swapaxes(0, 1) if turned else picture
    return seen[:: -1 if flipped else 1, :: -1 if mirrored else 1]


def seen_back(picture: np.ndarray, view: View) -> np.ndarray:
    """The opposite of ``as_seen``."""
    turned, flipped, mirrored = view
    plain = picture[:: -1 if flipped else 1, :: -1 if mirrored else 1]
    return plain.swapaxes(0, 1) if turned else plain


def averaged(
    picture: np.ndarray,
    tasks: tuple[PassTask, PassTask],
    bits: Bits,
    progress: Progress,
    one: Callable[[np.ndarray, PassTask, Progress], PassResult],
) -> PassResult:
    """The mean over all views.

    picture: ``(H, W, C)`` of any depth. tasks: upright, and on its side. bits: of the result.
    one: a pass over a view; gives 16 bits, or 32 where the result has more than 8.

    Raises what ``one`` does.
    """
    total: np.ndarray | None = None
    done = []
    for number, view in enumerate(VIEWS):
        part = SubProgress(progress, number / 8, (number + 1) / 8, f"view {number + 1} of 8 ", shown=number == 0)
        result = one(np.ascontiguousarray(as_seen(picture, view)), tasks[view[0]], part)
        pixels = seen_back(result.pixels, view)
        if total is None:
            total = pixels.astype(np.float32 if pixels.dtype == np.float32 else np.uint32)
        else:
            total += pixels
        done.append(replace(result, pixels=_NONE))
    assert total is not None  # there are views
    return _together(done, _mean(total, bits))


_NONE = np.empty((0, 0, 1), np.uint8)


def _mean(total: np.ndarray, bits: Bits) -> np.ndarray:
    """Of eight values of 16 or 32 bits each, rounded once; ``total`` is used up."""
    if total.dtype == np.float32:
        total /= 8
        return rounded(total, bits)
    step = 8 if bits == 16 else 8 * 257
    total += step // 2
    total //= step
    return total.astype(type_of(bits))


def _together(done: list[PassResult], pixels: np.ndarray) -> PassResult:
    """One statement of all of them: the worst where they differ."""
    worst = max(done, key=lambda each: (_ORDER.index(each.strategy), each.tiles, each.seam_error))
    return replace(
        worst,
        pixels=pixels,
        seam_error=max(each.seam_error for each in done),
        warnings=_each_once(text for each in done for text in each.warnings),
        work=sum(each.work for each in done),
        seconds=sum(each.seconds for each in done),
    )


def _each_once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
