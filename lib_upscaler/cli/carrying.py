"""Who does the work: this process, a process for each device, or a cluster."""

from __future__ import annotations

import argparse
import sys

from ..batch.devices import devices_of
from ..batch.journal import Journal
from ..batch.picture import BatchOptions
from ..batch.run import Work, in_this_process
from ..batch.stopping import StopRequest
from ..batch.workers import WorkerSettings
from ..models.library import ModelLibrary
from ..pipeline import Upscaler
from ..request import UpscaleRequest
from .console import Console

__all__ = ["work_for"]


def work_for(
    options: argparse.Namespace,
    console: Console,
    stop: StopRequest,
    library: ModelLibrary,
    request: UpscaleRequest,
    journal: Journal,
    files: BatchOptions,
) -> tuple[Work, bool]:
    """The work, and whether several do it. Raises DeviceError, RequestError."""
    elsewhere = journal.has_addresses()
    if options.cluster is not None:
        from ..batch.cluster import on_cluster

        settings = WorkerSettings.of(library, request, files, options.device, elsewhere)
        return on_cluster(settings, options.cluster, options.worker_cpus, library, stop, console.inform), True
    devices = devices_of(options.device)
    if len(devices) > 1:
        from ..batch.processes import on_devices

        settings = WorkerSettings.of(library, request, files, "", elsewhere)
        return on_devices(settings, devices, stop, console.warn), True
    # Only the models of this one request are ever loaded: none of them is worth dropping.
    upscaler = Upscaler(library, devices[0], cache_bytes=sys.maxsize)
    return in_this_process(upscaler, request, console, files, stop, journal.counts().total, elsewhere), False
