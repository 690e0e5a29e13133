"""Edits XMP as text: what is true of the source's file alone goes, what tells its size is brought up to date."""

from __future__ import annotations

import re

__all__ = ["JPEG_HEADER", "PNG_KEY", "upright", "with_size", "without_further_parts"]

PNG_KEY = "XML:com.adobe.xmp"
"""The text of a PNG that holds it, and its name in ``Metadata.text`` whatever the format."""

JPEG_HEADER = b"http://ns.adobe.com/xap/1.0/\x00"
"""What a JPEG's segment with XMP begins with."""


def _property(name: str) -> str:
    """A pattern for a property, as an attribute or as an element. name: a pattern such as ``tiff:Orientation``."""
    return rf"""\s+{name}\s*=\s*(?:"[^"]*"|'[^']*')|<(?P<element>{name})(?:\s[^>]*)?>.*?</(?P=element)\s*>"""


_ORIENTATION = re.compile(_property("tiff:Orientation"), re.DOTALL)
_DIGIT = re.compile(r"[1-8](?!.*\d)", re.DOTALL)
_GAIN_MAP = re.compile(_property(r"hdrgm:\w+"), re.DOTALL)
_VIDEO = re.compile(_property(r"(?:GCamera|Camera):(?:MotionPhoto|MicroVideo)\w*"), re.DOTALL)
_EXTENDED = re.compile(_property("xmpNote:HasExtendedXMP"), re.DOTALL)
_CONTAINER = re.compile(_property(r"(?:G?Container):Directory"), re.DOTALL)
_PANORAMA = re.compile(_property(r"GPano:\w+"), re.DOTALL)

_WIDTHS = "GPano:(?:FullPanoWidth|CroppedAreaImageWidth|CroppedAreaLeft)Pixels|tiff:ImageWidth|exif:PixelXDimension"
_HEIGHTS = "GPano:(?:FullPanoHeight|CroppedAreaImageHeight|CroppedAreaTop)Pixels|tiff:ImageLength|exif:PixelYDimension"
_NUMBERS = re.compile(rf"""((?P<wide>{_WIDTHS})|{_HEIGHTS})(\s*=\s*["']|>)\s*(\d+)""")


def upright(xmp: str) -> tuple[str, int | None]:
    """Without the orientation, and the orientation that it told, 1 to 8."""
    found = _ORIENTATION.search(xmp)
    if found is None:
        return xmp, None
    digit = _DIGIT.search(found.group(0).rsplit("</", 1)[0])
    return _ORIENTATION.sub("", xmp), int(digit.group(0)) if digit else None


def without_further_parts(xmp: str) -> tuple[str, list[str]]:
    """Without what it says of what lies elsewhere in the file, and the names of pictures and films there, for people.

    A continuation of the XMP in further segments of a JPEG is not told of any more either.
    """
    names = []
    if _GAIN_MAP.search(xmp):
        names.append("its HDR gain map")
    if _VIDEO.search(xmp):
        names.append("the film of its motion photo")
    if names:
        for pattern in (_GAIN_MAP, _VIDEO, _CONTAINER):
            xmp = pattern.sub("", xmp)
    return _EXTENDED.sub("", xmp), names


def with_size(xmp: str, before: tuple[int, int], after: tuple[int, int]) -> tuple[str, bool]:
    """With the sizes that it tells as they are after enlarging; whether that could be done.

    A panorama's place on the sphere is not known any more where the picture was cut or stretched: False, and what
    tells it is left out. before, after: width and height, px.
    """
    across, down = after[0] / before[0], after[1] / before[1]
    same_shape = abs(across - down) * min(before) <= 1.5  # but for the rounding of sides

    def scaled(found: re.Match[str]) -> str:
        number = int(found.group(4)) * (across if found.group("wide") else down)
        return f"{found.group(1)}{found.group(3)}{int(number + 0.5)}"

    if not same_shape and _PANORAMA.search(xmp):
        return _NUMBERS.sub(scaled, _PANORAMA.sub("", xmp)), False
    return _NUMBERS.sub(scaled, xmp), True
