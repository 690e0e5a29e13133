"""Mikubill's ControlNet (sd-webui-controlnet): its script of one generation, what it cannot do, and its end.

The script hooks the network when the host calls its ``process`` and takes the hook away in ``postprocess``, which the
host calls only where all went well; and what the script raises the host swallows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

from ....geometry import Size
from ... import host
from .refusing import not_set_up
from .slices import SlicedHints
from .units import refused, style_align, units_of

__all__ = ["cleaned_up", "hooked", "is_on", "on_canvas", "script_of", "why_not"]


def script_of(p: Any) -> Any:
    """The extension's script among those of this generation; None where it is not installed."""
    for script in getattr(getattr(p, "scripts", None), "alwayson_scripts", None) or ():
        if str(script.title()).casefold() == "controlnet" and hasattr(script, "latest_network"):
            return script
    return None


def is_on(p: Any) -> bool:
    """Whether it is installed and asked for anything."""
    script = script_of(p)
    return script is not None and (bool(units_of(script, p)) or style_align(script))


def why_not(script: Any, p: Any, each_tile_alone: bool = False) -> str:
    """What its units ask for that tiles cannot have, in words; "" where they can. each_tile_alone: each tile is a
    generation of the host's, as in the engine Tiles."""
    return refused(script, units_of(script, p), each_tile_alone)


def hooked(p: Any) -> bool:
    """Whether it conditions the network of this generation, whose script has run. Raises TrueScaleError where it is on
    and does not: the host only reports what a script raises, and would go on without."""
    script = script_of(p)
    if script is None:
        return False
    if script.latest_network is not None:
        return True
    if is_on(p):
        raise not_set_up()
    return False


def on_canvas(p: Any, canvas: Size, tile_area: int) -> SlicedHints | None:
    """The hints of what is hooked now; None where nothing is. canvas: px of the latent. tile_area: of a tile, px of the
    latent. Raises TrueScaleError for what cannot be cut."""
    network = getattr(script_of(p), "latest_network", None)
    return None if network is None else SlicedHints(network, p, canvas, tile_area)


@contextmanager
def cleaned_up(p: Any) -> Iterator[None]:
    """Around a generation of the host: where it fails, the script's hooks are gone all the same."""
    try:
        yield
    except BaseException:
        script = script_of(p)
        if script is not None and script.latest_network is not None:
            _end(script, p)
        raise


def _end(script: Any, p: Any) -> None:
    """What the script does after a success, without its pictures."""
    network = script.latest_network
    script.detected_map = []
    with suppress(Exception):  # the error that has brought us here says more
        script.postprocess(p, SimpleNamespace(images=[], extra_generation_params={}))
    if script.latest_network is not None:
        network.restore()
        script.latest_network = None
    # The script marks prompts in place, and the host keeps them for the next generation.
    for name in ("cached_c", "cached_uc"):
        base = getattr(host.module("processing"), "StableDiffusionProcessing", None)
        if hasattr(base, name):
            setattr(base, name, [None, None])
