"""A picture that the host hands over in the Extras, treated as one that is read from its file.

The host has made it RGB or RGBA; what it said besides is in its ``info``, and is gone where the host saves the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from ...errors import UnsupportedPictureError
from ...pictures.alpha import is_nearly_opaque
from ...pictures.colours import profile_to_srgb
from ...pictures.metadata import Metadata
from ...pictures.pixels import check_mode
from ...pictures.reading import as_srgb, picture_of
from .. import host
from ..host.callers import Caller
from ..host.saving import Kept, keep, keep_for_run
from ..host.uploads import deep_mode, in_eight_bits

__all__ = ["crops", "give_back", "received", "refuse_deep", "source_of"]

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


def received(image: Image.Image, caller: Caller) -> tuple[Image.Image, Metadata]:
    """The picture to enlarge, in sRGB where a tag alone tells its colours, and what it says besides.

    Its transparency also where the host (before 1.9, Classic) has dropped that. Raises UnsupportedPictureError.
    """
    refuse_deep(caller.source)
    picture = as_srgb(picture_of(_with_transparency(image, caller.image)))
    for text in picture.warnings:
        host.warn(text)
    return picture.image, picture.metadata


def _with_transparency(image: Image.Image, original: Any) -> Image.Image:
    """original: what the host made ``image`` of, if no step has changed it since; with an alpha channel it is taken."""
    if image.mode != "RGB" or getattr(original, "mode", None) != "RGBA" or original.size != image.size:
        return image
    if original.convert("RGB").tobytes() != image.tobytes():
        return image
    whole = original.copy()
    whole.info = image.info
    return whole


def give_back(result: Image.Image, metadata: Metadata, caller: Caller, handed: Image.Image) -> Image.Image:
    """What the host goes on with: the result, or without its transparency where a step behind would fail on it.

    handed: the picture that the host has given. Where that was RGB, all its steps expect that, so that transparency
    comes back where the result is saved.
    """
    options = {"icc_profile": metadata.icc_profile, "exif": metadata.exif, "dpi": metadata.dpi}
    kept = Kept({name: value for name, value in options.items() if value}, dict(metadata.text))
    restorer = _restorer_without_alpha(caller)
    if "A" in result.mode and (restorer is not None or handed.mode == "RGB"):
        alpha = result.getchannel("A")
        if restorer is not None and not is_nearly_opaque(np.asarray(alpha)):
            host.warn(f"{restorer} takes no transparency; it gets the colours, and the saved picture the transparency")
        opaque = alpha.getextrema() == (255, 255)
        result, kept = result.convert("RGB"), Kept(kept.options, kept.text, None if opaque else alpha)
    keep(result, kept)
    keep_for_run(caller, kept)
    return result


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
