"""The sampling of a second pass: with noise of its own, its network in tiles, once more in tiles where memory ran out.

The hook is a ``sample_img2img`` of that one sampler, put there when the host has made it, and taken away with the pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from ....diffusion.canvas_forecast import forecast
from ....errors import TrueScaleError, memory_ran_out
from ....geometry import Size
from ... import host
from ...sampling.checkpoint import tile_for_checkpoint
from ...sampling.in_tiles import in_tiles, network_grid
from ...sampling.replaced import Replaced
from ...sampling.speed import timed
from ...takeover import results
from .second_pass import own_checkpoint
from .ways import fits_one_tile, memory_of, not_in_tiles, why_no_tiles

__all__ = ["SecondSampling"]


class SecondSampling:
    """latents: what came of it, ``(B, C, H, W)``; None before. in_tiles: whether it is, or was, sampled so."""

    def __init__(
        self, p: Any, tiles: bool, composition: bool, seeds: Sequence[int] | None, begins: Callable[[], None]
    ) -> None:
        """tiles: from the start. composition: keep that of the whole where it is in tiles. seeds: of each picture of
        the batch, None for those of the first pass. begins: called before tiles after all."""
        self._p, self._composition, self._seeds, self._begins = p, composition, seeds, begins
        self.in_tiles = tiles
        self._hook: Replaced | None = None
        self.latents: Any = None

    def hook(self) -> None:
        """When the host has made ``p.sampler`` for the second pass. Once."""
        if self._hook is None and hasattr(self._p.sampler, "sample_img2img"):
            self._hook = Replaced(self._p.sampler, "sample_img2img", self._sample)

    def off(self) -> None:
        if self._hook is not None:
            self._hook.restore()

    def _sample(self, p: Any, x: Any, noise: Any, *more: Any, **named: Any) -> Any:
        """In place of the sampler's."""
        self._own_tree(p.sampler)
        if self.in_tiles:
            return self._tiled(p, x, noise, *more, **named)
        try:
            return self._whole(p, x, noise, *more, **named)
        except Exception as error:
            if not memory_ran_out(error) or fits_one_tile(Size(x.shape[3], x.shape[2])) or why_no_tiles(p):
                raise
        # Out of the handler: the error holds what was computed so far.
        host.free_memory()
        words = "Memory ran out in the second pass: once more in tiles"
        host.warn(words)
        if hasattr(p, "comment"):
            p.comment(f"TrueScale: {words}")
        self._begins()
        self._begin_anew(p, x)
        self.in_tiles = True
        return self._tiled(p, x, noise, *more, **named)

    def _whole(self, p: Any, x: Any, *given: Any, **named: Any) -> Any:
        self.off()
        with timed(x.shape[0] * x.shape[2] * x.shape[3]):
            self.latents = p.sampler.sample_img2img(p, x, *given, **named)
        return self.latents

    def _tiled(self, p: Any, x: Any, *given: Any, **named: Any) -> Any:
        self.off()  # what the sampler does now is its own again, for the hook of the tiles
        side = tile_for_checkpoint()
        grid = network_grid(Size(x.shape[3], x.shape[2]), Size(side, side), int(p.seeds[0]))
        cost = forecast(grid, max(1, int(getattr(p, "hr_second_pass_steps", 0) or p.steps)))
        started, begun = time.perf_counter(), False
        try:
            with timed(cost.work * cost.canvas * x.shape[0]), in_tiles(p, grid, 1, self._composition):
                begun = True
                self.latents = p.sampler.sample_img2img(p, x, *given, **named)
        except TrueScaleError as error:
            if begun and self.latents is None:
                raise
            why = error
        else:
            seconds = time.perf_counter() - started
            memory, whole = (memory_of(px, x.shape[0]) for px in (cost.batch_px, cost.canvas))
            results.comment_canvas(p, cost, seconds, memory, whole)
            return self.latents
        # No hook was possible, or another extension has reached the network in its own way, and the picture is there.
        not_in_tiles(p, str(why))
        return self._whole(p, x, *given, **named) if self.latents is None else self.latents

    def _begin_anew(self, p: Any, x: Any) -> None:
        """Sampler and random numbers as they were before the first try."""
        own_checkpoint(p)
        names = ("subseeds", "subseed_strength", "seed_resize_from_h", "seed_resize_from_w")
        p.rng = type(p.rng)(x.shape[1:], p.seeds, **{name: getattr(p, name) for name in names})
        p.rng.next()  # the noise that the host has drawn, and handed over
        p.sampler = host.module("sd_samplers").create_sampler(p.hr_sampler_name or p.sampler_name, p.sd_model)
        self._own_tree(p.sampler)

    def _own_tree(self, sampler: Any) -> None:
        """Samplers of stochastic differential equations draw from a tree by ``p.all_seeds``: by our seeds."""
        create, seeds = getattr(sampler, "create_noise_sampler", None), self._seeds
        if seeds is None or create is None:
            return
        theirs = SimpleNamespace(all_seeds=list(seeds), iteration=0, batch_size=len(seeds))
        sampler.create_noise_sampler = lambda x, sigmas, _p: create(x, sigmas, theirs)
