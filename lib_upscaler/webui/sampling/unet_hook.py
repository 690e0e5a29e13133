"""The network behind a sampler of the Forge family, wrapped for the time of one sampling.

There each step asks ``forge_objects.unet`` of the loaded checkpoint, a patcher, for the function that stands around the
network (``model_function_wrapper``): ours is set on a clone of it, which takes its place while the sampler runs and is
gone afterwards. What calls the network first, prompts and guidance put around it, stays the host's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...diffusion.canvas import CanvasDenoiser
from ...errors import TrueScaleError
from .control import ControlChain
from .guests import INSTEAD
from .replaced import Replaced
from .sampler_hook import NextCall, not_told

__all__ = ["UnetHook", "has_unet", "options_of_parts"]

_WRAPPER, _MEMORY = "model_function_wrapper", "memory_peak_estimation_modifier"
"""Of a patcher's ``model_options``."""


def has_unet(sampler: Any) -> bool:
    """Whether what the sampler denoises with is a patcher's."""
    return hasattr(_checkpoint(sampler), "forge_objects")


def _checkpoint(sampler: Any) -> Any:
    return getattr(getattr(getattr(sampler, "model_wrap_cfg", None), "inner_model", None), "inner_model", None)


def options_of_parts(told: Any, parts: Sequence[Any]) -> Any:
    """Of ``transformer_options``, which say for each row whether it is a prompt's or a negative prompt's, what is told
    of so many parts at once."""
    if not isinstance(told, Mapping):
        return told
    options, count = dict(told), len(parts)
    for name in ("cond_or_uncond", "uuids"):
        if name in options:
            options[name] = list(options[name]) * count
    if "cond_mark" in options:
        options["cond_mark"] = options["cond_mark"].repeat(count)
    rows = sum(len(options.get(name, ())) for name in ("cond_indices", "uncond_indices"))
    for name in ("cond_indices", "uncond_indices"):
        if name in options:
            options[name] = [number + part * rows for part in range(count) for number in options[name]]
    return options


class UnetHook:
    """Within ``with``, what the sampler denoises goes through ``canvas``.

    sampler: of the host, just made. controls: asked for what each call sees; those that cannot be, and come later, make
    the sampling fail. next_call: told of each call. Raises TrueScaleError where the sampler is of no known shape, or
    for controls.
    """

    def __init__(
        self, sampler: Any, canvas: CanvasDenoiser, controls: ControlChain, next_call: NextCall = not_told
    ) -> None:
        self._next_call = next_call
        self._sampler, self._canvas, self._controls = sampler, canvas, controls
        self._cfg = sampler.model_wrap_cfg
        unet = self._unet()
        if not canvas.grid.is_whole:
            controls.look(unet)
        self._replaced: list[Replaced] = []
        self._there: tuple[Any, Any, Any] | None = None
        """The checkpoint, its objects as they were, and those that are there now."""
        self.calls = 0
        """Of the network's stand-in, so far."""

    def __enter__(self) -> UnetHook:
        # Not before the sampler runs: until then the host puts other objects there, and extensions change them.
        for name in ("sample", "sample_img2img"):
            if hasattr(self._sampler, name):
                self._replace(self._sampler, name, self._sampled)
        self._replace(self._cfg, "update_inner_model", self._updated)
        return self

    def __exit__(self, *error: object) -> None:
        self._take_away()
        for each in self._replaced:
            each.restore()
        self._replaced = []

    def _replace(self, owner: Any, name: str, function: Callable[..., Any]) -> None:
        plain = getattr(owner, name)
        self._replaced.append(Replaced(owner, name, lambda *given, **named: function(plain, *given, **named)))

    def _sampled(self, plain: Callable[..., Any], *given: Any, **named: Any) -> Any:
        self._put()
        try:
            return plain(*given, **named)
        finally:
            self._take_away()

    def _updated(self, plain: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """The refiner's checkpoint was loaded."""
        running = self._there is not None
        self._take_away()
        result = plain(*given, **named)
        if running:
            self._put()
        return result

    def _unet(self) -> Any:
        unet = getattr(_checkpoint(self._sampler).forge_objects, "unet", None)
        if hasattr(unet, "model_options") and hasattr(self._cfg, "update_inner_model"):
            return unet
        what = f"the sampler {type(self._sampler).__name__} cannot be given tiles"
        raise TrueScaleError(
            what,
            "its network has no wrapper of the known shape",
            INSTEAD,
        )

    def _put(self) -> None:
        checkpoint, unet = _checkpoint(self._sampler), self._unet().clone()
        before = checkpoint.forge_objects
        if self._canvas.grid.is_whole:
            self._controls.count(unet)
        else:
            self._controls.take(unet)
        now, options = before.shallow_copy(), unet.model_options
        options[_WRAPPER] = self._wrapper(options.get(_WRAPPER))
        # Neo asks the patcher itself, whatever its options hold.
        options[_MEMORY] = unet.memory_required = _memory(self._canvas, options.get(_MEMORY, unet.memory_required))
        now.unet = unet
        checkpoint.forge_objects = now
        self._there = checkpoint, before, now

    def _take_away(self) -> None:
        """Where another has put its own objects there since, those stay."""
        if self._there is not None:
            checkpoint, before, now = self._there
            if checkpoint.forge_objects is now:
                checkpoint.forge_objects = before
        self._there = None
        self._controls.give_back()

    def _wrapper(self, theirs: Callable[..., Any] | None) -> Callable[..., Any]:
        """theirs: one that is there already. A function, no method: copies of the patcher copy what it belongs to."""

        def wrapper(apply_model: Callable[..., Any], given: dict[str, Any]) -> Any:
            self.calls += 1

            def denoise(latents: Any, at: Any, told: Any) -> Any:
                kinds = list(given["cond_or_uncond"]) * (latents.shape[0] // given["input"].shape[0])
                told = self._controls.told(latents, at, told, len(kinds))
                if theirs is None:
                    return apply_model(latents, at, **told)
                return theirs(
                    apply_model, {**given, "input": latents, "timestep": at, "c": told, "cond_or_uncond": kinds}
                )

            self._next_call(given["input"].shape[0], self._cfg.step, given["cond_or_uncond"])
            try:
                # The step is the same for prompt and negative prompt, which may come one after the other.
                return self._canvas(denoise, given["input"], given["timestep"], given["c"], self._cfg.step)
            finally:
                self._controls.answered()

        return wrapper


def _memory(canvas: CanvasDenoiser, theirs: Callable[..., Any]) -> Callable[..., Any]:
    """What the host is to keep free: as ``theirs`` says, but for a batch of tiles in place of the canvas."""
    grid, batch = canvas.grid, canvas.batch

    def needed(shape: Sequence[int]) -> Any:
        if grid.is_whole or batch * grid.tile**2 >= grid.size.area:
            return theirs(shape)
        return theirs([shape[0] * batch, shape[1], grid.tile, grid.tile])

    return needed
