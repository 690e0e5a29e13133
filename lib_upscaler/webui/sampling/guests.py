"""What in the WebUI cannot go with tiles: those that a network gets of a canvas, and those that are generations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import host

__all__ = ["INSTEAD", "one_tile_at_once", "why_not", "why_not_each_alone"]

INSTEAD = "choose the engine Tiles, or a second pass as a whole"
"""What to do where the network cannot get tiles."""

_DIVIDE_IT = (
    *("regional prompter", "latent couple", "attention couple", "forge couple"),
    *("tiled diffusion", "multidiffusion"),
)
"""In titles of scripts that divide the picture themselves, also one that is a tile."""

_CONDITION = ("controlnet", "ip-adapter", "ipadapter", "t2i-adapter")
"""In titles of scripts that look at the first picture of a batch, where a unit has none of its own."""

_SEE_THE_CANVAS = (
    *_DIVIDE_IT,
    *_CONDITION,
    *("layerdiffus", "layer diffus", "hidiffusion"),
    *("selfattentionguidance", "self attention guidance", "self-attention guidance", "stylealign"),
)
"""In titles of scripts that tell the network something for each place of the picture, cut it into tiles themselves, or
read in the network what they take for the whole. The network would get it for the whole with each tile."""


def why_not(p: Any) -> str:
    """Why the network of this generation cannot get tiles, in words; "" where it can. p: None where there is none yet:
    what may be switched on is not looked at."""
    if _option(p, "hypertile_enable_unet"):
        return "Hypertile's tiles are cut for the whole picture"
    return _why_not(p, _SEE_THE_CANVAS, each_tile_alone=False)


def why_not_each_alone(p: Any) -> str:
    """Why its tiles cannot be generations of the host's, one by one, in words; "" where they can."""
    for script in _others(p):
        if _named(script, _CONDITION) and any(map(_control().has_own_picture, _values(script, p))):
            return f"{script.title()} would squeeze a unit's own picture into each tile"
    return _why_not(p, _DIVIDE_IT, each_tile_alone=True)


def _why_not(p: Any, titles: Sequence[str], each_tile_alone: bool) -> str:
    tiling = getattr(p, "tiling", None)
    if _option(p, "tiling") if tiling is None else tiling:
        return "with Tiling each tile would repeat itself"
    why = _control().why_not(p, each_tile_alone)
    if why:
        return why
    for script in _others(p):
        if _named(script, titles) and _is_on(script, p):
            return f"{script.title()} conditions on the picture as a whole, and its tiles would not fit"
    return ""


def one_tile_at_once(p: Any) -> bool:
    """Whether a script conditions on the first picture of a batch, so that such tiles cannot share one."""
    return _control().is_on(p) or any(_named(script, _CONDITION) and _is_on(script, p) for script in _others(p))


def _control() -> Any:
    from . import control  # not at the WebUI's start: it brings torch

    return control


def _others(p: Any) -> list[Any]:
    """Scripts but for those that ``control`` knows."""
    scripts = getattr(getattr(p, "scripts", None), "alwayson_scripts", None) or ()
    return [script for script in scripts if not _control().is_known(script, p)]


def _named(script: Any, words: Sequence[str]) -> bool:
    title = str(script.title()).casefold()
    return any(word in title for word in words)


def _option(p: Any, name: str) -> Any:
    """A setting of the host, or what this picture has in its place."""
    return (getattr(p, "override_settings", None) or {}).get(name, host.option(name, False))


def _is_on(script: Any, p: Any) -> bool:
    """As such scripts say it: the first argument is a switch, or some are units that are enabled."""
    values = _values(script, p)
    return bool(values) and (values[0] is True or any(map(_is_enabled, values)))


def _values(script: Any, p: Any) -> list[Any]:
    return list(getattr(p, "script_args", None) or ())[script.args_from or 0 : script.args_to or 0]


def _is_enabled(unit: Any) -> bool:
    if isinstance(unit, dict):  # of the API, where a unit that does not say is enabled
        return bool(unit.get("enabled", True))
    return bool(getattr(unit, "enabled", False))
