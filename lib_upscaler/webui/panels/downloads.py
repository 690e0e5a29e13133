"""The download of a model that is under way in this process, one at a time, and whether one is possible at all."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from ...catalogue import Entry, download, has_network, installed, offline_reason
from ...errors import NoNetworkError, TrueScaleError
from ...models.library import ModelEntry
from .. import host
from ..takeover.failing import as_error
from ..upscaling.service import service

__all__ = [
    "Job",
    "begin",
    "current",
    "folder",
    "installed_as",
    "look_for_network",
    "network_is_lost",
    "possible",
    "stop",
]

_lock = threading.Lock()
_current: list[Job] = []
"""None or one."""
_network_lost = threading.Event()
"""Set when a download found no network: none is offered until somebody has looked again."""


class Job:
    """One download, in a thread of its own, so that it goes on when its page is closed. It is its own progress.

    fraction: 0 to 1. path: of the file, when it is there. error: what went wrong, in words. ended: set at the end.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.fraction = 0.0
        self.path: Path | None = None
        self.error: TrueScaleError | None = None
        self.ended, self.stopped = threading.Event(), threading.Event()

    def advance(self, fraction: float, note: str = "") -> None:
        self.fraction = fraction

    def cancelled(self) -> bool:
        return self.stopped.is_set()

    def run(self) -> None:
        try:
            self.path = download(self.entry, folder(), self)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page says it
            self.error = as_error(error, self.entry.label)
            if isinstance(error, NoNetworkError):
                _network_lost.set()
        finally:
            _current.clear()
            self.ended.set()


def begin(entry: Entry) -> Job:
    """The one that is under way, where there is one; else a new one."""
    with _lock:
        job = current()
        if job is None:
            job = Job(entry)
            _current.append(job)
            threading.Thread(target=job.run, name="truescale-download", daemon=True).start()
        return job


def current() -> Job | None:
    return next(iter(_current[:]), None)


def stop() -> None:
    """Ask the one that is under way to end."""
    job = current()
    if job is not None:
        job.stopped.set()


def possible(entry: Entry | None) -> bool:
    """Whether pressing the button would be of any use: to begin, or to see again how far this one's download is."""
    if entry is None or not entry.downloadable or network_is_lost() or offline_reason():
        return False
    job = current()
    return job.entry == entry if job is not None else installed_as(entry) is None


def network_is_lost() -> bool:
    return _network_lost.is_set()


def look_for_network(urls: Sequence[str]) -> bool:
    """Whether there is one (again), by asking the hosts of these addresses."""
    if offline_reason() or not has_network(urls):
        return False
    _network_lost.clear()
    return True


def installed_as(entry: Entry) -> ModelEntry | None:
    """The model of the library that it is, under whatever name."""
    return installed(entry, service().library.models())


def folder() -> Path:
    """Where downloads go."""
    return host.esrgan_folders()[0].absolute()
