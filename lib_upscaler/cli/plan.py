"""``upscale --plan``: what each picture would take, told without doing it. Of pictures only the headers are read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ..animation import carries
from ..batch.addresses import Address, bring, is_there
from ..batch.fitting import check_memory, in_depth_of
from ..batch.frames import plans_for
from ..batch.naming import ANOTHERS
from ..batch.pace import time_in_words
from ..batch.places import existing_folder
from ..batch.scratch_files import Scratch
from ..batch.stopping import FAILED
from ..batch.task import Task
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
from .console import Console

__all__ = ["plan_line", "tell_plan"]


def tell_plan(
    upscaler: Upscaler,
    request: UpscaleRequest,
    tasks: Iterable[Task],
    console: Console,
    skip_existing: bool = False,
    all_frames: bool = True,
) -> int:
    """A line for each picture, and the sum of the times; the exit status: 1 where something could not be done.

    Transparency is taken not to be the same everywhere, and frames not to be alike, which only the pixels could tell.

    Raises ModelError, and RequestError where the request fits no picture.
    """
    with closing(Scratch()) as scratch:
        return _told(upscaler, request, tasks, console, skip_existing, all_frames, scratch)


def _told(
    upscaler: Upscaler,
    request: UpscaleRequest,
    tasks: Iterable[Task],
    console: Console,
    skip_existing: bool,
    all_frames: bool,
    scratch: Scratch,
) -> int:
    seconds: list[float | None] = []
    status = 0
    for task in tasks:
        try:
            if skip_existing and _is_there(task):
                console.skipped(task)
                continue
            source, found, frames = _planned(upscaler, request, task, all_frames, scratch)
        except (PictureError, SizeError) as error:
            console.failed(task, error)
            status = FAILED
            continue
        finally:
            scratch.done(task)
        if found.fits:
            seconds.append(found.seconds)
            console.planned(plan_line(task, source, found, frames))
        else:
            console.complain(f"{task.source}: {found.problem}")
            status = FAILED
    together = total(seconds)
    if len(seconds) > 1 and together is not None:
        console.inform(f"{len(seconds)} pictures, {time_in_words(together)}")
    return status


def _is_there(task: Task) -> bool:
    """Whether the result is there. Raises PictureWriteError where it is another picture's."""
    if isinstance(task.output, Address):
        return is_there(task.output)
    if not os.path.lexists(task.output):
        return False
    if isinstance(task.source, Path) and is_anothers(task.output, task.source):
        raise PictureWriteError(f"cannot write '{task.output}'", *ANOTHERS)
    return True


def _planned(
    upscaler: Upscaler, request: UpscaleRequest, task: Task, all_frames: bool, scratch: Scratch
) -> tuple[Size, Estimate, tuple[Size, ...]]:
    """The picture's size, what it takes to make a file of that format of it, and the sizes of frames, where several.

    Of frames or pages the time is the sum, all else that of the largest. Raises PictureError, SizeError.
    """
    file = task.source
    if isinstance(file, Address):
        file = bring(file, scratch.file_for(task, file.name))
    output = task.output if isinstance(task.output, Path) else scratch.file_for(task, task.output.name)
    header, target = read_header(file), output_format(output)
    kind = kind_of_frames(file) if all_frames else None
    frames = frame_headers(file) if kind is not None and carries(target, kind) else ()
    if header.alpha and not target.alpha:
        request = replace(request, alpha="drop")
    if not frames:
        request, _ = in_depth_of(request, target, header.bits)
        plan = upscaler.plan(header.size, request, header.bits, existing_folder(output))
        check_memory(plan, target)
        found = estimate(upscaler, header.size, request, header.alpha, header.channels, plan)
        check_format(found.output, target.name, header.channels + (header.alpha and request.alpha != "drop"))
        return header.size, found, ()
    plans, _ = plans_for(upscaler, request, target, frames, existing_folder(output))
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
    time = "time not known before a first run" if found.seconds is None else time_in_words(found.seconds)
    memory = f"{_gigabytes(found.memory_bytes)} of {_gigabytes(found.free_bytes)} GB of memory"
    sizes = f"{source} -> {found.output} px, {found.output.area / 1e6:.2f} MP"
    many = f", {len(frames)} frames{' of several sizes' if len(set(frames)) > 1 else ''}" if frames else ""
    return f"{task.source} -> {task.output}: {sizes}{many}, {cut}, {found.precision}, {time}, {memory}"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f}" if size < 10**9 else f"{size / 1e9:.1f}"
