"""Units' own pictures for a canvas that is larger than the picture: padded as the picture itself is.

A picture of no multiple of 8 px, or smaller than a tile, is extended by reflection on the right and below. A ControlNet
would stretch a unit's picture over all of that, and no place of it would fit any more.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ....diffusion.redraw import padded
from ....geometry import Size
from . import integrated, integrated_units, mikubill, units

__all__ = ["with_own_pictures_padded"]

_PICTURES = ("image", "image_fg", "mask_image", "mask_image_fg", "generated_image")
"""Of a unit of the Forge family: arrays, or dicts of two."""

Grow = Callable[[np.ndarray], np.ndarray]


def with_own_pictures_padded(p: Any, size: Size, canvas: Size) -> Any:
    """The arguments of all scripts, with other units where needed. size: of the picture, px. canvas: px."""
    arguments = getattr(p, "script_args", ())
    if size == canvas:
        return arguments

    def grow(picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        target = Size(_grown(width, size.width, canvas.width), _grown(height, size.height, canvas.height))
        return padded(picture, target)

    theirs, built_in = mikubill.script_of(p), integrated.script_of(p)
    others: dict[int, Any] = {}
    """In place of whom, by its id."""
    for unit in () if theirs is None else units.units_of(theirs, p):
        if units.has_own_picture(unit):
            others[id(unit)] = _padded_unit(unit, grow)
    for unit in () if built_in is None else integrated_units.units_of(built_in, p):
        if not units.of_no_place(unit):
            others[id(unit)] = _padded_built_in(unit, grow)
    return type(arguments)([others.get(id(one), one) for one in arguments])


def _padded_unit(unit: Any, grow: Grow) -> Any:
    """Of Mikubill's."""
    if isinstance(unit, dict):
        # As the extension will do; the copy keeps the user's as it is.
        unit = sys.modules["internal_controlnet.args"].ControlNetUnit.from_dict(unit)
    other = copy.copy(unit)
    other.mask = None
    other.image = []
    for picture in unit.get_input_images_rgba():
        grown = grow(picture)
        other.image.append({"image": np.ascontiguousarray(grown[:, :, :3]), "mask": grown[:, :, 3:].repeat(3, axis=2)})
    return other


def _padded_built_in(unit: Any, grow: Grow) -> Any:
    """Of the Forge family's."""
    if isinstance(unit, dict):
        unit = sys.modules["lib_controlnet.external_code"].ControlNetUnit.from_dict(unit)
    other = copy.copy(unit)
    for name in _PICTURES:
        given = getattr(other, name, None)
        if isinstance(given, dict):
            setattr(other, name, {key: grow(one) if _is_array(one) else one for key, one in given.items()})
        elif _is_array(given):
            setattr(other, name, grow(given))
    return other


def _is_array(given: Any) -> bool:
    return isinstance(given, np.ndarray)


def _grown(length: int, picture: int, canvas: int) -> int:
    return round(length * canvas / picture)
