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
    return (_text_in(image, "A") if image.mode == "RGBA" else None) or _text_in(image, "RGB")


def _text_in(image: Image.Image, channels: str) -> str | None:
    head = (_LETTERS + 4) * 8
    start = _bits(image, channels, head)
    if len(start) < head:
        return None
    data = np.packbits(start).tobytes()
    compressed = _SIGNATURES.get(data[:_LETTERS])
    if compressed is None:
        return None
    count = head + int.from_bytes(data[_LETTERS:], "big")
    if count > image.width * image.height * len(channels):
        return None
    text = np.packbits(_bits(image, channels, count)).tobytes()[_LETTERS + 4 :]
    try:
        if compressed:
            text = zlib.decompressobj(wbits=31).decompress(text, _MOST_TEXT)
        return text.decode("utf-8").rstrip("\x00") or None
    except (zlib.error, UnicodeDecodeError):
        return None


def _bits(image: Image.Image, channels: str, count: int) -> np.ndarray:
    """The first ``count`` lowest bits, column by column; fewer where there are not as many."""
    columns = min(image.width, -(-count // (image.height * len(channels))))
    part = image.crop((0, 0, columns, image.height))  # the rest is not worth a copy
    planes = np.stack([np.asarray(part.getchannel(channel)) for channel in channels], axis=2)
    return (planes.transpose(1, 0, 2).reshape(-1) & 1)[:count]
