"""The pictures of a gallery of the host's: their files as the page names them, and how they are given back to it.

The gallery's own value is not asked for: in gradio 4 that opens every file, and one that is gone would cost all others.
A page could name any file of this computer, so that it is believed only where the host itself has shown that one.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import gradio.utils
from PIL import Image

from ...errors import RequestError
from .access import module, option
from .infotexts import values_of
from .saving import never_replace

__all__ = ["given_back", "save_result", "shown_in"]

SUFFIX = "-truescale"
"""Of the names of results."""

_SAVED = "already_saved_as"
"""The host's own: the page shows that file, and the picture is not written once more."""


def shown_in(files: Any) -> list[Path]:
    """files: the paths of a gallery's pictures, as the page says. Raises RequestError for one that no page was shown.

    Such a file may be gone since.
    """
    if not isinstance(files, list):
        return []
    return [_shown(str(file).rsplit("?", 1)[0]) for file in files]


def _shown(name: str) -> Path:
    """name: as it stands in an address, which may be quoted."""
    for one in (name, unquote(name)):
        path = Path(os.path.abspath(one))
        if _was_shown(path):
            return path
    raise RequestError("the gallery has a picture that this WebUI has not shown", "", "load the page anew")


def _was_shown(path: Path) -> bool:
    """What the host has put into a gallery, and, in gradio 4, what gradio keeps for its pages."""
    check, demo = getattr(module("ui_tempdir"), "check_tmp_file", None), getattr(module("shared"), "demo", None)
    if check is not None and demo is not None and check(demo, str(path)):
        return True
    folder, holds = (getattr(gradio.utils, name, None) for name in ("get_upload_folder", "is_in_or_equal"))
    return folder is not None and holds is not None and bool(holds(path.resolve(), folder()))


def given_back(file: Path) -> Image.Image:
    """For a gallery: the same picture again. The host shows the file; it is decoded only where one does not."""
    try:
        image: Image.Image = Image.open(io.BytesIO(file.read_bytes()))
    except Exception:  # noqa: BLE001 - Pillow's plugins raise this or that; the host shows the file as it is
        image = Image.new("RGB", (1, 1))
    setattr(image, _SAVED, str(file))
    return image


def save_result(
    image: Image.Image, tab: str, parameters: str, texts: Mapping[str, str], generation: Mapping[str, Any]
) -> Path | None:
    """Where the host saves the tab's pictures, named as it names them; its file, None where it is to save none.

    parameters: the text of the generation. texts: further ones, for PNG. No file is ever replaced.
    """
    if not option("samples_save", True):
        image.info.update({**texts, "parameters": parameters} if parameters else texts)
        return None
    said = values_of(parameters)
    never_replace(image)
    path, _ = module("images").save_image(  # type: ignore[union-attr]
        image,
        option("outdir_samples", "") or option(f"outdir_{tab}_samples", f"outputs/{tab}-images"),
        "",
        said.get("Seed"),
        said.get("Prompt"),
        option("samples_format", "png"),
        info=parameters or None,
        p=SimpleNamespace(**{**generation, "batch_index": 0}),  # as the host's button Save does, for patterns of names
        existing_info=dict(texts),
        suffix=SUFFIX,
    )
    return Path(getattr(image, _SAVED, None) or path)
