"""Tiles through the host's img2img: a copy of ``p`` for each batch, with the tiles' part of the canvas's noise."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image

from ....diffusion.grid import LATENT, RedrawGrid
from ....diffusion.noise import NoiseField, TileNoise, TileTree, repeated
from ....diffusion.redraw import Redraw, Redrawn, Stop, Tile
from ....diffusion.redraw_whole import WholeRedraw
from ....errors import TrueScaleError
from ... import host
from ...sampling.control import TileControl, cleaned_up, with_own_pictures_padded
from ...sampling.prompts import styled
from ...sampling.speed import timed
from ...takeover.failing import as_error
from .overrides import HOISTED

__all__ = ["TileSampler"]

_PRIME = 7919
_LATENT_NOISE = 2  # of the host's ways to fill what is masked


class TileSampler:
    """Samples the tiles of one picture."""

    def __init__(
        self,
        base: Any,
        grid: RedrawGrid,
        seed: int,
        subseed: int,
        prompt: str,
        control: TileControl | None = None,
        each: Sequence[str] = (),
        period: tuple[int, int] = (0, 0),
    ) -> None:
        """base: the ``p`` to copy; it is not changed. prompt: for the tiles, "" for that of ``base``. control: of the
        picture, where a ControlNet may be on; its tiles must come one at a time. each: prompts by the numbers of the
        tiles, in place of ``prompt``. period: of the noise, as of ``NoiseField``."""
        self._base, self._grid, self._seed, self._subseed, self._prompt = base, grid, seed, subseed, prompt
        self._control, self._each, self._period = control, each, period
        self._field: NoiseField | None = None
        self._tree: Callable[[object, object], Any] | None = None
        self._last: Any = None
        self._note = ""

    def run(self, job: Redraw | WholeRedraw) -> Redrawn:
        """Redraw; when the host fails after some tiles, they are kept, and it is told. Raises TrueScaleError."""
        try:
            return job.run(self._sample, self)
        except Exception as error:
            known = as_error(error, "SD Upscale")
            if self._last is None:
                raise known from error
            host.warn(f"The rest was not redrawn: {known}")
            self._note = "partly redrawn (failed)"
            return Redrawn(job.image(), 0, 0, False)

    # -- what the loop tells -----------------------------------------------------------------------------------------

    def begins(self, done: int, total: int) -> None:
        state = host.state()
        state.job = f"Tile {done + 1} of {total}"
        state.textinfo = f"TrueScale: tile {done + 1} of {total}"

    def shows(self, picture: Callable[[], Image.Image]) -> None:
        assign = getattr(host.state(), "assign_current_image", None)
        if assign is not None and host.option("live_previews_enable", True):
            assign(picture())

    # -- sampling ----------------------------------------------------------------------------------------------------

    def _sample(self, tiles: Sequence[Tile]) -> list[Image.Image]:
        state = host.state()
        if state.interrupted or getattr(state, "stopping_generation", False):
            self._note = "partly redrawn (interrupted)"
            raise Stop(whole=True)
        state.skipped = False
        p = self._copy(tiles)
        with self._control.generation(p) if self._control is not None else cleaned_up(p):
            processed = host.module("processing").process_images(p)
        stopping = getattr(state, "stopping_generation", False) and len(processed.images) < len(tiles)
        if state.interrupted or stopping:  # what came back is half done, or nothing
            self._note = "partly redrawn (interrupted)"
            raise Stop(whole=True)
        if state.skipped:
            state.skipped = False
            raise Stop(whole=False)
        if len(processed.images) < len(tiles):
            raise TrueScaleError("the WebUI gave back fewer tiles than it got", "an extension may have removed some")
        self._last = p
        return list(processed.images[: len(tiles)])

    def _copy(self, tiles: Sequence[Tile]) -> Any:
        p = copy.copy(self._base)
        p.extra_generation_params = dict(self._base.extra_generation_params)
        p.override_settings = {k: v for k, v in (p.override_settings or {}).items() if k not in HOISTED}
        p.init_images = [tile.picture for tile in tiles]
        p.image_mask = tiles[0].mask
        p.width, p.height = self._grid.tile.width, self._grid.tile.height
        p.script_args = with_own_pictures_padded(p, self._grid.size, self._grid.canvas)
        p.batch_size, p.n_iter = len(tiles), 1
        p.seed, p.subseed = self._seed, self._subseed
        p.seed_resize_from_h = p.seed_resize_from_w = 0
        p.resize_mode = 0
        p.do_not_save_samples = p.do_not_save_grid = p.do_not_reload_embeddings = True
        p.color_corrections = []
        p.restore_faces = False
        prompts = list(dict.fromkeys(self._each[tile.number] for tile in tiles)) if self._each else [self._prompt]
        if len(prompts) > 1:
            p.prompt = [self._each[tile.number] for tile in tiles]
        elif prompts[0] or self._each:
            p.prompt = prompts[0]
        # The mask is inverted, blurred and blended by us, for the whole picture.
        p.latent_mask = None
        p.inpaint_full_res = False
        p.inpainting_mask_invert = 0
        p.mask_blur = 0  # of both sides; in Neo these cannot be set
        p.init = self._hooked_init(p, tiles)
        p.sample = self._hooked_sample(p, p.sample, [tile.region for tile in tiles])
        return p

    def _hooked_init(self, p: Any, tiles: Sequence[Tile]) -> Callable[..., None]:
        """The host's ``init`` for each tile alone, with its own mask, then put together.

        The autoencoder draws random numbers of its own: each tile gets the same ones, whatever it is sampled with.
        """
        kept = {name: getattr(p, name) for name in ("batch_size", "init_images", "image_mask")}

        def init(all_prompts: Any, all_seeds: Any, all_subseeds: Any) -> None:
            if isinstance(p.prompt, list) and len(set(all_prompts)) < len(set(p.prompt)):
                why = "an extension has put other prompts in the place of those of the tiles"
                raise TrueScaleError("the tiles of a batch would have one prompt", why, "choose 1 tile at once")
            parts = []
            for tile in tiles:
                one = copy.copy(p)
                one.batch_size, one.init_images, one.image_mask = 1, [tile.picture], tile.mask
                with _seeded(self._seed + _PRIME * tile.number):
                    type(p).init(one, all_prompts[:1], all_seeds[:1], all_subseeds[:1])
                parts.append(one)
            hooks = {name: p.__dict__[name] for name in ("init", "sample")}
            p.__dict__.update({**parts[0].__dict__, **kept, **hooks})
            for name in ("init_latent", "image_conditioning"):
                setattr(p, name, torch.cat([getattr(one, name) for one in parts]))
            if parts[0].mask is not None:
                p.mask, p.nmask = (_batch_of([getattr(one, name) for one in parts]) for name in ("mask", "nmask"))

        return init

    def _hooked_sample(self, p: Any, sample: Callable[..., Any], regions: Sequence[Any]) -> Callable[..., Any]:
        """The host has made its noise by now; ours takes its place, on this ``p`` and its sampler alone."""

        def with_our_noise(*arguments: Any, **named: Any) -> Any:
            p.overlay_images = p.mask_for_overlay = None  # it would blend over the mask once more
            self._replace_noise(p, regions)
            hints = nullcontext() if self._control is None else self._control.sampling(p, regions[0])
            with timed(sum(region.size.area for region in regions) / LATENT**2), hints:
                return sample(*arguments, **named)

        return with_our_noise

    def _replace_noise(self, p: Any, regions: Sequence[Any]) -> None:
        """All that is random while ``p`` is sampled is the canvas's, at these regions."""
        if self._field is None:
            self._field = NoiseField(self._canvas_rng(p.rng).next, self._period)
        if p.mask is not None and getattr(p, "inpainting_fill", 1) == _LATENT_NOISE:
            # The host has drawn it for a tile's size: the same noise in each.
            p.init_latent = p.init_latent * p.mask + self._field.part(0, regions).to(p.init_latent) * p.nmask
        p.rng = TileNoise(self._field, regions)
        self._replace_tree(p, regions)

    def _canvas_rng(self, rng: Any) -> Any:
        """The host's own random numbers, of the canvas's size."""
        canvas = self._grid.canvas
        shape = (rng.shape[0], canvas.height // LATENT, canvas.width // LATENT)
        strength = getattr(self._base, "subseed_strength", 0.0)
        return type(rng)(shape, [self._seed], subseeds=[self._subseed], subseed_strength=strength)

    def _replace_tree(self, p: Any, regions: Sequence[Any]) -> None:
        """Samplers of stochastic differential equations draw from a tree of their own: one for the canvas."""
        create = getattr(p.sampler, "create_noise_sampler", None)
        if create is None:
            return

        def create_noise_sampler(x: Any, sigmas: Any, _p: Any) -> Any:
            if self._tree is None:
                self._tree = self._canvas_tree(create, x, sigmas)
            return TileTree(self._tree, regions)

        p.sampler.create_noise_sampler = create_noise_sampler

    def _canvas_tree(self, create: Callable[..., Any], x: Any, sigmas: Any) -> Callable[[object, object], Any]:
        canvas = self._grid.canvas
        zeros = x.new_zeros((1, x.shape[1], canvas.height // LATENT, canvas.width // LATENT))
        whole = SimpleNamespace(all_seeds=[self._seed], iteration=0, batch_size=1)
        tree = create(zeros, sigmas, whole)
        drawn: dict[tuple[float, float], Any] = {}

        def at(sigma: Any, sigma_next: Any) -> Any:
            key = (float(sigma), float(sigma_next))
            if key not in drawn:
                if tree is not None:
                    drawn[key] = repeated(tree(sigma, sigma_next), self._period)
                else:  # the user wants no determinism from the host's trees
                    drawn[key] = self._field.whole(len(drawn) + 1).to(x)
            return drawn[key]

        return at

    # -- the statement -----------------------------------------------------------------------------------------------

    def infotext(self, size: tuple[int, int]) -> str:
        """The host's, with the size of the result."""
        p = copy.copy(self._last or self._base)
        p.width, p.height = size
        p.batch_size, p.n_iter = 1, 1
        p.extra_generation_params = {**self._base.extra_generation_params, **p.extra_generation_params}
        p.prompt = self._base.prompt
        if self._note:
            p.extra_generation_params["TrueScale"] = self._note
        for name, value in (
            ("all_prompts", styled(p, p.prompt)),
            ("all_negative_prompts", p.negative_prompt),
            ("all_seeds", self._seed),
            ("all_subseeds", self._subseed),
        ):
            known = getattr(p, name, None) if name != "all_prompts" or not (self._prompt or self._each) else None
            setattr(p, name, [known[0]] if known else [value])
        return host.module("processing").Processed(p, []).infotext(p, 0)


def _batch_of(masks: Sequence[torch.Tensor]) -> torch.Tensor:
    """Each is ``(C, H, W)``; in Neo it has the batch's dimension already."""
    return torch.cat(list(masks)) if masks[0].dim() == 4 else torch.stack(list(masks))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """torch's own random numbers for a while from this seed, afterwards as if nothing had been."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        yield
