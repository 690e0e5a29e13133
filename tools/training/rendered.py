"""Pictures that need no camera: text, drawings, textures, flats and gradients. All antialiased, as pictures are."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = ["drawing", "smooth", "text_on", "texture"]

Color = tuple[int, int, int]
Random = np.random.Generator

_OVERSAMPLING = 3
_SYMBOLS = string.ascii_letters * 3 + string.digits * 2 + ".,:;!?()[]{}+-=*/%&@#'\"<>"
_HANGUL_FIRST, _HANGUL_COUNT = 0xAC00, 11172


def smooth(random: Random, side: int) -> Image.Image:
    """A flat colour, or a gradient along a line or around a point."""
    kind = random.integers(3)
    if kind == 0:
        return Image.new("RGB", (side, side), _color(random))
    rows, columns = np.mgrid[0:side, 0:side] / side
    angle = random.uniform(0, 2 * math.pi)
    along = rows * math.sin(angle) + columns * math.cos(angle)
    if kind == 2:
        along = np.hypot(rows - random.uniform(-0.5, 1.5), columns - random.uniform(-0.5, 1.5))
    along = ((along - along.min()) / max(1e-9, np.ptp(along)))[..., None]
    first, last = np.array(_color(random)), np.array(_color(random))
    return Image.fromarray((first + (last - first) * along + 0.5).astype(np.uint8))


def text_on(random: Random, ground: Image.Image, fonts: Sequence[Path], largest: int = 72) -> Image.Image:
    """Lines of text in one or two sizes and colours on a picture."""
    picture = ground.copy()
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    top = random.uniform(-10, 10)
    contrast = _contrasting(random, np.asarray(ground).mean(axis=(0, 1)))
    while top < height:
        # Small letters are as frequent as large ones: a page has more of them.
        points = int(math.exp(random.uniform(math.log(11), math.log(largest))))
        path = fonts[random.integers(len(fonts))]
        font = _font(str(path), points)
        hangul = "Nanum" in path.name and random.random() < 0.7
        stroke = int(random.integers(1, 3)) if points > 24 and random.random() < 0.1 else 0
        draw.text(
            (random.uniform(-2 * points, points), top),
            _words(random, max(2, int(2.5 * width / points)), hangul),
            fill=contrast if random.random() < 0.8 else _contrasting(random, np.asarray(ground).mean(axis=(0, 1))),
            font=font,
            stroke_width=stroke,
            stroke_fill=_color(random) if stroke else None,
        )
        top += points * random.uniform(1.05, 1.6)
    return picture


def drawing(random: Random, side: int) -> Image.Image:
    """Line art: outlines, filled shapes, arcs, polylines, hatching."""
    large = side * _OVERSAMPLING
    picture = smooth(random, side).resize((large, large), Image.BILINEAR)
    draw = ImageDraw.Draw(picture)
    ink = _color(random) if random.random() < 0.5 else (int(random.integers(40)),) * 3
    for _ in range(random.integers(3, 14)):
        color = ink if random.random() < 0.6 else _color(random)
        width = max(1, int(_OVERSAMPLING * math.exp(random.uniform(-0.2, 2.0))))
        points = [tuple(p) for p in random.uniform(-0.2, 1.2, (random.integers(2, 7), 2)) * large]
        kind = random.integers(5)
        if kind == 0:
            draw.line(points, fill=color, width=width, joint="curve")
        elif kind == 1 and len(points) > 2:
            draw.polygon(points, fill=color, outline=ink, width=width)
        elif kind == 2:
            draw.ellipse(_box(random, large), fill=color if random.random() < 0.4 else None, outline=ink, width=width)
        elif kind == 3:
            first = random.uniform(0, 360)
            draw.arc(_box(random, large), first, first + random.uniform(20, 320), fill=color, width=width)
        else:
            _hatch(random, draw, large, color, width)
    return picture.reduce(_OVERSAMPLING)


def texture(random: Random, side: int) -> Image.Image:
    """Stripes, grids and dots at any angle, or noise of one size of grain."""
    kind = random.integers(4)
    if kind == 3:
        grain = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        if random.random() < 0.6:
            grain[:] = grain[:, :, :1]
        soft = np.asarray(Image.fromarray(grain).filter(ImageFilter.GaussianBlur(random.uniform(0.6, 3.0)))) - 128.0
        return _clipped(np.array(_color(random)) + soft * (random.uniform(8, 45) / max(1.0, float(soft.std()))))
    large = side * _OVERSAMPLING
    rows, columns = np.mgrid[0:large, 0:large] / _OVERSAMPLING
    angle, period = random.uniform(0, math.pi), math.exp(random.uniform(math.log(5), math.log(40)))
    u = (rows * math.sin(angle) + columns * math.cos(angle)) / period
    v = (columns * math.sin(angle) - rows * math.cos(angle)) / (period * random.uniform(0.5, 2))
    duty = random.uniform(0.2, 0.8)
    stripe = (u % 1) < duty
    if kind == 1:
        stripe = stripe & ((v % 1) < random.uniform(0.3, 0.9))
    elif kind == 2:
        stripe = np.hypot(u % 1 - 0.5, v % 1 - 0.5) < duty / 2
    first, last = np.array(_color(random)), np.array(_color(random))
    return _clipped(np.where(stripe[..., None], first, last)).reduce(_OVERSAMPLING)


def _words(random: Random, count: int, hangul: bool) -> str:
    letters: list[str] = []
    while len(letters) < count:
        for _ in range(random.integers(1, 9)):
            code = _HANGUL_FIRST + int(random.integers(_HANGUL_COUNT))
            letters.append(chr(code) if hangul else _SYMBOLS[random.integers(len(_SYMBOLS))])
        letters.append(" ")
    return "".join(letters)


def _hatch(random: Random, draw: ImageDraw.ImageDraw, side: int, color: Color, width: int) -> None:
    angle, gap = random.uniform(0, math.pi), max(4 * _OVERSAMPLING, width * random.uniform(1.8, 4))
    across = np.array([math.cos(angle), math.sin(angle)])
    along = np.array([-math.sin(angle), math.cos(angle)]) * random.uniform(0.1, 0.5) * side
    start = random.uniform(0, 1, 2) * side
    for number in range(random.integers(3, 12)):
        middle = start + across * gap * number
        draw.line([tuple(middle - along), tuple(middle + along)], fill=color, width=width)


def _box(random: Random, side: int) -> list[tuple[float, float]]:
    corners = np.sort(random.uniform(-0.2, 1.2, (2, 2)), axis=0) * side
    return [tuple(corners[0]), tuple(corners[1] + 4)]


def _color(random: Random) -> Color:
    """Any colour; grey ones, black and white are frequent, as in pictures."""
    if random.random() < 0.25:
        return (int(random.choice([0, 255, random.integers(256)])),) * 3
    return tuple(int(value) for value in random.integers(0, 256, 3))


def _contrasting(random: Random, ground: np.ndarray) -> Color:
    """A colour that can be read on ``ground``."""
    for _ in range(20):
        color = _color(random)
        if np.abs(np.array(color) - ground).mean() > 50:
            return color
    return (255, 255, 255) if ground.mean() < 128 else (0, 0, 0)


def _clipped(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.broadcast_to(values, (*values.shape[:2], 3)) + 0.5, 0, 255).astype(np.uint8))


@lru_cache(maxsize=512)
def _font(path: str, points: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, points)
