"""What a picture file says beside its pixels: read from any format, and as each format can keep it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from PIL import Image
from PIL.PngImagePlugin import PngInfo, iTXt

from .exif import orientation_of, with_size, with_user_comment, without_structure
from .formats import BMP, PNG, WEBP, OutputFormat

__all__ = ["Metadata", "exif_of_tiff", "metadata_of", "metadata_options"]

_EXIF_LIMIT = {"JPEG": 65_533}  # one APP1 segment
_PARAMETERS = "parameters"  # the PNG text in which the WebUI keeps its prompt and settings
_RAW_EXIF = "Raw profile type exif"  # where ImageMagick keeps EXIF in a PNG
_XMP = "XML:com.adobe.xmp"
_XMP_ORIENTATION = re.compile(r"""\s*tiff:Orientation=["'](\d)["']|<tiff:Orientation>(\d)</tiff:Orientation>""")


@dataclass(frozen=True)
class Metadata:
    """What a picture file says beside its pixels.

    exif: begins with ``Exif\\0\\0``; without orientation and thumbnail. text: a PNG's text, ``parameters`` included.
    dpi: horizontal and vertical pixels per inch.
    """

    icc_profile: bytes | None = None
    exif: bytes | None = None
    text: dict[str, str] = field(default_factory=dict)
    dpi: tuple[float, float] | None = None


def metadata_of(image: Image.Image, animated: bool, notes: list[str]) -> tuple[Metadata, int]:
    """The metadata of a loaded image, and the orientation that is still to be applied, 1 to 8."""
    text = _text(image, animated)
    exif, orientation = _exif(image, text, notes)
    text.pop(_RAW_EXIF, None)
    if _XMP in text:
        found = _XMP_ORIENTATION.search(text[_XMP])
        if found and exif is None:
            orientation = int(found.group(1) or found.group(2))
        if found:
            text[_XMP] = iTXt(_XMP_ORIENTATION.sub("", text[_XMP]))
    return Metadata(_icc_profile(image, notes), exif, text, _dpi(image)), orientation


def _text(image: Image.Image, animated: bool) -> dict[str, str]:
    if image.format != "PNG":
        return {}
    # ``text`` also knows what follows the pixels, but moves an animation to its last frame.
    found = image.info if animated else {**image.info, **image.text}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _exif(image: Image.Image, text: dict[str, str], notes: list[str]) -> tuple[bytes | None, int]:
    try:
        raw = image.info.get("exif")
        if not raw and _RAW_EXIF in text:
            raw = bytes.fromhex("".join(text[_RAW_EXIF].split("\n")[3:]))
        if not raw:
            return None, 1
        return without_structure(raw), orientation_of(raw)
    except ValueError:
        notes.append("its EXIF data is damaged and was left out")
        return None, 1


def exif_of_tiff(image: Image.Image) -> bytes | None:
    """The EXIF of a TIFF that is not loaded yet; after that, older Pillow has closed the file.

    A TIFF's own directory holds it together with the description of the file. No orientation: Pillow applies that of
    a TIFF itself. What cannot be read comes back as bytes that are no EXIF.
    """
    exif = Image.Exif()
    try:
        source = image.getexif()
        for tag in (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298):
            if source.get(tag):
                exif[tag] = source[tag]
        for directory in (0x8769, 0x8825):
            if tags := dict(source.get_ifd(directory)):
                exif[directory] = tags
        return exif.tobytes() if len(exif) else None
    except Exception:  # noqa: BLE001 - Pillow's reader of directories raises anything; none is worth the picture
        return b"damaged"


def _icc_profile(image: Image.Image, notes: list[str]) -> bytes | None:
    if "icc_profile" not in image.info:
        return None
    profile = image.info["icc_profile"]
    if isinstance(profile, bytes) and len(profile) >= 128 and profile[36:40] == b"acsp":
        return profile
    notes.append("its colour profile is damaged and was left out")
    return None


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if all(math.isfinite(v) and 0 < v < 65_535 for v in (x, y)) else None


def metadata_options(
    image: Image.Image, target: OutputFormat, metadata: Metadata, notes: list[str]
) -> dict[str, object]:
    """What Pillow's writer is given besides the pixels; ``notes`` tell what the format cannot keep."""
    options: dict[str, object] = {}
    if metadata.dpi and target is not WEBP:
        options["dpi"] = metadata.dpi
    profile = _fitting_profile(metadata.icc_profile, image.mode, target, notes)
    if target is BMP:
        if profile or metadata.exif or metadata.text:
            notes.append("BMP keeps no colour profile, EXIF or text; they were left out")
        return options
    # None would make Pillow look for one in the image itself.
    options["icc_profile"] = profile or b""
    if target is PNG:
        options["pnginfo"] = _png_text(metadata.text, notes)
    elif lost := sorted(set(metadata.text) - {_PARAMETERS}):
        notes.append(f"{target.name} cannot keep the text {', '.join(map(repr, lost))}; it was left out")
    exif = _exif_to_write(image, target, metadata, notes)
    if exif is not None:
        options["exif"] = exif
    return options


def _fitting_profile(profile: bytes | None, mode: str, target: OutputFormat, notes: list[str]) -> bytes | None:
    """The profile, unless it is for another kind of colour: readers would show wrong colours or fail."""
    kind = b"GRAY" if mode.startswith("L") and target is not WEBP else b"RGB "  # WebP stores grey as RGB
    if profile is None or profile[16:20] == kind:
        return profile
    notes.append(f"the colour profile is not for {'grey' if kind == b'GRAY' else 'RGB'} pictures; it was left out")
    return None


def _png_text(text: dict[str, str], notes: list[str]) -> PngInfo:
    info = PngInfo()
    for key, value in text.items():
        name = key.encode("latin-1", "ignore")
        if not 1 <= len(name) <= 79 or len(name) != len(key) or "\x00" in key:
            notes.append(f"the text {key[:40]!r} has no valid name for a PNG; it was left out")
        elif isinstance(value, iTXt):
            info.add_itxt(key, value, getattr(value, "lang", "") or "", getattr(value, "tkey", "") or "")
        else:
            info.add_text(key, value)
    return info


def _exif_to_write(image: Image.Image, target: OutputFormat, metadata: Metadata, notes: list[str]) -> bytes | None:
    exif = metadata.exif
    try:
        if exif is not None:
            exif = with_size(exif, *image.size)
        if target is not PNG and _PARAMETERS in metadata.text:
            exif = with_user_comment(exif, metadata.text[_PARAMETERS])
    except ValueError:
        notes.append("its EXIF data is damaged and was left out")
        return None
    if exif is not None and len(exif) > _EXIF_LIMIT.get(target.name, len(exif)):
        notes.append(f"its EXIF data is too long for {target.name} and was left out")
        return None
    return exif
