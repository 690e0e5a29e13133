"""The button of the host's gallery that upscales one picture there: the original is kept beside the result."""

from __future__ import annotations

import os
import sys
from typing import Any

from ... import host
from ...host.settings import HIRES_BUTTON_OPTIONS, settings

__all__ = ["keep_original"]


def keep_original(p: Any, processed: Any) -> None:
    """After a generation; nothing where it was not the button, which puts the result in the original's place."""
    original = getattr(p, "firstpass_image", None)
    if not getattr(p, "txt2img_upscale", False) or original is None or not settings().beside:
        return
    if any(host.option(name, None) is not None for name in HIRES_BUTTON_OPTIONS):  # the host's own way, on or off
        return
    path, text = _in_the_gallery()
    if os.path.isfile(path):
        original.already_saved_as = path  # else the page would write it once more
    processed.images.append(original)
    processed.infotexts.append(text or _infotext(original))


def _in_the_gallery() -> tuple[str, str]:
    """The original's file and infotext, which only the host's function behind the button knows; "" for what it does
    not tell."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "txt2img_upscale":
            values = frame.f_locals
            image, known = values.get("image_info"), values.get("geninfo")
            path = str(image.get("name", "")) if isinstance(image, dict) else ""
            texts = known.get("infotexts", []) if isinstance(known, dict) else []
            number = values.get("gallery_index", -1)
            text = texts[number] if isinstance(number, int) and 0 <= number < len(texts) else ""
            return path.rsplit("?", 1)[0], str(text)
        frame = frame.f_back  # type: ignore[assignment]
    return "", ""


def _infotext(picture: Any) -> str:
    """What the picture says of itself."""
    read = getattr(host.module("images"), "read_info_from_image", None)
    text = read(picture)[0] if read is not None else picture.info.get("parameters")
    return text or ""
