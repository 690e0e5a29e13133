"""The img2img script "TrueScale SD Upscale": enlarge with the core, redraw with Stable Diffusion, by either engine."""

from __future__ import annotations

import copy
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ....diffusion.redraw import Redraw, Redrawn, RedrawSettings
from ....diffusion.redraw_whole import WholeRedraw
from ....errors import RequestError, TrueScaleError
from ....fields import NO_UPSCALER, Place, checked, fields_of, size_of
from ....geometry import Size
from ....pictures.resample import lanczos
from ....planning.sizing import SizeRequest, plan_size
from ... import host
from ...host.lives import SCRIPTS
from ...host.progress import shown_as_job, stop_kind
from ...panels.pasting import noted
from ...sampling.checkpoint import network_memory, tile_for_checkpoint
from ...sampling.control import tile_control
from ...sampling.guests import one_tile_at_once
from ...takeover import choices, results
from ...takeover.failing import as_error
from ...takeover.handed import source_of
from ...takeover.requests import Find, request_of
from ...upscaling.service import service
from .engines import ONE_CANVAS, engine_of
from .mask import canvas_mask
from .one_canvas import CanvasSampler
from .tiles import TileSampler, hoisted_overrides

if TYPE_CHECKING:
    from ....request import UpscaleReport

__all__ = ["TITLE", "run", "tile_of", "values_of"]

TITLE = "TrueScale SD Upscale"
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


def values_of(arguments: Sequence[Any], find: Find = choices.find) -> dict[str, Any]:
    """The script's arguments by the names of their fields: positional ones, or a dict of named ones in the first place.

    find: for upscalers, which the usual one fetches. None stands for each one's default. Raises RequestError for what
    is wrong.
    """
    fields = fields_of(PLACE)
    if arguments and isinstance(arguments[0], dict):
        given = dict(arguments[0])
    else:
        given = dict(zip((field.name for field in fields), arguments))
    values = checked(PLACE, given)
    for field in fields:
        if field.kind == "model" and values[field.name]:
            found = find(values[field.name])
            values[field.name] = NO_UPSCALER if found is None else choices.name_of(found)
    return values


def tile_of(values: Values) -> Size:
    """px; what suits the checkpoint where none is given."""
    side = tile_for_checkpoint()
    return Size(max(1, values["tile_width"] or side), max(1, values["tile_height"] or side))


def redraw_settings(values: Values) -> RedrawSettings:
    """Raises RequestError."""
    names = ("overlap", "order", "batch", "color_lock", "flatness")
    return RedrawSettings(tile_of(values), **{name: values[name] for name in names})


# -- the run -----------------------------------------------------------------------------------------------------------


def run(p: Any, *arguments: Any) -> Any:
    """All pictures of the batch; the host's Processed. ``p`` is left as it was. Raises TrueScaleError."""
    try:
        return _run(p, values_of(arguments))
    except TrueScaleError as error:
        raise as_error(error, TITLE) from error


def _run(p: Any, values: Values) -> Any:
    processing = host.module("processing")
    values = {**values, "engine": engine_of(p, values["engine"])}
    if values["engine"] != ONE_CANVAS and values["composition"]:
        host.warn("the composition is kept on one canvas only")
        values["composition"] = False
    if values["engine"] != ONE_CANVAS and one_tile_at_once(p):
        values["batch"] = 1
    base = copy.copy(p)
    base.extra_generation_params = {**p.extra_generation_params, **infotext(values)}
    base.comments = dict(getattr(p, "comments", None) or {})
    processing.fix_seed(base)
    flatten, background = host.module("images").flatten, host.option("img2img_background_color", "#ffffff")
    given = [image for image in base.init_images or () if image is not None]
    sources = [flatten(source_of(image), background) for image in given]
    if values["engine"] == ONE_CANVAS and values["flatness"] > 0:
        host.warn("flat tiles are not skipped on one canvas")
    if not sources:
        raise RequestError("there is no picture to upscale", "", "put one into img2img")
    with hoisted_overrides(base):
        return _processed(base, _pictures(base, sources, values))


def _pictures(base: Any, sources: Sequence[Image.Image], values: Values) -> list[tuple[Image.Image, str, int]]:
    """(image, infotext, seed) of each. Where one fails, those before it are not lost. Raises TrueScaleError."""
    count = base.n_iter * base.batch_size
    done: list[tuple[Image.Image, str, int]] = []
    for number in range(count):
        if number and (stop_kind() == "interrupt" or getattr(host.state(), "stopping_generation", False)):
            break
        source = sources[min(number % base.batch_size, len(sources) - 1)]
        try:
            done.append(_picture(base, source, values, number, count))
        except Exception as error:
            known = as_error(error, TITLE)
            if not done:
                raise known from error
            host.warn(f"{len(done)} of {count} pictures were made: {known}")
            break
    return done


