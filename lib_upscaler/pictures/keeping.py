"""What each format can keep of a picture's metadata: as its writer in Pillow gets it, and what is lost, in words."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field, replace

from PIL import Image
from PIL.PngImagePlugin import PngInfo, iTXt

from . import gif_parts, iptc, origin, xmp
from .colours import is_srgb, profile_to_srgb, tags_to_srgb
from .exif import with_size, with_text, with_user_comment
from .formats import BMP, EXR, GIF, JPEG, PNG, TIFF, WEBP, OutputFormat
from .metadata import COMMENT, PARAMETERS, Metadata
from .pixels import Pixels, compose, decompose

__all__ = ["Keeping", "kept"]

_SEGMENT = 65_533
"""Bytes that one segment of a JPEG holds."""

_OWN = 0xE9
"""The segment (APP9) of a JPEG that tells its origin; as a comment, the WebUI would show it as generation data."""

_RESOLUTION_UNIT, _X_RESOLUTION, _Y_RESOLUTION, _XMP_TAG, _IPTC_TAG = 296, 282, 283, 700, 33723


@dataclass
class Keeping:
    """What a file of a result is made of.

    pixels: in colours that the format can tell. options: for Pillow's writer (of a GIF: for ours). chunks: of a PNG or
    GIF, behind its header.
    aspect: of a JPEG, told where Pillow's writer cannot. trailer: behind the end of a BMP. notes: for people.
    """

    pixels: Pixels
    options: dict[str, object] = field(default_factory=dict)
    chunks: bytes = b""
    aspect: tuple[int, int] | None = None
    trailer: bytes = b""
    notes: list[str] = field(default_factory=list)


def kept(pixels: Pixels, target: OutputFormat, metadata: Metadata) -> Keeping:
    """All that ``target`` can keep of ``metadata`` with the picture."""
    keeping = Keeping(pixels)
    lost: list[str] = []
    text = _texts_of_this_size(metadata, pixels.size, keeping.notes)
    _keep_colors(keeping, target, metadata)
    _keep_density(keeping, target, metadata, lost)
    by_format = {PNG: _for_png, JPEG: _for_jpeg, WEBP: _for_webp, TIFF: _for_tiff, GIF: _for_gif, BMP: _for_bmp}
    {**by_format, EXR: _for_exr}[target](keeping, metadata, text, lost)
    if lost:
        keeping.notes.append(f"{target.name} cannot keep {', '.join(lost)}; left out")
    return keeping


def _texts_of_this_size(metadata: Metadata, size: tuple[int, int], notes: list[str]) -> dict[str, str]:
    text = dict(metadata.text)
    if xmp.PNG_KEY in text and metadata.size:
        told, fits = xmp.with_size(text[xmp.PNG_KEY], metadata.size, size)
        text[xmp.PNG_KEY] = text[xmp.PNG_KEY] if told == text[xmp.PNG_KEY] else iTXt(told)
        if not fits:
            notes.append("its place in a panorama is not known any more, since it has another shape; left out")
    return text


# -- colours and density -----------------------------------------------------------------------------------------------


def _keep_colors(keeping: Keeping, target: OutputFormat, metadata: Metadata) -> None:
    """A profile or a PNG's tags where the format has a place for them; else the pixels become sRGB."""
    profile = _fitting_profile(metadata.icc_profile, keeping.pixels.mode, target, keeping.notes)
    tags = metadata.colors
    if target is PNG:
        if tags is not None:
            keeping.chunks += _color_chunks(metadata)
        # None would make Pillow look for one in the image itself.
        keeping.options["icc_profile"] = profile or b""
        return
    overruled = tags is not None and tags.code is not None and not is_srgb(tags)  # a profile beside cICP is second
    if tags is not None and not is_srgb(tags) and (profile is None or overruled):
        converted = tags_to_srgb(keeping.pixels, tags)
        if converted is not None:
            keeping.pixels = converted
            keeping.notes.append(f"{target.name} cannot tell its colours ({tags.names()}); they were converted to sRGB")
            profile = None
        else:
            keeping.notes.append(
                f"{target.name} cannot tell its colours ({tags.names()}), and they cannot be converted here:"
                " they will look different; choose PNG"
            )
    if target not in (BMP, GIF, EXR):
        keeping.options["icc_profile"] = profile or b""
    elif profile is not None:
        pixels = keeping.pixels
        image = profile_to_srgb(compose(pixels.color, None, "L" if pixels.color.shape[2] == 1 else "RGB"), profile)
        if image is not None and pixels.bits == 8:
            keeping.pixels = replace(pixels, color=decompose(image.convert(pixels.mode.rstrip("A"))).color)
            keeping.notes.append(f"{target.name} cannot keep its colour profile; its colours were converted to sRGB")
        else:
            keeping.notes.append(
                f"{target.name} cannot keep its colour profile; left out, its colours may look different"
            )


