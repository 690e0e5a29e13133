"""``upscale``: what is to be done is planned, in a journal where one is asked for, and carried out."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..batch.addresses import as_place, is_address
from ..batch.inputs import BatchPlan, Inputs, named_inputs, plan_batch
from ..batch.journal import Journal, journal_failed, open_journal
from ..batch.naming import destination_of
from ..batch.stopping import FAILED, StopRequest
from ..errors import RequestError
from ..models.folders import chosen_model, model_folders
from ..models.library import ModelLibrary, shipped_models
from ..request import UpscaleRequest
from .console import Console
from .options import request_of
from .remote_models import bring_models
from .resuming import note_settings, settings_of

__all__ = ["upscale"]


def upscale(options: argparse.Namespace, console: Console, stop: StopRequest) -> int:
    """The exit status. Raises TrueScaleError."""
    try:
        return _upscale(options, console, stop)
    except sqlite3.Error as error:
        raise journal_failed(error) from error


def _upscale(options: argparse.Namespace, console: Console, stop: StopRequest) -> int:
    with _journal_of(options) as journal:
        asked = settings_of(options, journal)
        options = argparse.Namespace(**vars(asked))
        bring_models(options)
        _check_report(options)
        library = ModelLibrary(model_folders(options.models_dir), builtin=shipped_models())
        request = request_of(options, chosen_model(library, options.upscaler_1))
        for name in filter(None, (request.model, options.upscaler_2, options.clean_up)):
            library.find_chain(name)  # a wrong name is told before all else
        plan = _plan(asked, console, journal)
        unreadable = FAILED if plan is not None and plan.unreadable else 0
        if options.plan:
            return _told_plan(options, console, library, request, journal) or unreadable
        return _carried_out(options, console, stop, library, request, journal) or unreadable


@contextmanager
def _journal_of(options: argparse.Namespace) -> Iterator[Journal]:
    """Raises RequestError."""
    if options.journal is None:
        for name, given in (("--resume", options.resume), ("--retry-failed", options.retry_failed)):
            if given:
                raise RequestError(f"{name} is given, but no journal", "", "name it with --journal FILE")
        with Journal() as journal:
            yield journal
        return
    if options.plan:
        raise RequestError("a plan that is only told needs no journal", "", "leave out --plan or --journal")
    path = Path(options.journal)
    with open_journal(path, options.resume or options.retry_failed) as journal:
        yield journal


def _plan(options: argparse.Namespace, console: Console, journal: Journal) -> BatchPlan | None:
    """What to read and write, in the journal; None where that is known. What is wrong with the inputs is told.

    Raises RequestError where nothing is left.
    """
    if not options.inputs:
        return None
    inputs = named_inputs(options.inputs)
    all_frames = options.frames == "all"
    destination = destination_of(
        inputs.places, options.output, options.format, all_frames, several=inputs.may_be_several
    )
    note_settings(journal, options)
    inputs_before = [word for word in journal.about()["inputs"] if word not in options.inputs]
    journal.note_about({"planned": False, "inputs": [*inputs_before, *options.inputs]})
    plan = plan_batch(inputs.all(), destination, options.recursive, options.skip_existing, journal)
    _tell(plan, console)
    if not journal.counts().total:
        raise RequestError("there is nothing to do", "no picture was found", _todo(options, inputs))
    if options.identical_once:
        from ..batch.identical import put_off_identical

        if number := put_off_identical(journal):
            console.inform(f"{number} of the pictures are copies of others: their results will be copied")
    journal.note_about({"planned": True})
    return plan


def _todo(options: argparse.Namespace, inputs: Inputs) -> str:
    if inputs.lists and not inputs.places:
        return "the list names none"
    return "" if options.recursive else "sub-folders are looked into with --recursive"


def _tell(plan: BatchPlan, console: Console) -> None:
    for _, error in plan.unreadable:
        console.complain(str(error))
    for folder in plan.empty:
        console.warn(f"no pictures to upscale in the folder '{folder}'")
    if remainder := plan.remainder():
        (console.warn if plan.left_out else console.inform)(remainder)


def _told_plan(
    options: argparse.Namespace, console: Console, library: ModelLibrary, request: UpscaleRequest, journal: Journal
) -> int:
    from ..batch.devices import devices_of
    from ..pipeline import Upscaler
    from .plan import tell_plan

    upscaler = Upscaler(library, devices_of(options.device)[0], cache_bytes=sys.maxsize)
    return tell_plan(upscaler, request, journal.tasks(None), console, options.skip_existing, options.frames == "all")


def _carried_out(
    options: argparse.Namespace,
    console: Console,
    stop: StopRequest,
    library: ModelLibrary,
    request: UpscaleRequest,
    journal: Journal,
) -> int:
    from ..batch.picture import BatchOptions, Existing
    from ..batch.run import run_journal
    from .carrying import work_for

    existing: Existing = "skip" if options.skip_existing else "overwrite" if options.overwrite else "refuse"
    files = BatchOptions(
        options.quality,
        existing,
        as_place(options.report) if options.report else None,
        all_frames=options.frames == "all",
        journalled=journal.path is not None,
        resumed=options.resume or options.retry_failed,
    )
    if options.retry_failed:
        journal.try_failed_again()
    counts = journal.counts()
    if options.resume or options.retry_failed:
        done = f"{counts.done + counts.skipped} of {counts.total} pictures are done"
        failed = f", {counts.failed} failed (--retry-failed tries them again)" if counts.failed else ""
        console.inform(f"{done}{failed}; {counts.planned} to do")
    console.expect(counts.total, counts.planned, counts.planned_bytes)
    work, several = work_for(options, console, stop, library, request, journal, files)
    outcome = run_journal(work, journal, console, files, stop, largest_first=several)
    console.ended(outcome, counts.planned)
    left = journal.counts()
    return outcome.exit_code or (FAILED if journal.path is not None and (left.failed or left.planned) else 0)


def _check_report(options: argparse.Namespace) -> None:
    """Raises RequestError where the report would be written into a file that something else stands in."""
    if options.report is None or is_address(options.report):
        return
    lists = (word[1:] for word in options.inputs or () if word.startswith("@"))
    for name in filter(None, (options.journal, *lists)):
        if os.path.realpath(name) == os.path.realpath(options.report):
            what = f"cannot write the report '{options.report}'"
            raise RequestError(what, "that is the journal, or a list of pictures", "choose another name")
