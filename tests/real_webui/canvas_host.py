"""A real WebUI asked for SD Upscale on one canvas, and for its own img2img beside it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from PIL import Image

from webui_http import Answer, as_base64, picture
from webui_process import Server

__all__ = ["SCRIPT", "answered", "ask", "by_the_host", "off", "redraw"]

SCRIPT = "TrueScale SD Upscale"
FURTHER = [None] * 26  # the script has 26 arguments, and the host cuts its scripts' arguments out by their number


def plain(image: Image.Image, **values: Any) -> dict[str, Any]:
    usual = {"prompt": "SEEDED a cat", "steps": 6, "seed": 5, "denoising_strength": 0.6, "sampler_name": "Euler a"}
    size = {"width": image.width, "height": image.height}
    return {"init_images": [as_base64(image)], **usual, **size, **values}


def ask(server: Server, image: Image.Image, script: dict[str, Any], **values: Any) -> Answer:
    chosen = {"upscaler_1": "None", "scale": 1, "color_lock": 0, "engine": "One canvas", "tile_width": 256, **script}
    chosen["tile_height"] = chosen["tile_width"]
    asked = {"script_name": SCRIPT, "script_args": [chosen, *FURTHER], **plain(image, **values)}
    return server.http.ask("/sdapi/v1/img2img", asked)


def answered(answer: Answer) -> tuple[list[Image.Image], list[str]]:
    """Pictures and infotexts."""
    assert answer.status == 200, answer.json
    return [picture(one) for one in answer.json["images"]], json.loads(answer.json["info"])["infotexts"]


def redraw(server: Server, image: Image.Image, script: dict[str, Any] | None = None, **values: Any) -> tuple:
    return answered(ask(server, image, script or {}, **values))


def by_the_host(server: Server, image: Image.Image, **values: Any) -> Image.Image:
    (result,), _ = answered(server.http.ask("/sdapi/v1/img2img", plain(image, **values)))
    return result


def off(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max())
