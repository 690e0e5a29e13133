"""Named settings of a panel: those that come with TrueScale and the user's own, kept in one file of theirs."""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import RequestError, TrueScaleError
from ...fields import NO_UPSCALER, fields_of
from ...models.library import SHIPPED_MODEL
from .. import host
from ..host.lives import PROCESS
from ..takeover import choices

__all__ = ["BUILT_IN", "MODELS", "Preset", "PresetStore", "is_built_in", "resolved", "store"]

MODELS = tuple(field.name for field in fields_of("extras") if field.kind == "model")
"""Values that name an upscaler."""

_LONGEST_NAME = 60
_FORMAT = 1


@dataclass(frozen=True)
class Preset:
    """values: by the names of the panel's arguments; those that are not named stay as they are.

    preferred: for arguments that name an upscaler, which one to take: the first that is here; with none of them here,
    the argument's entry in ``values``.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    preferred: Mapping[str, Sequence[str]] = field(default_factory=dict)


_KEPT = ("precision", "memory", "width", "height", "fit", "longest_side", "megapixels")
"""What a built-in preset leaves as it is."""

_PLAIN = {
    **{field.name: field.default_at("extras") for field in fields_of("extras") if field.name not in _KEPT},
    "upscaler_1": SHIPPED_MODEL,
}

BUILT_IN: dict[str, Preset] = {
    # Networks that invent detail, toned down by the one that does not.
    "Photo": Preset(
        {**_PLAIN, "upscaler_2": SHIPPED_MODEL, "visibility": 0.4},
        {
            "upscaler_1": (
                "4xNomosWebPhoto_RealPLKSR",
                "4xRealWebPhoto_v4_dat2",
                "4xNomos2_hq_dat2",
                "4x-UltraSharpV2",
                "4x-UltraSharp",
                "4x_NMKD-Superscale-SP_178000_G",
                "R-ESRGAN 4x+",
                "RealESRGAN_x4plus",
            )
        },
    ),
    "Illustration": Preset(
        dict(_PLAIN),
        {
            "upscaler_1": (
                "4x-IllustrationJaNai-V1-DAT2",
                "4x-IllustrationJaNai-V1-ESRGAN",
                "4xHFA2k",
                "4x-AnimeSharp",
                "R-ESRGAN 4x+ Anime6B",
                "RealESRGAN_x4plus_anime_6B",
                "realesr-animevideov3",
                "realesr-animevideov3-x4",
            )
        },
    ),
    "Clean-up then enlarge": Preset(
        dict(_PLAIN),
        {
            "clean_up": (
                "1xDeJPG_realplksr_otf",
                "1xDeNoise_realplksr_otf",
                "1x-NMKD-Jaywreck3-Soft-Lite",
                "1x_JPEG_40-60",
                "1x_ISO_denoise_v2",
            )
        },
    ),
    "Fast preview": Preset({**_PLAIN, "scale": 2.0, "precision": "auto", "alpha": "fast"}),
}
"""In the order in which they are listed."""


def is_built_in(name: str | None) -> bool:
    return name in BUILT_IN


def resolved(preset: Preset) -> tuple[dict[str, Any], list[str]]:
    """The values as they can be used now, and the names of upscalers that are missing.

    An argument whose upscaler is missing is left out, so that the panel keeps what it has.
    """
    values, missing = dict(preset.values), []
    for name, wanted in preset.preferred.items():
        here = _first_here(wanted)
        if here is not None:
            values[name] = here
        else:
            missing.append(wanted[0])
    if preset.preferred and values.get("upscaler_1") == values.get("upscaler_2"):
        values["upscaler_2"] = NO_UPSCALER  # nothing to tone down
    for name in MODELS:
        chosen = values.get(name)
        if chosen and chosen != NO_UPSCALER and choices.is_gone(chosen):
            missing.append(chosen)
            del values[name]
    return values, missing


def _first_here(wanted: Sequence[str]) -> str | None:
    """Names differ in dashes and case, as files were saved."""
    known = {_plain(name): name for name in reversed(choices.names())}
    found = (known.get(_plain(name)) for name in wanted)
    return next((name for name in found if name is not None and choices.is_here(name)), None)


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z+]", "", name.casefold())


# -- the user's own ----------------------------------------------------------------------------------------------------


class PresetStore:
    """The user's presets of all panels, in one JSON file that is written whole beside and then renamed.

    place: the panel they are for, "extras", "sd" or "hires". Raises RequestError for names that cannot be,
    TrueScaleError where the file cannot be written. A file that cannot be read is kept beside under another name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def names(self, place: str) -> list[str]:
        """The built-in ones, then the user's own by name."""
        own = self._read().get(place, {})
        return [*BUILT_IN, *sorted((name for name in own if name not in BUILT_IN), key=str.casefold)]

    def get(self, place: str, name: str | None) -> Preset | None:
        """None where there is none of this name any more."""
        if name in BUILT_IN:
            return BUILT_IN[name]
        values = self._read().get(place, {}).get(name)
        return Preset(values) if isinstance(values, dict) else None

    def save(self, place: str, name: str, values: Mapping[str, Any]) -> str:
        """Keep ``values`` (plain ones), in place of the user's own of this name. Gives the name as it is kept."""
        name = _checked_name(name)
        with self._lock:
            stored = self._read()
            stored.setdefault(place, {})[name] = dict(values)
            self._write(stored)
        return name

    def rename(self, place: str, old: str | None, new: str) -> str:
        new = _checked_name(new)
        with self._lock:
            stored = self._read()
            own = stored.get(place, {})
            self._own(own, old)
            if new != old and new in own:
                raise RequestError(f"there is a preset '{new}' already", "", "choose another name, or delete that one")
            own[new] = own.pop(old)
            self._write(stored)
        return new

    def delete(self, place: str, name: str | None) -> None:
        with self._lock:
            stored = self._read()
            own = stored.get(place, {})
            self._own(own, name)
            del own[name]
            self._write(stored)

    def _own(self, own: Mapping[str, Any], name: str | None) -> None:
        if is_built_in(name):
            raise RequestError(
                f"'{name}' comes with TrueScale", "it cannot be changed", "save your own under a new name"
            )
        if name not in own:
            raise RequestError("no preset of yours is chosen", "", "choose one of your own in the list first")

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))["presets"]
            return {place: dict(own) for place, own in stored.items() if isinstance(own, dict)}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._put_aside()
            return {}

    def _put_aside(self) -> None:
        kept = self._path.with_suffix(".damaged.json")
        try:
            if not kept.exists():
                os.replace(self._path, kept)
                host.warn(f"The presets could not be read; the file is kept as {kept.name}")
        except OSError as error:
            host.log.warning("TrueScale: the presets in %s cannot be read: %s", self._path, error)

    def _write(self, stored: Mapping[str, Any]) -> None:
        temporary = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(prefix=".presets-", suffix=".json", dir=self._path.parent)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"format": _FORMAT, "presets": stored}, file, ensure_ascii=False, indent=1)
            os.replace(temporary, self._path)
        except OSError as error:
            if temporary is not None and os.path.exists(temporary):
                os.unlink(temporary)
            raise TrueScaleError(
                "cannot keep the preset", f"{self._path}: {error}", "check the folder's rights"
            ) from error


def _checked_name(name: str) -> str:
    """Raises RequestError."""
    clean = " ".join("".join(letter if letter.isprintable() else " " for letter in str(name or "")).split())
    if not clean:
        raise RequestError("the preset has no name", "", "type one")
    if len(clean) > _LONGEST_NAME:
        raise RequestError("the name of the preset is too long", f"it has {len(clean)} letters", f"use {_LONGEST_NAME}")
    if is_built_in(clean):
        raise RequestError(f"'{clean}' comes with TrueScale", "it cannot be changed", "choose another name")
    return clean


class _Stores(dict):
    """Store by its file."""


def store() -> PresetStore:
    """The process's one, in the WebUI's own data folder: an update of this extension does not touch it."""
    path = host.data_folder() / "truescale" / "presets.json"
    return PROCESS.of(_Stores).setdefault(path, PresetStore(path))
