"""The second pass of one generation: the first is never lost, noise of its own, and once more where that is asked for.

The hook is a ``sample_hr_pass`` of that one ``p``: errors end in it, and no other generation sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ....diffusion.grid import LATENT
from ....errors import TrueScaleError
from ....geometry import Size
from ... import host
from ...host.progress import stop_kind
from ...takeover import vae
from .first_pass import kept, tell
from .ways import WHOLE, fits_one_tile, takes_tiles

if TYPE_CHECKING:
    from .second_sampling import SecondSampling

__all__ = ["Asked", "attach", "before_sampling", "detach"]

_ATTRIBUTE, _HOST = "truescale_second_pass", "sample_hr_pass"


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
    """Before this ``p`` is sampled."""
    detach(p)
    second = _SecondPass(p, asked)
    setattr(p, _ATTRIBUTE, second)
    setattr(p, _HOST, second.run)


def detach(p: Any) -> None:
    """Also of a copy, which has what was attached to the original."""
    second = vars(p).pop(_ATTRIBUTE, None)
    if second is not None and vars(p).get(_HOST) == second.run:
        delattr(p, _HOST)
        vars(p).update(second.theirs)


def before_sampling(p: Any) -> None:
    """When the host has made the sampler of the second pass."""
    second = vars(p).get(_ATTRIBUTE)
    if second is not None and second.sampling is not None:
        second.sampling.hook()


class _SecondPass:
    """sampling: of the pass under way. theirs: what another extension had put in the same place."""

    def __init__(self, p: Any, asked: Asked) -> None:
        self._p, self._asked, self._plain = p, asked, getattr(p, _HOST)
        self.theirs = {name: value for name, value in vars(p).items() if name == _HOST}
        self.sampling: SecondSampling | None = None

    def run(self, samples: Any, decoded_samples: Any, *more: Any, **named: Any) -> Any:
        """In place of the host's."""
        p = self._p
        if self._asked.scale > 1 and p.iteration == 0:
            host.state().job_count += p.n_iter
        try:
            result = self._pass(samples, decoded_samples, *more, **named)
        except Exception as error:  # noqa: BLE001 - whatever it is, the first pass must not be lost
            self._clean_up()
            tell(p, "The second pass failed, the picture of the first is kept", error)
            return kept(samples, decoded_samples)
        if self._asked.scale <= 1 or result is samples or stop_kind() is not None:
            return result
        return self._once_more(result, *more, **named)

    def _pass(self, samples: Any, decoded: Any, *more: Any, **named: Any) -> Any:
        from .second_sampling import SecondSampling  # not at the WebUI's start: it brings torch

        p = self._p
        latent = Size(*(_latent_side(p, axis) for axis in "xy"))
        tiles = not fits_one_tile(latent) and takes_tiles(p, self._asked.way, latent)
        seeds = self._seeds()
        self.sampling = SecondSampling(p, tiles, self._asked.composition, seeds)
        with vae.in_bands(p) if tiles else nullcontext(), _replaced(p, seeds=p.seeds if seeds is None else seeds):
            try:
                return self._plain(samples, decoded, *more, **named)
            finally:
                self.sampling.off()

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

        from .second_sampling import own_checkpoint

        p, sampling = self._p, self.sampling
        sides = [max(LATENT, round(side * self._asked.scale / LATENT) * LATENT) for side in result[0].shape[-2:]]
        other = {"hr_upscale_to_x": sides[1], "hr_upscale_to_y": sides[0], "truncate_x": 0, "truncate_y": 0}
        in_pixels = p.latent_scale_mode is None
        try:
            own_checkpoint(p)
            decoded = torch.stack(list(result)).float() if in_pixels else None
            latents = sampling.latents if sampling is not None else None
            if decoded is None and latents is None:
                raise TrueScaleError("the latents of the second pass are not known", "an extension has sampled it")
            # What the host saves here as the picture before Hires Fix is not that any more.
            with _replaced(p, **other, denoising_strength=self._asked.denoising, save_samples=lambda: False):
                return self._pass(latents, decoded, *more, **named)
        except Exception as error:  # noqa: BLE001 - nor must the second
            self._clean_up()
            tell(p, "Enlarging once more failed, the picture before it is kept", error)
            return result

    def _clean_up(self) -> None:
        """What the host does at the end of a second pass."""
        p = self._p
        p.is_hr_pass, p.sampler = False, None
        with suppress(AttributeError):
            host.module("sd_models").apply_token_merging(p.sd_model, p.get_token_merging_ratio())
        host.free_memory()


def _latent_side(p: Any, axis: str) -> int:
    return int(getattr(p, f"hr_upscale_to_{axis}")) // LATENT - int(getattr(p, f"truncate_{axis}", 0))


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
