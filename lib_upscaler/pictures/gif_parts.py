"""What stands in a GIF between its header and its frames, as bytes (GIF89a; Adobe's XMP specification, part 3)."""

from __future__ import annotations

__all__ = ["application", "aspect", "behind", "comment", "repetition", "sub_blocks", "table_bytes", "xmp_block"]

_XMP_TRAILER = bytes([1, *range(255, -1, -1), 0])
"""Leads readers of blocks from any byte of XMP to its end."""


def sub_blocks(data: bytes) -> bytes:
    """Data in blocks that begin with their lengths, and the empty one behind them."""
    pieces = (data[start : start + 255] for start in range(0, len(data), 255))
    return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\x00"


def comment(text: bytes) -> bytes:
    return b"!\xfe" + sub_blocks(text)


def application(name: bytes, data: bytes) -> bytes:
    """name: 8 letters, and 3 of its version."""
    return b"!\xff\x0b" + name + sub_blocks(data)


def xmp_block(data: bytes) -> bytes:
    """XMP in UTF-8, which stands there as it is, without lengths."""
    return b"!\xff\x0bXMP DataXMP" + data + _XMP_TRAILER


def repetition(plays: int) -> bytes:
    """How often the frames are shown: 0 without end. Once is told by nothing; else the block counts repetitions."""
    if plays == 1:
        return b""
    again = 0 if plays == 0 else min(plays - 1, 65_535)
    return application(b"NETSCAPE2.0", b"\x01" + again.to_bytes(2, "little"))


def aspect(x: float, y: float) -> int:
    """The byte for the shape of a pixel, from pixels in some length across and down; 0 where it cannot be told."""
    sixty_fourths = round(64 * y / x)
    return sixty_fourths - 15 if 16 <= sixty_fourths <= 270 else 0


def table_bytes(flags: int) -> int:
    """The length of the table of colours that the flags of a file or a frame tell."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def behind(data: bytes, position: int) -> int:
    """Where the blocks that begin at ``position`` have ended. Raises IndexError where the data end first."""
    while data[position]:
        position += 1 + data[position]
    return position + 1
