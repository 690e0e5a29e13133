"""What an animation is made of: parts of a picture, put one upon the other. The same for GIF, APNG and WebP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from PIL import Image

from ...geometry import Size

__all__ = ["MAX_PIXELS", "Block", "Layout", "check_area", "composed"]

MAX_PIXELS = 178_956_970
"""Of a picture and of each part: Pillow's own limit, kept here also where a host has turned Pillow's off."""

Then = Literal["stays", "cleared", "taken back"]


@dataclass(frozen=True)
class Block:
    """image: RGBA. x, y: of its top left corner, px. blend: over what is there; else in its place.

    then: what becomes of it when the next one comes: it stays, its rectangle becomes transparent, or what was there
    before.
    """

    image: Image.Image
    x: int
    y: int
    blend: bool
    then: Then


@dataclass(frozen=True)
class Layout:
    """What the file tells of its frames before their pixels.

    durations: of each, in ms, exact. plays: how often all are shown, 0 without end. grey: whether all colours are.
    hidden: whether there is a picture before the frames that is none of them (of an APNG, for readers that know no
    animation); it has a block and no duration.
    """

    size: Size
    durations: tuple[Fraction, ...]
    plays: int
    grey: bool = False
    hidden: bool = False


def check_area(width: int, height: int) -> None:
    """Before a part is opened: parts may be larger than the picture. Raises ValueError."""
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width}x{height} px are more than can be opened safely")


def composed(blocks: Iterable[Block], size: Size) -> Iterator[tuple[Image.Image, bool]]:
    """Each frame as it is seen, RGBA, on a canvas that is transparent at first; whether it is cut off at the canvas.

    The colour that GIF and WebP name for the background is not used: no browser shows it.
    """
    canvas = Image.new("RGBA", (size.width, size.height))
    for block in blocks:
        left, top = max(0, block.x), max(0, block.y)
        right = min(size.width, block.x + block.image.width)
        bottom = min(size.height, block.y + block.image.height)
        cut = (right - left, bottom - top) != block.image.size
        box = (left, top, max(left, right), max(top, bottom))
        before = canvas.crop(box) if block.then == "taken back" else None
        if right > left and bottom > top:
            image = block.image
            if cut:
                image = image.crop((left - block.x, top - block.y, right - block.x, bottom - block.y))
            if block.blend:
                canvas.alpha_composite(image, (left, top))
            else:
                canvas.paste(image, (left, top))
        yield canvas.copy(), cut
        if before is not None:
            canvas.paste(before, (left, top))
        elif block.then == "cleared":
            canvas.paste((0, 0, 0, 0), box)
