"""A crop of a picture by several upscalers, side by side: to see which one suits it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ...errors import Cancelled, RequestError
from ...fields import size_of
from ...geometry import Region, Size
from ...planning.sizing import ByDimensions, plan_size
from ...progress import Progress
from ...request import UpscaleReport
from .. import host
from ..takeover.failing import as_error
from ..takeover.requests import request_of
from ..upscaling.service import service

__all__ = ["CONTEXT", "Tried", "contact_sheet", "crop_of", "enlarged_plainly", "scale_of_crop", "try_models"]

CONTEXT = 48
"""px around the crop that the networks see as well, so that its border is as in the whole picture."""

LARGEST_SCALE = 8
_LARGEST_CROP, _SMALLEST_CROP = 1024, 16
_LABEL, _GAP = 28, 8
"""px of the contact sheet."""


@dataclass(frozen=True)
class Tried:
    """One upscaler's try. image, report: None where it failed; problem: why, "" where it did not."""

    name: str
    image: Image.Image | None = None
    report: UpscaleReport | None = None
    problem: str = ""


def crop_of(picked: Mapping[str, Any], image: Image.Image | None) -> Region:
    """The crop that was picked on the page (see ``bridge.CROP``), within the picture; without one its middle.

    Raises RequestError.
    """
    if image is None:
        raise RequestError("there is no picture", "", "load one into Extras first")
    numbers = [picked.get(name) for name in ("x", "y", "width", "height")]
    width, height = image.size
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        side = min(192, width, height)
        return Region((width - side) // 2, (height - side) // 2, side, side)
    x, y, w, h = numbers
    w, h = (max(1, min(max(side, _SMALLEST_CROP), _LARGEST_CROP, whole)) for side, whole in ((w, width), (h, height)))
    return Region(min(x, width - w), min(y, height - h), w, h)


def scale_of_crop(values: Mapping[str, Any], image: Image.Image) -> float:
    """As the panel asks for the whole picture, within what can be looked at. Raises RequestError, SizeError."""
    size = size_of("extras", values, values["size_by"])
    assert size is not None  # a panel always says one
    return min(max(float(plan_size(Size(*image.size), size).scale), 1.0), LARGEST_SCALE)


def try_models(
    image: Image.Image, crop: Region, names: Sequence[str], values: Mapping[str, Any], progress: Progress
) -> Iterator[Tried]:
    """Each upscaler's picture of the crop, all of one size. One that fails says so, and the others go on.

    values: of the panel, checked: precision, tile and memory as there. Raises Cancelled.
    """
    scale = scale_of_crop(values, image)
    size = enlarged_size(crop, scale)
    wide = crop.grown(CONTEXT, Size(*image.size))
    part = image.crop((wide.x, wide.y, wide.right, wide.bottom))
    for name in names:
        try:
            yield _tried(name, part, wide, crop, size, scale, values, progress)
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001 - a model file can fail in any way
            yield Tried(name, problem=str(as_error(error, name)))


def _tried(
    name: str,
    part: Image.Image,
    wide: Region,
    crop: Region,
    size: Size,
    scale: float,
    values: Mapping[str, Any],
    progress: Progress,
) -> Tried:
    target = ByDimensions(max(1, round(part.width * scale)), max(1, round(part.height * scale)), "stretch")
    alone = {**values, "upscaler_1": name, "upscaler_2": None, "visibility": 0.0, "clean_up": None}
    result = service().upscale(part, request_of(alone, target), progress)
    left, top = round((crop.x - wide.x) * scale), round((crop.y - wide.y) * scale)
    return Tried(name, result.image.crop((left, top, left + size.width, top + size.height)), result.report)


def enlarged_size(crop: Region, scale: float) -> Size:
    return Size(max(1, math.floor(crop.width * scale + 0.5)), max(1, math.floor(crop.height * scale + 0.5)))


def enlarged_plainly(image: Image.Image, crop: Region, scale: float) -> Image.Image:
    """The crop's own pixels as squares, of the size of the others."""
    size = enlarged_size(crop, scale)
    part = image.crop((crop.x, crop.y, crop.right, crop.bottom))
    return part.resize((size.width, size.height), Image.Resampling.NEAREST)


# -- the contact sheet -------------------------------------------------------------------------------------------------


def contact_sheet(pictures: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """All of them at their full size in one, RGB, each with its name above; about as wide as high."""
    width, height = pictures[0][1].size
    columns = max(1, min(len(pictures), round(math.sqrt(len(pictures) * (height + _LABEL) / width)) or 1))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + _LABEL + _GAP) + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), _font()
    for number, (name, picture) in enumerate(pictures):
        x = _GAP + number % columns * (width + _GAP)
        y = _GAP + number // columns * (height + _LABEL + _GAP)
        _write(draw, (x, y), name, width, font)
        opaque = picture.convert("RGBA")
        sheet.paste(opaque, (x, y + _LABEL), opaque)
    return sheet


def _write(draw: Any, place: tuple[int, int], name: str, width: int, font: Any) -> None:
    """The name, shortened to the width."""
    try:
        draw.textlength(name, font=font)
    except UnicodeEncodeError:  # Pillow's own font knows Latin letters only
        name = name.encode("latin-1", "replace").decode("latin-1")
    shown = name
    while len(shown) > 1 and draw.textlength(shown, font=font) > width:
        shown = f"{shown.rstrip('.')[:-1]}..."[: len(shown) - 1] if len(shown) > 5 else shown[:-1]
    draw.text((place[0], place[1] + 4), shown, fill="black", font=font)


def _font() -> Any:
    make = getattr(host.module("images"), "get_font", None)
    try:
        return make(16) if make is not None else ImageFont.load_default()
    except Exception:  # noqa: BLE001 - a host's font that is missing or damaged
        return ImageFont.load_default()
