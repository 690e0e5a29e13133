"""What the tests of the command line have in common: pictures, and a command to upscale them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lib_upscaler.cli.commands import main

__all__ = ["photo", "upscale"]


def photo(path: str | Path, width: int = 24, height: int = 18, mode: str = "RGB", seed: int = 0) -> Path:
    """A picture of smooth random colours."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    grain = np.random.default_rng(seed).integers(0, 256, (4, 5, 4), np.uint8)
    large = Image.fromarray(grain, "RGBA").resize((width, height), Image.BICUBIC)
    large.convert(mode).save(path)
    return path


def upscale(*words: object) -> int:
    return main(["upscale", *map(str, words), "--device", "cpu"])
