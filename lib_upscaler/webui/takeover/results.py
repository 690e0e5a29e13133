"""What the pictures of the last run of the Extras were made by, for the statement below them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..host.aside import is_apart
from ..host.callers import Caller
from ..host.lives import SCRIPTS
from ..host.markup import plain
from ..upscaling.statement import canvas_text, redraw_text, statement_html, statement_text, vae_text

if TYPE_CHECKING:
    from ...diffusion.canvas_forecast import CanvasForecast
    from ...request import UpscaleReport

__all__ = ["begins", "comment", "comment_canvas", "comment_redraw", "comment_vae", "latest_html", "made"]


class _LastRun:
    """Of the Extras: (name of the picture, "" for a single one; its report), in order. The host runs one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: list[tuple[str, UpscaleReport]] = []
        self._run: Callable[[], Any] = lambda: None

    def begins(self, caller: Caller) -> None:
        with self._lock:
            if caller.run is None or caller.run is not self._run():
                self._made.clear()
                # Not kept alive: with it the host would keep the run's pictures. An id may be given once more.
                self._run = weakref.ref(caller.run) if caller.run is not None else lambda: None

    def add(self, name: str, report: UpscaleReport) -> None:
        with self._lock:
            self._made.append((name, report))

    def made(self) -> list[tuple[str, UpscaleReport]]:
        with self._lock:
            return list(self._made)


def begins(caller: Caller) -> None:
    """Before a picture of the Extras: with the first of a run, those of the run before are forgotten.

    May be called more than once for a picture. Hosts tell us of a picture at different times: before the first step of
    the Extras (1.7 and later), or when ours runs, which may not be the first that enlarges it.
    """
    if caller.kind in ("extras", "batch") and not is_apart():
        SCRIPTS.of(_LastRun).begins(caller)


def made(caller: Caller, report: UpscaleReport) -> None:
    """A picture was upscaled: say so where the caller's user looks."""
    if caller.kind == "hires":
        comment(caller.processing, report)
    elif caller.kind in ("extras", "batch") and not is_apart():
        SCRIPTS.of(_LastRun).add(Path(caller.picture).name, report)


def comment(processing: Any, report: UpscaleReport) -> None:
    """Into the host's comments below the picture, which go to the page and not into the file."""
    tell = getattr(processing, "comment", None)
    if tell is not None:
        tell(statement_text(report))


def comment_vae(processing: Any, strategy: str, bands: int, warnings: Sequence[str]) -> None:
    """The like for what went through Stable Diffusion's VAE in bands."""
    tell = getattr(processing, "comment", None)
    if tell is not None:
        tell(vae_text(strategy, bands, warnings))


def comment_redraw(processing: Any, tiles: int, seconds: float) -> None:
    """The like for what SD Upscale has redrawn."""
    tell = getattr(processing, "comment", None)
    if tell is not None:
        tell(redraw_text(tiles, seconds))


def comment_canvas(processing: Any, forecast: CanvasForecast, seconds: float, memory: int, whole: int) -> None:
    """The like for what was sampled as one canvas. memory, whole: bytes that the network took for a batch of its tiles,
    and would have taken for the whole."""
    tell = getattr(processing, "comment", None)
    if tell is not None:
        tell(canvas_text(forecast.tiles, forecast.work, seconds, memory, whole))


def latest_html() -> str:
    """The statements of the last run; "" where it made none."""
    made = SCRIPTS.of(_LastRun).made()
    if len(made) == 1 and not made[0][0]:
        return f"<div class='truescale-statement'>{statement_html(made[0][1])}</div>"
    items = "".join(f"<li>{plain(name)}{statement_html(report)}</li>" for name, report in made)
    return f"<ol class='truescale-statement'>{items}</ol>" if items else ""
