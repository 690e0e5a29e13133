"""Text hidden in the lowest bit of pixels: "stealth pnginfo", as NovelAI and extensions of the WebUI write it.

Bits lie column by column, in alpha or in red, green and blue: a signature of 15 letters, the number of bits that follow
in 32 bits, then UTF-8, as it is or through gzip. Enlarged, such bits are noise: the text must be read before.
"""

from __future__ import annotations

import zlib

import numpy as np
from PIL import Image

__all__ = ["hidden_text"]

_LETTERS = 15
_SIGNATURES = {
    b"stealth_pnginfo": False,
    b"stealth_pngcomp": True,
    b"stealth_rgbinfo": False,
    b"stealth_rgbcomp": True,
}
_MOST_TEXT = 64_000_000


def hidden_text(image: Image.Image) -> str | None:
    """The text hidden in a picture of the mode RGB or RGBA, or None."""
    if image.mode not in ("RGB", "RGBA"):
        return None
    planes = np.asarray(image)
    return (_text_in(planes[:, :, 3:]) if image.mode == "RGBA" else None) or _text_in(planes[:, :, :3])


def _text_in(planes: np.ndarray) -> str | None:
    """planes: (H, W, C) uint8."""
    head = (_LETTERS + 4) * 8
    start = _bits(planes, head)
    if len(start) < head:
        return None
    data = np.packbits(start).tobytes()
    compressed = _SIGNATURES.get(data[:_LETTERS])
    if compressed is None:
        return None
    bits = head + int.from_bytes(data[_LETTERS:], "big")
    if bits > planes.size:
        return None
    text = np.packbits(_bits(planes, bits)).tobytes()[_LETTERS + 4 :]
    try:
        if compressed:
            text = zlib.decompressobj(wbits=31).decompress(text, _MOST_TEXT)
        return text.decode("utf-8").rstrip("\x00") or None
    except (zlib.error, UnicodeDecodeError):
        return None


def _bits(planes: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` lowest bits, column by column; fewer where there are not as many."""
    columns = -(-count // (planes.shape[0] * planes.shape[2]))
    return (planes[:, :columns].transpose(1, 0, 2).reshape(-1) & 1)[:count]
