"""The picture that is redrawn: the source on its ground, enlarged; the last ones are kept."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ....diffusion.seamless import Seamless
from ....errors import RequestError
from ....fields import NO_UPSCALER, Place, fields_of, size_of
from ....geometry import Size
from ....pictures.resample import lanczos
from ....planning.sizing import SizeRequest, plan_size
from ... import host
from ...host.lives import SCRIPTS
from ...host.progress import shown_as_job
from ...takeover import choices, results
from ...takeover.handed import source_of
from ...takeover.requests import request_of
from ...upscaling.service import service

if TYPE_CHECKING:
    from ....request import UpscaleReport

__all__ = ["Values", "on_ground", "seamless_of", "size_wanted", "sources_of", "upscaled"]

PLACE: Place = "sd"
Values = Mapping[str, Any]
"""Checked ones, by the names of their fields; upscalers by the names that the lists have."""

_KEPT = 2
"""Upscaled pictures that are kept, for when only the redraw changes."""


class UpscaledPictures:
    """The last ones, for when only the redraw changes."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[str, tuple[Image.Image, UpscaleReport | None]] = OrderedDict()

    def get(
        self, key: str, make: Callable[[], tuple[Image.Image, UpscaleReport | None]]
    ) -> tuple[Image.Image, UpscaleReport | None]:
        """The picture of this key and its report, by ``make`` where it is not there."""
        if key not in self._pictures:
            self._pictures[key] = make()
        self._pictures.move_to_end(key)
        while len(self._pictures) > _KEPT:
            self._pictures.popitem(last=False)
        return self._pictures[key]


def sources_of(p: Any) -> list[Image.Image]:
    """Raises RequestError where there are none."""
    given = [image for image in p.init_images or () if image is not None]
    if not given:
        raise RequestError("there is no picture to upscale", "", "put one into img2img")
    return [on_ground(image) for image in given]


def on_ground(image: Image.Image) -> Image.Image:
    """A picture of img2img's as it is enlarged: in sRGB, on the host's background."""
    return host.module("images").flatten(source_of(image), host.option("img2img_background_color", "#ffffff"))


def size_wanted(values: Values, p: Any) -> SizeRequest:
    """p: with the ``width`` and ``height`` of img2img. Raises RequestError, SizeError."""
    return size_of(PLACE, values, values["size_by"], (p.width, p.height))  # the panel always says one


def seamless_of(values: Values, size: Size) -> Seamless:
    """What is redrawn of an enlarged picture of this size, where it shall go on at its other side."""
    return Seamless.of(size, ("x" in values["wrap"], "y" in values["wrap"]), values["overlap"])


def upscaled(source: Image.Image, values: Values, p: Any) -> Image.Image:
    """The source at the size of the result, RGB; kept for the next run with the same picture and upscalers."""
    size = size_wanted(values, p)

    def make() -> tuple[Image.Image, UpscaleReport | None]:
        return _upscaled_now(source, values, size)

    image, report = SCRIPTS.of(UpscaledPictures).get(_key(source, values, size), make)
    if report is not None:
        results.comment(p, report)
    return image


def _upscaled_now(source: Image.Image, values: Values, size: SizeRequest) -> tuple[Image.Image, UpscaleReport | None]:
    """No report where no upscaler is chosen, and the size is reached by resampling."""
    if values["upscaler_1"] == NO_UPSCALER and not values["recipe"]:
        target = plan_size(Size(*source.size), size).resized
        wrap = "x" in values["wrap"], "y" in values["wrap"]
        return Image.fromarray(lanczos(np.asarray(source.convert("RGB")), target, wrap=wrap)), None
    request = request_of(values, size, alpha="drop")
    with shown_as_job(choices.name_of(request.model), bar=False) as progress:
        result = service().upscale(source.convert("RGB"), request, progress)
    service().give_back()
    for text in result.report.warnings if result.report.models else ():  # that no network ran is no surprise here
        host.warn(text)
    return result.image.convert("RGB"), result.report


def _key(source: Image.Image, values: Values, size: SizeRequest) -> str:
    picture = hashlib.sha256(source.tobytes()).hexdigest()
    names = ("upscaler_1", "recipe", "upscaler_2", "visibility", "precision", "tta", "wrap")
    names += tuple(field.name for field in fields_of(PLACE) if field.group == "ldsr")
    what = (*(values[name] for name in names), size, service().fingerprint())
    return f"{picture} {source.size} {source.mode} {what}"
