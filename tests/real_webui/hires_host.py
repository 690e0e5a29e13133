"""A real WebUI asked for Hires Fix, with its second pass as a whole or in tiles."""

from __future__ import annotations

from typing import Any

from PIL import Image

from webui_process import Server

__all__ = ["hires"]

TITLE = "TrueScale Hires Fix"


def hires(server: Server, way: str, **values: Any) -> list[Image.Image]:
    """way: of the second pass."""
    known = server.http.get("/sdapi/v1/script-info")
    ours = next(one for one in known if one["name"] == TITLE.lower() and not one["is_img2img"])
    labels = [one["label"] for one in ours["args"]]
    args = [True, *(way if label == "Second pass" else None for label in labels[1:])]
    scripts = {TITLE: {"args": args}, **values.pop("alwayson_scripts", {})}
    usual = {"width": 160, "height": 128, "enable_hr": True, "hr_scale": 4, "hr_upscaler": "Lanczos"}
    usual.update(denoising_strength=0.7, sampler_name="Euler a", steps=3, seed=5, alwayson_scripts=scripts)
    pictures, (text, *_) = server.http.txt2img(**{**usual, **values})
    assert "TrueScale:" not in text
    return pictures