def _picture(base: Any, source: Image.Image, values: Values, number: int, count: int) -> tuple[Image.Image, str, int]:
    """One picture: (image, infotext, seed); saved where the host saves."""
    seed = int(base.seed) + (number if base.subseed_strength == 0 else 0)
    subseed = int(base.subseed) + number
    enlarged = upscaled(source, values, base)
    job, sampler = _engine(base, enlarged, values, seed, subseed)
    state = host.state()
    batches = -(-len(job.todo()) // values["batch"])
    state.job_count, state.job_no = max(1, batches * count), batches * number
    started = time.perf_counter()
    result = sampler.run(job)
    seconds = time.perf_counter() - started
    if isinstance(sampler, CanvasSampler):
        cost = sampler.forecast
        results.comment_canvas(base, cost, seconds, network_memory(2, cost.batch_px), network_memory(2, cost.canvas))
    else:
        results.comment_redraw(base, len(job.todo()), seconds)
    text = sampler.infotext(result.image.size)
    _save(base, result, seed, text)
    return result.image, text, seed


def _engine(
    base: Any, enlarged: Image.Image, values: Values, seed: int, subseed: int
) -> tuple[Redraw | WholeRedraw, TileSampler]:
    """What redraws the picture, and what samples it. Raises RequestError."""
    mask, prompt = canvas_mask(base, enlarged.size), values["prompt"]
    if values["engine"] != ONE_CANVAS:
        job = Redraw(enlarged, redraw_settings(values), mask)
        control = tile_control(base, job.grid, lambda: job.canvas)
        return job, TileSampler(base, job.grid, seed, subseed, prompt, control)
    whole = WholeRedraw(enlarged, values["color_lock"], mask)
    how = tile_of(values), values["batch"], values["composition"]
    return whole, CanvasSampler(base, whole.grid, seed, subseed, prompt, *how)


def upscaled(source: Image.Image, values: Values, p: Any) -> Image.Image:
    """The source at the size of the result, RGB; kept for the next run with the same picture and upscalers."""
    size = size_of(PLACE, values, values["size_by"], (p.width, p.height))

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
        return Image.fromarray(lanczos(np.asarray(source.convert("RGB")), target)), None
    request = request_of(values, size, alpha="drop")
    with shown_as_job(choices.name_of(request.model), bar=False) as progress:
        result = service().upscale(source.convert("RGB"), request, progress)
    service().give_back()
    for text in result.report.warnings if result.report.models else ():  # that no network ran is no surprise here
        host.warn(text)
    return result.image.convert("RGB"), result.report


def _key(source: Image.Image, values: Values, size: SizeRequest) -> str:
    picture = hashlib.sha256(source.tobytes()).hexdigest()
    names = ("upscaler_1", "recipe", "upscaler_2", "visibility", "precision", "tta")
    names += tuple(field.name for field in fields_of(PLACE) if field.group == "ldsr")
    what = (*(values[name] for name in names), size, service().fingerprint())
    return f"{picture} {source.size} {source.mode} {what}"


# -- the result --------------------------------------------------------------------------------------------------------


def infotext(values: Values) -> dict[str, Any]:
    """What a picture says of how it was made; "Script" makes the host choose the script when it is pasted."""
    named = {**values, "upscaler_1": None}
    first = {"TrueScale upscaler": values["upscaler_1"] or choices.default_name()}
    return {"Script": TITLE, **first, **noted(PLACE, named)}


def _save(p: Any, result: Redrawn, seed: int, text: str) -> None:
    if p.do_not_save_samples or not host.option("samples_save", True):
        return
    host.module("images").save_image(
        result.image, p.outpath_samples, "", seed, p.prompt, host.option("samples_format", "png"), info=text, p=p
    )


def _processed(base: Any, done: list[tuple[Image.Image, str, int]]) -> Any:
    pictures = [image for image, _, _ in done]
    texts = [text for _, text, _ in done]
    seeds = [seed for _, _, seed in done]
    if host.option("enable_pnginfo", True):
        for image, text, _ in done:
            image.info["parameters"] = text
    return host.module("processing").Processed(
        base, pictures, seed=seeds[0], info=texts[0], all_seeds=seeds, infotexts=texts
    )
