"""What in the WebUI cannot go with a network that gets tiles of the canvas."""

from __future__ import annotations

from typing import Any

from .. import host
from . import control

__all__ = ["one_tile_at_once", "why_not", "why_not_each_alone"]

_SEE_THE_CANVAS = (
    *("controlnet", "ip-adapter", "ipadapter", "t2i-adapter", "layerdiffus", "layer diffus"),
    *("regional prompter", "latent couple", "attention couple", "forge couple"),
    *("tiled diffusion", "multidiffusion", "hidiffusion"),
    *("selfattentionguidance", "self attention guidance", "self-attention guidance", "stylealign"),
)
"""In titles of scripts that tell the network something for each place of the picture, cut it into tiles themselves, or
read in the network what they take for the whole. The network would get it for the whole with each tile."""


def why_not(p: Any) -> str:
    """Why the network of this generation cannot get tiles, in words; "" where it can. p: None where there is none yet:
    what may be switched on is not looked at."""
    if _option(p, "hypertile_enable_unet"):
        return "Hypertile's tiles are cut for the whole picture"
    tiling = getattr(p, "tiling", None)
    if _option(p, "tiling") if tiling is None else tiling:
        return "with Tiling each tile would repeat itself"
    known = control.script_of(p)
    for script in getattr(getattr(p, "scripts", None), "alwayson_scripts", None) or ():
        if script is known:
            why = control.why_not(script, p)
            if why:
                return why
            continue
        title = str(script.title())
        if any(name in title.casefold() for name in _SEE_THE_CANVAS) and _is_on(script, p):
            return f"{title} conditions on the picture as a whole, and its tiles would not fit"
    return ""


def why_not_each_alone(p: Any) -> str:
    """Why its tiles cannot be generations of the host's, one by one, in words; "" where they can."""
    script = control.script_of(p)
    return "" if script is None else control.why_not(script, p, each_tile_alone=True)


def one_tile_at_once(p: Any) -> bool:
    """Whether a script conditions on the first picture of a batch, so that such tiles cannot share one."""
    return control.is_on(p)


def _option(p: Any, name: str) -> Any:
    """A setting of the host, or what this picture has in its place."""
    return (getattr(p, "override_settings", None) or {}).get(name, host.option(name, False))


def _is_on(script: Any, p: Any) -> bool:
    """As such scripts say it: the first argument is a switch, or some are units that are enabled."""
    values = list(getattr(p, "script_args", None) or ())[script.args_from or 0 : script.args_to or 0]
    return bool(values) and (values[0] is True or any(map(_is_enabled, values)))


def _is_enabled(unit: Any) -> bool:
    if isinstance(unit, dict):  # of the API, where a unit that does not say is enabled
        return bool(unit.get("enabled", True))
    return bool(getattr(unit, "enabled", False))
