"""Lines for the tiles, said by one of the WebUI's interrogators of what each shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from ....diffusion.grid import RedrawGrid
from ....diffusion.redraw import Redraw, detail_of
from ....errors import Cancelled
from ....geometry import Size
from ... import host
from ...host.interrogators import described
from ...host.progress import is_stopped
from ...takeover.failing import as_error
from .enlarging import Values, on_ground, seamless_of, upscaled
from .script import TITLE, redraw_settings

__all__ = ["Described", "describe"]

_BLANK = 0.25
"""Levels by which neighbouring px differ: a tile below shows nothing that could be named."""


@dataclass(frozen=True)
class Described:
    """grid: of the tiles. lines: of those that were looked at so far, "" for a blank one."""

    grid: RedrawGrid
    lines: tuple[str, ...]

    @property
    def total(self) -> int:
        return len(self.grid.tiles)


def describe(
    image: Image.Image, values: Values, size: tuple[int, int], name: str, is_wanted: Callable[[], bool]
) -> Iterator[Described]:
    """What each tile of the picture that a run would redraw shows; after each of them, from none to all.

    image: of img2img. values: checked ones of the panel. size: img2img's width and height. name: of the interrogator.
    is_wanted: asked before each tile; ends early where it is not. The picture is kept for the run.

    Raises TrueScaleError.
    """
    asked: Any = SimpleNamespace(width=size[0], height=size[1])
    with _as_job():
        enlarged = upscaled(on_ground(image), values, asked)
    job = Redraw(seamless_of(values, Size(*enlarged.size)).opened(enlarged), redraw_settings(values))
    canvas, _ = job.canvas
    lines: list[str] = []
    yield Described(job.grid, ())
    for tile in job.grid.tiles:
        if not is_wanted():
            return
        part, stopped = canvas.crop((tile.x, tile.y, tile.right, tile.bottom)), False
        if detail_of(np.asarray(part)) < _BLANK:
            lines.append("")
        else:
            with _as_job():
                lines.append(described(part, name))
                stopped = is_stopped()
        yield Described(job.grid, tuple(lines))
        if stopped:
            return


@contextmanager
def _as_job() -> Iterator[None]:
    """One of the host's: one at a time, with its state; what is raised in it is in words."""
    with host.queue_lock():
        state = host.state()
        state.begin(job="truescale-describe")
        try:
            yield
        except Cancelled:
            raise
        except Exception as error:
            raise as_error(error, TITLE) from error
        finally:
            state.end()
