"""The networks in the fake host's models/ESRGAN, and what they make of a picture by spandrel and Pillow alone."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageCms
from torch import Tensor

from reference import levels, mean_of_views, photo, true_output
from small_networks import compact

__all__ = ["PROFILE", "STATES", "encoded", "is_lanczos", "off", "picture", "true_picture"]

STATES = {
    "four": compact(scale=4, features=8, layers=2, seed=3),
    "one": compact(scale=1, features=4, layers=1),
    "two": compact(scale=2, features=8, layers=2),
}
"""By the stems of their files."""


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
"""A colour profile."""


def picture(width: int = 30, height: int = 20, mode: str = "RGB", seed: int = 1) -> Image.Image:
    """Smooth shapes with grain; in RGBA with a soft edge of transparency."""
    image = Image.fromarray(photo(width, height, seed=seed))
    if mode == "RGBA":
        image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))))
        return image
    return image.convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **saved_with: Any) -> str:
    """A file in base64."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **saved_with)
    return base64.b64encode(buffer.getvalue()).decode()


def true_picture(
    network: str | Mapping[str, Tensor], image: Any, size: tuple[int, int] | None = None, tta: bool = False
) -> np.ndarray:
    """``(h, w, 3)`` uint8: the untiled float32 network in RGB, then Pillow's Lanczos in float to ``size``.

    tta: the mean over the picture's eight views.
    """
    state = STATES[network] if isinstance(network, str) else network
    output = (mean_of_views if tta else true_output)(state, np.asarray(image.convert("RGB"))).astype(np.float32)
    if size is not None and size != (output.shape[1], output.shape[0]):
        planes = [Image.fromarray(np.ascontiguousarray(output[..., c])) for c in range(3)]
        output = np.stack([np.asarray(plane.resize(size, Image.Resampling.LANCZOS)) for plane in planes], axis=2)
    return levels(output)


def off(image: Image.Image, expected: np.ndarray) -> int:
    """Largest difference in levels; the sizes must be the same."""
    got = np.asarray(image)
    assert got.shape == expected.shape, (got.shape, expected.shape)
    return int(np.abs(got.astype(int) - expected).max())


def is_lanczos(image: Image.Image, source: Image.Image) -> bool:
    """Whether it is ``source``, enlarged by Pillow's Lanczos."""
    return off(image, np.asarray(source.resize(image.size, Image.Resampling.LANCZOS))) <= 1
