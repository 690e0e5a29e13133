"""How large the result is, and how many passes of the network lead there. Pure and exact: no floats, no Pillow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral, Real
from typing import Union

from ..errors import RequestError, SizeError
from ..geometry import Region, Size

__all__ = [
    "FITS",
    "MAX_SCALE",
    "MIN_SCALE",
    "ByDimensions",
    "ByLongestSide",
    "ByMegapixels",
    "ByScale",
    "SizePlan",
    "SizeRequest",
    "passes",
    "plan_size",
]

MIN_SCALE, MAX_SCALE = Fraction("0.05"), Fraction(32)
FITS = ("inside", "crop", "stretch", "pad")
MAX_SIDE = 2**31 - 1

PASS_TOLERANCE = Fraction(11, 10)
"""A further pass is run only where the size reached must still grow by more than this."""


@dataclass(frozen=True)
class ByScale:
    """Width and height times ``scale``, 0.05 to 32. A float means its shortest decimal form: 1.15 is 115/100."""

    scale: float

    def __post_init__(self) -> None:
        exact = _number(self.scale, "scale")
        if not MIN_SCALE <= exact <= MAX_SCALE:
            raise SizeError(f"cannot make the picture {self.scale} times as large", "the scale must be from 0.05 to 32")


@dataclass(frozen=True)
class ByDimensions:
    """A width, a height, or both, in px. One alone keeps the aspect, whatever ``fit`` says.

    fit: ``inside`` - the largest picture of the same aspect within width x height;
    ``crop`` - exactly width x height, what sticks out is cut away evenly; ``stretch`` - exactly that, the aspect
    given up; ``pad`` - as ``inside``, centred on a canvas of exactly width x height.
    """

    width: int | None = None
    height: int | None = None
    fit: str = "inside"

    def __post_init__(self) -> None:
        if self.width is None and self.height is None:
            raise RequestError("no size was given", "both width and height are missing", "give at least one of them")
        for name, value in (("width", self.width), ("height", self.height)):
            if value is not None:
                _pixels(value, name)
        if self.fit not in FITS:
            raise RequestError(f"unknown fit {self.fit!r}", "", f"use one of {', '.join(FITS)}")


@dataclass(frozen=True)
class ByLongestSide:
    """The longer of width and height, px; the aspect is kept."""

    pixels: int

    def __post_init__(self) -> None:
        _pixels(self.pixels, "longest side")


@dataclass(frozen=True)
class ByMegapixels:
    """The area, 10^6 px, as near as whole sides of the same aspect come."""

    megapixels: float

    def __post_init__(self) -> None:
        _number(self.megapixels, "number of megapixels")


SizeRequest = Union[ByScale, ByDimensions, ByLongestSide, ByMegapixels]


@dataclass(frozen=True)
class SizePlan:
    """From the source to exactly what was asked for.

    output: the size of the result.
    resized: the whole picture after the last resample, before it is cropped or padded.
    crop: the part of ``resized`` that is kept, of the size ``output``; None: all of it.
    paste: where ``resized`` lies on a canvas of the size ``output``; None: it fills it.
    scale: the larger of the two ratios resized / source; what the network has to reach.
    """

    output: Size
    resized: Size
    crop: Region | None
    paste: Region | None
    scale: Fraction


def plan_size(source: Size, request: SizeRequest) -> SizePlan:
    """The plan for a source of that size. Halves are rounded up, each side is at least 1 px.

    Raises SizeError for a side of 2^31 px or more, RequestError for something that is no request.
    """
    if isinstance(request, ByDimensions):
        return _plan_dimensions(source, request)
    if isinstance(request, ByScale):
        resized = _scaled(source, _number(request.scale, "scale"))
    elif isinstance(request, ByLongestSide):
        resized = _scaled(source, Fraction(request.pixels, source.longest))
    elif isinstance(request, ByMegapixels):
        area = _number(request.megapixels, "number of megapixels") * 1_000_000
        resized = _checked_size(
            _rounded_root(area * source.width / source.height), _rounded_root(area * source.height / source.width)
        )
    else:
        raise RequestError(f"cannot work out a size from {request!r}", "it is not a way of asking for a size")
    return _plan(source, resized, resized)


def passes(needed_scale: Real, model_scale: int, always: bool = False) -> int:
    """How often a network that scales by ``model_scale`` is run for ``needed_scale`` (output / input).

    As many passes as the scale needs, none wasted: a further pass only where the size needed exceeds the size
    reached by more than a tenth (512x342 to 2048x1370 is 4.006: one pass of a 4x network). Networks of 1x run once.
    At a scale of 1 or less others do not run, unless ``always``: then once.
    """
    needed = _number(needed_scale, "scale")
    if model_scale < 1:
        raise ValueError(f"a network scales by 1 or more, not {model_scale}")
    if model_scale == 1:
        return 1
    if needed <= 1:
        return 1 if always else 0
    count, reached = 1, model_scale
    while needed > reached * PASS_TOLERANCE:
        count, reached = count + 1, reached * model_scale
    return count


def _plan_dimensions(source: Size, request: ByDimensions) -> SizePlan:
    width, height = request.width, request.height
    if width is not None and height is not None:
        return _plan_box(source, width, height, request.fit)
    if width is not None:
        resized = _scaled(source, Fraction(width, source.width))
    else:
        assert height is not None  # the request has seen to that
        resized = _scaled(source, Fraction(height, source.height))
    return _plan(source, resized, resized)


def _plan_box(source: Size, width: int, height: int, fit: str) -> SizePlan:
    box = _checked_size(width, height)
    ratios = Fraction(width, source.width), Fraction(height, source.height)
    if fit == "stretch":
        return _plan(source, box, box)
    if fit == "crop":
        return _plan(source, _scaled(source, max(ratios)), box)
    inside = _scaled(source, min(ratios))
    return _plan(source, inside, box if fit == "pad" else inside)


def _plan(source: Size, resized: Size, output: Size) -> SizePlan:
    """A plan that crops or pads in the centre, whichever the two sizes call for."""
    scale = max(Fraction(resized.width, source.width), Fraction(resized.height, source.height))
    crop = paste = None
    if resized.width > output.width or resized.height > output.height:
        left, top = (resized.width - output.width) // 2, (resized.height - output.height) // 2
        crop = Region(left, top, output.width, output.height)
    elif resized != output:
        left, top = (output.width - resized.width) // 2, (output.height - resized.height) // 2
        paste = Region(left, top, resized.width, resized.height)
    return SizePlan(output, resized, crop, paste, scale)


def _scaled(source: Size, scale: Fraction) -> Size:
    return _checked_size(_half_up(source.width * scale), _half_up(source.height * scale))


def _checked_size(width: int, height: int) -> Size:
    width, height = max(1, width), max(1, height)
    if max(width, height) > MAX_SIDE:
        raise SizeError(f"cannot make a picture of {width}x{height} px", "a side is at most 2147483647 px")
    return Size(width, height)


def _half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def _rounded_root(value: Fraction) -> int:
    """The square root, halves rounded up: the largest n with n - 1/2 <= root, which is (2n - 1)^2 <= 4 value."""
    return (math.isqrt(math.floor(4 * value)) + 1) // 2


def _number(value: object, name: str) -> Fraction:
    """A positive finite number, exactly as it is written in decimal."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise RequestError(f"the {name} {value!r} is not a number")
    if isinstance(value, Fraction):
        exact = value
    elif math.isfinite(value):
        exact = Fraction(str(value))
    else:
        raise RequestError(f"the {name} {value} is not a finite number")
    if exact <= 0:
        raise SizeError(f"the {name} cannot be {value}", "it must be above 0")
    return exact


def _pixels(value: object, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise RequestError(f"the {name} {value!r} is not a whole number of px")
    if not 1 <= int(value) <= MAX_SIDE:
        raise SizeError(f"the {name} cannot be {value} px", f"it must be from 1 to {MAX_SIDE}")
