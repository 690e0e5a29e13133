"""The pictures in the tabs of img2img: which components hold them, and which picture is the one that is seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ..host.lives import PAGE

__all__ = ["components", "picture_of", "remember"]

_TABS = ("img2img_image", "img2img_sketch", "img2maskimg", "inpaint_sketch", "img_inpaint_base")
_BACKGROUND = "logical_image_background"
"""Class of the field behind Forge's canvas that holds the picture; its id is in the canvas's HTML."""


class _Tabs(dict):
    """Component by the id of its tab."""


def remember(component: Any, elem_id: str | None) -> None:
    """Called for each component of the host's UI as it is built."""
    tabs = PAGE.of(_Tabs)
    if elem_id in _TABS:
        tabs[elem_id] = component
    elif elem_id and _BACKGROUND in (getattr(component, "elem_classes", None) or ()):
        for tab, canvas in list(tabs.items()):
            if elem_id in str(getattr(canvas, "value", "")):
                tabs[tab] = component


def components() -> dict[str, Any]:
    """Of the page that is being built, by the ids of their tabs."""
    return dict(PAGE.of(_Tabs))


def picture_of(values: Mapping[str, Any], seen: str | None) -> Image.Image | None:
    """values: of ``components()``. seen: id of the tab that is seen, as the page's script says; None: the first that
    holds a picture."""
    for tab in [seen] if seen in values else values:
        picture = _as_picture(values[tab])
        if picture is not None:
            return picture
    return None


def _as_picture(value: Any) -> Image.Image | None:
    if isinstance(value, Mapping):  # with a mask drawn on it
        value = value.get("image")
    if isinstance(value, np.ndarray):
        value = Image.fromarray(value)
    return value if isinstance(value, Image.Image) else None
