"""One sampling of the WebUI whose network gets tiles of the canvas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from ...diffusion.canvas import CanvasDenoiser
from ...diffusion.canvas_conditioning import Conditioning
from ...diffusion.canvas_grid import CanvasGrid, plan_canvas
from ...diffusion.composition import Composition
from ...diffusion.grid import LATENT
from ...diffusion.sdxl_sizes import tile_sizes
from ...errors import RequestError, TrueScaleError
from ...geometry import Size
from .. import host
from ..host.progress import stop_kind
from .control import chain_on_canvas, on_canvas
from .guests import INSTEAD
from .levels import levels_of
from .prompts import HostPrompts
from .replaced import Replaced
from .sampler_hook import SamplerHook, not_told
from .unet_hook import UnetHook, has_unet, options_of_parts

__all__ = ["in_tiles", "network_grid"]

_SMALLEST, _STEP = 256, 128
"""px: sides of the network's tiles."""

_REPLACED = {"vector": tile_sizes(), "y": tile_sizes(), "transformer_options": options_of_parts}
"""What else the network is told of a tile: SDXL's sizes (Forge calls them ``y``), and whose rows they are (Forge)."""


def network_grid(latent: Size, tile: Size, seed: int) -> CanvasGrid:
    """latent: px of the latent. tile: px of the picture; square ones of the shorter side, rounded up to multiples of
    128. Raises RequestError."""
    side = -(-min(tile.width, tile.height) // _STEP) * _STEP
    if side < _SMALLEST:
        what = f"tiles of {tile} px are too small for one canvas"
        raise RequestError(what, "", f"choose at least {_SMALLEST} px, or 0 for the checkpoint's size")
    return plan_canvas(latent, side // LATENT, seed=seed)


@contextmanager
def in_tiles(
    p: Any, grid: CanvasGrid, batch: int, composition: bool = False, prompts: HostPrompts | None = None
) -> Iterator[None]:
    """Inside, what ``p.sampler``, just made, denoises goes through tiles of ``grid``, ``batch`` of them at once.

    composition: whether the whole is denoised at low resolution too, in the early steps, and the tiles keep to it.
    prompts: of tiles; None: all have that of ``p``.

    Raises TrueScaleError where it cannot, or, at the end, where the network was reached in another way.
    """
    slicer = Conditioning(grid.size, {**_REPLACED, **(prompts.parts.replacements() if prompts is not None else {})})
    whole = Composition(levels_of(p.sampler)) if composition else None
    hints = on_canvas(p, grid.size, grid.tile**2)
    if hints is not None:
        batch = hints.at_once(batch)
    chain = chain_on_canvas(p, grid.size) if has_unet(p.sampler) else None
    sees = hints or chain
    canvas = CanvasDenoiser(grid, batch, slicer, _check, whole, None if sees is None else sees.sees)
    told = not_told if prompts is None else prompts.next_call
    hook = SamplerHook(p.sampler, canvas, told) if chain is None else UnetHook(p.sampler, canvas, chain, told)
    steps: list[None] = []

    def begins() -> None:
        steps.append(None)
        if prompts is not None:
            prompts.begins()

    each_call = _each_call(p.sampler.model_wrap_cfg, begins)
    with _words_of_the_bar(), hints or nullcontext(), hook, each_call:
        yield
    # DDIM samples nothing at all where there are few steps and the denoising strength is small.
    if steps and not hook.calls and stop_kind() is None:
        what = "the picture was sampled without tiles"
        raise TrueScaleError(
            what,
            "an extension has replaced the sampler's denoiser",
            INSTEAD,
        )
    if prompts is not None and hook.calls and stop_kind() is None:
        prompts.check_reached()


@contextmanager
def _words_of_the_bar() -> Iterator[None]:
    """As they were, afterwards: the host takes them away only with the job."""
    state = host.state()
    before = getattr(state, "textinfo", None)
    try:
        yield
    finally:
        state.textinfo = before


@contextmanager
def _each_call(denoiser: Any, tell: Callable[[], None]) -> Iterator[None]:
    plain = denoiser.forward

    def forward(*arguments: Any, **named: Any) -> Any:
        tell()
        return plain(*arguments, **named)

    replaced = Replaced(denoiser, "forward", forward)
    try:
        yield
    finally:
        replaced.restore()


def _check(done: int, total: int) -> None:
    """Before each batch of tiles; the host itself looks once a step, which here may take long."""
    if stop_kind() is not None:
        raise host.module("sd_samplers_common").InterruptedException  # what its samplers end early by
    if total > 1:
        host.state().textinfo = f"TrueScale: tile {done + 1} of {total}"
