"""The network behind a sampler of the WebUI, replaced for the time of one sampling.

A sampler calls its ``model_wrap_cfg`` (CFGDenoiser), which puts prompts and guidance around ``inner_model``: the object
that is replaced here, by its own ``forward``. No class and no module of the host is touched, and the object is the
sampler's own, so that nothing can outlast it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Optional

from ...diffusion.canvas import CanvasDenoiser
from ...errors import TrueScaleError
from .guests import INSTEAD
from .replaced import Replaced

__all__ = ["NextCall", "SamplerHook", "not_told"]

NextCall = Callable[[int, int, Optional[Sequence[int]]], None]
"""Told before the network's stand-in is called: (rows of its batch, step, kinds: 0 for prompts, 1 for negative ones,
each of as many rows; None where that is not known)."""


def not_told(rows: int, step: int, kinds: Sequence[int] | None) -> None:
    """A ``NextCall``."""


class SamplerHook:
    """Within ``with``, what the sampler denoises goes through ``canvas``.

    sampler: of the host, just made. next_call: told of each call. Raises TrueScaleError where the sampler has no such
    denoiser.
    """

    def __init__(self, sampler: Any, canvas: CanvasDenoiser, next_call: NextCall = not_told) -> None:
        self._next_call = next_call
        self._cfg, self._canvas = getattr(sampler, "model_wrap_cfg", None), canvas
        if not hasattr(self._cfg, "inner_model") or not hasattr(self._cfg, "update_inner_model"):
            what = f"the sampler {type(sampler).__name__} cannot be given tiles"
            raise TrueScaleError(what, "it has no denoiser of the known shape", INSTEAD)
        self._denoiser: Replaced | None = None
        self._update: Replaced | None = None
        self.calls = 0
        """Of the network's stand-in, so far."""

    def __enter__(self) -> SamplerHook:
        try:
            self._update = Replaced(self._cfg, "update_inner_model", self._updated)
            self._bind()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for each in (self._denoiser, self._update):
            if each is not None:
                each.restore()
        self._denoiser = self._update = None

    def _bind(self) -> None:
        """To the object as it is now: the host makes another after the refiner's checkpoint was loaded."""
        self._denoiser = Replaced(self._cfg.inner_model, "forward", self._denoise)

    def _updated(self, *arguments: Any, **named: Any) -> Any:
        assert self._update is not None
        if self._denoiser is not None:
            self._denoiser.restore()
            self._denoiser = None
        result = self._update.plain(*arguments, **named)
        self._bind()
        return result

    def _denoise(self, x: Any, level: Any, *more: Any, **named: Any) -> Any:
        """In place of ``forward(x, sigma, cond=...)``; what comes out (x0 or eps) is for the sampler to know."""
        assert self._denoiser is not None
        plain = self._denoiser.plain
        self.calls += 1
        self._next_call(x.shape[0], self._cfg.step, None)
        return self._canvas(
            lambda latents, at, told: plain(latents, at, *told[0], **told[1]),
            x,
            level,
            (list(more), named),
            self._cfg.step,  # the same for prompt and negative prompt
        )
