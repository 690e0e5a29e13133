"""What a PNG says of its colours beside an ICC profile, and the way from there to sRGB.

Of the chunks gAMA, cHRM, sRGB and cICP (PNG, third edition; ITU-T H.273 for the numbers in cICP) only a PNG can hold
any. In every other format colours without a profile count as sRGB, so a picture that says otherwise is converted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from ..depths import rounded, top_of
from .pixels import Pixels

__all__ = [
    *("ColorTags", "are_chromaticities", "is_srgb", "light_of_srgb", "profile_to_srgb", "srgb_of_light"),
    "lab_to_srgb",
    "tags_to_srgb",
]

_Chromaticities = tuple[float, float, float, float, float, float, float, float]

SRGB_PRIMARIES: _Chromaticities = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""x and y of white, red, green and blue, in the order of the chunk cHRM."""

_CODED_PRIMARIES: dict[int, _Chromaticities] = {
    1: SRGB_PRIMARIES,
    5: (0.3127, 0.3290, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),  # PAL
    6: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),  # NTSC
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # DCI-P3
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
}
_CODED_GAMMA = {1: None, 4: 2.2, 5: 2.8, 6: None, 8: 1.0, 13: None, 14: None, 15: None}
"""Exponent from code to light; None: treated as the curve of sRGB, which displays show BT.709 and its kin with."""

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = (0.34567, 0.35850)  # x and y of the white of CIE L*a*b* in TIFF, as in ICC profiles
_USUAL_GAMMA = (0.4500, 0.4600)  # 1/2.2, as written along with sRGB


@dataclass(frozen=True)
class ColorTags:
    """gamma: the chunk gAMA (0.45455: display gamma 2.2; 1.0: linear light). chromaticities: cHRM, x and y of white,
    red, green, blue. intent: of the chunk sRGB, 0 to 3. code: the four bytes of cICP.
    """

    gamma: float | None = None
    chromaticities: _Chromaticities | None = None
    intent: int | None = None
    code: bytes | None = None

    def names(self) -> str:
        """The chunks, for people."""
        found = {"cICP": self.code, "sRGB": self.intent, "gAMA": self.gamma, "cHRM": self.chromaticities}
        return ", ".join(name for name, value in found.items() if value is not None)


def are_chromaticities(values: tuple[float, ...]) -> bool:
    """Whether there can be such a white, red, green and blue."""
    if len(values) != 8 or min(values[1::2]) < 0.001 or max(values) > 2:
        return False
    corners = np.array([(1, *values[i : i + 2]) for i in (2, 4, 6)])
    return bool(abs(np.linalg.det(corners)) > 1e-4 and np.linalg.solve(corners.T, (1, *values[:2])).min() > 1e-4)


def is_srgb(tags: ColorTags) -> bool:
    """Whether the colours are those that a file without any word of them counts as having."""
    if tags.code is not None:
        return tags.code[0] == 1 and _CODED_GAMMA.get(tags.code[1], 0.0) is None and tags.code[2] == 0
    if tags.intent is not None:
        return True
    gamma = tags.gamma is None or _USUAL_GAMMA[0] < tags.gamma < _USUAL_GAMMA[1]
    primaries = tags.chromaticities is None or np.allclose(tags.chromaticities, SRGB_PRIMARIES, atol=0.002)
    return gamma and primaries


def tags_to_srgb(pixels: Pixels, tags: ColorTags) -> Pixels | None:
    """The picture as sRGB, of its depth; grey is told by its gamma alone. None: for such tags there is no way here.

    Colours beyond sRGB are cut off, as a browser shows them.
    """
    decoded = _meaning(tags)
    if decoded is None:
        return None
    exponent, primaries = decoded
    color, bits = pixels.color, pixels.bits
    matrix = _to_srgb_matrix(primaries)
    grey = color.shape[2] == 1 or np.allclose(matrix, np.eye(3), atol=1e-3)
    result = np.empty_like(color)
    table = _light(np.arange(256) / 255, exponent)
    for top in range(0, len(color), 64):
        rows = color[top : top + 64]
        light = table[rows] if bits == 8 else _light(rows.astype(np.float64) / top_of(bits), exponent)
        light = light if grey else light @ matrix.T
        result[top : top + 64] = rounded(srgb_of_light(np.clip(light, 0, 1)), bits)
    return replace(pixels, color=result)


