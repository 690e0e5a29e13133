"""The settings of the panel in the Extras, as text in the picture that was made with them, and back again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from PIL import Image

from ...errors import RequestError
from ...fields import WAYS, Place, by_key, checked, fields_of
from ...request import UpscaleReport
from .. import host
from ..takeover import choices

__all__ = ["infotext", "settings_of", "settings_of_picture"]

PLACE: Place = "extras"
_PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
"""The host's own form of infotext (modules/infotext_utils.py)."""


def infotext(values: Mapping[str, Any], report: UpscaleReport) -> dict[str, Any]:
    """What is written into the picture; what is as it is by default is left out. values: checked ones."""
    way = values["size_by"]
    text: dict[str, Any] = {}
    if way == "Scale by":
        text["Postprocess upscale by"] = values["scale"]
    else:
        text["Postprocess upscale to"] = f"{report.output_size.width}x{report.output_size.height}"
    text["Postprocess upscaler"] = values["recipe"] or values["upscaler_1"] or report.models[0]
    mixes = choices.find(values["upscaler_2"]) is not None and values["visibility"]
    elsewhere = {name for other, names in WAYS.items() if other != way for name in names}
    elsewhere |= set() if way == "Scale to" else {"fit"}
    elsewhere |= {"upscaler_1"} if mixes else {"upscaler_1", "upscaler_2", "visibility"}
    always = {*WAYS[way], "upscaler_2", "visibility"}  # what was asked for, whatever came out
    for field in fields_of(PLACE):
        key, value = field.at[PLACE].key, values[field.name]
        is_told = field.name in always or value not in (None, field.default_at(PLACE))
        if key and field.name not in elsewhere and is_told:
            text[key] = value
    text["TrueScale precision"] = report.precision if report.precision != "unknown" else None
    return text


def settings_of(text: str) -> dict[str, Any] | None:
    """Argument -> value for all of the panel, from such a text; None where it does not speak of an upscaler."""
    found = {key: _unquoted(value) for key, value in _PAIR.findall(text or "")}
    if "Postprocess upscaler" not in found:
        return None
    said, values = by_key(PLACE, found), checked(PLACE, {})
    values.update({field.name: field.read(said[field.name], PLACE) for field in fields_of(PLACE) if field.name in said})
    if values["recipe"]:
        values["upscaler_1"] = choices.default_name()  # it is told as the upscaler, and is none of the list
    for way, names in WAYS.items():
        if any(name in said for name in names):
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
