"""The second pass of one generation: the first is never lost, noise of its own, and once more where that is asked for.

The hooks are a ``sample`` and a ``sample_hr_pass`` of that one ``p``: errors end in them, and no other generation sees
them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ....diffusion.grid import LATENT
from ....errors import TrueScaleError, memory_ran_out
from ....geometry import Size
from ... import host
from ...host.progress import stop_kind
from ...takeover import vae
from ...takeover.failing import drop_notes
from .first_pass import found_in, in_words, is_in_unit_range, kept, tell
from .ways import WHOLE, fits_one_tile, takes_tiles, why_no_tiles

if TYPE_CHECKING:
    from .second_sampling import SecondSampling

__all__ = ["Asked", "attach", "before_sampling", "detach"]

_ATTRIBUTE, _SAMPLE, _SECOND = "truescale_second_pass", "sample", "sample_hr_pass"
_STRENGTH = "Denoising strength"
"""The host's key in the infotext; some write it in each pass."""


@dataclass(frozen=True)
class Asked:
    """way: one of SECOND_PASSES. composition: keep that of the whole in tiles. seed: of its noise, below 0 for that of
    the first pass. scale, denoising: enlarge the result once more so many times, redrawn this strongly; 1: not."""

    way: str = WHOLE
    composition: bool = False
    seed: int = -1
    scale: float = 1.0
    denoising: float = 0.3


def attach(p: Any, asked: Asked) -> None:
    """Before this ``p`` is sampled. Nothing on a host whose second pass is of another shape."""
    detach(p)
    if not hasattr(p, _SECOND) or not hasattr(p, _SAMPLE):
        return
    second = _SecondPass(p, asked)
    setattr(p, _ATTRIBUTE, second)
    for name, function in second.hooks.items():
        setattr(p, name, function)


def detach(p: Any) -> None:
    """Also of a copy, which has what was attached to the original."""
    second = vars(p).pop(_ATTRIBUTE, None)
    for name, function in getattr(second, "hooks", {}).items():
        if vars(p).get(name) == function:
            delattr(p, name)
            if name in second.theirs:
                setattr(p, name, second.theirs[name])


def before_sampling(p: Any) -> None:
    """When the host has made the sampler of the second pass."""
    second = vars(p).get(_ATTRIBUTE)
    if second is not None and second.sampling is not None:
        second.sampling.hook()


