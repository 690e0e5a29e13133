"""A second checkpoint for the tests, out of the first."""

from __future__ import annotations

import json
import shutil

from webui_process import DataFolder, Host

__all__ = ["add_twin"]


def _with_a_note(weights: bytes) -> bytes:
    """The same safetensors file with another header, and so another hash, by which the host tells checkpoints apart."""
    length = int.from_bytes(weights[:8], "little")
    header = json.loads(weights[8 : 8 + length])
    header["__metadata__"] = {"note": "the same again"}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + weights[8 + length :]


def add_twin(data: DataFolder, host: Host) -> None:
    """The tiny checkpoint once more as "twin", for a refiner or a second pass: the same network by another name."""
    folder = data.path / "models" / "Stable-diffusion"
    (folder / "twin.safetensors").write_bytes(_with_a_note((folder / "tiny.safetensors").read_bytes()))
    if not host.is_forge:  # which knows a checkpoint by its widths
        shutil.copyfile(folder / "tiny.yaml", folder / "twin.yaml")
