"""The button of the host's gallery that upscales one picture there: the original is kept beside the result."""

from __future__ import annotations

from typing import Any

from ... import host
from ...host.settings import HIRES_BUTTON_OPTION, settings

__all__ = ["keep_original"]


def keep_original(p: Any, processed: Any) -> None:
    """After a generation; nothing where it was not the button, which puts the result in the original's place."""
    original = getattr(p, "firstpass_image", None)
    if not getattr(p, "txt2img_upscale", False) or original is None or not settings().beside:
        return
    if host.option(HIRES_BUTTON_OPTION, None) is not None:  # the host's own way of keeping it, on or off
        return
    if getattr(original, "filename", None):
        original.already_saved_as = original.filename  # else the page would write it once more
    processed.images.append(original)
    processed.infotexts.append(_infotext(original))


def _infotext(picture: Any) -> str:
    """What the picture says of itself."""
    read = getattr(host.module("images"), "read_info_from_image", None)
    text = read(picture)[0] if read is not None else picture.info.get("parameters")
    return text or ""
