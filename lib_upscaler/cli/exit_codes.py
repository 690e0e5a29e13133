"""How the program ends."""

from __future__ import annotations

from ..errors import ModelNotFoundError, RequestError, TrueScaleError

__all__ = ["CANCELLED", "FAILED", "WRONG_USE", "exit_code"]

FAILED, WRONG_USE, CANCELLED = 1, 2, 130


def exit_code(error: TrueScaleError) -> int:
    """Whether the program was used wrongly, or something failed."""
    return WRONG_USE if isinstance(error, (RequestError, ModelNotFoundError)) else FAILED
