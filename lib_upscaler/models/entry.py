"""A model's file, or several that are taken as one. No torch."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelFileError, ModelNotFoundError

__all__ = ["SUFFIXES", "BlendedEntry", "ModelEntry", "entry_of", "split_name"]

SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".pth.tar", ".pkl", ".safetensors")


def split_name(file: str) -> tuple[str, str]:
    """A model file's name before its suffix, and the suffix, which may be a double one ("a.v2.pth.tar": "a.v2")."""
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if file.lower().endswith(suffix) and len(file) > len(suffix):
            return file[: -len(suffix)], file[-len(suffix) :]
    return os.path.splitext(file)


@dataclass(frozen=True)
class ModelEntry:
    """One model file.

    name: unique in its library. path: absolute, links not followed. size_bytes, mtime_ns: of the file behind a link.
    """

    name: str
    path: Path
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class BlendedEntry(ModelEntry):
    """Files of one architecture, interpolated in their weights.

    name: the recipe, such as "A@25 & B@75". parts: each with its share, above 0; together 1.
    path, size_bytes, mtime_ns: of the first.
    """

    parts: tuple[tuple[ModelEntry, float], ...] = ()


def entry_of(path: Path, name: str = "") -> ModelEntry:
    """The entry of a file that need not be in a library; its stem is its name where none is given.

    Raises ModelNotFoundError or ModelFileError.
    """
    path = Path(os.path.abspath(path))
    what = f"cannot use the model '{path.name}'"
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelNotFoundError(what, "there is no such file", "check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise ModelFileError(what, f"the file cannot be reached ({error})", "check the path") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not an ordinary file"
        raise ModelFileError(what, f"it is {kind}", "name a model file")
    return ModelEntry(name or split_name(path.name)[0], path, status.st_size, status.st_mtime_ns)
