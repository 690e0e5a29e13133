"""``upscale --plan``: what each picture would take, told without doing it. Of pictures only the headers are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from ..animation import carries
from ..errors import PictureError, PictureWriteError, SizeError
from ..estimates import Estimate, estimate, total
from ..geometry import Size
from ..pictures.formats import check_format, output_format
from ..pictures.frames.kinds import kind_of_frames
from ..pictures.frames.source import frame_headers
from ..pictures.origin import is_anothers
from ..pictures.reading import read_header
from ..pipeline import Upscaler
from ..request import UpscaleRequest
from .batch import existing_folder
from .console import Console
from .files import ANOTHERS, Task
from .fitting import check_memory, in_depth_of
from .frames import plans_for
from .stopping import FAILED

__all__ = ["plan_line", "tell_plan"]


def tell_plan(
    upscaler: Upscaler,
    request: UpscaleRequest,
    tasks: Sequence[Task],
    console: Console,
    skip_existing: bool = False,
    all_frames: bool = True,
) -> int:
    """A line for each picture, and the sum of the times; the exit status: 1 where something could not be done.

    Transparency is taken not to be the same everywhere, and frames not to be alike, which only the pixels could tell.

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
            source, found, frames = _planned(upscaler, request, task, all_frames)
        except (PictureError, SizeError) as error:
            console.failed(task, error)
            status = FAILED
            continue
        if found.fits:
            seconds.append(found.seconds)
            console.planned(plan_line(task, source, found, frames))
        else:
            console.complain(f"{task.source}: {found.problem}")
            status = FAILED
    together = total(seconds)
    if len(seconds) > 1 and together is not None:
        console.inform(f"{len(seconds)} pictures, {_in_words(together)}")
    return status


def _planned(
    upscaler: Upscaler, request: UpscaleRequest, task: Task, all_frames: bool
) -> tuple[Size, Estimate, tuple[Size, ...]]:
    """The picture's size, what it takes to make a file of that format of it, and the sizes of frames, where several.

    Of frames or pages the time is the sum, all else that of the largest. Raises PictureError, SizeError.
    """
    header, target = read_header(task.source), output_format(task.output)
    kind = kind_of_frames(task.source) if all_frames else None
    frames = frame_headers(task.source) if kind is not None and carries(target, kind) else ()
    if header.alpha and not target.alpha:
        request = replace(request, alpha="drop")
    if not frames:
        request, _ = in_depth_of(request, target, header.bits)
        plan = upscaler.plan(header.size, request, header.bits, existing_folder(task.output))
        check_memory(plan, target)
        found = estimate(upscaler, header.size, request, header.alpha, header.channels, plan)
        check_format(found.output, target.name, header.channels + (header.alpha and request.alpha != "drop"))
        return header.size, found, ()
    plans, _ = plans_for(upscaler, request, target, frames, existing_folder(task.output))
    each = {
        frame: estimate(upscaler, frame.size, request, frame.alpha, frame.channels, plans[frame.size, frame.bits])
        for frame in dict.fromkeys(frames)
    }
    largest = max(each.values(), key=lambda one: (not one.fits, one.memory_bytes))
    together = replace(largest, seconds=total(each[frame].seconds for frame in frames))
    return header.size, together, tuple(frame.size for frame in frames)


def plan_line(task: Task, source: Size, found: Estimate, frames: Sequence[Size] = ()) -> str:
    """All that matters of one picture, in one line. frames: their sizes."""
    cut = f"{found.tiles} tiles, margin {found.margin} px" if found.strategy == "tiles" else found.strategy
    time = "time not known before a first run" if found.seconds is None else _in_words(found.seconds)
    memory = f"{_gigabytes(found.memory_bytes)} of {_gigabytes(found.free_bytes)} GB of memory"
    sizes = f"{source} -> {found.output} px, {found.output.area / 1e6:.2f} MP"
    many = f", {len(frames)} frames{' of several sizes' if len(set(frames)) > 1 else ''}" if frames else ""
    return f"{task.source} -> {task.output}: {sizes}{many}, {cut}, {found.precision}, {time}, {memory}"


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
