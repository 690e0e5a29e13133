"""From a large crop to the small one that the network sees."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

__all__ = ["reduce_clean", "reduce_degraded"]

_FILTERS = (Image.BOX, Image.BICUBIC, Image.LANCZOS, Image.HAMMING, Image.BILINEAR)


def reduce_clean(large: Image.Image, scale: int) -> Image.Image:
    """Pillow's bicubic, which widens its filter by the scale."""
    return large.resize((large.width // scale, large.height // scale), Image.BICUBIC)


def reduce_degraded(random: np.random.Generator, large: Image.Image, scale: int) -> Image.Image:
    """Some filter, and by chance slight blur before it, noise and JPEG (quality 60 to 95) after it."""
    if random.random() < 0.4:
        large = large.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.6)))
    chosen = _FILTERS[random.integers(len(_FILTERS))]
    small = large.resize((large.width // scale, large.height // scale), chosen)
    if random.random() < 0.35:
        levels = np.asarray(small, np.float32)
        grain = random.normal(0, random.uniform(0.5, 5.0), (*levels.shape[:2], 1 if random.random() < 0.4 else 3))
        small = Image.fromarray(np.clip(levels + grain + 0.5, 0, 255).astype(np.uint8))
    if random.random() < 0.6:
        file = io.BytesIO()
        small.save(file, "JPEG", quality=int(random.integers(60, 96)), subsampling=int(random.choice([0, 2])))
        small = Image.open(file).convert("RGB")
    return small
