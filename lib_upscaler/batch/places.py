"""What lies where a result is to go: a file, whose it is, a folder that can be written into."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ..errors import PictureReadError, PictureWriteError
from ..pictures.formats import EXR, output_format
from ..pictures.origin import fingerprint, origin_of
from .task import Task

__all__ = ["check_folder", "existing_folder", "exists", "file_digest", "make_folder", "may_be_result_of"]


def file_digest(path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a file. Raises PictureReadError."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise PictureReadError(f"cannot read '{path}'", error.strerror or str(error)) from error
    return size, digest.hexdigest()


def may_be_result_of(output: Path, task: Task) -> bool:
    """Whether a whole file that has come since the plan was made is this source's result, by the mark in it.

    EXR holds none; who else would have written one under this very name?
    """
    if not isinstance(task.source, Path):
        return False
    digits = origin_of(output)
    if digits is None:
        return output_format(output.name) is EXR and output.stat().st_size > 0
    return digits == fingerprint(task.source)


def exists(path: Path) -> bool:
    """Also for broken links. Raises PictureWriteError where there can be no such file."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise PictureWriteError(f"cannot write '{path}'", why, "choose another name or folder") from error
    return True


def check_folder(output: Path) -> None:
    """Before any work: whether the file's folder is there or can be made. Raises PictureWriteError."""
    folder = existing_folder(output)
    if folder is None:  # a drive that is not there
        raise PictureWriteError(f"cannot write '{output}'", "there is no such place", "choose another folder")
    if not folder.is_dir():
        raise PictureWriteError(f"cannot write '{output}'", f"'{folder}' is no folder", "choose another folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PictureWriteError(f"cannot write '{output}'", f"no writing into '{folder}'", "choose another folder")
    exists(folder / output.name)  # a name that is too long is told by any folder


def existing_folder(output: Path) -> Path | None:
    """The folder of the file, or the closest one above it that is there; None for a drive that is not."""
    return next((parent for parent in Path(os.path.abspath(output)).parents if os.path.lexists(parent)), None)


def make_folder(output: Path) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"the folder cannot be made: {error.strerror or error}"
        raise PictureWriteError(f"cannot write '{output}'", why, "choose another folder") from error
