"""One crop of a picture in the source, in the WebUI's own output and in ours, and what each is off the network's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from likeness import decibels, levels_off

__all__ = ["measured", "sheet", "true_levels", "true_output"]

Levels = Callable[[tuple[int, int]], np.ndarray]

_PROGRAM = Path(__file__).resolve().parent / "true_network.py"
_CROP = (262, 68, 314, 120)  # px of the source: windows in the sun, where channels in wrong order are seen
_ZOOM = 8  # px of the sheet for each of the source
_GAP, _LABEL = 4, 62  # px


def true_output(model: Path, source: Path, result: Path, *size: int) -> np.ndarray:
    """The untiled network's output ``(H, W, 3)`` in levels, by this Python: hosts have any spandrel, or none."""
    words = [sys.executable, _PROGRAM, model, source, result, *size]
    subprocess.run([str(word) for word in words], check=True)
    return np.load(result)


def true_levels(model: Path, source: Path) -> Levels:
    """Gives the untiled network's output ``(H, W, 3)`` in float; where another size is asked for, resampled to it."""
    levels: dict[tuple[int, int], np.ndarray] = {}

    def of(size: tuple[int, int]) -> np.ndarray:
        if size not in levels:
            result = source.with_suffix(".npy")
            levels[size] = true_output(model, source, result, *size).clip(0, 255)
        return levels[size]

    return of


def measured(source: Image.Image, results: Mapping[str, Image.Image], true: Levels) -> list[str]:
    """A line for each: how near it is to the true output at its own size, and the crop's mean colour."""
    lines = [f"source: mean red, green, blue of the crop {_mean(_detail(source, source))}"]
    for name, result in results.items():
        levels = true(result.size)
        near = f"{decibels(result, levels):.1f} dB, at most {levels_off(result, levels):.0f} levels off"
        lines.append(f"{name}: {result.size}, {near}, mean of the crop {_mean(_detail(result, source))}")
    return lines


def sheet(source: Image.Image, results: Mapping[str, Image.Image], true: Levels, font_file: Path) -> Image.Image:
    """The crop in each of them, with size and dB below."""
    font = ImageFont.truetype(str(font_file), 22)
    panels = {f"source\n{source.width} x {source.height} px": _detail(source, source)}
    for name, result in results.items():
        near = decibels(result, true(result.size))
        panels[f"{name}\n{result.width} x {result.height} px, {near:.1f} dB"] = _detail(result, source)
    width, height = next(iter(panels.values())).size
    whole = Image.new("RGB", (len(panels) * (width + _GAP) - _GAP, height + _LABEL), "white")
    draw = ImageDraw.Draw(whole)
    for number, (label, panel) in enumerate(panels.items()):
        left = number * (width + _GAP)
        whole.paste(panel, (left, 0))
        middle = (left + width // 2, height + _LABEL // 2)
        draw.multiline_text(middle, label, "black", font, anchor="mm", align="center")
    return whole


def _detail(image: Image.Image, source: Image.Image) -> Image.Image:
    """What the crop of the source has become, pixels as squares."""
    across, down = image.width / source.width, image.height / source.height
    box = (_CROP[0] * across, _CROP[1] * down, _CROP[2] * across, _CROP[3] * down)
    size = ((_CROP[2] - _CROP[0]) * _ZOOM, (_CROP[3] - _CROP[1]) * _ZOOM)
    return image.convert("RGB").resize(size, Image.Resampling.NEAREST, box=box)


def _mean(image: Image.Image) -> str:
    return ", ".join(f"{value:.1f}" for value in np.asarray(image, float).mean((0, 1)))
