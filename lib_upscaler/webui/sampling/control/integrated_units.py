"""What a user has asked the Forge family's ControlNet for, and what of it tiles cannot have."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from .units import value_of

__all__ = ["refused", "units_of"]

_NEVER = {
    "inpaint_only+lama": "inpaint_only+lama changes the noise of the whole picture",
    "instantid": "InstantID is not known to work with tiles",
    "instant_id": "InstantID is not known to work with tiles",
    "instant-id": "InstantID is not known to work with tiles",
    "fooocus": "Fooocus's inpainting is not known to work with tiles",
}
"""By words in the name of a unit's preprocessor or model."""

_NOT_ON_CANVAS = {
    "reference": "its reference is recorded from the whole picture at once",
    "tile_colorfix": "tile_colorfix mends the colours of the whole picture inside of the network",
    "lllite": "ControlNet-LLLite holds the picture as a whole",
}
"""The same where the network gets tiles: what is put into it at the canvas's size."""

_MEANT = ("inpaint_global_harmonious", "inpaint_only", "inpaint_noobai", "recolor", "revision")
"""In names of preprocessors that do something before the sampling, and fit: they change the hint, or what stands
outside of the network, or the prompt."""

_BEFORE_SAMPLING = "process_before_every_sampling"


def units_of(script: Any, p: Any) -> list[Any]:
    """Those that are switched on: objects of the script, or dicts of the API, where one that does not say is."""
    values = list(getattr(p, "script_args", None) or ())[script.args_from or 0 : script.args_to or 0]
    return [unit for unit in values if unit is not None and value_of(unit, "enabled", True)]


def refused(units: Sequence[Any], each_tile_alone: bool) -> str:
    """In words; "" where nothing is. each_tile_alone: each tile is a generation of the host's."""
    for unit in units:
        module, model = (str(value_of(unit, name, "None")) for name in ("module", "model"))
        words = {**_NEVER, **({} if each_tile_alone else _NOT_ON_CANVAS)}
        names = f"{module} {model}".casefold()
        why = next((why for name, why in words.items() if name in names), "")
        if not why and not each_tile_alone and _is_unknown(module):
            why = f"its preprocessor {module} is not known to work with tiles"
        if why:
            return f"ControlNet: {why}"
    return ""


def _is_unknown(module: str) -> bool:
    """Whether a preprocessor changes the network in a way that is not known here."""
    known = getattr(sys.modules.get("modules_forge.shared"), "supported_preprocessors", None) or {}
    kinds = type(known.get(module)).__mro__[:-1]
    changes = [kind for kind in kinds if _BEFORE_SAMPLING in vars(kind)]
    # The last one that has it is the base of all, whose own does nothing.
    return len(changes) > 1 and not any(name in module.casefold() for name in _MEANT)
