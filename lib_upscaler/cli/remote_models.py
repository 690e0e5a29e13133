"""Models at addresses (``s3://...``): brought once, into the cache folder, and then files as any other."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import tempfile
from pathlib import Path

from ..batch.addresses import Address, as_place, bring, entries_of, is_address, size_of, state_of
from ..errors import ModelNotFoundError, PictureReadError
from ..models.entry import SUFFIXES, split_name
from ..store import cache_folder

__all__ = ["bring_models"]

_WORDS = ("upscaler_1", "upscaler_2", "clean_up")
_ADDRESS = re.compile(
    r"[a-zA-Z][a-zA-Z0-9+.-]+://[^>&\"']*?(?:"
    + "|".join(map(re.escape, sorted(SUFFIXES, key=len, reverse=True)))
    + ")",
    re.IGNORECASE,
)


def bring_models(options: argparse.Namespace) -> None:
    """Put files in place of the addresses in the options for models.

    Of a folder at an address only the files are brought whose names the options mention. Raises ModelNotFoundError,
    RequestError.
    """
    words = [getattr(options, name, None) for name in _WORDS]
    for name, word in zip(_WORDS, words):
        if word is not None and is_address(word):
            setattr(options, name, _ADDRESS.sub(lambda found: str(_brought(found.group(0))), word))
    asked = " ".join(filter(None, words)).casefold()
    options.models_dir = [str(_folder(word, asked)) if is_address(word) else word for word in options.models_dir]


def _brought(word: str, folder: Address | None = None) -> Path:
    """The file of a model at an address. Raises ModelNotFoundError."""
    address = as_place(word)
    if not isinstance(address, Address):
        return address
    what = f"cannot bring the model '{word}'"
    try:
        size = size_of(address)
        if size is None:
            raise ModelNotFoundError(what, "there is no such file", "check the address")
        file, state = _cached(folder or address.parent) / address.name, state_of(address)
        noted = file.with_name(f"{file.name}.state")
        if not file.is_file() or file.stat().st_size != size or not noted.is_file() or noted.read_text() != state:
            handle, name = tempfile.mkstemp(dir=file.parent, prefix=".truescale-")
            os.close(handle)
            try:
                bring(address, Path(name))
                os.replace(name, file)
                noted.write_text(state)
            finally:
                Path(name).unlink(missing_ok=True)
    except PictureReadError as error:
        raise ModelNotFoundError(what, error.why, error.todo) from error
    return file


def _folder(word: str, asked: str) -> Path:
    """The folder here with the models that are asked for of a folder there. Raises ModelNotFoundError, RequestError."""
    address = as_place(word)
    if not isinstance(address, Address):
        return address
    try:
        names = [at.name for at, is_folder, _ in entries_of(address) if not is_folder]
    except PictureReadError as error:
        raise ModelNotFoundError(f"cannot look for models in '{word}'", error.why, error.todo) from error
    for name in names:
        if name.lower().endswith(SUFFIXES) and split_name(name)[0].casefold() in asked:
            _brought(str(address / name), address)
    return _cached(address)


def _cached(address: Address) -> Path:
    """The folder here for what lies at an address there; made."""
    root = cache_folder() or Path(tempfile.gettempdir()) / "truescale"
    folder = root / "models" / hashlib.sha256(str(address).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
