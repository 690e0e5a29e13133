"""Which models, and how large: the first fields of the table."""

from __future__ import annotations

from typing import Any

from ..planning.sizing import FITS, MAX_SCALE, MIN_SCALE
from .field import IMG2IMG_SIZE, NO_UPSCALER, WAYS, At, Field

__all__ = ["MODELS_AND_SIZE"]

_SCALES = (float(MIN_SCALE), float(MAX_SCALE))
_SIDE: dict[str, Any] = {"low": 1, "slider": (1, 16384, 1), "whole": True, "unit": "px", "group": "size"}


MODELS_AND_SIZE: tuple[Field, ...] = (
    Field(
        "upscaler_1",
        "model",
        "Upscaler 1",
        {
            "extras": At("Postprocess upscaler"),
            "sd": At("TrueScale upscaler"),
            "api": At(
                "upscaler_1",
                about='a name from /models; "A > B": A once, then B on what it gave; "A@25 & B@75": interpolated in'
                " their weights",
            ),
            "command line": At(
                "--model",
                about='the model: its name in a folder of models, or its file; "A > B": A once, then B on what it gave;'
                ' "A@25 & B@75": one network, interpolated in their weights (percent)',
            ),
        },
        group="models",
    ),
    Field(
        "upscaler_2",
        "model",
        "Upscaler 2",
        {
            "extras": At("Postprocess upscaler 2", NO_UPSCALER),
            "sd": At("TrueScale upscaler 2", NO_UPSCALER),
            "hires": At("Hires upscaler 2", NO_UPSCALER),
            "api": At("upscaler_2"),
            "command line": At("--model2", about="a second model, whose result is mixed in"),
            "xyz": At("Hires upscaler 2"),
        },
        group="models",
    ),
    Field(
        "visibility",
        "number",
        "Upscaler 2 visibility",
        {
            "extras": At("Postprocess upscaler 2 visibility"),
            "sd": At("TrueScale upscaler 2 visibility"),
            "hires": At("Hires upscaler 2 visibility"),
            "api": At("upscaler_2_visibility", 0.0, about="0 to 1"),
            "command line": At(
                "--visibility",
                None,
                about="of the second model; at 0 or 1 only the model that is seen runs (default: 0.5)",
            ),
            "xyz": At("Hires upscaler 2 visibility"),
        },
        noun="visibility of Upscaler 2",
        default=0.5,
        low=0,
        high=1,
        slider=(0.0, 1.0, 0.01),
        group="models",
    ),
    Field(
        "size_by",
        "choice",
        "Size",
        {
            "extras": At(""),
            "sd": At("TrueScale size by", choices=("Scale by", "Scale to", "Longest side", IMG2IMG_SIZE)),
        },
        noun="way of asking for a size called",
        default="Scale by",
        choices=tuple(WAYS),
        group="size",
    ),
    Field(
        "scale",
        "number",
        "Scale",
        {
            "extras": At("Postprocess upscale by"),
            "sd": At("TrueScale scale", 2.0),
            "api": At("scale", None, about="0.05 to 32"),
            "command line": At("--scale", None, about="times as large, 0.05 to 32"),
        },
        default=4.0,
        low=_SCALES[0],
        high=_SCALES[1],
        slider=(1.0, 16.0, 0.05),
        unit="x",
        group="size",
    ),
    Field(
        "width",
        "number",
        "Width",
        {
            "extras": At("TrueScale width"),
            "sd": At("TrueScale width", 1024),
            "api": At("width", None),
            "command line": At("--width", None, about="alone: the height follows"),
        },
        default=2048,
        **_SIDE,
    ),
    Field(
        "height",
        "number",
        "Height",
        {
            "extras": At("TrueScale height"),
            "sd": At("TrueScale height", 1024),
            "api": At("height", None),
            "command line": At("--height", None, about="alone: the width follows"),
        },
        default=2048,
        **_SIDE,
    ),
    Field(
        "fit",
        "choice",
        "Fit",
        {
            "extras": At("TrueScale fit"),
            "api": At("fit", about=", ".join(FITS)),
            "command line": At(
                "--fit",
                None,
                about="with width and height: as large as fits inside (default), crop what sticks out, stretch, or pad",
            ),
        },
        default="inside",
        choices=FITS,
        group="size",
    ),
    Field(
        "longest_side",
        "number",
        "Longest side, in pixels",
        {
            "extras": At("TrueScale longest side"),
            "sd": At("TrueScale longest side"),
            "api": At("longest_side", None),
            "command line": At("--max-side", None, about="the longer side"),
        },
        noun="longest side",
        default=2048,
        **_SIDE,
    ),
    Field(
        "megapixels",
        "number",
        "Size in megapixels",
        {
            "extras": At("TrueScale megapixels"),
            "api": At("megapixels", None),
            "command line": At("--megapixels", None, about="the area, in millions of pixels"),
        },
        default=4.0,
        low=0,
        slider=(0.1, 100.0, 0.1),
        group="size",
    ),
)
"""In order."""
