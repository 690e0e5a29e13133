"""Which engine redraws: tile by tile, or one canvas where the WebUI and what is switched on in it allow that."""

from __future__ import annotations

from typing import Any

from ....errors import RequestError
from ....fields import ENGINES
from ... import host

__all__ = ["ONE_CANVAS", "TILES", "engine_here", "engine_of"]

TILES, ONE_CANVAS, _AUTO = ENGINES

_SEE_THE_CANVAS = (
    *("controlnet", "ip-adapter", "ipadapter", "t2i-adapter", "layerdiffus", "layer diffus"),
    *("regional prompter", "latent couple", "attention couple", "tiled diffusion", "multidiffusion", "hidiffusion"),
)
"""In titles of scripts that tell the network something for each place of the picture, or cut it into tiles themselves.
The network would get it for the whole with each tile."""

_KINDS = ("is_sd1", "is_sd2", "is_sdxl", "is_sd3", "is_ssd")


def engine_of(p: Any, asked: str) -> str:
    """TILES or ONE_CANVAS. asked: one of ENGINES. Raises RequestError where ONE_CANVAS is asked for and cannot be."""
    if asked == TILES:
        return TILES
    why = _elsewhere() or _switched_on(p)
    if asked == _AUTO:
        return TILES if why or not _is_known() else ONE_CANVAS
    if why:
        raise RequestError("one canvas is not possible here", why, f"choose the engine {TILES}")
    return ONE_CANVAS


def engine_here(asked: str) -> str:
    """As ``engine_of``, before there is a ``p``: what may be switched on is not looked at."""
    return engine_of(None, asked)


def _elsewhere() -> str:
    return "this WebUI's samplers reach the network in a way that is not supported yet" if host.is_forge() else ""


def _switched_on(p: Any) -> str:
    """What of the WebUI's sees the canvas as a whole; "" where nothing does."""
    if _option(p, "hypertile_enable_unet"):
        return "Hypertile's tiles are cut for the whole picture"
    tiling = getattr(p, "tiling", None)
    if _option(p, "tiling") if tiling is None else tiling:
        return "with Tiling each tile would repeat itself"
    for script in getattr(getattr(p, "scripts", None), "alwayson_scripts", None) or ():
        title = str(script.title())
        if any(name in title.casefold() for name in _SEE_THE_CANVAS) and _is_on(script, p):
            return f"{title} conditions on the picture as a whole, and its tiles would not fit"
    return ""


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


def _is_known() -> bool:
    """Whether the loaded checkpoint is of a kind whose conditions can be cut into tiles."""
    model = getattr(getattr(host.module("sd_models"), "model_data", None), "sd_model", None)
    return any(getattr(model, name, False) for name in _KINDS)
