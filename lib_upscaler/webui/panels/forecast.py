"""What a run will take, in words, before it runs: exact size, pieces, time and memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import TrueScaleError
from ...geometry import Size
from ...models.entry import BlendedEntry, ModelEntry
from ...planning.sizing import SizeRequest, plan_size
from .. import host
from ..host import health
from ..host.markup import line, problem, word
from ..upscaling.service import service
from ..upscaling.statement import STRATEGIES
from . import cards

if TYPE_CHECKING:
    from ...estimates import Estimate
    from ...request import UpscaleRequest

__all__ = ["plan_html", "size_html", "size_of", "time_words"]


_ONE_AFTER_THE_OTHER = threading.Lock()
"""A plan that reads a model takes longer than the next one: the page would end with the older of the two."""


def size_of(source: dict[str, Any]) -> Size | None:
    """The picture's, where there is one. source: see ``bridge.SOURCE``."""
    width, height = source.get("width"), source.get("height")
    sane = all(isinstance(side, int) and 0 < side < 10**6 for side in (width, height))
    return Size(width, height) if sane else None


def plan_html(size: Size | None, request: Callable[[], UpscaleRequest]) -> str:
    """A line for the page. request: gives what would be done, without fetching anything; what it raises is shown."""
    if size is None or health.problem():
        return ""
    try:
        with _ONE_AFTER_THE_OTHER:
            return _plan_html(size, request())
    except TrueScaleError as error:
        return problem(error)
    except Exception as error:  # noqa: BLE001 - it is a forecast; the run itself says what is wrong
        host.log.warning("TrueScale: cannot say what a run will take", exc_info=error)
        return ""


def _plan_html(size: Size, request: UpscaleRequest) -> str:
    models = [model for stage in request.stages(8) for model, _ in stage.weighted_models]
    files = [one for model in models for one in (model if isinstance(model, tuple) else (model,))]
    blends = [one.parts if isinstance(one, BlendedEntry) else ((one, 1.0),) for one in files]
    entries = [one for parts in blends for one, _ in parts if isinstance(one, ModelEntry)]
    if not all(entry.path.is_file() for entry in entries):
        return size_html(size, request.size, word("the model is fetched first"))
    for entry in entries:
        cards.read(entry.name)  # one look at a time at what is not known yet
    found = service().estimate(size, request)
    parts = [*_size_words(size, found.output), _pieces(found), time_words(found.seconds), _memory(found)]
    return line(parts) + (problem(found.problem) if found.problem else "")


def size_html(size: Size, request: SizeRequest | None, words: str = "") -> str:
    """Only how large the result will be."""
    if request is None:
        return ""
    return line([*_size_words(size, plan_size(size, request).output), words])


def _size_words(size: Size, output: Size) -> list[str]:
    return [f"{size} → <b>{output}</b> px", f"{output.area / 1e6:.2f} MP"]


def _pieces(found: Estimate) -> str:
    if not found.strategy:  # where nothing can run
        return ""
    words = word(STRATEGIES.get(found.strategy, found.strategy))
    return f"{words}: {found.tiles}" if found.strategy == "tiles" else words


def time_words(seconds: float | None) -> str:
    """HTML. None: of what has not run yet."""
    if seconds is None:
        return word("time: known after a first run")
    if seconds < 1:
        return f"{word('time')} &lt; 1 s"
    if seconds < 100:
        return f"{word('time')} ≈ {seconds:.0f} s"
    return f"{word('time')} ≈ {seconds / 60:.0f} {word('minutes')}"


def _memory(found: Estimate) -> str:
    free = f" / {found.free_bytes / 1e9:.1f}" if found.free_known else ""
    return f"{word('memory')} {found.memory_bytes / 1e9:.1f}{free} GB"
