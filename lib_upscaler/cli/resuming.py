"""What a journal keeps of the command that began it, so that ``--resume`` goes on with the same."""

from __future__ import annotations

import argparse
import os
from typing import Any

from .. import __version__
from ..batch.journal import Journal
from ..errors import RequestError

__all__ = ["note_settings", "settings_of"]

_OF_EACH_RUN = (
    *("command", "debug", "quiet", "journal", "resume", "retry_failed", "device", "cluster", "worker_cpus"),
    *("report", "plan", "inputs", "memory", "defaults"),
)
"""Options that may differ when a run goes on: they change no result."""


def note_settings(journal: Journal, options: argparse.Namespace) -> None:
    """Of a run that begins."""
    if not journal.about().get("settings"):
        about = {"settings": _settings(options), "inputs": options.inputs, "folder": os.getcwd()}
        journal.note_about({**about, "version": __version__})


def settings_of(options: argparse.Namespace, journal: Journal) -> argparse.Namespace:
    """The options, those of the journal's run where they were not given again.

    Raises RequestError where they were given otherwise, and where the run cannot go on from here.
    """
    about = journal.about()
    what = f"cannot go on with the journal '{journal.path}'"
    if not about.get("settings"):
        if not options.inputs:
            raise RequestError("no picture was named", "the journal is new", "name files or folders")
        return options
    if os.getcwd() != about["folder"]:
        raise RequestError(what, "its run was begun in another folder", f"run the command in '{about['folder']}'")
    defaults, before = options.defaults, about["settings"]
    for name, value in _settings(options).items():
        if name in before and value != before[name] and value != defaults[name]:
            raise RequestError(
                what, f"{name} was {_word(before[name])} there and is {_word(value)} here", "begin another journal"
            )
    inputs = options.inputs
    if not inputs and not about.get("planned"):  # it was stopped while it planned
        inputs = about["inputs"]
    elif not about.get("planned"):
        inputs = [*about["inputs"], *inputs]
    if not about.get("planned") and "-" in about["inputs"] and "-" not in options.inputs:
        raise RequestError(what, "it was stopped while the list was read", "give the list again")
    return argparse.Namespace(**{**vars(options), **before, "inputs": inputs})


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name, value in vars(options).items() if name not in _OF_EACH_RUN}


def _word(value: object) -> str:
    return "not given" if value is None else str(value)
