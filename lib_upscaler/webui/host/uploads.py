"""What gradio drops of an uploaded picture before anybody sees it.

Grey pictures of 16 bits: gradio and the host make them RGB by cutting off what is above 255, which gives white; of
colours with 16 bits they keep 8. In the Extras the picture remembers its file; Stable Diffusion, which works in 8 bits
anyway, gets grey ones scaled. Transparency in the Extras of older hosts: it is let in.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["DEEP_MODES", "Parked", "bytes_of", "deep_mode", "file_of", "in_eight_bits", "watch"]

DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
"""Pillow's, of more than 8 bits per channel."""

_ATTRIBUTE, _FILE = "truescale_deep", "truescale_file"
_EXTRAS, _IMG2IMG = "extras_image", "img2img_image"


def watch(component: Any, elem_id: str | None) -> None:
    """Called for each component of the host's UI as it is built."""
    if elem_id not in (_EXTRAS, _IMG2IMG) or not hasattr(component, "preprocess"):
        return
    if elem_id == _EXTRAS and getattr(component, "image_mode", None) == "RGB":
        component.image_mode = "RGBA"  # before 1.9; the host makes it RGB itself, as it must those of its API
    plain = component.preprocess

    def preprocess(payload: Any) -> Any:
        image, uploaded = plain(payload), _deep_upload(payload)
        if elem_id == _EXTRAS and isinstance(image, Image.Image):
            setattr(image, _FILE, _uploaded(payload))
        if uploaded is None or not isinstance(image, Image.Image):
            return image
        if elem_id == _IMG2IMG and uploaded.size == image.size:
            return in_eight_bits(uploaded).convert(image.mode)
        setattr(image, _ATTRIBUTE, uploaded.mode)
        return image

    component.preprocess = preprocess


def deep_mode(image: Any) -> str | None:
    """Pillow's mode of a picture that has, or had where it was uploaded, more than 8 bits per channel; else None."""
    mode = getattr(image, "mode", None)
    return mode if mode in DEEP_MODES else getattr(image, _ATTRIBUTE, None)


def file_of(source: Any) -> str | None:
    """The path of a picture's file, or its bytes as a data address; None where it cannot be reached.

    source: a path, an uploaded file of gradio's, a picture that came by ``watch``, or, before 1.7, one that the host
    has opened.
    """
    if isinstance(source, str):
        return source
    is_picture = isinstance(source, Image.Image)
    file = getattr(source, _FILE, None) or getattr(source, "filename" if is_picture else "name", None)
    return file if isinstance(file, str) and file else None


def bytes_of(file: str) -> bytes | None:
    """Those of a data address; None for a path. Raises ValueError."""
    return base64.b64decode(file.split(",", 1)[1]) if file.startswith("data:") else None


class Parked:
    """A picture of the Extras that waits for its turn, on the disk."""

    def __init__(self, image: Image.Image, folder: Path) -> None:
        self._file, self._info = folder / "picture.png", dict(image.info)
        self._deep, self._upload = getattr(image, _ATTRIBUTE, None), getattr(image, _FILE, None)
        plain = image.copy()
        plain.info = {}
        plain.save(self._file, compress_level=1)
        content = bytes_of(self._upload) if self._upload else None
        if content is not None:
            self._upload = str(folder / "upload")
            Path(self._upload).write_bytes(content)

    def image(self) -> Image.Image:
        """As gradio gave it."""
        with Image.open(self._file) as image:
            image.load()
        image.info = dict(self._info)
        for name, value in ((_ATTRIBUTE, self._deep), (_FILE, self._upload)):
            if value is not None:
                setattr(image, name, value)
        return image


def in_eight_bits(image: Image.Image) -> Image.Image:
    """A deep grey picture as L: of 65535 levels each 257th is one; what has none above 255 stays."""
    values = np.asarray(image).astype(np.float64)
    if values.max(initial=0) > 255:
        values = values / 257
    return Image.fromarray(np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8))


def _uploaded(payload: Any) -> str | None:
    """Where an upload lies: a data address in gradio 3, the path of gradio's own file in gradio 4.

    gradio 3 takes other words for data addresses too; none of these may be taken for a path of this machine.
    """
    if isinstance(payload, str):
        return payload if payload.startswith("data:") else None
    return getattr(payload, "path", None)


def _deep_upload(payload: Any) -> Image.Image | None:
    """The uploaded file, where it is deep: a data address in gradio 3, a path in gradio 4."""
    try:
        if isinstance(payload, str) and (content := bytes_of(payload)) is not None:
            file: Any = io.BytesIO(content)
        else:
            file = getattr(payload, "path", None)
        if file is None:
            return None
        with Image.open(file) as opened:
            if opened.mode not in DEEP_MODES:
                return None
            opened.load()
            return opened
    except Exception:  # noqa: BLE001 - what cannot be read is for gradio to tell
        return None
