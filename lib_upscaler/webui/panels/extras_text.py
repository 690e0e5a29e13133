"""The settings of the panel in the Extras, as text in the picture that was made with them, and back again."""

from __future__ import annotations

import json
import re
from typing import Any

from PIL import Image

from ...errors import RequestError
from ...planning.sizing import ByScale
from ...request import UpscaleReport
from .. import host
from ..host.settings import BY_SETTINGS
from ..takeover import choices
from .values import Values

__all__ = ["DEFAULTS", "infotext", "settings_of", "settings_of_picture"]

DEFAULTS: dict[str, Any] = {
    "upscaler_2": choices.NO_UPSCALER,
    "visibility": 0.5,
    "size_by": "Scale by",
    "scale": 4.0,
    "width": 2048,
    "height": 2048,
    "fit": "inside",
    "longest_side": 2048,
    "megapixels": 4.0,
    "precision": BY_SETTINGS,
    "tile": 0,
    "memory": 0.0,
    "alpha": "network",
    "clean_up": choices.NO_UPSCALER,
}
"""Of the panel, without the first upscaler. What is as here is not written."""

_KEYS = {
    "upscaler_1": "Postprocess upscaler",
    "upscaler_2": "Postprocess upscaler 2",
    "visibility": "Postprocess upscaler 2 visibility",
    "scale": "Postprocess upscale by",
    "width": "TrueScale width",
    "height": "TrueScale height",
    "fit": "TrueScale fit",
    "longest_side": "TrueScale longest side",
    "megapixels": "TrueScale megapixels",
    "precision": "TrueScale precision asked",
    "tile": "TrueScale tile",
    "memory": "TrueScale memory",
    "alpha": "TrueScale transparency",
    "clean_up": "TrueScale clean-up",
}
"""Argument -> key. The host's own keys where they fit."""

_OF_WAY = {
    "Scale by": ("scale",),
    "Scale to": ("width", "height", "fit"),
    "Longest side": ("longest_side",),
    "Megapixels": ("megapixels",),
}
_PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
"""The host's own form of infotext (modules/infotext_utils.py)."""


def infotext(values: Values, report: UpscaleReport) -> dict[str, Any]:
    """What is written into the picture; what is as it is by default is left out."""
    way = values.size_by or "Scale by"
    text: dict[str, Any] = {}
    if isinstance(values.size(), ByScale):
        text["Postprocess upscale by"] = values.size().scale
    else:
        text["Postprocess upscale to"] = f"{report.output_size.width}x{report.output_size.height}"
    text[_KEYS["upscaler_1"]] = values.upscaler_1 or report.models[0]
    if choices.find(values.upscaler_2) is not None and values.visibility:
        text[_KEYS["upscaler_2"]], text[_KEYS["visibility"]] = values.upscaler_2, values.visibility
    elsewhere = ("upscaler_2", "visibility", "size_by", "scale", *(set(sum(_OF_WAY.values(), ())) - set(_OF_WAY[way])))
    for name, default in DEFAULTS.items():
        value = getattr(values, name)
        tells_way = name in _OF_WAY[way] and name != "fit"  # what was asked for, whatever came out
        if name not in elsewhere and value is not None and (tells_way or value != default):
            text[_KEYS[name]] = value
    text["TrueScale precision"] = report.precision if report.precision != "unknown" else None
    return text


def settings_of(text: str) -> dict[str, Any] | None:
    """Argument -> value for all of the panel, from such a text; None where it does not speak of an upscaler."""
    found = {key: _unquoted(value) for key, value in _PAIR.findall(text or "")}
    if _KEYS["upscaler_1"] not in found:
        return None
    values: dict[str, Any] = {**DEFAULTS, "upscaler_1": found[_KEYS["upscaler_1"]]}
    for name, default in DEFAULTS.items():
        if _KEYS.get(name) in found:
            values[name] = _typed(found[_KEYS[name]], default)
    for way, names in _OF_WAY.items():
        if any(_KEYS[name] in found for name in names):
            values["size_by"] = way
    box = re.fullmatch(r"(\d+)x(\d+)", found.get("Postprocess upscale to", ""))
    if box and values["size_by"] == "Scale by":  # by the host's own accordion
        values.update(size_by="Scale to", width=int(box.group(1)), height=int(box.group(2)), fit="stretch")
    return values


def settings_of_picture(image: Image.Image | None) -> dict[str, Any]:
    """The settings that the picture was made with. Raises RequestError."""
    if image is None:
        raise RequestError("there is no picture", "", "load one that TrueScale has made into Extras first")
    texts = [str(image.info.get(key) or "") for key in ("postprocessing", "extras")]
    read = getattr(host.module("images"), "read_info_from_image", None)
    if read is not None:
        texts.append(str(read(image)[0] or ""))
    values = next(filter(None, map(settings_of, texts)), None)
    if values is not None:
        return values
    if any("Script: TrueScale SD Upscale" in text for text in texts):
        raise RequestError(
            "this picture was made by TrueScale SD Upscale",
            "",
            "send it to img2img from the tab PNG Info; that sets the script as it was",
        )
    raise RequestError("this picture does not say that it was upscaled in Extras", "", "choose one that was")


def _unquoted(text: str) -> str:
    text = text.strip()
    if text[:1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text


def _typed(text: str, default: Any) -> Any:
    """``text`` in the type of ``default``, or the default where it cannot be."""
    if isinstance(default, str):
        return text
    try:
        return type(default)(float(text))
    except (ValueError, OverflowError):
        return default