def _light(codes: np.ndarray, exponent: float | None) -> np.ndarray:
    """exponent: None for the curve of sRGB."""
    return light_of_srgb(codes) if exponent is None else np.clip(codes, 0, None) ** exponent


def profile_to_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """``image`` (L, RGB) in the colours of an ICC profile as sRGB; None where it cannot be done."""
    from io import BytesIO

    try:
        from PIL import ImageCms

        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        return ImageCms.profileToProfile(image.convert("RGB"), source, target, intent, outputMode="RGB")
    except Exception:  # noqa: BLE001 - a profile that Pillow's lcms does not take, or a Pillow without it
        return None


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """``image`` of Pillow's mode LAB (L* of 0 to 255 for 0 to 100, a* and b* with signs; white D50) as RGB in sRGB.

    CIE 15:2004; white to white by Bradford. Colours beyond sRGB are cut off.
    """
    planes = np.asarray(image)
    matrix = np.linalg.inv(_to_xyz(SRGB_PRIMARIES)) @ _adaptation(_D50, SRGB_PRIMARIES[:2])
    result = np.empty_like(planes)
    for top in range(0, len(planes), 64):
        rows = planes[top : top + 64]
        lightness = (rows[..., 0] * (100 / 255) + 16) / 116
        a, b = (rows[..., channel].astype(np.int8) for channel in (1, 2))
        roots = np.stack((lightness + a / 500, lightness, lightness - b / 200), axis=-1)
        xyz = np.where(roots > 6 / 29, roots**3, (roots - 4 / 29) * (108 / 841)) * _xyz(*_D50)
        result[top : top + 64] = rounded(srgb_of_light(np.clip(xyz @ matrix.T, 0, 1)), 8)
    return Image.fromarray(result)


def _meaning(tags: ColorTags) -> tuple[float | None, _Chromaticities] | None:
    """The exponent from code to light (None: the curve of sRGB) and the primaries."""
    if tags.code is not None:
        primaries, transfer, matrix, full = tags.code
        if primaries not in _CODED_PRIMARIES or transfer not in _CODED_GAMMA or matrix or not full:
            return None
        return _CODED_GAMMA[transfer], _CODED_PRIMARIES[primaries]
    exponent = None if tags.gamma is None else 1 / tags.gamma
    if tags.gamma is not None and _USUAL_GAMMA[0] < tags.gamma < _USUAL_GAMMA[1]:
        exponent = None
    return exponent, tags.chromaticities or SRGB_PRIMARIES


def light_of_srgb(codes: np.ndarray) -> np.ndarray:
    """From sRGB's codes to light, white is 1 in both (IEC 61966-2-1); beyond 0 and 1 the curve goes on."""
    size = np.abs(codes)
    return np.copysign(np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4), codes)


def srgb_of_light(light: np.ndarray) -> np.ndarray:
    """The opposite of ``light_of_srgb``."""
    size = np.abs(light)
    return np.copysign(np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055), light)


def _to_srgb_matrix(primaries: _Chromaticities) -> np.ndarray:
    """Linear RGB of these primaries to linear sRGB, white to white (Bradford)."""
    adapted = _adaptation(primaries[:2], SRGB_PRIMARIES[:2]) @ _to_xyz(primaries)
    return np.linalg.inv(_to_xyz(SRGB_PRIMARIES)) @ adapted


def _xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _to_xyz(primaries: _Chromaticities) -> np.ndarray:
    columns = np.stack([_xyz(*primaries[i : i + 2]) for i in (2, 4, 6)], axis=1)
    return columns * np.linalg.solve(columns, _xyz(*primaries[:2]))


def _adaptation(source: tuple[float, float], target: tuple[float, float]) -> np.ndarray:
    gains = (_BRADFORD @ _xyz(*target)) / (_BRADFORD @ _xyz(*source))
    return np.linalg.inv(_BRADFORD) @ (gains[:, None] * _BRADFORD)
