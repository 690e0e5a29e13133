"""What a run will take, in words, before it runs: exact size, pieces, time and memory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import TrueScaleError
from ...geometry import Size
from ...planning.sizing import plan_size
from .. import host
from ..host import health
from ..host.markup import line, problem, word
from ..takeover import choices
from ..upscaling.jobs import Job, request_of
from ..upscaling.service import service
from ..upscaling.statement import STRATEGIES
from . import cards

if TYPE_CHECKING:
    from ...estimates import Estimate

__all__ = ["look", "plan_html", "size_of", "source_of"]


def source_of(text: str | None) -> dict[str, Any]:
    """What the page's script wrote: an object in JSON; {} where there is no picture or the text is none of ours."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def size_of(source: dict[str, Any]) -> Size | None:
    """The picture's, where there is one."""
    width, height = source.get("width"), source.get("height")
    sane = all(isinstance(side, int) and 0 < side < 10**6 for side in (width, height))
    return Size(width, height) if sane else None


def plan_html(size: Size | None, job: Callable[[], Job]) -> str:
    """A line for the page. job: gives what would be done, without fetching anything; what it raises is shown."""
    if size is None or health.problem():
        return ""
    try:
        return _told(size, job())
    except TrueScaleError as error:
        return problem(error)
    except Exception as error:  # noqa: BLE001 - it is a forecast; the run itself says what is wrong
        host.log.warning("TrueScale: cannot say what a run will take", exc_info=error)
        return ""


def _told(size: Size, job: Job) -> str:
    seen = [choice for choice, _ in job.seen()]
    parts = [choice for choice in (job.clean_up, *seen) if choice is not None]
    if any(choice.model is not None and not os.path.isfile(choice.model) for choice in parts):
        return _only_size(size, job, word("the model is fetched first"))
    if any(choice.name == choices.NO_UPSCALER for choice in parts):
        return _only_size(size, job)
    for choice in parts:
        cards.read(choice.name)  # one look at a time at what is not known yet
    found = service().estimate(size, request_of(job))
    told = [*_size_words(size, found.output), _pieces(found), _time_words(found.seconds), _memory(found)]
    return line(told) + (problem(found.problem) if found.problem else "")


def _only_size(size: Size, job: Job, words: str = "") -> str:
    if job.size is None:
        return ""
    return line([*_size_words(size, plan_size(size, job.size).output), words])


def _size_words(size: Size, output: Size) -> list[str]:
    return [f"{size} → <b>{output}</b> px", f"{output.area / 1e6:.2f} MP"]


def _pieces(found: Estimate) -> str:
    told = word(STRATEGIES.get(found.strategy, found.strategy))
    return f"{told}: {found.tiles}" if found.strategy == "tiles" else told


def _time_words(seconds: float | None) -> str:
    if seconds is None:
        return word("time: known after a first run")
    if seconds < 1:
        return f"{word('time')} &lt; 1 s"
    if seconds < 100:
        return f"{word('time')} ≈ {seconds:.0f} s"
    return f"{word('time')} ≈ {seconds / 60:.0f} {word('minutes')}"


def _memory(found: Estimate) -> str:
    return f"{word('memory')} {found.memory_bytes / 1e9:.1f} / {found.free_bytes / 1e9:.1f} GB"


def look(values: Any) -> Callable[[], Job]:
    """The job that ``values`` (a ``values.Values``) ask for, for a look: nothing is fetched."""
    return lambda: values.job(find=choices.peek)
