"""Formats that Pillow reads with a package of their own, or in some builds only: recognised, and their readers found.

Nothing is imported before such a file is met. Readers are called directly: none is registered with Pillow beyond what
importing its package does.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import PIL
from PIL import Image

from ..errors import PictureReadError, UnsupportedPictureError

__all__ = ["AVIF", "HEIF", "JP2", "JXL", "KINDS", "Kind", "advice", "can_read", "kind_by_suffix", "kind_of", "opened"]

_CONVERT = "convert it to PNG first"
_AGAIN = "download or export it again"


@dataclass(frozen=True)
class _Reader:
    """module, name: of the class that opens a file. needs: what must be there for it, where that is another module."""

    module: str
    name: str
    needs: str = ""


@dataclass(frozen=True)
class Kind:
    """name: for people, with its article. package: what brings a reader; "" where Pillow alone does."""

    name: str
    package: str
    readers: tuple[_Reader, ...]
    suffixes: tuple[str, ...]

    @property
    def word(self) -> str:
        """The name without its article."""
        return self.name.split(" ", 1)[1]


HEIF = Kind("a HEIC", "pillow-heif", (_Reader("pillow_heif", "HeifImageFile"),), (".heic", ".heif", ".hif"))
AVIF = Kind(
    "an AVIF",
    "pillow-avif-plugin",
    (
        _Reader("PIL.AvifImagePlugin", "AvifImageFile", needs="PIL._avif"),  # Pillow 11.3 and newer
        _Reader("pillow_avif.AvifImagePlugin", "AvifImageFile", needs="pillow_avif"),
    ),
    (".avif",),
)
JXL = Kind(
    "a JPEG XL",
    "pillow-jxl-plugin",
    (_Reader("pillow_jxl.JpegXLImagePlugin", "JXLImageFile", needs="pillow_jxl"),),
    (".jxl",),
)
JP2 = Kind(
    "a JPEG 2000",
    "",
    (_Reader("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),),
    (".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc"),
)
KINDS = (HEIF, AVIF, JXL, JP2)

_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_HEVC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_HEIF_BRANDS = frozenset((b"mif1", b"mif2", b"msf1"))  # of either, or of another codec


def kind_of(head: bytes) -> Kind | None:
    """By how a file begins, whatever it is called. head: its first bytes, some hundreds."""
    if head[4:8] == b"ftyp":
        size = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[start : start + 4] for start in range(16, size - 3, 4))}
        if head[8:12] not in _AVIF_BRANDS | _HEVC_BRANDS | _HEIF_BRANDS:
            return None
        return AVIF if brands & _AVIF_BRANDS and head[8:12] not in _HEVC_BRANDS else HEIF
    if head.startswith((b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")):
        return JXL
    return JP2 if head.startswith((b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")) else None


def kind_by_suffix(path: str | os.PathLike[str]) -> Kind | None:
    suffix = Path(path).suffix.lower()
    return next((kind for kind in KINDS if suffix in kind.suffixes), None)


def can_read(kind: Kind) -> bool:
    """Whether a reader is there, as far as can be told without importing it."""
    return _reader(kind) is not None


def advice(*packages: str, keeps: Literal["Pillow", "numpy"] = "Pillow") -> str:
    """The line that installs them for the Python that runs. keeps: what stays as it is, since a WebUI depends on it."""
    version = {"Pillow": PIL.__version__, "numpy": np.__version__}[keeps]
    return f'"{sys.executable or "python"}" -m pip install {" ".join(packages)} {keeps}=={version}'


def opened(kind: Kind, file: BinaryIO, what: str) -> Any:
    """The file as Pillow's image of the reader's own class, not loaded. Raises PictureReadError (damaged) and
    UnsupportedPictureError (no reader, none that works, a kind that it does not know).
    """
    reader = _reader(kind)
    if reader is None:
        if not kind.package:
            why, todo = f"it is {kind.name}, which this Pillow was built without", _CONVERT
        else:
            why = f"it is {kind.name}, which is read where the package {kind.package} is installed"
            todo = f"install it with '{advice(kind.package)}'"
        raise UnsupportedPictureError(what, why, todo)
    try:
        opener = getattr(importlib.import_module(reader.module), reader.name)
    except (ImportError, AttributeError) as error:
        raise _broken(kind, what, error) from error
    try:
        return opener(file, "")
    except ImportError as error:
        raise _broken(kind, what, error) from error
    except MemoryError:
        raise
    except Exception as error:
        # Readers raise almost anything on damaged data.
        raise _unreadable(kind, what, error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of a reader written in Rust; it is no Exception
            raise
        raise _unreadable(kind, what, error) from error


def _broken(kind: Kind, what: str, error: Exception) -> UnsupportedPictureError:
    why = f"it is {kind.name}, whose reader does not work here ({error})"
    todo = f"remove {kind.package} with pip, and install it again with '{advice(kind.package)}'" if kind.package else ""
    return UnsupportedPictureError(what, why, todo)


def _unreadable(kind: Kind, what: str, error: BaseException) -> PictureReadError | UnsupportedPictureError:
    detail = " ".join(str(error).split())
    detail = f" ({detail})" if 0 < len(detail) < 100 else ""  # longer ones are for who builds the reader
    if "unsupported" in detail.lower():
        return UnsupportedPictureError(what, f"it is {kind.name} that its reader does not know{detail}", _CONVERT)
    return PictureReadError(what, f"it begins as {kind.name}, but is damaged or ends early{detail}", _AGAIN)


def _reader(kind: Kind) -> _Reader | None:
    if kind is JP2 and not hasattr(Image.core, "jpeg2k_decoder"):
        return None
    return next((reader for reader in kind.readers if _is_there(reader.needs or reader.module)), None)


def _is_there(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    with contextlib.suppress(ImportError, ValueError):
        return importlib.util.find_spec(module) is not None
    return False
