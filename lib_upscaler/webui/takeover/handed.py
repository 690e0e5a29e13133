"""A picture that the host hands over in the Extras, treated as one that is read from its file.

The host has made it RGB or RGBA; what it said besides is in its ``info``, and is gone where the host saves the result.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...errors import PictureError, UnsupportedPictureError
from ...pictures.alpha import is_nearly_opaque
from ...pictures.colours import profile_to_srgb
from ...pictures.metadata import Metadata
from ...pictures.pixels import Pixels, check_mode
from ...pictures.reading import SourcePicture, as_srgb, picture_of, read_header, read_picture
from ...pictures.writing import write_picture
from ...request import UpscaleResult
from .. import host
from ..host.callers import Caller
from ..host.saving import Kept, Rewrite, keep, keep_for_run
from ..host.temporary import own_folder
from ..host.uploads import deep_mode, in_eight_bits
from .cache import never_keep
from .source_file import laid_out

__all__ = ["crops", "give_back", "is_as_it_was", "received", "refuse_deep", "rewriting", "source_of"]

_RESTORERS = {"GFPGAN": "gfpgan_visibility", "CodeFormer": "codeformer_visibility"}


def refuse_deep(source: Any) -> None:
    """source: a picture as it was before the host made it RGB, or the path of its file.

    Raises UnsupportedPictureError where it has more than 8 bits per channel.
    """
    if isinstance(source, str):
        try:
            with Image.open(source) as opened:
                source = opened
        except Exception:  # noqa: BLE001 - the host has read it, in whatever way
            return
    mode = deep_mode(source)
    if mode is not None:
        check_mode(mode)


def source_of(image: Image.Image) -> Image.Image:
    """For Stable Diffusion, whose pictures say nothing of their colours: in sRGB, 8 bits; what could not be is said."""
    if deep_mode(image) is not None:
        host.warn("The picture has more than 8 bits per channel; Stable Diffusion works with 8")
        return in_eight_bits(image)
    try:
        picture = as_srgb(picture_of(image))
    except UnsupportedPictureError:
        return image  # of a kind that the host converts itself
    for text in picture.warnings:
        host.warn(text)
    profile, pixels = picture.metadata.icc_profile, picture.image
    if profile is None:
        return pixels
    converted = profile_to_srgb(pixels.convert("RGB"), profile)
    if converted is None:
        host.warn("The colour profile of the picture cannot be used; its colours may look different")
        return pixels
    if "A" in pixels.getbands():
        converted.putalpha(pixels.getchannel("A"))
    return converted


def received(image: Image.Image, caller: Caller) -> tuple[Image.Image | Pixels, Metadata]:
    """The picture to enlarge, in sRGB where a tag alone tells its colours, and what it says besides.

    With more than 8 bits per channel where its file has them and can be reached; its transparency also where the host
    (before 1.9, Classic) has dropped that. Raises UnsupportedPictureError.
    """
    deep = _deep_picture(image, caller)
    if deep is None:
        refuse_deep(caller.source)
    picture = as_srgb(deep or picture_of(_with_transparency(image, caller.image)))
    for text in picture.warnings:
        host.warn(text)
    return picture.image, picture.metadata


def _deep_picture(image: Image.Image, caller: Caller) -> SourcePicture | None:
    """The file's, where it has more than 8 bits and no step before ours has changed what the host made of it."""
    if caller.file is None or not is_as_it_was(image, caller):
        return None
    try:
        with own_folder() as folder:
            path = laid_out(caller.file, folder)
            if read_header(path).bits == 8:
                return None
            try:
                return read_picture(path)
            except PictureError as error:
                host.warn(f"The picture has more than 8 bits per channel, of which 8 were taken: {error}")
    except (OSError, ValueError, PictureError):
        pass  # the host has read it, in whatever way
    return None


def is_as_it_was(image: Image.Image, caller: Caller) -> bool:
    """Whether no step before ours has changed what the host made of the file."""
    before = caller.image
    if image is before or before is None or image.size != before.size:
        return image is before
    # Before 1.9 the host makes it RGB only now.
    return image.tobytes() == (before if before.mode == image.mode else before.convert(image.mode)).tobytes()


def rewriting(result: UpscaleResult, metadata: Metadata) -> Rewrite | None:
    """Puts a result of more than 8 bits into the place of the file that the host has saved."""
    if result.pixels.bits == 8:
        return None

    def rewrite(path: Path, texts: dict[str, str] | None) -> Path | None:
        if path.suffix.lower() not in (".png", ".tif", ".tiff"):
            host.warn(f"{path.name} holds 8 bits per channel; with png in the settings it would hold {depth}")
            return None
        whole = replace(metadata, text={} if texts is None else {**metadata.text, **texts})
        for note in write_picture(result.pixels, path, whole, overwrite=True):
            host.warn(note)
        return None

    depth = min(16, result.pixels.bits)
    return rewrite


def _with_transparency(image: Image.Image, original: Any) -> Image.Image:
    """original: what the host made ``image`` of, if no step has changed it since; with an alpha channel it is taken."""
    if image.mode != "RGB" or getattr(original, "mode", None) != "RGBA" or original.size != image.size:
        return image
    if original.convert("RGB").tobytes() != image.tobytes():
        return image
    whole = original.copy()
    whole.info = image.info
    return whole


def give_back(
    made: UpscaleResult, metadata: Metadata, caller: Caller, handed: Image.Image, rewrite: Rewrite | None = None
) -> Image.Image:
    """What the host goes on with: the result, or without its transparency where a step behind would fail on it.

    It has 8 bits per channel; where it was made with more, so will be the file that the host saves. handed: the
    picture that the host has given. Where that was RGB, all its steps expect that, so that transparency comes back
    where the result is saved. rewrite: of more than the result's first frame (``moving``).
    """
    options = {"icc_profile": metadata.icc_profile, "exif": metadata.exif, "dpi": metadata.dpi}
    result, lost = made.image, "has its first frame alone" if rewrite is not None else "has 8 bits per channel"
    rewrite = rewrite or rewriting(made, metadata)
    if result.mode in ("L", "LA"):  # of a grey file; the host has made it RGB, and its steps expect that
        result = result.convert("RGBA" if result.mode == "LA" else "RGB")
    kept = Kept({name: value for name, value in options.items() if value}, dict(metadata.text), None, rewrite, lost)
    restorer = _restorer_without_alpha(caller)
    if "A" in result.mode and (restorer is not None or handed.mode == "RGB"):
        alpha = result.getchannel("A")
        if restorer is not None and not is_nearly_opaque(np.asarray(alpha)):
            host.warn(f"{restorer} takes no transparency; it gets the colours, and the saved picture the transparency")
        opaque = alpha.getextrema() == (255, 255)
        result, kept = result.convert("RGB"), replace(kept, alpha=None if opaque else alpha)
    keep(result, kept)
    keep_for_run(caller, kept)
    return result if rewrite is None else never_keep(result)  # it is of this file alone


def crops(caller: Caller) -> bool:
    """Whether the host's accordion puts the result onto a plane without transparency."""
    arguments = dict(caller.scripts).get("Upscale", {})
    return bool(arguments.get("upscale_mode") == 1 and arguments.get("upscale_crop"))


def _restorer_without_alpha(caller: Caller) -> str | None:
    """A face restorer of this run that blends: below full visibility the host's crash on transparency."""
    for name, arguments in caller.scripts:
        visibility = arguments.get(_RESTORERS.get(name, ""), None)
        if arguments.get("enable", True) and visibility and visibility < 1:
            return name
    return None
