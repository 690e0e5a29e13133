"""The file of a picture of the Extras, at hand as a path: it may be an upload that lies in memory alone."""

from __future__ import annotations

from pathlib import Path

from ...errors import PictureError
from ...pictures.frames.kinds import kind_of_frames
from ...pictures.reading import read_header
from ..host.callers import Caller
from ..host.temporary import own_folder
from ..host.uploads import bytes_of

__all__ = ["holds_more", "laid_out"]


def laid_out(file: str, folder: str) -> Path:
    """Its path; of an upload, that of a copy in this folder. Raises ValueError, OSError."""
    content = bytes_of(file)
    if content is None:
        return Path(file)
    path = Path(folder) / "picture"
    path.write_bytes(content)
    return path


def holds_more(caller: Caller) -> bool:
    """Whether the file has more than the host goes on with, one frame of 8 bits."""
    if caller.file is None:
        return False
    try:
        with own_folder() as folder:
            path = laid_out(caller.file, folder)
            return kind_of_frames(path) is not None or read_header(path).bits > 8
    except (OSError, ValueError, PictureError):
        return False  # the host has read it, in whatever way
