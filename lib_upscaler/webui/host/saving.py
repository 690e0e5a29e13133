"""What the host drops of a picture of the Extras comes back where it is saved: profile, EXIF, density, texts, alpha,
and what it cannot hold, more than 8 bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Optional

from PIL import Image

from .access import option, warn
from .aside import is_apart
from .callers import Caller, find_caller

__all__ = ["Kept", "Rewrite", "after_saving", "before_saving", "keep", "keep_for_run", "never_replace"]

Rewrite = Callable[[Path, Optional[dict[str, str]]], Optional[Path]]
"""Gets the file that the host has saved, and its texts, None where the user wants none in pictures; gives the file that
takes its place under another name.
"""

_ATTRIBUTE, _SAVING, _NEW = "truescale_kept", "truescale_saving", "truescale_new"
_CHANGED = "a further step has changed it"
_ROWS = 256
_LONGEST = 235
"""Characters of a path with its name. The host takes as many as a name alone may have, mostly 255."""

_WITH_ALPHA = ("PNG", "WEBP")
_OF_A_FRAME = ("bbox", "disposal", "blend")
"""What Pillow tells of the first frame of an animation. The host writes it as texts, on which Pillow then chokes."""


@dataclass(frozen=True)
class Kept:
    """options: of Pillow's ``save``: icc_profile, exif, dpi. text: for PNG, where the host has none of that name.

    alpha: of the result, where a step behind ours takes none. rewrite: puts the whole result into the place of the
    file that the host has saved. lost: what is to be said of a file that gets only what a further step has made.
    first: tells the picture that the whole result is of from others. whole: where that was put.
    """

    options: dict[str, Any] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)
    alpha: Image.Image | None = None
    rewrite: Rewrite | None = None
    lost: str = ""
    first: bytes = b""
    whole: str = ""


def keep(result: Image.Image, kept: Kept) -> None:
    """Whoever saves ``result``, host or API, saves this with it; transparency into PNG and WebP."""
    if kept.rewrite is not None:
        kept = replace(kept, first=_print_of(result))
    setattr(result, _ATTRIBUTE, kept)
    options, alpha = kept.options, kept.alpha
    if not kept.options and kept.alpha is None:
        return
    plain = type(result).save  # not through ``info``: the host empties it, or writes every item of it as text

    def save(file: Any, format: str | None = None, **given: Any) -> None:
        whole = result
        if alpha is not None and format in _WITH_ALPHA and _lacks(result, alpha):
            whole = result.copy()
            whole.putalpha(alpha)
        plain(whole, file, format, **{**options, **given})

    result.save = save


def keep_for_run(caller: Caller, kept: Kept) -> None:
    """The same for what further steps of this run of the Extras, such as face restorers, make of the result."""
    if caller.image is not None:
        # What further steps have changed is theirs: the whole result is not put into its place.
        lost = "" if kept.rewrite is None else kept.lost
        setattr(caller.image, _ATTRIBUTE, replace(kept, rewrite=None, lost=lost))


def never_replace(image: Image.Image) -> None:
    """Where the host saves it, it gets a name that no file has: some patterns of names give the same one again."""
    setattr(image, _NEW, True)


def before_saving(parameters: Any) -> None:
    """The host's callback before a picture is saved. Into JPEG and WebP it then writes EXIF of its own instead.

    A job of the queue replaces nothing: the one before it may be of the same picture, which gives the name.
    """
    image = getattr(parameters, "image", None)
    if image is None:
        return
    if is_apart() or getattr(image, _NEW, False):
        parameters.filename = _free(str(parameters.filename))
    kept = getattr(image, _ATTRIBUTE, None)
    of_run = getattr(find_caller().image, _ATTRIBUTE, None)
    if kept is None and of_run is not None:
        keep(image, of_run)
        kept = of_run
        if of_run.lost:
            warn(f"{Path(str(getattr(parameters, 'filename', ''))).name} {of_run.lost}: {_CHANGED}")
    if kept is None:
        return
    setattr(parameters, _SAVING, _Saving(kept, _there(Path(str(getattr(parameters, "filename", ""))))))
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
    saving = getattr(parameters, _SAVING, None)
    kept = None if saving is None else saving.kept
    if kept is None or (kept.rewrite is None and not kept.whole):
        return
    path, image = Path(parameters.filename), parameters.image
    if kept.rewrite is None:
        warn(f"{path.name} {kept.lost}: it was saved before, as {kept.whole}")
        return
    if _print_of(image) != kept.first:
        warn(f"{path.name} {kept.lost}: {_CHANGED}")  # what others have drawn into it is theirs
        return
    saved = _saved(path, saving.there)
    if saved is None:
        warn(f"{path.name} {kept.lost}: the WebUI does not tell where it has saved the picture")
        return
    texts = (getattr(parameters, "pnginfo", None) or {}) if option("enable_pnginfo", True) else None
    try:
        other = kept.rewrite(saved, texts and {key: text for key, text in texts.items() if isinstance(text, str)})
        image.already_saved_as = str(other or saved)  # the page shows that
        if other is not None:
            parameters.filename = str(other)
            saved.unlink()
        # What the whole result takes, of memory or of the disk, is free now.
        setattr(image, _ATTRIBUTE, replace(kept, rewrite=None, whole=str(other or saved)))
    except Exception as error:  # noqa: BLE001 - the host's file is there, and stays as it is
        warn(f"{saved.name} {kept.lost}: {error}")


@dataclass(frozen=True)
class _Saving:
    """A picture between the host's two callbacks. there: the files of its name, as of ``_there``."""

    kept: Kept
    there: dict[Path, object]


def _free(name: str) -> str:
    """The host cuts a path that is too long at its end, where the number is: so it is made shorter before."""
    path = Path(name)
    stem = path.stem[: max(1, len(path.stem) - max(0, len(name) - _LONGEST))]
    names = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
    paths = (path.with_name(f"{each}{path.suffix}") for each in names)
    return str(next(one for one in paths if not one.exists()))


def _there(path: Path) -> dict[Path, object]:
    """The file of this name, and those to which the host has given a number for it; each with what tells it apart."""
    found: dict[Path, object] = {}
    for number in count():
        place = path if number == 0 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        try:
            told = place.stat()
        except (OSError, ValueError):
            if number:
                return found
            continue
        found[place] = (told.st_ino, told.st_mtime_ns, told.st_size)
    return found


def _saved(path: Path, before: dict[Path, object]) -> Path | None:
    """The file that the host has written since: where it replaces none, its name has a number that it does not tell."""
    now = _there(path)
    new = list(now) if len(now) == 1 else [place for place, told in now.items() if before.get(place) != told]
    return new[0] if len(new) == 1 else None


def _print_of(image: Image.Image) -> bytes:
    """Of its colours; transparency is put in and taken out on its way."""
    total = hashlib.blake2b(repr(image.size).encode())
    for top in range(0, image.height, _ROWS):
        band = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        total.update(band.convert("RGB").tobytes())
    return total.digest()


def _lacks(image: Image.Image, alpha: Image.Image) -> bool:
    return image.mode == "RGB" and image.size == alpha.size
