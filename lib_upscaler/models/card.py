"""What a model file is: architecture, scale, channels, precision, and what tiling does to it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelFileError
from ..own_packages import host_version
from ..store import DiskCache, is_number, is_text, shared_cache
from .entry import ModelEntry, entry_of
from .ldsr.naming import is_ldsr_file
from .spandrels import versions_in_use
from .texts import model_texts

if TYPE_CHECKING:
    import spandrel

    from .facts import NetworkFacts
    from .weights import Origin

__all__ = [
    *("ModelCard", "card_of", "file_sha256", "keep_sha256", "known_card", "known_cards_state", "known_sha256"),
    "read_card",
]

_CARD_VERSION = 2  # raise it when the meaning of a field changes: cards on the disk are then made anew
_SMALL_RADIUS = 64  # px; with this much context around them, tiles cost little and are exact
_PURPOSES = {"SR": "upscaling", "Restoration": "restoration"}

_TILING_SENTENCES = {
    "none": "Tiles give the same picture as the whole.",
    "bounded": "Tiles need much context around them; their seams are checked, and the context is widened as needed.",
    "changes the result": "The network looks at the whole picture, so that tiles change the result.",
}


@dataclass(frozen=True)
class ModelCard:
    """Facts about one model file.

    architecture: spandrel's name. purpose: "upscaling" or "restoration".
    precision: those of "float16" and "bfloat16" that spandrel says work; float32 always does.
    tiling_effect: "none", "bounded" or "changes the result"; ``tiling_sentence`` says it in full.
    minimum, multiple_of: px, of both sides of the input; square: whether they must be equal. The engine pads to them.
    parameters: numbers in the network, buffers not counted. file_size: bytes. sha256: of the file, in hex; "" for a
    file of gigabytes that was not yet read as a whole.
    license, description, figures: what the file says of itself (``texts``), unchecked; empty where it is silent.
    """

    name: str
    path: Path
    architecture: str
    scale: int
    input_channels: int
    output_channels: int
    purpose: str
    precision: tuple[str, ...]
    tiling_effect: str
    minimum: int
    multiple_of: int
    square: bool
    parameters: int
    file_size: int
    sha256: str
    tags: tuple[str, ...] = ()
    license: str = ""
    description: str = ""
    figures: Mapping[str, float | str] = field(default_factory=dict, hash=False)

    @property
    def tiling_sentence(self) -> str:
        """What tiling does, in words."""
        return _TILING_SENTENCES[self.tiling_effect]

    @property
    def takes_alpha(self) -> bool:
        """Whether transparency goes through the network together with the colours."""
        return self.input_channels == 4 and self.output_channels == 4

    def to_json(self) -> dict[str, Any]:
        """Plain values that JSON can hold, with ``tiling_sentence``."""
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {**plain, "path": str(self.path), "tiling_sentence": self.tiling_sentence}


def read_card(path: Path, cache: DiskCache | None = None, *, name: str = "") -> ModelCard:
    """The card of a file. The network is loaded only if the file or the libraries changed since the last time.

    name: the model's name in its library, where it is not the file's stem.

    Raises the errors of ``build.read_state_dict`` and ``build.build``; they are not cached.
    """
    from .build import build, read_model

    entry = entry_of(path, name)
    known = known_card(entry.path, cache, name=name)
    if known is not None:
        return known
    if is_ldsr_file(entry):
        from .ldsr.file import ldsr_card

        card = ldsr_card(entry.path, cache, name=name)
        if card is not None:
            (cache or shared_cache("cards")).put(_card_key(entry), card.to_json())
            return card
    weights, origin = read_model(entry.path)
    return card_of(entry, build(weights, entry.path.name), origin, cache)


def known_card(path: Path, cache: DiskCache | None = None, *, name: str = "") -> ModelCard | None:
    """The card of a file as ``read_card`` gives it, if it was made before; nothing is loaded.

    Raises ModelFileError or ModelNotFoundError where the file cannot be reached.
    """
    cache = cache or shared_cache("cards")
    entry = entry_of(path, name)
    return _from_json(cache.get(_card_key(entry)), entry)


def known_cards_state() -> tuple[object, ...]:
    """Differs as soon as ``known_card`` may answer otherwise of a file that is as it was."""
    return (*shared_cache("cards").state(), *versions_in_use())


def card_of(
    entry: ModelEntry,
    descriptor: spandrel.ImageModelDescriptor,
    origin: Origin,
    cache: DiskCache | None = None,
    facts: NetworkFacts | None = None,
) -> ModelCard:
    """The card of a file whose network is loaded already. It is put into the cache.

    origin: of the network's weights. By now there may be another file under the entry's name; the card is that of the
    one that was read.
    """
    from .analysis import facts_of

    facts = facts or facts_of(origin.sha256, descriptor, cache)
    cache = cache or shared_cache("cards")
    entry = replace(entry, size_bytes=origin.size_bytes, mtime_ns=origin.mtime_ns)
    required = descriptor.size_requirements
    texts = model_texts(origin.metadata)
    card = ModelCard(
        name=entry.name,
        path=entry.path,
        architecture=str(descriptor.architecture.name),
        scale=int(descriptor.scale),
        input_channels=int(descriptor.input_channels),
        output_channels=int(descriptor.output_channels),
        purpose=_PURPOSES.get(descriptor.purpose, str(descriptor.purpose).lower()),
        precision=_precision(descriptor),
        tiling_effect=_tiling_effect(facts.radius, facts.global_context),
        minimum=required.minimum,
        multiple_of=required.multiple_of,
        square=required.square,
        parameters=sum(parameter.numel() for parameter in descriptor.model.parameters()),
        file_size=entry.size_bytes,
        sha256=origin.sha256,
        tags=tuple(str(tag) for tag in descriptor.tags),
        license=texts.license,
        description=texts.description,
        figures=texts.figures,
    )
    cache.put(_card_key(entry), card.to_json())
    keep_sha256(entry, origin.sha256, cache)
    return card


def file_sha256(entry: ModelEntry, cache: DiskCache | None = None) -> str:
    """The file's SHA-256 in hex, cached by path, size and time.

    Raises ModelFileError where the file cannot be read.
    """
    cache = cache or shared_cache("cards")
    known = known_sha256(entry, cache)
    if known:
        return known
    digest = hashlib.sha256()
    try:
        with entry.path.open("rb") as file:
            before = os.fstat(file.fileno())
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise ModelFileError(f"cannot read the model '{entry.path.name}'", str(error), "check the file") from error
    if _state(before) == _state(after) == (entry.size_bytes, entry.mtime_ns):  # else another file or state
        cache.put(_sha256_key(entry), {"sha256": digest.hexdigest()})
    return digest.hexdigest()


def known_sha256(entry: ModelEntry, cache: DiskCache | None = None) -> str:
    """The file's SHA-256 in hex if it was found before; "" otherwise. Nothing is read."""
    known = ((cache or shared_cache("cards")).get(_sha256_key(entry)) or {}).get("sha256")
    return str(known) if _is_sha256(known) else ""


