"""The img2img script "TrueScale SD Upscale": enlarge with the core, redraw with Stable Diffusion, by either engine."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any

from PIL import Image

from ....diffusion.redraw import Redraw, RedrawSettings
from ....diffusion.redraw_whole import WholeRedraw
from ....diffusion.seamless import Seamless
from ....errors import RequestError, TrueScaleError
from ....fields import NO_UPSCALER, Place, checked, fields_of
from ....geometry import Size
from ....planning.sizing import plan_size
from ... import host
from ...host.progress import stop_kind
from ...panels.pasting import noted
from ...sampling.checkpoint import network_memory, tile_for_checkpoint
from ...sampling.control import is_on, tile_control
from ...sampling.guests import one_tile_at_once
from ...takeover import choices, results
from ...takeover.failing import as_error
from ...takeover.requests import Find
from .engines import ONE_CANVAS, TILES, engine_of
from .enlarging import Values, seamless_of, size_wanted, sources_of, upscaled
from .mask import canvas_mask
from .one_canvas import CanvasSampler, is_one_tile
from .overrides import hoisted_overrides
from .prompts import is_one_at_once, noted_lines, tile_prompts
from .tiles import TileSampler

__all__ = ["TITLE", "run", "tile_of", "values_of"]

TITLE = "TrueScale SD Upscale"
PLACE: Place = "sd"


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
    sources = sources_of(p)
    with hoisted_overrides(p):
        values = _settled(p, sources, values)
        base = copy.copy(p)
        base.extra_generation_params = {**p.extra_generation_params, **infotext(values)}
        base.comments = dict(getattr(p, "comments", None) or {})
        host.module("processing").fix_seed(base)
        return _processed(base, _pictures(base, sources, values))


def _settled(p: Any, sources: Sequence[Image.Image], values: Values) -> dict[str, Any]:
    """With the engine that redraws, and what it can do. Raises RequestError."""
    if values["wrap"] != "none" and is_on(p):
        raise RequestError(
            "a picture that goes on at its other side cannot be redrawn together with ControlNet",
            "its hints would not lie over what is redrawn beyond the border",
            "switch ControlNet off, or leave Seamless at none",
        )
    values = {**values, "engine": engine_of(p, values["engine"], _against_canvas(p, sources, values))}
    if values["engine"] != ONE_CANVAS and values["composition"]:
        host.warn("the composition is kept on one canvas only")
        values["composition"] = False
    if values["engine"] != ONE_CANVAS and (one_tile_at_once(p) or is_one_at_once(values)):
        values["batch"] = 1
    if values["engine"] == ONE_CANVAS and values["flatness"] > 0:
        host.warn("flat tiles are not skipped on one canvas")
    return values


def _against_canvas(p: Any, sources: Sequence[Image.Image], values: Values) -> str:
    """Why one canvas cannot have the prompts of the tiles, in words; "" where it can, or there are none.

    Before anything is sampled: raises RequestError where the lines do not fit a picture's tiles.
    """
    why = ""
    for source in sources if values["tile_prompts"].strip() else ():
        size = seamless_of(values, plan_size(Size(*source.size), size_wanted(values, p)).output).canvas
        prompts = tile_prompts(values, p.prompt, size, tile_of(values))
        if prompts is not None and values["engine"] != TILES:
            why = why or prompts.why_not_on_canvas(is_one_tile(size, tile_of(values)))
    return why


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
    seamless = seamless_of(values, Size(*enlarged.size))
    job, sampler = _engine(base, enlarged, seamless, values, seed, subseed)
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
    image = seamless.closed(result.image)
    text = sampler.infotext(image.size)
    _save(base, image, seed, text)
    return image, text, seed


def _engine(
    base: Any, enlarged: Image.Image, seamless: Seamless, values: Values, seed: int, subseed: int
) -> tuple[Redraw | WholeRedraw, TileSampler]:
    """What redraws the picture, and what samples it. Raises RequestError."""
    mask, prompt = canvas_mask(base, enlarged.size), values["prompt"]
    enlarged, mask = seamless.opened(enlarged), None if mask is None else seamless.opened(mask)
    prompts = tile_prompts(values, base.prompt, seamless.canvas, tile_of(values))
    if values["engine"] != ONE_CANVAS:
        job = Redraw(enlarged, redraw_settings(values), mask)
        control = tile_control(base, job.grid, lambda: job.canvas)
        each = () if prompts is None else prompts.each
        return job, TileSampler(base, job.grid, seed, subseed, prompt, control, each, seamless.period)
    whole = WholeRedraw(enlarged, values["color_lock"], mask)
    how = tile_of(values), values["batch"], values["composition"]
    return whole, CanvasSampler(base, whole.grid, seed, subseed, prompt, *how, prompts, seamless.period)


# -- the result --------------------------------------------------------------------------------------------------------


def infotext(values: Values) -> dict[str, Any]:
    """What a picture says of how it was made; "Script" makes the host choose the script when it is pasted."""
    named = {**values, "upscaler_1": None, "tile_prompts": noted_lines(values["tile_prompts"])}
    first = {"TrueScale upscaler": values["upscaler_1"] or choices.default_name()}
    return {"Script": TITLE, **first, **noted(PLACE, named)}


def _save(p: Any, image: Image.Image, seed: int, text: str) -> None:
    if p.do_not_save_samples or not host.option("samples_save", True):
        return
    host.module("images").save_image(
        image, p.outpath_samples, "", seed, p.prompt, host.option("samples_format", "png"), info=text, p=p
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
