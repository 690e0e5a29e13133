"""ICC profile and EXIF: the host drops them before it saves a picture of the Extras; they are put back there."""

from __future__ import annotations

from typing import Any

from PIL import Image

__all__ = ["before_saving", "carry_over"]

_ATTRIBUTE = "truescale_kept"
_KEYS = ("icc_profile", "exif")


def carry_over(source: Image.Image, result: Image.Image) -> None:
    """Remember with ``result`` what ``source`` says beside its pixels, and give it the same ``info``."""
    result.info.update({key: value for key, value in source.info.items() if key not in result.info})
    kept = {key: source.info[key] for key in _KEYS if source.info.get(key)}
    setattr(result, _ATTRIBUTE, kept)


def before_saving(parameters: Any) -> None:
    """The host's callback before a picture is saved. Into JPEG and WebP it then writes EXIF of its own instead."""
    image = getattr(parameters, "image", None)
    kept = getattr(image, _ATTRIBUTE, None)
    if not kept:
        return
    plain = type(image).save  # not through ``info``: the host writes every item of that into a PNG as text

    def save(file: Any, format: str | None = None, **options: Any) -> None:
        plain(image, file, format, **{**kept, **options})

    image.save = save
