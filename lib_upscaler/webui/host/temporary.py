"""Folders of our own on the disk: each is gone with what needs it, or later, where the process was killed before."""

from __future__ import annotations

import contextlib
import os
import tempfile

from .lives import PROCESS

__all__ = ["own_folder"]


def own_folder() -> tempfile.TemporaryDirectory[str]:
    """An empty one, named after this process and machine. Raises OSError."""
    prefix = "truescale-"
    with contextlib.suppress(ImportError):  # of psutil, without which TrueScale says so and does nothing else
        from ...batch.scratch_files import prefix_of

        PROCESS.of(_Leftovers)
        prefix = prefix_of(os.getpid())
    return tempfile.TemporaryDirectory(prefix=prefix)


class _Leftovers:
    """Those of processes that are no more; looked for once, before this one makes its first."""

    def __init__(self) -> None:
        from ...batch.scratch_files import remove_left

        remove_left()