def _fitting_profile(profile: bytes | None, mode: str, target: OutputFormat, notes: list[str]) -> bytes | None:
    """The profile, unless it is for another kind of colour: readers would show wrong colours or fail."""
    kind = b"GRAY" if mode.startswith("L") and target is not WEBP else b"RGB "  # WebP stores grey as RGB
    if profile is None or profile[16:20] == kind:
        return profile
    notes.append(f"the colour profile is not for {'grey' if kind == b'GRAY' else 'RGB'} pictures; it was left out")
    return None


def _keep_density(keeping: Keeping, target: OutputFormat, metadata: Metadata, lost: list[str]) -> None:
    if metadata.dpi:
        if target in (WEBP, GIF, EXR):
            lost.append(f"its density of {metadata.dpi[0]:.4g} x {metadata.dpi[1]:.4g} dpi")
        else:
            keeping.options["dpi"] = metadata.dpi
    elif target is BMP:
        keeping.options["dpi"] = (0, 0)  # Pillow would tell 96
    if metadata.aspect and not metadata.dpi:
        x, y = metadata.aspect
        if target is PNG:
            keeping.chunks += _chunk(b"pHYs", struct.pack(">IIB", x, y, 0))
        elif target is JPEG and max(x, y) <= 65_535:
            keeping.options["dpi"] = (x, y)
            keeping.aspect = (x, y)
        elif target is TIFF:
            tags = {_RESOLUTION_UNIT: 1, _X_RESOLUTION: float(x), _Y_RESOLUTION: float(y)}
            keeping.options["tiffinfo"] = tags
        elif target is GIF and (told := gif_parts.aspect(x, y)):
            keeping.options["aspect"] = told
        else:
            lost.append(f"that its pixels are not square ({x} to {y})")


# -- format by format --------------------------------------------------------------------------------------------------


def _for_png(keeping: Keeping, metadata: Metadata, text: dict[str, str], lost: list[str]) -> None:
    if metadata.iptc:
        text[iptc.PNG_KEYS[0]] = iptc.to_raw_profile(metadata.iptc)
    if metadata.origin:
        keeping.chunks += _chunk(b"tEXt", origin.KEY.encode() + b"\x00" + metadata.origin.encode())
    info = PngInfo()
    for key, value in text.items():
        name = key.encode("latin-1", "ignore")
        if not 1 <= len(name) <= 79 or len(name) != len(key) or "\x00" in key:
            keeping.notes.append(f"the text {key[:40]!r} has no valid name for a PNG; it was left out")
        elif isinstance(value, iTXt):
            info.add_itxt(key, value, getattr(value, "lang", "") or "", getattr(value, "tkey", "") or "")
        else:
            info.add_text(key, value)
    keeping.options["pnginfo"] = info
    if exif := _exif(metadata, keeping):
        keeping.options["exif"] = exif


def _for_jpeg(keeping: Keeping, metadata: Metadata, text: dict[str, str], lost: list[str]) -> None:
    extra = b""
    if xmp.PNG_KEY in text:
        extra += _segment(0xE1, xmp.JPEG_HEADER + text[xmp.PNG_KEY].encode(), "its XMP", keeping.notes)
    if metadata.iptc:
        extra += _segment(0xED, iptc.to_photoshop(metadata.iptc), "its IPTC data", keeping.notes)
    if COMMENT in text:
        extra += _segment(0xFE, text[COMMENT].encode("utf-8", "replace"), "its comment", keeping.notes)
    if metadata.origin:
        extra += _segment(_OWN, origin.mark(metadata.origin), "", keeping.notes)
    keeping.options["extra"] = extra
    if exif := _exif(metadata, keeping, text.get(PARAMETERS), _SEGMENT):
        keeping.options["exif"] = exif
    _lose_texts(text, (PARAMETERS, COMMENT, xmp.PNG_KEY), lost)


def _for_webp(keeping: Keeping, metadata: Metadata, text: dict[str, str], lost: list[str]) -> None:
    exif = _exif(metadata, keeping, text.get(PARAMETERS))
    if metadata.origin:
        exif = with_text(exif, origin.TAG, origin.mark(metadata.origin).decode())
    if exif:
        keeping.options["exif"] = exif
    if xmp.PNG_KEY in text:
        keeping.options["xmp"] = text[xmp.PNG_KEY].encode()
    lost += ["its IPTC data"] if metadata.iptc else []
    _lose_texts(text, (PARAMETERS, xmp.PNG_KEY), lost)


