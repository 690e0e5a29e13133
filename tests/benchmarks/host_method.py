"""What AUTOMATIC1111's WebUI 1.10.1 does with an ESRGAN model, as the other side of a comparison.

Written anew from the behaviour of its ``modules/upscaler_utils.py``, ``images.py`` (the grid) and ``upscaler.py`` (the
loop of passes); no code is taken over. The same in every step that costs time or changes a pixel:

- the picture is cut into tiles of 192 px that overlap by 8; where it is smaller than a tile, Pillow's ``crop`` fills
  the rest with black, on the left and on top;
- each tile goes alone, as BGR, contiguous, in the model's own float32, through spandrel's descriptor, and comes back
  as an 8-bit picture;
- tiles are pasted into rows and rows into the picture, over an 8-bit ramp as wide as the overlap;
- up to three passes until both sides reach the target, whose sides are cut down to multiples of 8, then Lanczos.

The host also loads the model anew for every picture. That is left out here: loading is measured on its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = ["OVERLAP", "TILE", "one_pass", "tile_starts", "upscale"]

TILE, OVERLAP = 192, 8
"""px; the host's defaults for "Tile size" and "Tile overlap for ESRGAN upscalers"."""

Network = Callable[[Tensor], Tensor]
"""spandrel's descriptor: ``(1, 3, H, W)`` in [0, 1] to ``(1, 3, H * scale, W * scale)``."""


def upscale(
    network: Network, image: Image.Image, scale: float, tile: int = TILE, overlap: int = OVERLAP
) -> Image.Image:
    """The picture as the host returns it, RGB."""
    wanted = int(image.width * scale // 8 * 8), int(image.height * scale // 8 * 8)
    for number in range(3):
        reached = image.width >= wanted[0] and image.height >= wanted[1]
        if reached and (number > 0 or scale != 1):
            break
        before = image.size
        image = one_pass(network, image, tile, overlap)
        if image.size == before:
            break
    return image if image.size == wanted else image.resize(wanted, Image.Resampling.LANCZOS)


def one_pass(network: Network, image: Image.Image, tile: int = TILE, overlap: int = OVERLAP) -> Image.Image:
    """The picture once through the network, RGB, at the network's scale. tile: px of the input, 0 for no tiling."""
    if tile <= 0:
        return _through(network, image)
    columns, rows = tile_starts(image.width, tile, overlap), tile_starts(image.height, tile, overlap)
    if not columns or not rows:
        raise ValueError(f"the host cannot upscale a picture with a side of {min(image.size)} px")
    # The host, too, keeps all finished tiles until the last one is there.
    grid = [[_through(network, image.crop((x, y, x + tile, y + tile))) for x in columns] for y in rows]
    scale = grid[0][0].width // tile
    size = image.width * scale, image.height * scale
    combined = Image.new("RGB", size)
    for y, tiles in zip(rows, grid):
        row = Image.new("RGB", (size[0], tile * scale))
        for x, piece in zip(columns, tiles):
            _lay(row, piece, x * scale, overlap * scale, sideways=True)
        _lay(combined, row, y * scale, overlap * scale, sideways=False)
    return combined


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where the tiles begin along one axis: spread evenly, the last one flush with the end.

    One start below 0 where the picture is smaller than the tile; none where it is no longer than the overlap.
    """
    count = math.ceil((length - overlap) / (tile - overlap))
    step = (length - tile) / (count - 1) if count > 1 else 0.0
    return [min(int(number * step), length - tile) for number in range(count)]


def _through(network: Network, image: Image.Image) -> Image.Image:
    weights = next(network.model.parameters())
    with torch.inference_mode():
        bgr = np.asarray(image.convert("RGB"))[:, :, ::-1].transpose(2, 0, 1)
        planes = torch.from_numpy(np.ascontiguousarray(bgr) / 255)  # float64, as in the host, until it is moved
        output = network(planes[None].to(device=weights.device, dtype=weights.dtype))
        values = output[0].float().cpu().clamp_(0, 1).numpy()
    rgb = np.round(255.0 * np.moveaxis(values, 0, 2)).astype(np.uint8)[:, :, ::-1]
    return Image.fromarray(np.ascontiguousarray(rgb))


def _lay(canvas: Image.Image, piece: Image.Image, at: int, ramp: int, *, sideways: bool) -> None:
    """Paste ``piece`` at ``at`` px along one axis; its first ``ramp`` px fade in over what is there already."""
    if at == 0:
        canvas.paste(piece, (0, 0))
        return
    weights = (np.arange(ramp, dtype=np.float32) * 255 / ramp).astype(np.uint8)
    if sideways:
        mask = Image.fromarray(np.ascontiguousarray(np.broadcast_to(weights, (piece.height, ramp))))
        canvas.paste(piece.crop((0, 0, ramp, piece.height)), (at, 0), mask)
        canvas.paste(piece.crop((ramp, 0, *piece.size)), (at + ramp, 0))
    else:
        mask = Image.fromarray(np.ascontiguousarray(np.broadcast_to(weights[:, None], (ramp, piece.width))))
        canvas.paste(piece.crop((0, 0, piece.width, ramp)), (0, at), mask)
        canvas.paste(piece.crop((0, ramp, *piece.size)), (0, at + ramp))
