"""The pictures that a network is judged by, and never trained on: crops of the photos held back, and text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .degrade import reduce_clean
from .figures import psnr
from .settings import SCALE, VALIDATION_PHOTOS

__all__ = ["Sample", "gain_over_lanczos", "photo_samples", "text_samples"]

SIDE = 512
DETAILED = 40.0
"""dB. Crops where Lanczos is above are smooth, and say nothing."""

_REDUCTIONS = (1, 2)
_TEXT = (
    "Upscaling is the task of finding the large picture behind a small one. The quick brown fox jumps over the lazy "
    "dog at 12:45, pays $3.99 (plus 8% tax) and asks: WHAT? 0123456789 ~ figure 4b, see page 167; [ref. 23] & others. "
)
_SIZES = (16, 20, 26, 34)
_COLORS = (("white", "black"), ((24, 26, 32), (235, 219, 178)), ((250, 240, 220), (150, 30, 40)), ("black", "#7fd1ff"))


@dataclass(frozen=True)
class Sample:
    """A large picture, and the small one made of it by Pillow's bicubic."""

    name: str
    large: Image.Image
    small: Image.Image

    @classmethod
    def of(cls, name: str, large: Image.Image) -> Sample:
        return cls(name, large, reduce_clean(large, SCALE))

    def lanczos(self) -> Image.Image:
        return self.small.resize(self.large.size, Image.LANCZOS)

    def bicubic(self) -> Image.Image:
        return self.small.resize(self.large.size, Image.BICUBIC)


def photo_samples(photos: Path, limit: int | None = None) -> list[Sample]:
    """All detailed crops of the photos held back, on a grid, at the photo's own size and at half of it.

    limit: at most so many of each photo and size, evenly spread. Raises FileNotFoundError where a photo is missing.
    """
    samples = []
    for stem in VALIDATION_PHOTOS:
        file = next(iter(sorted(photos.glob(f"{stem}.*"))), None)
        if file is None:
            raise FileNotFoundError(f"the photo '{stem}' that is held back is not in {photos}")
        with Image.open(file) as opened:
            photo = opened.convert("RGB")
        for by in _REDUCTIONS:
            size = photo if by == 1 else photo.resize((photo.width // by, photo.height // by), Image.LANCZOS)
            crops = [each for each in _grid(f"{stem} 1/{by}", size) if psnr(each.lanczos(), each.large) < DETAILED]
            samples += crops if limit is None else [crops[i] for i in _spread(len(crops), limit)]
    return samples


def text_samples(fonts: Sequence[Path]) -> list[Sample]:
    """Pages of text in fonts that are not trained on, in several sizes and colours."""
    samples = []
    for number, size in enumerate(_SIZES):
        font = ImageFont.truetype(str(fonts[number % len(fonts)]), size)
        ground, ink = _COLORS[number % len(_COLORS)]
        page = Image.new("RGB", (SIDE, SIDE), ground)
        lines = "\n".join(textwrap.wrap(_TEXT * 6, int(SIDE / size * 1.9)))
        ImageDraw.Draw(page).multiline_text((7, 5), lines, fill=ink, font=font, spacing=size // 3)
        samples.append(Sample.of(f"text {size} px", page))
    return samples


def gain_over_lanczos(samples: Sequence[Sample], enlarge: Callable[[Image.Image], Image.Image]) -> float:
    """Mean dB of luma PSNR above Lanczos."""
    return float(
        np.mean([psnr(enlarge(each.small), each.large) - psnr(each.lanczos(), each.large) for each in samples])
    )


def _grid(name: str, photo: Image.Image) -> list[Sample]:
    return [
        Sample.of(f"{name} +{left}+{top}", photo.crop((left, top, left + SIDE, top + SIDE)))
        for top in range(0, photo.height - SIDE + 1, SIDE)
        for left in range(0, photo.width - SIDE + 1, SIDE)
    ]


def _spread(count: int, limit: int) -> list[int]:
    return sorted({round(i * (count - 1) / max(1, limit - 1)) for i in range(min(limit, count))})
