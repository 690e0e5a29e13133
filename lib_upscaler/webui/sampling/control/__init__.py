"""ControlNet with tiles: each tile gets the part of the hint that lies over it, to the pixel.

Mikubill's extension, for AUTOMATIC1111. That of the Forge family conditions on the whole in another place, and is
refused (``guests``).
"""

from .mikubill import cleaned_up, hooked, is_on, on_canvas, script_of, why_not
from .own_pictures import with_own_pictures_padded
from .per_tile import ControlledTiles
from .units import has_own_picture

__all__ = [
    "ControlledTiles",
    "cleaned_up",
    "has_own_picture",
    "hooked",
    "is_on",
    "on_canvas",
    "script_of",
    "why_not",
    "with_own_pictures_padded",
]
