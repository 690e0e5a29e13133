"""What the catalogue knows of a model, and how one is found in it."""

from __future__ import annotations

import difflib
import functools
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DownloadError, ModelError, ModelNotFoundError

if TYPE_CHECKING:
    from ..models.entry import ModelEntry

__all__ = [
    "FORMATS",
    "MODELS_FILE",
    "PURPOSES",
    "Entry",
    "by_sha256",
    "entries",
    "find",
    "from_json",
    "installed",
    "safe_file_name",
]

MODELS_FILE = Path(__file__).with_name("models.json")
FORMATS = ("pth", "safetensors")

PURPOSES = (
    "all kinds of pictures",
    "photos",
    "illustration",
    "manga",
    "faces",
    "text",
    "AI pictures",
    "rendered pictures",
    "pixel art",
    "textures",
    "video",
    "JPEG damage",
    "compression",
    "noise",
    "blur",
    "halos",
    "banding",
    "dithering",
    "printed dots",
    "jagged edges",
    "restoration",
    "base for training",
)
"""What models are for: all the words that there are."""

_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
"""Names of devices in Windows, whatever their suffix."""
_LONGEST_NAME = 120


@dataclass(frozen=True)
class Entry:
    """One model of the catalogue.

    id: of OpenModelDB. license: an SPDX identifier; empty where none is stated. architecture: OpenModelDB's name.
    purposes: of ``PURPOSES``. date: of its publication, yyyy-mm-dd.
    file: the name it is stored under. size: bytes. sha256: of the file, in hex.
    urls: https addresses of the very bytes; empty where the file can only be fetched by hand.
    """

    id: str
    name: str
    authors: tuple[str, ...]
    license: str
    architecture: str
    scale: int
    input_channels: int
    output_channels: int
    purposes: tuple[str, ...]
    date: str
    file: str
    size: int
    sha256: str
    urls: tuple[str, ...]

    @property
    def label(self) -> str:
        """The name with the scale in front, as "4x UltraSharp"."""
        return self.name if re.match(r"\d+x", self.name) else f"{self.scale}x {self.name}"

    @property
    def page(self) -> str:
        """Where people read about it, and get what cannot be downloaded directly."""
        return f"https://openmodeldb.info/models/{self.id}"

    @property
    def downloadable(self) -> bool:
        """Whether there is an address, and everything to check the file by."""
        return bool(self.urls and self.size > 0 and re.fullmatch("[0-9a-f]{64}", self.sha256))


def from_json(row: dict[str, Any]) -> Entry:
    """The entry of one row of models.json. Raises KeyError, TypeError or ValueError for what is none."""
    into, out = row["channels"]
    lists: dict[str, Any] = {key: tuple(row[key]) for key in ("authors", "purposes", "urls")}
    plain: dict[str, Any] = {
        key: row[key] for key in ("id", "name", "license", "architecture", "scale", "date", "size", "sha256")
    }
    name = safe_file_name(row["file"], row["id"])
    return Entry(**plain, **lists, input_channels=into, output_channels=out, file=name)


@functools.lru_cache(maxsize=1)
def entries() -> tuple[Entry, ...]:
    """The whole catalogue, by scale and name. Raises DownloadError where its file is missing or damaged."""
    try:
        rows = json.loads(MODELS_FILE.read_text(encoding="utf-8"))["models"]
        found = [from_json(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DownloadError(
            "there is no catalogue of models", f"its file is missing or damaged ({error})", "install TrueScale again"
        ) from error
    return tuple(sorted(found, key=lambda entry: (entry.scale, entry.label.casefold())))


def find(name: str) -> Entry:
    """The model of this id, label, name or file name, in any letter case. Raises ModelNotFoundError, DownloadError."""
    known = entries()
    wanted = name.strip().casefold()
    for names_of in (_ids, _names):
        hits = [entry for entry in known if wanted in names_of(entry)]
        if len(hits) == 1:
            return hits[0]
    ids = {entry.id.casefold(): entry.id for entry in known}
    close = difflib.get_close_matches(wanted, ids, n=3, cutoff=0.5)
    suggestion = f"perhaps you mean {' or '.join(repr(ids[key]) for key in close)}; " if close else ""
    raise ModelNotFoundError(
        f"there is no model '{name}' in the catalogue",
        f"it has {len(known)} models",
        f"{suggestion}the command 'catalogue' lists them",
    )


def _ids(entry: Entry) -> set[str]:
    return {entry.id.casefold()}


def _names(entry: Entry) -> set[str]:
    return {text.casefold() for text in (entry.label, entry.name, entry.file, Path(entry.file).stem)}


def by_sha256(sha256: str) -> Entry | None:
    """What the catalogue says of a file that has this checksum; None for one it does not know."""
    try:
        return next((entry for entry in entries() if entry.sha256 == sha256.lower()), None)
    except DownloadError:  # who asks has a model, and does without
        return None


def installed(entry: Entry, models: Iterable[ModelEntry]) -> ModelEntry | None:
    """Which of these models is that one, under whatever name. Only files of the same size are read."""
    from ..models.card import file_sha256

    for model in models:
        if model.size_bytes != entry.size:
            continue
        try:
            if file_sha256(model) == entry.sha256:
                return model
        except ModelError:  # one that cannot be read is not there to be used
            continue
    return None


def safe_file_name(text: str, instead: str) -> str:
    """``text`` as the name of a model file in one folder, on every system; ``instead`` where nothing is left of it.

    Parts of paths, control characters, names of devices and names that hide the file are taken away. It ends in
    ``.pth`` or ``.safetensors``; ".pth" is added where it does not.
    """
    plain = unicodedata.normalize("NFC", text).replace("\\", "/").rsplit("/", 1)[-1]
    plain = "".join(one for one in plain if one.isprintable() and one not in '<>:"|?*')
    stem, dot, suffix = plain.rpartition(".")
    if suffix.lower() not in FORMATS:
        stem, dot, suffix = plain, ".", "pth"
    stem = stem.strip(" .")[:_LONGEST_NAME].rstrip(" .")
    if stem.split(".")[0].strip().casefold() in _RESERVED:
        stem = f"model {stem}"
    if not stem:
        stem = re.sub(r"[^0-9A-Za-z_-]+", "-", instead).strip("-") or "model"
    return f"{stem}{dot}{suffix.lower()}"
