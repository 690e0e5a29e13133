"""The user's inpaint mask at the size of the result, as the host would see it."""

from __future__ import annotations

from typing import Any

from PIL import Image, ImageFilter, ImageOps

__all__ = ["canvas_mask"]


def canvas_mask(p: Any, size: tuple[int, int]) -> Image.Image | None:
    """L, 255 where it is redrawn; None where there is no mask. Inverted and blurred as ``p`` says.

    The blur is that of img2img at the picture's own size, so it grows with the picture.
    """
    mask = getattr(p, "image_mask", None)
    if mask is None:
        return None
    # Drawn masks come with alpha, their colour where they were painted; uploaded ones are grey.
    plain = mask.getchannel("A") if mask.mode == "RGBA" and mask.getextrema()[-1] != (255, 255) else mask.convert("L")
    if getattr(p, "inpainting_mask_invert", 0):
        plain = ImageOps.invert(plain)
    growth = size[0] / plain.width
    plain = plain.resize(size, Image.BICUBIC)
    blur = max(getattr(p, "mask_blur_x", 0) or 0, getattr(p, "mask_blur_y", 0) or 0) * growth
    return plain.filter(ImageFilter.GaussianBlur(blur)) if blur > 0 else plain
