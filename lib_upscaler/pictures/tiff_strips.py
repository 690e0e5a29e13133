"""The plainest of deep TIFFs without any library: strips that are not packed, or packed as ``tiff_writer`` does it.

TIFF 6.0 and Adobe's technical note 3 (predictors).
"""

from __future__ import annotations

import zlib
from typing import BinaryIO

import numpy as np

from .tiffs import APART, PLANES, TiffKind

__all__ = ["DamagedStripError", "read_strips"]

_WIDTH, _HEIGHT, _COMPRESSION, _STRIPS, _ROWS, _LENGTHS, _PREDICTOR = 256, 257, 259, 273, 278, 279, 317
_PLAIN, _DEFLATE = 1, (8, 32946)
_NO_PREDICTOR, _DIFFERENCES, _BYTES_APART = 1, 2, 3


class DamagedStripError(ValueError):
    """Data that holds fewer pixels than it should."""


def read_strips(file: BinaryIO, kind: TiffKind) -> np.ndarray | None:
    """(H, W, C) as the file has it; None for what is not so plain. Raises DamagedStripError, zlib.error."""
    numbers = {tag: values[0] for tag, values in kind.numbers.items() if values}
    compression, predictor = numbers.get(_COMPRESSION, _PLAIN), numbers.get(_PREDICTOR, _NO_PREDICTOR)
    bits, is_float = max(kind.bits), 3 in kind.formats
    known = compression == _PLAIN or compression in _DEFLATE
    if not known or _STRIPS not in kind.numbers or len(set(kind.bits)) > 1:
        return None
    if bits not in (16, 32, 64) or (predictor == _BYTES_APART) != (is_float and predictor != _NO_PREDICTOR):
        return None
    width, height = numbers[_WIDTH], numbers[_HEIGHT]
    rows = min(height, numbers.get(_ROWS, height))
    stored = np.dtype(f"{kind.order}{'f' if is_float else 'u'}{bits // 8}")
    planes, channels = (kind.samples, 1) if numbers.get(PLANES) == APART else (1, kind.samples)
    result = np.empty((planes, height, width, channels), stored.newbyteorder("="))
    bands = [plane[top : top + rows] for plane in result for top in range(0, height, rows)]
    for band, place, length in zip(bands, kind.numbers[_STRIPS], kind.numbers[_LENGTHS]):
        file.seek(place)
        data = file.read(length)
        data = data if compression == _PLAIN else zlib.decompressobj().decompress(data, band.nbytes)
        if len(data) < band.nbytes:
            raise DamagedStripError("a strip ends early")
        band[...] = _undone(np.frombuffer(data[: band.nbytes], np.uint8), band.shape, stored, predictor)
    return np.ascontiguousarray(np.concatenate(result, axis=2)) if planes > 1 else result[0]


def _undone(data: np.ndarray, shape: tuple[int, ...], stored: np.dtype, predictor: int) -> np.ndarray:
    height, width, channels = shape
    if predictor == _BYTES_APART:
        lines = np.cumsum(data.reshape(height, -1, channels), axis=1, dtype=np.uint8)
        apart = lines.reshape(height, stored.itemsize, width * channels)
        return np.ascontiguousarray(apart.transpose(0, 2, 1)).view(stored.newbyteorder(">")).reshape(shape)
    lines = data.view(stored).reshape(shape)
    if predictor == _DIFFERENCES:
        return np.cumsum(lines.astype(stored.newbyteorder("=")), axis=1, dtype=stored.newbyteorder("="))
    return lines
