"""Addresses of object stores and the like (``s3://``, ``gs://``, ``memory://`` ...), by fsspec.

What is read is brought onto the disk first, whole; what is written is made on the disk and put there whole: an object
that is there is finished. Credentials and end points are fsspec's to know, by its variables and files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar, Union
from urllib.request import url2pathname

from ..errors import PictureReadError, PictureWriteError, RequestError, TrueScaleError

__all__ = [
    "Address",
    "Place",
    "as_place",
    "bring",
    "entries_of",
    "is_address",
    "is_there",
    "matching",
    "put",
    "read_text",
]

_T = TypeVar("_T")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_WAITS = (0.2, 1.0, 4.0)
"""Seconds before each further try where a connection fails."""

_WHOLE = ("s3", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "memory")
"""Stores where a file is there when it is whole."""

_LASTING = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
"""Errors that another try would not change."""


@dataclass(frozen=True)
class Address:
    """A file or folder elsewhere; it has of a ``Path`` what names need.

    scheme: such as "s3". path: without slashes at its ends; that of an object store begins with the bucket. host: of a
    server (``sftp://user@host:22/...``), "" where the scheme alone says where.
    """

    scheme: str
    path: str
    host: str = ""

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Address:
        return replace(self, path=self.path.rpartition("/")[0])

    def with_name(self, name: str) -> Address:
        return self.parent / name

    def __truediv__(self, below: str | os.PathLike[str]) -> Address:
        inner = PurePosixPath(below).as_posix()
        return self if inner in ("", ".") else replace(self, path=f"{self.path}/{inner}" if self.path else inner)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{self.there if self.host else self.path}"

    @property
    def there(self) -> str:
        """The path as its file system takes it."""
        return f"/{self.path}" if self.host else self.path


Place = Union[Path, Address]
"""Where a file lies: here, or elsewhere."""


def is_address(word: str) -> bool:
    """Whether the word names a place that is not a path of this machine."""
    return _SCHEME.match(word) is not None


def as_place(word: str) -> Place:
    """The place that a word names; ``file://`` is a path. Raises RequestError where nothing reads such addresses."""
    if not is_address(word):
        return Path(word)
    scheme, path = word.split("://", 1)
    scheme = scheme.lower()
    if scheme in ("file", "local"):
        return Path(url2pathname(path) if os.name == "nt" else path)
    if scheme in ("http", "https"):
        what, why = f"cannot use the address '{word}'", "pages of the web are not read"
        raise RequestError(what, why, "download the file, and name that")
    host = path.partition("/")[0]
    system = _system(Address(scheme, path))
    host = host if "host" in _options(word, scheme) else ""
    names = (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)
    # One spelling for one place: else an input could not be told from a result.
    plain = str(system._strip_protocol(f"{scheme}://{path}")).strip("/")
    return Address(names[0] if scheme in names else scheme, plain, host)


def matching(address: Address) -> list[Address]:
    """The files that a pattern (``*``, ``**``, ``?``, ``[...]``) stands for, by name. Raises PictureReadError."""
    found = _tried(lambda: _system(address).glob(address.there), _not_listed(address))
    return [replace(address, path=str(path).strip("/")) for path in sorted(found)]


def entries_of(address: Address) -> Iterator[tuple[Address, bool, int]]:
    """What lies in a folder: where, whether it is a folder, and bytes. Raises PictureReadError.

    The listing of one folder is held whole; sub-folders are listed one at a time.
    """
    system = _system(address)
    listed = _tried(lambda: system.ls(address.there, detail=True), _not_listed(address))
    for entry in listed:
        place = replace(address, path=str(entry["name"]).strip("/"))
        if place.path != address.path:  # a marker of the folder itself
            yield place, entry["type"] == "directory", int(entry.get("size") or 0)


def is_folder(address: Address) -> bool:
    """Whether there is a folder, or anything below that name. Raises PictureReadError."""
    return _tried(lambda: _system(address).isdir(address.there), _not_listed(address))


def size_of(address: Address) -> int | None:
    """Bytes of a file; None where there is none. Raises PictureReadError."""
    system = _system(address)

    def ask() -> int | None:
        try:
            found = system.info(address.there)
        except FileNotFoundError:
            return None
        return int(found.get("size") or 0) if found["type"] == "file" else None

    return _tried(ask, lambda why: PictureReadError(f"cannot look at '{address}'", why, _CHECK))


def state_of(address: Address) -> str:
    """A text that is another one when the file has changed, as far as the store tells. Raises PictureReadError."""
    system, what = _system(address), f"cannot look at '{address}'"
    return str(_tried(lambda: system.ukey(address.there), lambda why: PictureReadError(what, why, _CHECK)))


def is_there(address: Address) -> bool:
    """Whether there is a file. Raises PictureReadError."""
    return size_of(address) is not None


def bring(address: Address, file: Path) -> Path:
    """Copy a file from there into a new file here; that. Raises PictureReadError."""
    system = _system(address)
    _tried(
        lambda: _copied(system, address, file),
        lambda why: PictureReadError(f"cannot read '{address}'", why, _CHECK),
    )
    return file


def _copied(system: Any, address: Address, file: Path) -> None:
    system.get_file(address.there, str(file))
    expected = system.info(address.there).get("size")
    if expected is not None and file.stat().st_size != expected:  # a connection that ended early, without an error
        raise ConnectionError(f"it ended after {file.stat().st_size} of {expected} bytes")


def put(file: Path, address: Address, overwrite: bool) -> None:
    """Copy a file to there, under its name when it is whole. Raises PictureWriteError.

    Not ``overwrite``: the store itself refuses where there is one already, where it can (S3, GCS, in one request or a
    multipart that is completed last); elsewhere it is looked for just before.
    """
    system = _system(address)
    what = f"cannot write '{address}'"
    mode = {} if overwrite else {"mode": "create"}

    def store() -> None:
        try:
            if address.scheme not in _WHOLE:
                _put_beside(system, file, address)
                return
            system.put_file(str(file), address.there, **mode)
        except FileExistsError:
            raise
        except Exception as error:
            if not overwrite and _is_precondition(error):
                raise FileExistsError(str(address)) from error
            raise

    if not overwrite and is_there(address):
        raise _exists(what)
    try:
        _tried(store, lambda why: PictureWriteError(what, why, _CHECK))
    except PictureWriteError as error:
        if isinstance(error.__cause__, FileExistsError):
            # The answer to our own first try may have been lost on its way: then what is there is ours.
            if size_of(address) == file.stat().st_size and _same_bytes(system, address, file):
                return
            raise _exists(what) from error.__cause__
        raise


def read_text(address: Address) -> str | None:
    """What a text file there holds; None where there is none. Raises PictureReadError."""
    if not is_there(address):
        return None
    data = _tried(
        lambda: _system(address).cat_file(address.there),
        lambda why: PictureReadError(f"cannot read '{address}'", why, _CHECK),
    )
    return data.decode("utf-8-sig", "replace")


_CHECK = "check the address, the network and the permissions; the same command goes on from here"


def _exists(what: str) -> PictureWriteError:
    return PictureWriteError(what, "there is a file of that name already", "choose another name, or allow overwriting")


def _same_bytes(system: Any, address: Address, file: Path) -> bool:
    return system.cat_file(address.there) == file.read_bytes()


def _is_precondition(error: BaseException) -> bool:
    """Whether a store says that there is an object already (HTTP 412, or 409 where two put at once)."""
    each: BaseException | None = error
    while each is not None:
        answer = getattr(each, "response", None)
        said = answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None
        if said in ("PreconditionFailed", "ConditionalRequestConflict") or getattr(each, "code", None) in (412, "412"):
            return True
        each = each.__cause__
    return False


def _put_beside(system: Any, file: Path, address: Address) -> None:
    """Where a file is seen while it is sent: under another name, and then renamed."""
    unfinished = address.with_name(f".truescale-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp").there
    try:
        system.put_file(str(file), unfinished)
        system.mv(unfinished, address.there)
    except BaseException:
        with contextlib.suppress(Exception):
            system.rm_file(unfinished)
        raise


def _not_listed(address: Address) -> Callable[[str], TrueScaleError]:
    return lambda why: PictureReadError(f"cannot look into the folder '{address}'", why, _CHECK)


def _tried(action: Callable[[], _T], failed: Callable[[str], TrueScaleError]) -> _T:
    """What the action gives; it is tried again where a connection fails. Raises what ``failed`` makes of the reason."""
    for wait in (*_WAITS, None):
        try:
            return action()
        except TrueScaleError:
            raise
        except _LASTING as error:
            raise failed(_why(error)) from error
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise failed("this machine's disk is full") from error
            if wait is None:
                raise failed(_why(error)) from error
        except Exception as error:  # whatever the store's library raises
            if wait is None or isinstance(error, (TypeError, KeyError, AttributeError)):
                raise failed(_why(error)) from error
        time.sleep(wait)
    raise AssertionError


def _why(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder"
    if isinstance(error, PermissionError):
        return f"it is not permitted ({error})"
    return f"{type(error).__name__}: {error}".strip(": ").splitlines()[0]


def _system(address: Address) -> Any:
    """fsspec's file system. Raises RequestError where it, or what it needs for this scheme, is not installed."""
    what = f"cannot use the address '{address}'"
    try:
        import fsspec
    except ImportError:
        raise RequestError(what, "fsspec is not installed", "install it: pip install 'truescale[remote]'") from None
    try:
        options = _options(str(address), address.scheme)
        return fsspec.filesystem(address.scheme, use_listings_cache=False, **options)
    except ImportError as error:
        raise RequestError(what, str(error), "install what reads it, such as s3fs or gcsfs") from None
    except ValueError as error:
        raise RequestError(what, str(error), "check the beginning of the address") from None
    except Exception as error:  # of a server that is spoken to at once
        raise RequestError(what, _why(error), _CHECK) from error


def _options(word: str, scheme: str) -> dict[str, Any]:
    """What an address says beside the path: a server, a user ... Raises what ``fsspec.filesystem`` does."""
    import fsspec

    return dict(fsspec.get_filesystem_class(scheme)._get_kwargs_from_urls(word))