def _for_tiff(keeping: Keeping, metadata: Metadata, text: dict[str, str], lost: list[str]) -> None:
    tags: dict[int, object] = dict(keeping.options.pop("tiffinfo", None) or {})  # type: ignore[call-overload]
    if xmp.PNG_KEY in text:
        tags[_XMP_TAG] = text[xmp.PNG_KEY].encode()
    if metadata.iptc:
        tags[_IPTC_TAG] = metadata.iptc
    if metadata.origin:
        tags[origin.TAG] = origin.mark(metadata.origin).decode()
    if data := _exif(metadata, keeping, text.get(PARAMETERS)):
        exif = Image.Exif()
        exif.load(data)
        for tag, value in tags.items():
            exif[tag] = value
        keeping.options["exif"] = exif  # beside it, Pillow would not look at tiffinfo
    else:
        keeping.options["tiffinfo"] = tags
    _lose_texts(text, (PARAMETERS, xmp.PNG_KEY), lost)


def _for_gif(keeping: Keeping, metadata: Metadata, text: dict[str, str], lost: list[str]) -> None:
    """A GIF's comment holds ``parameters``, as the WebUI writes them, or else the comment."""
    told = PARAMETERS if PARAMETERS in text else COMMENT
    if told in text:
        keeping.chunks += gif_parts.comment(text[told].encode("utf-8", "replace"))
    if xmp.PNG_KEY in text:
        keeping.chunks += gif_parts.xmp_block(text[xmp.PNG_KEY].encode())
    if metadata.origin:
        keeping.chunks += gif_parts.application(origin.GIF_BLOCK, origin.mark(metadata.origin))
    lost += ["EXIF"] if metadata.exif else []
    lost += ["IPTC"] if metadata.iptc else []
    _lose_texts(text, (told, xmp.PNG_KEY), lost)


def _for_bmp(keeping: Keeping, metadata: Metadata, text: dict[str, str], lost: list[str]) -> None:
    lost += ["EXIF"] if metadata.exif else []
    lost += ["IPTC"] if metadata.iptc else []
    _lose_texts(text, (), lost)
    if metadata.origin:
        keeping.trailer = origin.mark(metadata.origin)


def _for_exr(keeping: Keeping, metadata: Metadata, text: dict[str, str], lost: list[str]) -> None:
    lost += ["EXIF"] if metadata.exif else []
    lost += ["IPTC"] if metadata.iptc else []
    _lose_texts(text, (), lost)


def _lose_texts(text: dict[str, str], places: tuple[str, ...], lost: list[str]) -> None:
    names = sorted("XMP" if key == xmp.PNG_KEY else repr(key[:40]) for key in text if key not in places)
    if names:
        lost.append(f"the text {', '.join(names)}")


# -- pieces ------------------------------------------------------------------------------------------------------------


def _exif(metadata: Metadata, keeping: Keeping, parameters: str | None = None, limit: int = 2**31) -> bytes | None:
    """The EXIF with the picture's size, and with ``parameters`` as its comment as the WebUI keeps them."""
    exif = metadata.exif
    try:
        if exif is not None:
            exif = with_size(exif, *keeping.pixels.size)
        with_comment = with_user_comment(exif, parameters) if parameters is not None else exif
    except ValueError:
        keeping.notes.append("its EXIF data is damaged and was left out")
        return None
    if with_comment is not None and len(with_comment) > limit and parameters is not None:
        keeping.notes.append(f"the text {PARAMETERS!r} is too long for JPEG; left out")
        with_comment = exif
    if with_comment is not None and len(with_comment) > limit:
        keeping.notes.append("its EXIF data is too long for JPEG and was left out")
        return None
    return with_comment


def _segment(marker: int, data: bytes, name: str, notes: list[str]) -> bytes:
    """A segment of a JPEG; empty, and said, where one cannot hold it."""
    if len(data) > _SEGMENT:
        notes.append(f"{name} is too long for JPEG; left out")
        return b""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _color_chunks(metadata: Metadata) -> bytes:
    """As they stood in the source. Not sRGB beside a profile, which the standard forbids."""
    tags, chunks = metadata.colors, b""
    assert tags is not None
    if tags.code is not None:
        chunks += _chunk(b"cICP", tags.code)
    if tags.gamma is not None:
        chunks += _chunk(b"gAMA", struct.pack(">I", round(tags.gamma * 100_000)))
    if tags.chromaticities is not None:
        chunks += _chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in tags.chromaticities)))
    if tags.intent is not None and metadata.icc_profile is None:
        chunks += _chunk(b"sRGB", bytes([tags.intent]))
    return chunks
