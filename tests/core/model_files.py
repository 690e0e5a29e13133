"""What the tests of model files have in common."""

from __future__ import annotations

from pathlib import Path

import torch

from small_networks import compact

__all__ = ["STATE", "same", "save"]


STATE = compact(scale=2)


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor] = STATE) -> bool:
    return found.keys() == expected.keys() and all(
        found[key].dtype == expected[key].dtype and torch.equal(found[key], expected[key]) for key in expected
    )


def save(content: object, path: Path, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path