def keep_sha256(entry: ModelEntry, sha256: str, cache: DiskCache | None = None) -> None:
    """Remember it for the file of this path, size and time."""
    (cache or shared_cache("cards")).put(_sha256_key(entry), {"sha256": sha256})


def _sha256_key(entry: ModelEntry) -> str:
    return json.dumps(["sha256", *_file_key(entry)])


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _precision(descriptor: spandrel.ImageModelDescriptor) -> tuple[str, ...]:
    supported = {"float16": descriptor.supports_half, "bfloat16": descriptor.supports_bfloat16}
    return tuple(precision for precision, works in supported.items() if works)


def _tiling_effect(radius: int | None, global_context: bool) -> str:
    """radius: px of input that one pixel of the output depends on, in each direction; None: unknown."""
    if global_context:
        return "changes the result"
    return "none" if radius is not None and radius <= _SMALL_RADIUS else "bounded"


def _file_key(entry: ModelEntry) -> tuple[str, int, int]:
    return str(entry.path), entry.size_bytes, entry.mtime_ns


def _card_key(entry: ModelEntry) -> str:
    return json.dumps(["card", _CARD_VERSION, _version("torch"), *versions_in_use(), *_file_key(entry)])


_version = cache(host_version)  # to look one up takes a millisecond, and lists ask for every model's card


def _from_json(stored: dict[str, Any] | None, entry: ModelEntry) -> ModelCard | None:
    """The card that ``to_json`` gave, or None for what is not one (the cache's file may have been damaged)."""
    if stored is None or not all(name in stored and is_sound(stored[name]) for name, is_sound in _SOUND.items()):
        return None
    values: dict[str, Any] = {
        key: tuple(stored[key]) if isinstance(stored[key], list) else stored[key] for key in _SOUND
    }
    return ModelCard(name=entry.name, path=entry.path, **values)


def _is_channels(value: object) -> bool:
    return is_number(value, 1, 4, whole=True)


def _is_side(value: object) -> bool:
    return is_number(value, 1, 10_000, whole=True)


def _is_count(value: object) -> bool:
    return is_number(value, 0, 1e15, whole=True)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(is_text, value))


def _are_figures(value: object) -> bool:
    return isinstance(value, dict) and all(is_text(one) or is_number(one, -1e15, 1e15) for one in value.values())


_SOUND: dict[str, Callable[[Any], bool]] = {
    "architecture": is_text,
    "scale": _is_side,
    "input_channels": _is_channels,
    "output_channels": _is_channels,
    "purpose": is_text,
    "precision": lambda value: value in ([], ["float16"], ["bfloat16"], ["float16", "bfloat16"]),
    "tiling_effect": lambda value: is_text(value) and value in _TILING_SENTENCES,
    "minimum": lambda value: is_number(value, 0, 10_000, whole=True),
    "multiple_of": _is_side,
    "square": lambda value: isinstance(value, bool),
    "parameters": _is_count,
    "file_size": _is_count,
    "sha256": lambda value: value == "" or _is_sha256(value),
    "tags": _are_texts,
    "license": is_text,
    "description": is_text,
    "figures": _are_figures,
}
"""Field of a card -> whether a stored value can be it. Its name and path come from elsewhere."""
