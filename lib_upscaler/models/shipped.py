"""The model that ships with the program. No torch."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SHIPPED_MODEL", "shipped_models"]

SHIPPED_MODEL = "TrueScale 4x"
"""Its name in every list."""

_WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


def shipped_models() -> list[Path]:
    """Its file, for ``ModelLibrary(folders, builtin=...)``; empty where somebody has deleted it."""
    return [path for path in (_WEIGHTS / f"{SHIPPED_MODEL}.safetensors",) if path.is_file()]
