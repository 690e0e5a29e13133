"""What the tests of SD Upscale have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from fake_host.running import FakeHost
from lib_upscaler.fields import fields_of
from networks import picture

__all__ = ["SMALL", "TITLE", "at_tile", "enlarged", "img2img", "levels", "run", "script_of"]


TITLE = "TrueScale SD Upscale"
SMALL = {"upscaler_1": "None", "tile_width": 64, "tile_height": 64, "overlap": 16, "color_lock": 0.0}
"""Plain resampling of 75 x 50 to 150 x 100: 3 x 2 tiles."""


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
