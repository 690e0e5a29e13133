"""ControlNet with tiles: each tile gets the part of the hint that lies over it, to the pixel.

Mikubill's extension, for AUTOMATIC1111 (``mikubill``, ``slices``, ``per_tile``), and the one that is built into the
Forge family (``integrated``, ``chain``, ``integrated_tiles``).
"""

from .any_control import TileControl, cleaned_up, hooked, is_known, is_on, tile_control, why_not
from .chain import ControlChain
from .integrated import chain_on_canvas
from .mikubill import on_canvas
from .own_pictures import with_own_pictures_padded
from .units import has_own_picture

__all__ = [
    "ControlChain",
    "TileControl",
    "chain_on_canvas",
    "cleaned_up",
    "has_own_picture",
    "hooked",
    "is_known",
    "is_on",
    "on_canvas",
    "tile_control",
    "why_not",
    "with_own_pictures_padded",
]
