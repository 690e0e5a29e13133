"""A TIFF of several pages, written page by page, where Pillow's ``save_all`` makes a list of all of them first."""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import IO, BinaryIO

from PIL.TiffImagePlugin import AppendingTiffWriter

from ... import scratch
from ...errors import PictureWriteError
from ..formats import TIFF
from ..keeping import Keeping
from ..writing import encode, encoder_options

__all__ = ["write_tiff"]

_LONGEST = (1 << 32) - 1  # bytes


def write_tiff(pages: Iterable[Keeping], file: BinaryIO) -> None:
    """Write pages, each with what is kept beside it, into a file with a name. One page is held.

    One whose planes lie on the disk is packed there as well. Raises PictureWriteError, OSError.
    """
    count = 0
    writer = AppendingTiffWriter(file)
    for keeping in pages:
        with _room_for(keeping, Path(file.name).parent) as page:
            encode(keeping, page, TIFF, encoder_options(TIFF, None, with_exif="exif" in keeping.options))  # type: ignore[arg-type]
            page.seek(0)
            try:
                shutil.copyfileobj(page, writer)
                writer.newFrame()
            except (struct.error, OverflowError) as error:
                raise _too_large() from error
        count += 1
        if file.tell() > _LONGEST:
            raise _too_large()
    if not count:
        raise PictureWriteError("cannot write the result", "it has no pages")


def _room_for(keeping: Keeping, folder: Path) -> IO[bytes]:
    """For one page, packed."""
    return BytesIO() if scratch.in_memory(keeping.pixels.color) else tempfile.TemporaryFile(dir=folder)


def _too_large() -> PictureWriteError:
    return PictureWriteError("cannot write the result", "a TIFF holds at most 4 GB", "ask for a smaller size")
