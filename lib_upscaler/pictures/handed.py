"""What a Pillow image that somebody else has opened says beside its pixels, as far as Pillow keeps it in ``info``."""

from __future__ import annotations

from PIL import Image

from . import iptc, origin
from .colours import ColorTags, are_chromaticities
from .metadata import Found

__all__ = ["found_in_info"]

_NO_TEXT = frozenset(("icc_profile", "exif", "xmp", "comment", "photoshop", "compression"))


def found_in_info(image: Image.Image) -> Found:
    """As an opener of the file would fill it; texts are those of a PNG, whoever put them there."""
    info = image.info
    found = Found(icc=_bytes(info.get("icc_profile")), exif=_bytes(info.get("exif")))
    found.text = {
        key: value
        for key, value in info.items()
        if isinstance(key, str) and isinstance(value, str) and key not in _NO_TEXT and key != origin.KEY
    }
    if xmp := _bytes(info.get("xmp")):
        found.add_xmp(xmp)
    if comment := _bytes(info.get("comment")):
        found.add_comment(comment)
    photoshop = info.get("photoshop")
    if isinstance(photoshop, dict):
        found.iptc = _bytes(photoshop.get(0x0404))
    elif data := _bytes(photoshop):
        found.iptc = iptc.from_photoshop(data)
    found.colors = _colors(image)
    _add_density(found, image)
    return found


def _bytes(value: object) -> bytes | None:
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) and value else None


def _colors(image: Image.Image) -> ColorTags | None:
    gamma, primaries, intent = (image.info.get(key) for key in ("gamma", "chromaticity", "srgb"))
    tags = ColorTags(
        gamma=gamma if isinstance(gamma, float) and 0.01 <= gamma <= 10 else None,
        chromaticities=primaries if isinstance(primaries, tuple) and are_chromaticities(primaries) else None,
        intent=intent if isinstance(intent, int) and 0 <= intent <= 3 else None,
    )
    return tags if tags != ColorTags() else None


def _add_density(found: Found, image: Image.Image) -> None:
    for key, per_inch in (("dpi", 1.0), ("aspect", None)):
        try:
            x, y = (float(value) for value in image.info[key])
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            continue
        found.add_density(x, y, per_inch)