class _SecondPass:
    """sampling: of the pass under way. hooks: functions of ``p`` by their names. theirs: what another extension had put
    in the same places."""

    def __init__(self, p: Any, asked: Asked) -> None:
        self._p, self._asked = p, asked
        self._plain = {name: getattr(p, name) for name in (_SAMPLE, _SECOND)}
        self.hooks: dict[str, Callable[..., Any]] = {_SAMPLE: self.generate, _SECOND: self.run}
        self.theirs = {name: vars(p)[name] for name in self.hooks if name in vars(p)}
        self.sampling: SecondSampling | None = None

    def generate(self, *given: Any, **named: Any) -> Any:
        """In place of the host's ``sample``, which loads the checkpoint of the second pass after the first."""
        other = self._copy("p", sys._getframe(1).f_locals)
        if other is not None:
            return getattr(type(other), _SAMPLE)(other, *given, **named)
        drop_notes(self._p)
        try:
            return self._plain[_SAMPLE](*given, **named)
        except Exception as error:
            found = found_in(error)
            if found is None:
                raise
            words = in_words(error)
        return self._first_pass(*found, words)

    def run(self, samples: Any, decoded_samples: Any, *more: Any, **named: Any) -> Any:
        """In place of the host's ``sample_hr_pass``."""
        p, other = self._p, self._copy("self", sys._getframe(1).f_locals)
        if other is not None:
            return getattr(type(other), _SECOND)(other, samples, decoded_samples, *more, **named)
        if self._asked.scale > 1 and p.iteration == 0:
            host.state().job_count += p.n_iter
        try:
            result = self._pass_or_tiles(samples, decoded_samples, *more, **named)
        except Exception as error:  # noqa: BLE001 - as above
            words = in_words(error)
        else:
            if self._asked.scale <= 1 or result is samples or stop_kind() is not None:
                return result
            return self._once_more(result, *more, **named)
        return self._first_pass(samples, decoded_samples, words)

    def _copy(self, name: str, locals_of_caller: dict[str, Any]) -> Any | None:
        """A copy of ``p`` made after this was attached, which has the hooks too, where the host asks for that one.

        name: of the variable in which the host's calling function has it.
        """
        asking = locals_of_caller.get(name, self._p)
        own = getattr(asking, "__dict__", {}).get(_ATTRIBUTE)
        return asking if asking is not self._p and own is self else None

    def _first_pass(self, samples: Any, decoded: Any, words: str) -> Any:
        """Not while an error is handled: it holds what was computed so far."""
        self._clean_up()
        tell(self._p, "The second pass failed, the picture of the first is kept", words)
        return kept(self._p, samples, decoded)

    def _pass_or_tiles(self, samples: Any, decoded: Any, *more: Any, **named: Any) -> Any:
        """Once more in tiles where memory ran out in a whole pass, beside its sampling, which sees to that itself."""
        p, latent = self._p, _latent_size(self._p)
        tiles = not fits_one_tile(latent) and takes_tiles(p, self._asked.way, latent)
        try:
            return self._pass(tiles, samples, decoded, *more, **named)
        except Exception as error:
            if tiles or not memory_ran_out(error) or fits_one_tile(latent) or why_no_tiles(p):
                raise
            if self.sampling is not None and self.sampling.in_tiles:
                raise
        self._clean_up()
        host.warn("Memory ran out in the second pass: once more in tiles")
        own_checkpoint(p)
        with _replaced(p, save_samples=lambda: False):  # the picture before Hires Fix is saved
            return self._pass(True, samples, decoded, *more, **named)

    def _pass(self, tiles: bool, samples: Any, decoded: Any, *more: Any, **named: Any) -> Any:
        from .second_sampling import SecondSampling  # not at the WebUI's start: it brings torch

        p, seeds = self._p, self._seeds()
        with ExitStack() as stack:
            stack.enter_context(_replaced(p, seeds=p.seeds if seeds is None else seeds))
            begins = _Once(lambda: stack.enter_context(vae.in_bands(p)))
            if tiles:
                begins()
            sampling = self.sampling = SecondSampling(p, tiles, self._asked.composition, seeds, begins)
            stack.callback(sampling.off)
            result = self._plain[_SECOND](samples, decoded, *more, **named)
        if tiles and sampling.latents is None and stop_kind() is None:
            host.warn("The second pass ran as a whole: another extension has sampled it")
        return result

    def _seeds(self) -> list[int] | None:
        """Of the pictures of the batch, as the host counts them; None for those of the first pass."""
        p, seed = self._p, self._asked.seed
        if seed < 0:
            return None
        first = p.iteration * p.batch_size
        return [seed + (first + number if p.subseed_strength == 0 else 0) for number in range(len(p.seeds))]

    def _once_more(self, result: Any, *more: Any, **named: Any) -> Any:
        """The result enlarged and redrawn again, by the same upscaler."""
        import torch

        p, sampling, said = self._p, self.sampling, self._p.extra_generation_params.get(_STRENGTH)
        sides = [max(LATENT, round(side * self._asked.scale / LATENT) * LATENT) for side in result[0].shape[-2:]]
        other = {"hr_upscale_to_x": sides[1], "hr_upscale_to_y": sides[0], "truncate_x": 0, "truncate_y": 0}
        latents = sampling.latents if sampling is not None else None
        try:
            own_checkpoint(p)
            decoded = torch.stack(list(result)).float() if p.latent_scale_mode is None else None
            if decoded is None and latents is None:
                raise TrueScaleError("the latents of the second pass are not known", "an extension has sampled it")
            if decoded is not None and is_in_unit_range(p):
                decoded = ((decoded + 1) / 2).clamp(0, 1)
            # What the host saves here as the picture before Hires Fix is not that any more.
            with _replaced(p, **other, denoising_strength=self._asked.denoising, save_samples=lambda: False):
                larger = self._pass_or_tiles(latents, decoded, *more, **named)
            return result if larger is None or larger is latents else larger  # stopped before it began
        except Exception as error:  # noqa: BLE001 - nor must the second be lost
            words = in_words(error)
        finally:
            if said is not None:
                p.extra_generation_params[_STRENGTH] = said
        self._clean_up()
        tell(p, "Enlarging once more failed, the picture before it is kept", words)
        return result

    def _clean_up(self) -> None:
        """What the host does at the end of a second pass. Never raises."""
        p = self._p
        p.is_hr_pass, p.sampler = False, None
        try:
            host.module("sd_models").apply_token_merging(p.sd_model, p.get_token_merging_ratio())
        except Exception:  # noqa: BLE001 - hosts that have none, or where the device is in trouble
            host.log.debug("TrueScale: token merging is left as it is", exc_info=True)
        try:
            host.free_memory()
        except Exception:  # noqa: BLE001 - as after an error of the device
            host.log.warning("TrueScale: the device's memory could not be freed", exc_info=True)


class _Once:
    """A call that is made once at most."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function: Callable[[], Any] | None = function

    def __call__(self) -> None:
        function, self._function = self._function, None
        if function is not None:
            function()


def own_checkpoint(p: Any) -> None:
    """The second pass's is loaded, and its conditions are made anew, where a refiner may have taken its place.

    Raises TrueScaleError on hosts that load checkpoints in another way.
    """
    if getattr(p, "refiner_checkpoint_info", None) is None:
        return
    module = host.module("sd_models")
    if hasattr(module, "forge_model_reload") or not hasattr(module, "SkipWritingToConfig"):
        what = "after a refiner this WebUI cannot sample once more"
        raise TrueScaleError(what, "it loads checkpoints in another way", "switch the refiner off")
    with module.SkipWritingToConfig():
        module.reload_model_weights(info=getattr(p, "hr_checkpoint_info", None))
    p.hr_c = p.hr_uc = None


def _latent_size(p: Any) -> Size:
    """Of the second pass, px of the latent."""
    return Size(*(int(getattr(p, f"hr_upscale_to_{a}")) // LATENT - int(getattr(p, f"truncate_{a}", 0)) for a in "xy"))


@contextmanager
def _replaced(p: Any, **values: Any) -> Iterator[None]:
    """Attributes of ``p`` for a while."""
    before = {name: vars(p)[name] for name in values if name in vars(p)}
    vars(p).update(values)
    try:
        yield
    finally:
        for name in values:
            vars(p).pop(name, None)
        vars(p).update(before)
