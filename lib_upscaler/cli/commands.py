"""``python -m lib_upscaler``: upscale pictures, list, inspect and get models. Torch is imported when it is needed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..batch.stopping import CANCELLED, FAILED, WRONG_USE, StopRequest, exit_code, stop_on_signals
from ..catalogue import download, entries, find
from ..errors import Cancelled, DeviceError, TrueScaleError, memory_ran_out
from ..models.folders import model_folders
from ..models.library import ModelLibrary, shipped_models
from .console import CARD_HEAD, ENTRY_HEAD, Console, card_lines, card_row, entry_row, table
from .options import parse
from .upscale import upscale

__all__ = ["main"]


def main(words: Sequence[str] | None = None, program: str = "truescale") -> int:
    """Run one command; the exit status: 0 all done, 1 some failed, 2 wrong use, 130 cancelled.

    words: the command line without the program's name; None for that of this process. program: its name, for help.
    """
    stop = StopRequest()
    try:
        options = parse(None if words is None else list(words), program)
    except SystemExit as ended:  # argparse's way: after --help, or a wrong word
        return ended.code if isinstance(ended.code, int) else WRONG_USE
    console = Console(sys.stdout, sys.stderr, getattr(options, "quiet", False), options.debug)
    try:
        with stop_on_signals(stop):
            return _COMMANDS[options.command](options, console, stop)
    except KeyboardInterrupt:
        console.complain("cancelled")
        return CANCELLED
    except TrueScaleError as error:
        console.complain(str(error), error)
        # A device that fails in the middle of a batch is the batch's business; here, there is no such device.
        return WRONG_USE if isinstance(error, DeviceError) else exit_code(error)
    except Exception as error:  # noqa: BLE001 - the last resort: a person is told in a line, --debug tells the rest
        console.complain(_in_words(error), error)
        return FAILED
    finally:
        console.close()


def _in_words(error: Exception) -> str:
    """What to tell a person of an error that nobody has named."""
    if memory_ran_out(error):  # before the next: a package that finds no room looks as if it were missing
        why = str(error) or type(error).__name__
        return f"there is not enough memory ({why}). Close other programs, or allow more."
    if isinstance(error, ImportError):
        todo = "Set TrueScale up with: python install.py upscale PICTURE"
        return f"a package that TrueScale needs is missing or damaged: {error}. {todo}"
    return f"unexpected error, {type(error).__name__}: {error}. --debug shows where it happened."


def _library(options: argparse.Namespace) -> ModelLibrary:
    """The model that ships, and those in the user's folders. Raises RequestError."""
    return ModelLibrary(model_folders(options.models_dir), builtin=shipped_models())


# -- models ------------------------------------------------------------------------------------------------------------


def _models(options: argparse.Namespace, console: Console, stop: StopRequest) -> int:
    from ..models.card import read_card

    library = _library(options)
    cards, refused = [], []
    for entry in library.models():
        try:
            cards.append(read_card(entry.path, name=entry.name))
        except ImportError:  # what is missing is missing for all
            raise
        except Exception as error:  # noqa: BLE001 - whatever one file does, the others are listed
            refused.append((entry, _told(error)))
    if options.json:
        broken = [{"name": entry.name, "path": str(entry.path), "error": reason} for entry, reason in refused]
        console.say(json.dumps([*(card.to_json() for card in cards), *broken], indent=2))
        return 0
    if cards:
        for line in table([CARD_HEAD, *map(card_row, cards)]):
            console.say(line)
    for entry, reason in refused:
        console.say(f"{entry.name}: {reason}")
    if not library.models():
        console.inform(f"no models in {', '.join(str(folder) for folder in library.folders)}")
    return 0


def _told(error: Exception) -> str:
    """In one line, whatever a file has put into it."""
    return " ".join((str(error) if isinstance(error, TrueScaleError) else _in_words(error)).split())


def _inspect(options: argparse.Namespace, console: Console, stop: StopRequest) -> int:
    from ..models.card import read_card

    entry = _library(options).find(options.model)
    card = read_card(entry.path, name=entry.name)
    lines = [json.dumps(card.to_json(), indent=2)] if options.json else card_lines(card)
    for line in lines:
        console.say(line)
    return 0


# -- the catalogue -----------------------------------------------------------------------------------------------------


def _catalogue(options: argparse.Namespace, console: Console, stop: StopRequest) -> int:
    found = [
        entry
        for entry in entries()
        if options.purpose in (None, *entry.purposes) and options.scale in (None, entry.scale)
    ]
    if options.json:
        listed = [{**asdict(entry), "page": entry.page, "downloadable": entry.downloadable} for entry in found]
        console.say(json.dumps(listed, indent=2))
    elif found:
        for line in table([ENTRY_HEAD, *map(entry_row, found)]):
            console.say(line)
    else:
        console.inform("no model of the catalogue is like that")
    return 0


def _download(options: argparse.Namespace, console: Console, stop: StopRequest) -> int:
    entry = find(options.model)
    folder = Path(options.to) if options.to else model_folders(options.models_dir)[0]
    console.inform(f"{entry.label}, {entry.size / 1e6:.1f} MB, licence: {entry.license or 'not stated'}, {entry.page}")
    console.began(entry.label)
    try:
        with stop.gently():
            path = download(entry, folder, _Downloading(console, stop))
    except Cancelled as error:
        console.complain(str(error), error)
        return CANCELLED
    console.say(str(path))
    return 0


class _Downloading:
    """The progress of a download in the console."""

    def __init__(self, console: Console, stop: StopRequest) -> None:
        self._console, self._stop = console, stop

    def advance(self, fraction: float, note: str = "") -> None:
        self._console.advanced(fraction, note)

    def cancelled(self) -> bool:
        return self._stop.requested


_COMMANDS = {
    "upscale": upscale,
    "models": _models,
    "inspect": _inspect,
    "catalogue": _catalogue,
    "download": _download,
}
