"""What the host drops of a picture of the Extras comes back where it is saved: profile, EXIF, density, texts, alpha."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from .callers import Caller, find_caller

__all__ = ["Kept", "before_saving", "keep", "keep_for_run"]

_ATTRIBUTE = "truescale_kept"


@dataclass(frozen=True)
class Kept:
    """options: of Pillow's ``save``: icc_profile, exif, dpi. text: for PNG, where the host has none of that name.

    alpha: of the result, where a step behind ours takes none.
    """

    options: dict[str, Any] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)
    alpha: Image.Image | None = None


def keep(result: Image.Image, kept: Kept) -> None:
    """Whoever saves ``result``, host or API, saves this with it."""
    setattr(result, _ATTRIBUTE, kept)
    if not kept.options:
        return
    plain = type(result).save  # not through ``info``: the host empties it, or writes every item of it as text

    def save(file: Any, format: str | None = None, **options: Any) -> None:
        plain(result, file, format, **{**kept.options, **options})

    result.save = save


def keep_for_run(caller: Caller, kept: Kept) -> None:
    """The same for what further steps of this run of the Extras, such as face restorers, make of the result."""
    if caller.image is not None:
        setattr(caller.image, _ATTRIBUTE, kept)


def before_saving(parameters: Any) -> None:
    """The host's callback before a picture is saved. Into JPEG and WebP it then writes EXIF of its own instead."""
    image = getattr(parameters, "image", None)
    if image is None:
        return
    kept = getattr(image, _ATTRIBUTE, None)
    of_run = getattr(find_caller().image, _ATTRIBUTE, None)
    if kept is None and of_run is not None:
        keep(image, of_run)
        kept = of_run
    if kept is None:
        return
    alpha = of_run.alpha if of_run is not None else None
    if alpha is not None and image.mode == "RGB" and image.size == alpha.size:
        image.putalpha(alpha)  # in place: the page shows this very object
    texts = getattr(parameters, "pnginfo", None)
    if isinstance(texts, dict):
        texts.update({key: text for key, text in kept.text.items() if key not in texts})
