"""Pixels of other colour spaces than grey and RGB made one of these: exactly, or through the file's own profile.

CMYK is converted as picture editors do it: through its profile, relative colorimetric, with black point compensation.
"""

from __future__ import annotations

from io import BytesIO

from PIL import Image, features

from .colours import lab_to_srgb
from .fourth import divided
from .pixels import check_mode

__all__ = ["CONVERTED", "check_space", "in_own_mode", "plain_space"]

CONVERTED = ("CMYK", "LAB", "YCbCr", "La", "RGBa", "RGBX", "PA")
"""Modes of Pillow that ``plain_space`` converts."""

_BLACK_POINT_COMPENSATION = 0x2000  # lcms2's; Pillow has it under different names from version to version


def check_space(mode: str) -> None:
    """Refuse a mode that is neither upscaled as it is nor converted here. Raises UnsupportedPictureError."""
    if mode not in CONVERTED:
        check_mode(mode)


def plain_space(image: Image.Image, profile: bytes | None, notes: list[str]) -> tuple[Image.Image, bytes | None]:
    """The picture as L, LA, RGB or RGBA, and the profile that its colours have then: None counts as sRGB.

    image: of any mode; what is not in CONVERTED stays as it is. profile: of the file. ``notes`` gets what was done.
    """
    if image.mode == "CMYK":
        return _from_cmyk(image, profile, notes), None
    if image.mode == "LAB":
        notes.append("its CIE L*a*b* colours were converted to sRGB")
        return lab_to_srgb(image), None
    if image.mode in ("La", "RGBa"):
        return divided(image), profile
    if image.mode in ("YCbCr", "RGBX"):
        return image.convert("RGB"), profile
    return (image.convert("RGBA") if image.mode == "PA" else image), profile


def in_own_mode(image: Image.Image, mode: str) -> Image.Image:
    """The same samples under the name that is true of them, where a reader gave them another one.

    mode: with as many channels, such as CMYK for RGBA.
    """
    return image if image.mode == mode else Image.frombytes(mode, image.size, image.tobytes())


def _from_cmyk(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    if profile is None:
        notes.append(
            "no profile tells what its CMYK colours are; they were converted without one and may look different"
        )
        return image.convert("RGB")
    if not features.check("littlecms2"):
        why = "this Pillow cannot use colour profiles (it is built without LittleCMS)"
    else:
        try:
            converted, name = _through_profile(image, profile)
        except Exception:  # noqa: BLE001 - lcms refuses a damaged profile with whatever Pillow makes of it
            why = "its colour profile is damaged, or not one for CMYK"
        else:
            notes.append(f"its CMYK colours were converted to sRGB through its profile {name!r}")
            return converted
    notes.append(f"{why}; its CMYK colours were converted without it and may look different")
    return image.convert("RGB")


def _through_profile(image: Image.Image, profile: bytes) -> tuple[Image.Image, str]:
    """In sRGB, and the profile's name. Raises what ImageCms does."""
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    converted = ImageCms.profileToProfile(
        image,
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=_BLACK_POINT_COMPENSATION,
    )
    assert converted is not None  # not asked for in place
    try:
        name = " ".join(ImageCms.getProfileDescription(source).split())
    except Exception:  # noqa: BLE001 - a profile without a readable name converts as well
        name = ""
    return converted, name or "without a name"
