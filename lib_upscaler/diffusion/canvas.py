"""One picture for the sampler, tiles for the network: a denoiser of tiles that stands in for that of the whole latent.

Sampler, noise, guidance, schedules, masks and previews stay the caller's and see one canvas. At each call of the
denoiser the tiles of that step's grid go through it in batches, and what it predicts for them is put together by
weights that sum to 1 (MultiDiffusion, Bar-Tal et al. 2023). Since those are the same for the latent itself, it makes no
difference whether the denoiser predicts the picture, the noise, or v.

    grid = plan_canvas(Size(width, height), 64, seed=seed)      # px of the latent
    canvas = CanvasDenoiser(grid, batch=4)
    predicted = canvas(denoise, x, sigma, conditioning, step)   # in place of denoise(x, sigma, conditioning)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import MemoryLimitError, RequestError, memory_ran_out
from ..geometry import Region
from .canvas_conditioning import Conditioning, Part, Slicer
from .canvas_grid import CanvasGrid, StepGrid
from .composition import Composition, LowPass

__all__ = ["CanvasDenoiser", "Check", "Denoise", "Sees"]

Denoise = Callable[[Tensor, Tensor, Any], Tensor]
"""(latent ``(B, C, H, W)``, noise level ``(B,)``, what else it is told) -> its prediction, ``(B, C, H, W)``."""

Check = Callable[[int, int], None]
"""(tiles done, tiles of this call). Called before each batch; what it raises ends the call. A pass at low resolution
counts as a tile."""

Sees = Callable[[int, Sequence[Part]], None]
"""(rows of the batch, parts). Called before each call of the denoiser that sees these parts of the canvas and no other,
for what it is told in another way than by its arguments. Not where the whole is one tile."""


class CanvasDenoiser:
    """Denoises one canvas. ``batch`` is how many tiles go through the denoiser at once, fewer after memory ran out."""

    def __init__(
        self,
        grid: CanvasGrid,
        batch: int = 1,
        slicer: Slicer | None = None,
        check: Check | None = None,
        composition: Composition | None = None,
        sees: Sees | None = None,
    ) -> None:
        """slicer: what the denoiser is told of some tiles; None: ``Conditioning`` without replacements. composition:
        a pass of the whole at low resolution in the early steps; None: without. sees: told what it will see.

        Raises RequestError.
        """
        if batch < 1:
            raise RequestError(f"a batch of {batch} tiles is not possible", "", "choose at least 1")
        self.grid, self.batch = grid, batch
        self._slicer = slicer or Conditioning(grid.size)
        self._check, self._sees = check or _no_check, sees or _no_sees
        self._low = None if composition is None else LowPass(grid.size, grid.tile, composition)

    def __call__(self, denoise: Denoise, x: Tensor, level: Tensor, told: Any, step: int) -> Tensor:
        """What ``denoise(x, level, told)`` would predict, ``(B, C, H, W)``, had it the memory and the training for it.

        Rows of ``x`` may be any mix of pictures, prompts and negative prompts. step: number of the sampler's step, from
        0; calls whose predictions are compared with each other (prompt and negative prompt) must give the same one, so
        that they have the same tiles. Where the whole is one tile, the denoiser gets these very objects.

        Raises MemoryLimitError where a single tile is too much, RequestError for a latent of another size, and what
        the denoiser and the check raise.
        """
        height, width = self.grid.size.height, self.grid.size.width
        if x.shape[2:] != (height, width):
            what = f"a latent of {x.shape[3]}x{x.shape[2]} px does not fit the tiles"
            raise RequestError(what, f"they were planned for {width}x{height}")
        if self.grid.is_whole:
            self._check(0, 1)
            return denoise(x, level, told)
        grid = self.grid.step(step)
        low = self._low if self._low is not None and self._low.wanted(level) else None
        total = len(grid.tiles) + (low is not None)
        predicted = self._tiles(denoise, x, level, told, grid, total)
        if low is None:
            return predicted
        self._check(total - 1, total)
        parts = [Part(Region.of(self.grid.size), low.factor)]
        told_low = self._slicer(told, x.shape[0], parts)
        self._sees(x.shape[0], parts)
        return low(lambda latent, at: denoise(latent, at, told_low), x, level, predicted)

    def _tiles(self, denoise: Denoise, x: Tensor, level: Tensor, told: Any, grid: StepGrid, total: int) -> Tensor:
        blend, done = _Blend(grid, x), 0
        for group in grid.alike:
            while group:
                self._check(done, total)
                some = group[: self.batch]
                parts = [Part(grid.tiles[number]) for number in some]
                predicted = self._try(denoise, x, level, told, parts)
                if predicted is None:
                    continue  # the same tiles in smaller batches
                blend.add(some, predicted)
                done, group = done + len(some), group[len(some) :]
        return blend.result()

    def _try(self, denoise: Denoise, x: Tensor, level: Tensor, told: Any, parts: list[Part]) -> Tensor | None:
        """The prediction of these parts; None where memory ran out and ``batch`` is smaller now."""
        try:
            latents = torch.cat([_cut(x, part.region) for part in parts])
            told_parts = self._slicer(told, x.shape[0], parts)
            self._sees(x.shape[0], parts)
            return denoise(latents, level.repeat(len(parts)), told_parts)
        except Exception as error:
            if not memory_ran_out(error):
                raise
            reason = str(error).split("\n")[0].strip(" .")
        # Out of the handler: the error holds what was computed so far.
        if x.is_cuda:
            torch.cuda.empty_cache()
        if len(parts) > 1:
            self.batch = len(parts) // 2
            return None
        what = f"there is not enough memory to denoise a tile of {parts[0].region.size} px of the latent"
        raise MemoryLimitError(what, reason, "choose smaller tiles, or close what else uses the device")


class _Blend:
    """Predictions of tiles put together, in float32."""

    def __init__(self, grid: StepGrid, like: Tensor) -> None:
        self._grid, self._like = grid, like
        self._sum: Tensor | None = None
        self._dtype = like.dtype
        self._across, self._down = (
            [torch.tensor(line, dtype=torch.float32, device=like.device) for line in axis.weights]
            for axis in (grid.across, grid.down)
        )

    def add(self, numbers: list[int], predicted: Tensor) -> None:
        """predicted: ``(tiles * B, C, h, w)`` of these tiles, all rows of the first one first."""
        if self._sum is None:
            shape = (self._like.shape[0], predicted.shape[1], *self._like.shape[2:])
            self._sum = torch.zeros(shape, dtype=torch.float32, device=predicted.device)
            self._dtype = predicted.dtype
        for number, tile in zip(numbers, predicted.split(self._like.shape[0])):
            row, column = divmod(number, len(self._across))
            weight = self._down[row][:, None] * self._across[column][None, :]
            _cut(self._sum, self._grid.tiles[number]).addcmul_(tile.float(), weight)

    def result(self) -> Tensor:
        assert self._sum is not None, "a grid has a tile at least"
        return self._sum.to(self._dtype)


def _cut(planes: Tensor, region: Region) -> Tensor:
    return planes[:, :, region.rows, region.columns]


def _no_check(done: int, total: int) -> None:
    pass


def _no_sees(rows: int, parts: Sequence[Part]) -> None:
    pass
