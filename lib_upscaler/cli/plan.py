"""``upscale --plan``: what each picture would take, told without doing it. Of pictures only the headers are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from ..errors import PictureError, PictureWriteError, SizeError
from ..estimates import Estimate, estimate, total
from ..geometry import Size
from ..pictures.formats import check_format, output_format
from ..pictures.origin import is_anothers
from ..pictures.reading import read_header
from ..pipeline import Upscaler
from ..request import UpscaleRequest
from .batch import check_memory, existing_folder, in_depth_of
from .console import Console
from .files import ANOTHERS, Task
from .stopping import FAILED

__all__ = ["plan_line", "tell_plan"]


def tell_plan(
    upscaler: Upscaler, request: UpscaleRequest, tasks: Sequence[Task], console: Console, skip_existing: bool = False
) -> int:
    """A line for each picture, and the sum of the times; the exit status: 1 where something could not be done.

    Transparency is taken not to be the same everywhere, which only the pixels could tell.

    Raises ModelError, and RequestError where the request fits no picture.
    """
    seconds: list[float | None] = []
    status = 0
    for task in tasks:
        if skip_existing and os.path.lexists(task.output):
            if is_anothers(task.output, task.source):
                console.failed(task, PictureWriteError(f"cannot write '{task.output}'", *ANOTHERS))
                status = FAILED
            else:
                console.skipped(task)
            continue
        try:
            source, found = _planned(upscaler, request, task)
        except (PictureError, SizeError) as error:
            console.failed(task, error)
            status = FAILED
            continue
        if found.fits:
            seconds.append(found.seconds)
            console.planned(plan_line(task, source, found))
        else:
            console.complain(f"{task.source}: {found.problem}")
            status = FAILED
    together = total(seconds)
    if len(seconds) > 1 and together is not None:
        console.inform(f"{len(seconds)} pictures, {_in_words(together)}")
    return status


def _planned(upscaler: Upscaler, request: UpscaleRequest, task: Task) -> tuple[Size, Estimate]:
    """The picture's size, and what it takes to make a file of that format of it. Raises PictureError, SizeError."""
    header, target = read_header(task.source), output_format(task.output)
    if header.alpha and not target.alpha:
        request = replace(request, alpha="drop")
    keeps_alpha = header.alpha and request.alpha != "drop"
    request, _ = in_depth_of(request, target, header.bits)
    plan = upscaler.plan(header.size, request, header.bits, existing_folder(task.output))
    check_memory(plan, target)
    found = estimate(upscaler, header.size, request, header.alpha, header.channels, plan)
    check_format(found.output, target.name, header.channels + keeps_alpha)
    return header.size, found


def plan_line(task: Task, source: Size, found: Estimate) -> str:
    """All that matters of one picture, in one line."""
    cut = f"{found.tiles} tiles, margin {found.margin} px" if found.strategy == "tiles" else found.strategy
    time = "time not known before a first run" if found.seconds is None else _in_words(found.seconds)
    memory = f"{_gigabytes(found.memory_bytes)} of {_gigabytes(found.free_bytes)} GB of memory"
    sizes = f"{source} -> {found.output} px, {found.output.area / 1e6:.2f} MP"
    return f"{task.source} -> {task.output}: {sizes}, {cut}, {found.precision}, {time}, {memory}"


def _in_words(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    if seconds < 100:
        return f"about {seconds:.0f} s"
    if seconds < 100 * 60:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f}" if size < 10**9 else f"{size / 1e9:.1f}"
