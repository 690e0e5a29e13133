"""The noise in a latent that is larger than the UNet takes at once: asked tile by tile, merged to one canvas."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ...errors import BrokenModelError
from ...geometry import Region
from ...models.ldsr.network import LdsrNetwork
from ...models.ldsr.schedule import Level
from ...planning.ldsr import LdsrPlan, not_enough, smaller_plan
from ...progress import Tracker
from ..limits import free_cache, is_out_of_memory
from .merging import Merge, host_weights, ramps

__all__ = ["SMALLER_TILES", "WIDER_NUMBERS", "TiledDenoiser"]

SMALLER_TILES = "memory ran out: smaller tiles, or fewer at once, were used than planned"
WIDER_NUMBERS = "the UNet gave no finite numbers in half precision: it was run in float32"


class TiledDenoiser:
    """What a sampler asks: one call is one step.

    plan, dtype: what is gone by now, which may be less than at the beginning. warnings: why.
    """

    def __init__(
        self,
        network: LdsrNetwork,
        condition: Tensor,
        plan: LdsrPlan,
        dtype: torch.dtype,
        tracker: Tracker,
        budget: int = 0,
    ) -> None:
        """condition: the picture, ``(1, C, H, W)`` float32 in [-1, 1] on the device, of the canvas's size.

        tracker: counts latent px. budget: bytes, for a message.
        """
        self.plan, self.dtype, self.warnings = plan, dtype, list[str]()
        self._network, self._condition, self._tracker, self._budget = network, condition, tracker, budget
        self._device = condition.device
        self._step = 0

    def __call__(self, x: Tensor, level: Level) -> Tensor:
        """The noise in ``(1, C, H, W)``. Raises Cancelled, MemoryLimitError, BrokenModelError."""
        while True:
            failed: BaseException | None = None
            try:
                eps = self._canvas(x, level)
            except _NotFinite:
                if self.dtype == torch.float32:
                    raise _broken() from None
                self._warn(WIDER_NUMBERS)
                self.dtype = torch.float32
                continue
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                # Its traceback holds the tensors that filled the memory.
                failed = error.with_traceback(None)
            if failed is None:
                self._step += 1
                return eps
            self._back_off(failed)

    def _back_off(self, failed: BaseException) -> None:
        free_cache(self._device)
        smaller = smaller_plan(self.plan)
        if smaller is None:
            raise not_enough(self._budget) from failed
        self._warn(SMALLER_TILES)
        self.plan = smaller

    def _warn(self, words: str) -> None:
        if words not in self.warnings:
            self.warnings.append(words)

    def _canvas(self, x: Tensor, level: Level) -> Tensor:
        grid = self.plan.grid(self._step)
        tiles = grid.tiles
        if len(tiles) == 1:
            return self._ask(x, tiles, level, "")
        weights = host_weights(grid) if self.plan.as_webui else ramps(grid)
        merge = Merge(grid.canvas, x.shape[1], weights, x.device)
        done = 0
        for numbers in _batches(tiles, self.plan.batch):
            eps = self._ask(x, [tiles[number] for number in numbers], level, f", tile {done + 1} of {len(tiles)}")
            for number, one in zip(numbers, eps):
                merge.add(number, tiles[number], one)
            done += len(numbers)
        return merge.mean()

    def _ask(self, x: Tensor, tiles: list[Region], level: Level, note: str) -> Tensor:
        """Of tiles of one size, ``(B, C, h, w)`` float32."""
        unet = self._network.unet_for(self._device, self.dtype)
        self._tracker.note = f"step {self._step + 1} of {self.plan.steps}{note}"
        self._tracker.check()
        batch = torch.cat([torch.cat([one[:, :, t.rows, t.columns] for one in (x, self._condition)], 1) for t in tiles])
        batch = batch.to(self.dtype).contiguous(memory_format=torch.channels_last)
        times = torch.full((len(tiles),), level.t, device=x.device)
        eps = unet(batch, times, self._counted(sum(tile.size.area for tile in tiles), len(unet.output_blocks)))
        eps = eps.float()
        if not bool(torch.isfinite(eps).all()):
            raise _NotFinite
        return eps

    def _counted(self, area: int, ways: int) -> Callable[[], None]:
        """For the UNet's ``on_block``: so many blocks on each way, and one in the middle, come to this area."""
        share = area / (2 * ways + 1)
        return lambda: self._tracker.add(share)


class _NotFinite(Exception):  # noqa: N818 - does not leave this file
    pass


def _batches(tiles: list[Region], most: int) -> Iterator[list[int]]:
    """Numbers of tiles of one size, so many at once."""
    of_size: dict[tuple[int, int], list[int]] = {}
    for number, tile in enumerate(tiles):
        of_size.setdefault((tile.width, tile.height), []).append(number)
    for numbers in of_size.values():
        for first in range(0, len(numbers), most):
            yield numbers[first : first + most]


def _broken() -> BrokenModelError:
    return BrokenModelError(
        "LDSR's model is broken",
        "its UNet gives no finite numbers",
        "download it again; if that does not help, the model itself is at fault",
    )
