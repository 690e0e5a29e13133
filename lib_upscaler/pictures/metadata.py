"""What a picture file says beside its pixels: as it was found, part by part, and as it is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from PIL.PngImagePlugin import iTXt

from . import iptc, origin, xmp
from .colours import ColorTags
from .exif import read_exif

__all__ = ["COMMENT", "PARAMETERS", "Found", "Metadata", "settled"]

PARAMETERS = "parameters"
"""The PNG text in which the WebUI keeps its prompt and settings."""

COMMENT = "Comment"
"""The PNG text in which comments of other formats are kept."""

_RAW_EXIF = ("Raw profile type exif", "Raw profile type APP1")  # where ImageMagick keeps EXIF in a PNG


@dataclass(frozen=True)
class Metadata:
    """What a picture file says beside its pixels.

    exif: begins with ``Exif\\0\\0``; without orientation and thumbnail. text: as a PNG holds it, ``parameters``
    included; whatever the format, XMP lies there under ``xmp.PNG_KEY`` and a comment under ``Comment``.
    dpi: horizontal and vertical pixels per inch. aspect: horizontal and vertical pixels in some length that is not
    told; pixels are not square. colors: None where nothing is said of them beside the profile. iptc: IIM.
    size: of the upright source, px; what tells a size is brought up to date from there. origin: of which file the
    picture is the result, as ``origin.fingerprint`` gives it.
    """

    icc_profile: bytes | None = None
    exif: bytes | None = None
    text: dict[str, str] = field(default_factory=dict)
    dpi: tuple[float, float] | None = None
    aspect: tuple[int, int] | None = None
    colors: ColorTags | None = None
    iptc: bytes | None = None
    size: tuple[int, int] | None = None
    origin: str | None = None


@dataclass
class Found:
    """What stands in a file, not looked into yet. Each format fills this from where it keeps things.

    icc: a profile. frames: pictures of an animation, 1 for a still one. lost: parts that no result can keep, for people
    ("its HDR gain map"). notes: sentences about parts that are damaged and were left out. is_turned: the orientation
    is seen to elsewhere. orientation: 1 to 8, told by what overrules EXIF and XMP. The others as in Metadata.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    iptc: bytes | None = None
    text: dict[str, str] = field(default_factory=dict)
    dpi: tuple[float, float] | None = None
    aspect: tuple[int, int] | None = None
    colors: ColorTags | None = None
    frames: int = 1
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_turned: bool = False
    orientation: int | None = None

    def add_xmp(self, data: bytes) -> None:
        """XMP in UTF-8."""
        try:
            self.text[xmp.PNG_KEY] = iTXt(data.decode("utf-8").strip("\x00"))
        except UnicodeDecodeError:
            self.notes.append("its XMP is damaged and was left out")

    def add_comment(self, data: bytes) -> None:
        """A text of no known encoding; several are kept one below the other."""
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
        if text := text.strip("\x00"):
            self.text[COMMENT] = f"{self.text[COMMENT]}\n{text}" if COMMENT in self.text else text

    def add_density(self, x: float, y: float, per_inch: float | None) -> None:
        """Pixels in some length. per_inch: such lengths in an inch; None: the length is not told."""
        if not all(math.isfinite(value) and 0 < value < 65_535 * 100 for value in (x, y)):
            return
        if per_inch is not None:
            if max(x, y) * per_inch < 65_535:
                self.dpi = (x * per_inch, y * per_inch)
        elif x != y:
            self.aspect = (round(x), round(y))


def settled(found: Found, size: tuple[int, int], notes: list[str]) -> tuple[Metadata, int]:
    """What is kept of what was found, and the orientation that is still to be applied, 1 to 8.

    size: of the picture as it lies in the file. ``notes`` gets what is damaged or cannot be kept.
    """
    notes += found.notes
    text = dict(found.text)
    profile = _profile(found.icc, notes)
    exif, orientation, density = _exif(found.exif, text, notes)
    if density and found.dpi is None and found.aspect is None:
        found.add_density(*density, per_inch=1)
    captions = found.iptc or _iptc(text, notes)
    lost = list(found.lost)
    if xmp.PNG_KEY in text:
        plain, turn = xmp.upright(text[xmp.PNG_KEY])
        plain, parts = xmp.without_further_parts(plain)
        lost += [name for name in parts if name not in lost]
        if plain != text[xmp.PNG_KEY]:
            text[xmp.PNG_KEY] = iTXt(plain)
        if turn is not None and exif is None:
            orientation = turn
    if found.is_turned or found.orientation is not None:
        orientation = found.orientation or 1
    if lost:
        notes.append(f"{', '.join(lost)} cannot be kept; left out")
    across = orientation in (5, 6, 7, 8)
    dpi = found.dpi[::-1] if found.dpi and across else found.dpi
    aspect = found.aspect[::-1] if found.aspect and across else found.aspect
    upright = size[::-1] if across else size
    return Metadata(profile, exif, text, dpi, aspect, found.colors, captions, upright), orientation


def _profile(profile: bytes | None, notes: list[str]) -> bytes | None:
    if profile is None or (isinstance(profile, bytes) and len(profile) >= 128 and profile[36:40] == b"acsp"):
        return profile
    notes.append("its colour profile is damaged and was left out")
    return None


def _exif(
    raw: bytes | None, text: dict[str, str], notes: list[str]
) -> tuple[bytes | None, int, tuple[float, float] | None]:
    """The EXIF without what is broken in it, and the orientation and density that it tells.

    Takes ImageMagick's out of ``text``.
    """
    try:
        for key in _RAW_EXIF:
            if key in text:
                profile = iptc.from_raw_profile(text.pop(key))
                if profile.startswith(xmp.JPEG_HEADER):  # as the segment APP1 of a JPEG may
                    text.setdefault(xmp.PNG_KEY, profile[len(xmp.JPEG_HEADER) :].decode("utf-8"))
                else:
                    raw = raw or profile
        if not raw:
            return None, 1, None
        source = read_exif(raw)
    except ValueError:
        notes.append("its EXIF data is damaged and was left out")
        return None, 1, None
    if source.broken:
        notes.append(f"its EXIF data is damaged in places; left out: {', '.join(source.broken)}")
    return origin.without_mark(source.data), source.orientation, source.dpi


def _iptc(text: dict[str, str], notes: list[str]) -> bytes | None:
    for key in iptc.PNG_KEYS:
        if key not in text:
            continue
        try:
            data = iptc.from_raw_profile(text.pop(key))
        except ValueError:
            notes.append("its IPTC data is damaged and was left out")
            continue
        if found := iptc.from_photoshop(data) if data.startswith(b"8BIM") else data:
            return found
    return None
