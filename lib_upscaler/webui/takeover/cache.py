"""The host's cache of pictures upscaled in the Extras: it knows neither our settings nor that a file has changed.

And it would keep what comes back for a picture that failed: so the dict that it uses is replaced by one that does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from PIL import Image

from .. import host
from ..host.callers import find_caller
from ..host.lives import SCRIPTS
from ..upscaling.service import service

__all__ = ["clear", "clear_if_stale", "never_keep", "protect", "unprotect"]

_NAME = "upscale_cache"
_MARK = "truescale_never_keep"


class _Picky(dict):
    """As a dict, but it keeps no picture that is marked, and gives none that is stale."""

    def pop(self, key: Any, *default: Any) -> Any:
        """How the host looks for a picture, by its pixels: of a file that holds more than these it is not enough.

        Some (1.6) tell us of a picture no sooner than that.
        """
        clear_if_stale()
        from .source_file import holds_more  # not at the WebUI's start: it brings all that reads pictures

        if default and holds_more(find_caller()):
            return default[0]
        return super().pop(key, *default)

    def __setitem__(self, key: Any, value: Any) -> None:
        if not hasattr(value, _MARK):
            super().__setitem__(key, value)


def never_keep(image: Image.Image) -> Image.Image:
    """Mark a picture that stands for one that failed."""
    setattr(image, _MARK, True)
    return image


def protect() -> None:
    """Once for each load of the host's scripts."""
    for names in _namespaces():
        if type(names[_NAME]) is dict:
            names[_NAME] = _Picky(names[_NAME])


def unprotect() -> None:
    """The host as it was, its cache empty."""
    for names in _namespaces():
        names[_NAME] = {}


def clear() -> None:
    """Empty it."""
    for names in _namespaces():
        names[_NAME].clear()


class _Known:
    """Settings and models as they were at the last picture."""

    fingerprint: object = None


def clear_if_stale() -> None:
    """Before a picture: empty it if a setting or a model has changed since the last one."""
    known, now = SCRIPTS.of(_Known), service().fingerprint()
    if now != known.fingerprint:
        clear()
        known.fingerprint = now


def _namespaces() -> Iterator[dict[str, Any]]:
    """The globals of the host's scripts that have such a cache."""
    for data in getattr(host.module("scripts"), "postprocessing_scripts_data", ()):
        names = getattr(getattr(data.script_class, "process", None), "__globals__", {})
        if isinstance(names.get(_NAME), dict):
            yield names
