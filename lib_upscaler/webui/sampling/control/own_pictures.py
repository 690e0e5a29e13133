"""Units' own pictures for a canvas that is larger than the picture: padded as the picture itself is.

A picture of no multiple of 8 px, or smaller than a tile, is extended by reflection on the right and below. The
extension would stretch a unit's picture over all of that, and no place of it would fit any more.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

import numpy as np

from ....diffusion.redraw import padded
from ....geometry import Size
from .units import has_own_picture

__all__ = ["with_own_pictures_padded"]


def with_own_pictures_padded(script: Any, arguments: Any, size: Size, canvas: Size) -> Any:
    """The arguments of all scripts, with other units where needed. size: of the picture, px. canvas: px."""
    if size == canvas or script is None:
        return arguments
    first, end = script.args_from or 0, script.args_to or 0
    units = [_padded_unit(unit, size, canvas) if has_own_picture(unit) else unit for unit in arguments[first:end]]
    return type(arguments)([*arguments[:first], *units, *arguments[end:]])


def _padded_unit(unit: Any, size: Size, canvas: Size) -> Any:
    if isinstance(unit, dict):
        # As the extension will do; the copy keeps the user's as it is.
        unit = sys.modules["internal_controlnet.args"].ControlNetUnit.from_dict(unit)
    other = copy.copy(unit)
    other.mask = None
    other.image = []
    for picture in unit.get_input_images_rgba():
        target = Size(
            _grown(picture.shape[1], size.width, canvas.width), _grown(picture.shape[0], size.height, canvas.height)
        )
        grown = padded(picture, target)
        other.image.append({"image": np.ascontiguousarray(grown[:, :, :3]), "mask": grown[:, :, 3:].repeat(3, axis=2)})
    return other


def _grown(length: int, picture: int, canvas: int) -> int:
    return round(length * canvas / picture)
