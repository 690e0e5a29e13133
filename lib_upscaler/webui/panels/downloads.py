"""The download of a model that is under way in this process, one at a time, and whether one is possible at all."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from ...catalogue import Entry, download, has_network, installed, offline_reason
from ...errors import NoNetworkError, TrueScaleError
from ...models.entry import ModelEntry
from .. import host
from ..host.lives import PROCESS
from ..takeover.failing import as_error
from ..upscaling.service import service

__all__ = ["Download", "Downloads", "downloads", "folder", "installed_as"]


class Download:
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

    @property
    def found_no_network(self) -> bool:
        return isinstance(self.error, NoNetworkError)

    def run(self) -> None:
        try:
            self.path = download(self.entry, folder(), self)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page says it
            self.error = as_error(error, self.entry.label)
        finally:
            self.ended.set()


class Downloads:
    """One at a time, and whether there is a network: where one has found none, none is offered until somebody looks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Download | None = None

    def begin(self, entry: Entry) -> Download:
        """The one that is under way, where there is one; else a new one."""
        with self._lock:
            job = self.current()
            if job is None:
                job = self._last = Download(entry)
                threading.Thread(target=job.run, name="truescale-download", daemon=True).start()
            return job

    def latest(self) -> Download | None:
        """The last one that was begun, whether or not it has ended."""
        return self._last

    def current(self) -> Download | None:
        """The one that is under way."""
        job = self._last
        return None if job is None or job.ended.is_set() else job

    def stop(self) -> None:
        """Ask the one that is under way to end."""
        job = self.current()
        if job is not None:
            job.stopped.set()

    def possible(self, entry: Entry | None) -> bool:
        """Whether pressing the button would be of any use: to begin, or to see again how far this one's download is."""
        if entry is None or not entry.downloadable or self.network_is_lost() or offline_reason():
            return False
        job = self.current()
        return job.entry == entry if job is not None else installed_as(entry) is None

    def network_is_lost(self) -> bool:
        """Whether the last download found none, and nobody has looked again."""
        job = self._last
        return job is not None and job.found_no_network

    def look_for_network(self, urls: Sequence[str]) -> bool:
        """Whether there is one (again), by asking the hosts of these addresses."""
        if offline_reason() or not has_network(urls):
            return False
        self._last = self.current()
        return True


def downloads() -> Downloads:
    """The process's."""
    return PROCESS.of(Downloads)


def installed_as(entry: Entry) -> ModelEntry | None:
    """The model of the library that it is, under whatever name."""
    return installed(entry, service().library.models())


def folder() -> Path:
    """Where downloads go."""
    return host.esrgan_folders()[0].absolute()
