"""What the tests of SD Upscale have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from fake_host.running import FakeHost
from lib_upscaler.fields import fields_of
from networks import picture

__all__ = [
    "CANVAS",
    "SMALL",
    "TITLE",
    "WIDE",
    "at_tile",
    "by_the_host",
    "enlarged",
    "img2img",
    "levels",
    "on_canvas",
    "run",
    "script_of",
]


TITLE = "TrueScale SD Upscale"
SMALL = {"upscaler_1": "None", "tile_width": 64, "tile_height": 64, "overlap": 16, "color_lock": 0.0}
"""Plain resampling of 75 x 50 to 150 x 100: 3 x 2 tiles."""


CANVAS = {"engine": "One canvas", "scale": 1.0, "tile_width": 256, "tile_height": 256, "overlap": 64}
WIDE = (320, 256)
"""40 x 32 px of the latent: two tiles of at most 32."""


def img2img(host: FakeHost, image: Image.Image | None = None, **given: Any) -> Any:
    values = {"prompt": "a cat", "denoising_strength": 0.1, "width": 75, "height": 50, "steps": 2, **given}
    p = host.module("processing").StableDiffusionProcessingImg2Img(init_images=[image or picture(75, 50)], **values)
    p.scripts = host.module("scripts").scripts_img2img
    p.outpath_samples = host.opts.outdir_img2img_samples
    return p


def script_of(host: FakeHost) -> Any:
    return next(one for one in host.module("scripts").scripts_img2img.scripts if one.title() == TITLE)


def run(host: FakeHost, p: Any, steps: Callable[..., None] | None = None, **values: Any) -> Any:
    """Generate in img2img, with the script chosen and the values of its panel."""
    runner, script = host.module("scripts").scripts_img2img, script_of(host)
    args = [runner.selectable_scripts.index(script) + 1, *(component.value for component in runner.inputs[1:])]
    names = [field.name for field in fields_of("sd")]
    for name, value in {**SMALL, **values}.items():
        args[script.args_from + names.index(name)] = value
    p.script_args = tuple(args)
    host.module("processing").STEPS[:] = [steps] if steps is not None else []
    host.state.begin(job="img2img")
    try:
        return runner.run(p, *args)
    finally:
        host.module("processing").STEPS.clear()


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float64)


def enlarged(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """By Pillow's Lanczos in float."""
    planes = [plane.convert("F").resize(size, Image.Resampling.LANCZOS) for plane in image.convert("RGB").split()]
    return np.stack([np.asarray(plane, np.float64) for plane in planes], axis=2).clip(0, 255)


def at_tile(number: int, action: Callable[[], None]) -> Callable[..., None]:
    """Something that happens at the first step of the n-th call of the host's img2img (from 1)."""
    calls = []

    def step(p: Any, step_number: int) -> None:
        if step_number == 0:
            calls.append(p)
            if len(calls) == number:
                action()

    return step


def on_canvas(host: FakeHost, image: Image.Image, given: dict[str, Any] | None = None, **values: Any) -> Any:
    """By the engine "One canvas". given: of the host's ``p``. values: of the panel."""
    p = img2img(host, image, **{"width": image.width, "height": image.height, **(given or {})})
    return run(host, p, **{**CANVAS, **values})


def by_the_host(host: FakeHost, image: Image.Image, **given: Any) -> np.ndarray:
    """Its own img2img. The autoencoder's draws are those that the script gives it, from the seed."""
    p = img2img(host, image, width=image.width, height=image.height, do_not_save_samples=True, **given)
    torch.manual_seed(p.seed)
    return levels(host.module("processing").process_images(p).images[0])
