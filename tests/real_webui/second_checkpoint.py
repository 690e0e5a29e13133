"""A second checkpoint for the tests, out of the first."""

from __future__ import annotations

import json

__all__ = ["with_a_note"]


def with_a_note(weights: bytes) -> bytes:
    """The same safetensors file with another header, and so another hash, by which the host tells checkpoints apart."""
    length = int.from_bytes(weights[:8], "little")
    header = json.loads(weights[8 : 8 + length])
    header["__metadata__"] = {"note": "the same again"}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + weights[8 + length :]
