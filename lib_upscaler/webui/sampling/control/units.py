"""What a user has asked ControlNet for, and what of it tiles cannot have: known before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "has_own_picture",
    "is_enabled",
    "of_no_place",
    "refused",
    "style_align",
    "units_of",
    "value_of",
]

_NEVER = {
    "inpaint_only+lama": "inpaint_only+lama changes the noise of the whole picture",
    "instant_id": "InstantID is not known to work with tiles",
}
"""By words in the name of a unit's preprocessor."""

_NOT_EACH_ALONE = {
    "recolor": "recolor puts its own lightness into the finished picture",
    "inpaint_only": "inpaint_only puts its own picture around the finished one",
}
"""The same where each tile is a generation: what is done to the finished picture, of the canvas's size."""

_MODELS = {
    "lllite": "ControlNet-LLLite holds the picture as a whole",
    "instant_id": "InstantID is not known to work with tiles",
    "instantid": "InstantID is not known to work with tiles",
    "sparsectrl": "SparseCtrl is for animations",
}
"""By words in the name of a unit's model. What the name does not say is seen when it is loaded (``slices``)."""


_OF_NO_PLACE = ("reference", "ip-adapter", "ip_adapter", "ipadapter", "clip", "revision", "insightface")
"""In names of preprocessors whose picture has nothing to do with places."""


def units_of(script: Any, p: Any) -> list[Any]:
    """Those that are switched on: objects of the extension, or dicts of the API."""
    values = list(getattr(p, "script_args", None) or ())[script.args_from or 0 : script.args_to or 0]
    return [unit for unit in values if is_enabled(unit)]


def style_align(script: Any) -> bool:
    """Needs no unit."""
    return _batch_options(script)[1]


def refused(script: Any, units: Sequence[Any], each_tile_alone: bool) -> str:
    """In words; "" where nothing is."""
    separate, align = _batch_options(script)
    if align:
        return "ControlNet's StyleAlign mixes the pictures of a batch, which tiles are too"
    if separate and len(units) > 1:
        return "ControlNet's units are for one picture of a batch each, and tiles are in one too"
    for unit in units:
        module, model = (str(value_of(unit, name, "")).casefold() for name in ("module", "model"))
        words = {**_NEVER, **(_NOT_EACH_ALONE if each_tile_alone else {})}
        why = next((why for name, why in words.items() if name in module), "")
        why = why or next((why for name, why in _MODELS.items() if name in model), "")
        if not why and value_of(unit, "animatediff_batch", False):
            why = "its pictures are those of an animation"
        if not why and "ip-adapter" in module and value_of(unit, "effective_region_mask", None) is not None:
            why = "an IP-Adapter's region mask is for the picture as a whole"
        if why:
            return f"ControlNet: {why}"
    return ""


def _batch_options(script: Any) -> tuple[bool, bool]:
    """Whether each unit is for one picture of the batch, whether StyleAlign is on."""
    option, align = (*(getattr(script, "ui_batch_option_state", None) or ()), "", False)[:2]
    return str(option).startswith("Each"), bool(align)


def has_own_picture(unit: Any) -> bool:
    """Whether it is switched on with a picture that says what lies where, and is not the one that is redrawn."""
    if not is_enabled(unit) or of_no_place(unit):
        return False
    return any(value_of(unit, name, None) is not None for name in ("image", "input_image"))


def of_no_place(unit: Any) -> bool:
    """Whether its picture says what it looks like, not what lies where."""
    module = str(value_of(unit, "module", "")).casefold()
    return any(word in module for word in _OF_NO_PLACE)


def is_enabled(unit: Any) -> bool:
    """A unit that does not say so is not, in the API neither."""
    return bool(value_of(unit, "enabled", False))


def value_of(unit: Any, name: str, default: Any) -> Any:
    """Of an object or a dict."""
    return unit.get(name, default) if isinstance(unit, dict) else getattr(unit, name, default)
