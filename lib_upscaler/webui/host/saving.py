"""What the host drops of a picture of the Extras comes back where it is saved: profile, EXIF, density, texts, alpha,
and what it cannot hold, more than 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from PIL import Image

from .access import warn
from .callers import Caller, find_caller

__all__ = ["Kept", "Rewrite", "after_saving", "before_saving", "keep", "keep_for_run"]

Rewrite = Callable[[Path, dict[str, str]], Optional[Path]]
"""Gets the file that the host has saved, and its texts; gives the file that takes its place under another name."""

_ATTRIBUTE = "truescale_kept"
_WITH_ALPHA = ("PNG", "WEBP")
_OF_A_FRAME = ("bbox", "disposal", "blend")
"""What Pillow tells of the first frame of an animation. The host writes it as texts, on which Pillow then chokes."""


@dataclass(frozen=True)
class Kept:
    """options: of Pillow's ``save``: icc_profile, exif, dpi. text: for PNG, where the host has none of that name.

    alpha: of the result, where a step behind ours takes none. rewrite: puts the whole result into the place of the
    file that the host has saved. lost: what is to be said of a file that gets only what a further step has made.
    """

    options: dict[str, Any] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)
    alpha: Image.Image | None = None
    rewrite: Rewrite | None = None
    lost: str = ""


def keep(result: Image.Image, kept: Kept) -> None:
    """Whoever saves ``result``, host or API, saves this with it; transparency into PNG and WebP."""
    setattr(result, _ATTRIBUTE, kept)
    if not kept.options and kept.alpha is None:
        return
    plain = type(result).save  # not through ``info``: the host empties it, or writes every item of it as text

    def save(file: Any, format: str | None = None, **options: Any) -> None:
        whole = result
        if kept.alpha is not None and format in _WITH_ALPHA and _lacks(result, kept.alpha):
            whole = result.copy()
            whole.putalpha(kept.alpha)
        plain(whole, file, format, **{**kept.options, **options})

    result.save = save


def keep_for_run(caller: Caller, kept: Kept) -> None:
    """The same for what further steps of this run of the Extras, such as face restorers, make of the result."""
    if caller.image is not None:
        # What further steps have changed is theirs: the whole result is not put into its place.
        lost = "" if kept.rewrite is None else kept.lost
        setattr(caller.image, _ATTRIBUTE, replace(kept, rewrite=None, lost=lost))


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
        if of_run.lost:
            warn(f"{Path(str(getattr(parameters, 'filename', ''))).name} {of_run.lost}: a further step has changed it")
    if kept is None:
        return
    alpha = (kept if of_run is None else of_run).alpha
    if alpha is not None and _lacks(image, alpha):
        image.putalpha(alpha)  # in place: the page shows this very object
    texts = getattr(parameters, "pnginfo", None)
    if isinstance(texts, dict):
        for key in _OF_A_FRAME:
            texts.pop(key, None)
        texts.update({key: text for key, text in kept.text.items() if key not in texts})


def after_saving(parameters: Any) -> None:
    """The host's callback after a picture was saved."""
    kept = getattr(getattr(parameters, "image", None), _ATTRIBUTE, None)
    if kept is None or kept.rewrite is None:
        return
    texts = getattr(parameters, "pnginfo", None) or {}
    path = Path(parameters.filename)
    try:
        other = kept.rewrite(path, {key: text for key, text in texts.items() if isinstance(text, str)})
        if other is not None:
            parameters.image.already_saved_as = parameters.filename = str(other)  # the page shows that
            path.unlink()
    except Exception as error:  # noqa: BLE001 - the host's file is there, and stays as it is
        warn(f"{path.name} {kept.lost}: {error}")


def _lacks(image: Image.Image, alpha: Image.Image) -> bool:
    return image.mode == "RGB" and image.size == alpha.size
