"""What one canvas in tiles will cost, said before it is sampled. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .canvas_grid import CanvasGrid, StepGrid

__all__ = ["CanvasForecast", "forecast"]


@dataclass(frozen=True)
class CanvasForecast:
    """Of one call of the denoiser, the mean over the steps.

    canvas: px of the latent. tiles: that are denoised. calls: of the network. work: px that it works on per px of the
    canvas. batch: most tiles at once. batch_px: most px at once, of the tiles of a batch together. buffer_bytes: most
    that cutting and putting together hold beside the network.
    """

    canvas: int

    tiles: float
    calls: float
    work: float
    batch: int
    batch_px: int
    buffer_bytes: int

    def __str__(self) -> str:
        if self.tiles == 1:
            return "1 tile per step, the whole"
        batches = f"{self.calls:.3g} batches of at most {self.batch}"
        return f"{self.tiles:.4g} tiles per step in {batches}, {self.work:.2f} px per px"


def forecast(
    grid: CanvasGrid, steps: int, batch: int = 1, rows: int = 2, channels: int = 4, itemsize: int = 4
) -> CanvasForecast:
    """steps: calls of the denoiser that the sampler makes. rows: of a call: pictures times prompts, negative ones
    included. channels, itemsize: of the latent, bytes of one of its numbers. Without the pass at low resolution, which
    is about one tile more, in the early steps alone."""
    grids = [grid.step(number) for number in range(steps)]
    row = rows * channels
    if grid.is_whole:
        return CanvasForecast(grid.size.area, 1, 1, 1, 1, grid.size.area, 0)
    most = max(_largest_batch(each, batch) for each in grids)
    return CanvasForecast(
        canvas=grid.size.area,
        tiles=_mean([len(each.tiles) for each in grids]),
        calls=_mean([sum(-(-len(group) // batch) for group in each.alike) for each in grids]),
        work=_mean([each.work for each in grids]),
        batch=batch,
        batch_px=most,
        # The sum, which is float32, and a copy where the latent is not; the batch as it goes in and as it comes out.
        buffer_bytes=row * (grid.size.area * (4 if itemsize == 4 else 4 + itemsize) + most * 2 * itemsize),
    )


def _largest_batch(grid: StepGrid, batch: int) -> int:
    """Px of the largest batch."""
    return max(grid.tiles[group[0]].size.area * min(batch, len(group)) for group in grid.alike)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
