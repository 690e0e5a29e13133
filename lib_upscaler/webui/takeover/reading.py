"""Pictures that the host's Extras would stumble over: none of them may end a batch, or fail for what it says of itself.

The host guards the opening of a file, and then comes upon the rest of it: rows that are missing, EXIF that its reader
cannot take apart, a transparent colour that the result cannot have. In the Extras alone, its two functions are ours.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import host
from ..host.callers import find_caller

__all__ = ["protect", "unprotect"]

_PLAIN, _OURS = "truescale_plain", "truescale_ours"


def protect() -> None:
    """Once for each load of the host's scripts; never twice over."""
    images = host.module("images")
    for name, ours in (("read", _read), ("read_info_from_image", _read_info)):
        plain = getattr(images, name, None)
        if plain is not None and not hasattr(plain, _PLAIN):
            setattr(images, name, _marked(ours(plain), plain))


def unprotect() -> None:
    """The host as it was. What another extension has put around ours is its own, and stays."""
    images = host.module("images")
    for name in ("read", "read_info_from_image"):
        function = getattr(images, name, None)
        if function is not None and getattr(function, _OURS, None) is function:
            setattr(images, name, getattr(function, _PLAIN))


def _marked(ours: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """``functools.wraps`` copies marks: that a function is ours is said by one that is itself."""
    setattr(ours, _PLAIN, plain)
    setattr(ours, _OURS, ours)
    return ours


def _read(plain: Callable[..., Any]) -> Callable[..., Any]:
    def read(file: Any, **arguments: Any) -> Any:
        """Whole, so that what is missing of it is found here, where the host leaves the picture out."""
        image = plain(file, **arguments)
        if image is not None and find_caller().kind in ("extras", "batch"):
            image.load()
        return image

    return read


def _read_info(plain: Callable[..., Any]) -> Callable[..., Any]:
    def read_info(image: Any) -> tuple[str | None, dict[str, Any]]:
        try:
            said, items = plain(image)
        except Exception as error:
            caller = find_caller()
            if caller.kind not in ("extras", "batch"):
                raise
            name = Path(caller.picture).name or "the picture"
            host.warn(f"What {name} says of itself cannot be read, and is left out: {error}")
            said, items = _without_exif(plain, image)
        if isinstance(items.get("transparency"), int) and find_caller().kind in ("extras", "batch"):
            del items["transparency"]  # of grey or of a palette, and the result is neither
        return said, items

    return read_info


def _without_exif(plain: Callable[..., Any], image: Any) -> tuple[str | None, dict[str, Any]]:
    rest = copy.copy(image)
    rest.info = {key: value for key, value in image.info.items() if key not in ("exif", "comment")}
    try:
        return plain(rest)
    except Exception:  # noqa: BLE001 - nothing of it can be read
        return None, {}
