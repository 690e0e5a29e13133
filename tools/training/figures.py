"""How near an enlarged picture is to the original: luma PSNR and SSIM, by scikit-image."""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["BORDER", "luma", "psnr", "ssim"]

BORDER = 4
"""px at each side that are left out: there a network has less context than inside a picture."""


def luma(picture: Image.Image) -> np.ndarray:
    """``(H, W)`` float64 in [16, 235]: the Y of ITU-R BT.601 in its video range, as super-resolution papers use it."""
    rgb = np.asarray(picture.convert("RGB"), np.float64)
    return 16 + rgb @ np.array([65.481, 128.553, 24.966]) / 255


def psnr(picture: Image.Image, original: Image.Image, border: int = BORDER) -> float:
    """dB of the luma against a peak of 255."""
    from skimage.metrics import peak_signal_noise_ratio

    return float(peak_signal_noise_ratio(*_inner(original, picture, border), data_range=255))


def ssim(picture: Image.Image, original: Image.Image, border: int = BORDER) -> float:
    """Of the luma, with the Gaussian window of the paper of Wang et al. (2004)."""
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(
            *_inner(original, picture, border),
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def _inner(original: Image.Image, picture: Image.Image, border: int) -> list[np.ndarray]:
    if original.size != picture.size:
        raise ValueError(f"the sizes differ: {original.size} and {picture.size}")
    return [luma(each)[border:-border, border:-border] for each in (original, picture)]
